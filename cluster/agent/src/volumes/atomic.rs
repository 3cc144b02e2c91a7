//! Files that change all at once: the content lives in a directory named by time, `..data` is a symbolic link to it, and
//! every visible name is a link through `..data`. Replacing that one link changes everything together.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Component, Path};

use jiff::Timestamp;

use super::content::Payload;

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";

/// Group of all files and directories (`fsGroup`).
pub type Group = Option<u32>;

/// Makes `dir` hold exactly `payload`. Whether anything changed. Blocking.
pub fn write(dir: &Path, payload: &Payload, group: Group, now: Timestamp) -> io::Result<bool> {
    for path in payload.keys() {
        check(path)?;
    }
    fs::create_dir_all(dir)?;
    let current = fs::read_link(dir.join(DATA)).ok();
    if let Some(current) = &current
        && holds(&dir.join(current), payload)?
    {
        link_names(dir, payload)?;
        return Ok(false);
    }
    let name = format!("..{}", now.strftime("%Y_%m_%d_%H_%M_%S.%9f"));
    let fresh = dir.join(&name);
    fs::create_dir(&fresh)?;
    set_directory(&fresh, group)?;
    for (path, file) in payload {
        let target = fresh.join(path);
        if let Some(parent) = target.parent().filter(|p| *p != fresh) {
            make_parents(&fresh, parent, group)?;
        }
        fs::write(&target, &file.data)?;
        let extra = if group.is_some() { 0o440 } else { 0 };
        fs::set_permissions(&target, fs::Permissions::from_mode(file.mode | extra))?;
        chown(&target, file.owner, group)?;
    }
    let new_link = dir.join(DATA_NEW);
    remove_if_there(&new_link)?;
    symlink(&name, &new_link)?;
    fs::rename(&new_link, dir.join(DATA))?;
    link_names(dir, payload)?;
    remove_other_versions(dir, &name)?;
    Ok(true)
}

/// A path of the API must stay inside.
fn check(path: &str) -> io::Result<()> {
    let inside = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    if inside && !path.is_empty() && !path.starts_with("..") {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("path {path:?} leads out of the volume")))
}

fn set_directory(dir: &Path, group: Group) -> io::Result<()> {
    let mode = if group.is_some() { 0o2775 } else { 0o755 };
    chown(dir, None, group)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(mode))
}

fn make_parents(root: &Path, parent: &Path, group: Group) -> io::Result<()> {
    fs::create_dir_all(parent)?;
    let mut at = parent;
    while at != root {
        set_directory(at, group)?;
        match at.parent() {
            Some(up) => at = up,
            None => break,
        }
    }
    Ok(())
}

fn holds(dir: &Path, payload: &Payload) -> io::Result<bool> {
    let mut found = BTreeSet::new();
    list_files(dir, dir, &mut found)?;
    if !found.iter().eq(payload.keys()) {
        return Ok(false);
    }
    for (path, file) in payload {
        if fs::read(dir.join(path))? != file.data {
            return Ok(false);
        }
    }
    Ok(true)
}

fn list_files(root: &Path, dir: &Path, found: &mut BTreeSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            list_files(root, &path, found)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            found.insert(relative.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// One link for each first part of a path; links of names that are gone are removed.
fn link_names(dir: &Path, payload: &Payload) -> io::Result<()> {
    let wanted: BTreeSet<&str> = payload.keys().map(|p| top(p)).collect();
    for name in &wanted {
        match symlink(Path::new(DATA).join(name), dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(&*name) && entry.file_type()?.is_symlink() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove_other_versions(dir: &Path, keep: &str) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("..") && name != keep && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::File;
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |text: &str| File { data: text.as_bytes().to_vec(), mode: 0o640, owner: None };
        files.iter().map(|(p, t)| (p.to_string(), file(t))).collect()
    }

    fn visible(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.retain(|n| !n.starts_with(".."));
        names.sort();
        names
    }

    #[test]
    fn content_is_replaced_as_a_whole_and_only_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let at = |s| Timestamp::from_second(s).unwrap();
        assert!(write(dir, &payload(&[("a", "1"), ("d/x", "2"), ("d/y", "3")]), None, at(1)).unwrap());
        assert_eq!(visible(dir), ["a", "d"]);
        assert_eq!(fs::read_to_string(dir.join("d/x")).unwrap(), "2");
        assert_eq!(fs::metadata(dir.join("a")).unwrap().permissions().mode() & 0o777, 0o640);
        let first = fs::read_link(dir.join(DATA)).unwrap();
        assert!(!write(dir, &payload(&[("a", "1"), ("d/x", "2"), ("d/y", "3")]), None, at(2)).unwrap());
        assert_eq!(fs::read_link(dir.join(DATA)).unwrap(), first);
        assert!(write(dir, &payload(&[("a", "9"), ("n", "4")]), None, at(3)).unwrap());
        assert_eq!(visible(dir), ["a", "n"]);
        assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "9");
        assert!(!dir.join(first).exists(), "the old version is gone");
        assert!(write(dir, &payload(&[]), None, at(4)).unwrap());
        assert!(visible(dir).is_empty());
    }

    #[test]
    fn paths_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["../x", "/etc/x", "a/../../x", "", "..data"] {
            assert!(
                write(dir.path(), &payload(&[(bad, "1")]), None, Timestamp::UNIX_EPOCH).is_err(),
                "{bad}"
            );
        }
    }
}
