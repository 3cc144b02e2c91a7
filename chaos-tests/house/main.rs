//! The house test: who may import whom, and how large a room may get.
//!
//! It reads `cargo metadata` and the sources themselves, so that a new crate, file or function is
//! covered without a word here.

mod imports;
mod sizes;
mod top_level;

use std::path::PathBuf;

/// The checkout's root folder.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust source file of the checkout that git would commit (tracked or new, not ignored).
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for top in ["src", "cluster", "benches", "chaos-tests"] {
        collect(&root().join(top), &mut found);
    }
    found.sort();
    assert!(found.len() > 10, "the walk found only {} sources: is the root right?", found.len());
    found
}

fn collect(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("readable folder").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}
