//! What happens to an image store that somebody damaged.

use super::*;

/// A store with one image of one layer; returns the layer's directory and the image's id.
fn with_one_image(dir: &Path) -> (PathBuf, String) {
    let store = Store::open(dir.to_path_buf()).expect("open");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    tar.append_data(&mut header, "file", &b"hi"[..]).expect("tar");
    let layer = tar.into_inner().expect("tar");
    let diff_id = digest_of(&layer);
    let spooled = store.temporary();
    std::fs::write(&spooled, &layer).expect("write");
    store.unpack_layer(&diff_id, None, || File::open(&spooled)).expect("unpack");
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let name = Name::parse("demo:v1").expect("name");
    let image = store.enter(config.to_string().as_bytes(), None, &[name], &[], 2).expect("enter");
    (store.layer_path(&diff_id), image.id)
}

#[test]
fn an_image_that_lost_a_part_is_forgotten() {
    type Damage = fn(&Path, &Path, &str);
    let damages: [(&str, Damage, bool); 4] = [
        ("nothing", |_, _, _| {}, true),
        ("no layer", |_, layer, _| std::fs::remove_dir_all(layer).expect("remove"), false),
        ("no configuration", |dir, _, id| std::fs::remove_file(blob(dir, id)).expect("remove"), false),
        ("another configuration", |dir, _, id| std::fs::write(blob(dir, id), "{}").expect("write"), false),
    ];
    for (what, damage, kept) in damages {
        let dir = tempfile::tempdir().expect("tempdir");
        let (layer, id) = with_one_image(dir.path());
        damage(dir.path(), &layer, &id);
        let store = Store::open(dir.path().to_path_buf()).expect("open");
        assert_eq!(store.find("demo:v1").is_some(), kept, "{what}");
        drop(store);
        let (_, again) = with_one_image(dir.path());
        assert_eq!(again, id, "{what}: it can be brought back");
        let store = Store::open(dir.path().to_path_buf()).expect("open");
        assert!(store.find("demo:v1").is_some(), "{what}: and stays");
    }
}

fn blob(dir: &Path, id: &str) -> PathBuf {
    dir.join("blobs/sha256").join(id.trim_start_matches("sha256:"))
}

#[test]
fn a_damaged_index_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().expect("tempdir");
    with_one_image(dir.path());
    std::fs::write(dir.path().join("index.json"), "{\"images\": [").expect("write");
    let Err(error) = Store::open(dir.path().to_path_buf()) else { panic!("it opened") };
    let text = error.to_string();
    assert!(text.contains("index.json") && text.contains("remove the folder"), "{text}");
}
