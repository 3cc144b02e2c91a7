use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

fn header(kind: EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1_000_000);
    header
}

/// Writes the name raw: the library refuses the hostile ones.
fn add(builder: &mut tar::Builder<Vec<u8>>, kind: EntryType, name: &str, link: &str, data: &[u8]) {
    let mode = if kind == EntryType::Directory { 0o750 } else { 0o4755 };
    let mut header = header(kind, data.len() as u64, mode);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    builder.append(&header, data).expect("append");
}

fn build(entries: &[(EntryType, &str, &str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, link, data) in entries {
        add(&mut builder, *kind, name, link, data);
    }
    builder.into_inner().expect("tar")
}

fn unpacked(entries: &[(EntryType, &str, &str, &[u8])]) -> (tempfile::TempDir, io::Result<String>) {
    let dir = tempfile::tempdir().expect("tempdir");
    std::fs::create_dir(dir.path().join("layer")).expect("mkdir");
    let tar = build(entries);
    let result = unpack(&tar[..], &dir.path().join("layer"));
    if let Ok(digest) = &result {
        assert_eq!(*digest, format!("sha256:{}", hex::encode(Sha256::digest(&tar))));
    }
    (dir, result)
}

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;
const SYM: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

#[test]
fn kinds_owners_modes_and_times() {
    let (dir, result) = unpacked(&[
        (DIR, "./", "", b""),
        (DIR, "bin/", "", b""),
        (FILE, "bin/su", "", b"program"),
        (HARD, "bin/su2", "bin/su", b""),
        (SYM, "sbin", "/bin", b""),
        (FILE, "sbin/through", "", b"x"),
        (EntryType::Fifo, "pipe", "", b""),
        (EntryType::Char, "dev/null", "", b""),
    ]);
    result.expect("unpack");
    let root = dir.path().join("layer");
    let meta = std::fs::metadata(root.join("bin/su")).expect("su");
    assert_eq!((meta.uid(), meta.gid(), meta.mtime(), meta.nlink()), (7, 8, 1_000_000, 2));
    assert_eq!(meta.permissions().mode() & 0o7777, 0o4755);
    assert_eq!(std::fs::metadata(root.join("bin")).expect("bin").mtime(), 1_000_000);
    assert!(root.join("bin/through").is_file(), "a link to / stays inside");
}

#[test]
fn whiteouts_become_overlay_marks() {
    let (dir, result) = unpacked(&[
        (DIR, "a/", "", b""),
        (FILE, "a/.wh.gone", "", b""),
        (FILE, "b/.wh..wh..opq", "", b""),
        (FILE, "b/new", "", b"1"),
    ]);
    result.expect("unpack");
    let root = dir.path().join("layer");
    let gone = std::fs::symlink_metadata(root.join("a/gone")).expect("gone");
    assert_eq!((gone.rdev(), gone.mode() & libc::S_IFMT), (0, libc::S_IFCHR));
    let mut value = [0; 4];
    let length = rustix::fs::getxattr(root.join("b"), "trusted.overlay.opaque", &mut value).expect("xattr");
    assert_eq!(&value[..length], b"y");
}

#[test]
fn hostile_archives_stay_inside_or_are_refused() {
    for name in ["../evil", "a/../../evil", "/../evil", "a/.."] {
        let (_dir, result) = unpacked(&[(FILE, name, "", b"x")]);
        assert!(result.is_err(), "{name}");
    }
    let (_dir, result) = unpacked(&[(HARD, "passwd", "../../etc/passwd", b"")]);
    assert!(result.is_err());
    let (dir, result) = unpacked(&[(SYM, "up", "../..", b""), (FILE, "up/evil", "", b"x")]);
    result.expect("unpack");
    assert!(dir.path().join("layer/evil").is_file() && !dir.path().join("evil").exists());
    let (dir, result) =
        unpacked(&[(SYM, "file", "/etc/hostname", b""), (FILE, "file", "", b"new"), (DIR, "file/", "", b"")]);
    result.expect("unpack");
    assert!(std::fs::symlink_metadata(dir.path().join("layer/file")).expect("file").is_dir());
    let (_dir, result) = unpacked(&[(SYM, "loop", "loop", b""), (FILE, "loop/x", "", b"1")]);
    assert!(result.is_err());
}

#[test]
fn compression_is_told_by_the_first_bytes() {
    use std::io::Write;
    let tar = build(&[(FILE, "f", "", b"data")]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).expect("gzip");
    let gz = gz.finish().expect("gzip");
    let zst = zstd::stream::encode_all(&tar[..], 1).expect("zstd");
    for stream in [&tar, &gz, &zst] {
        let dir = tempfile::tempdir().expect("tempdir");
        let digest = unpack(&stream[..], dir.path()).expect("unpack");
        assert_eq!(digest, format!("sha256:{}", hex::encode(Sha256::digest(&tar))));
        assert_eq!(std::fs::read(dir.path().join("f")).expect("read"), b"data");
    }
    let dir = tempfile::tempdir().expect("tempdir");
    assert!(unpack(&gz[..gz.len() - 9], dir.path()).is_err(), "a cut stream is an error");
}
