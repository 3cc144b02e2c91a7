//! What may stand in the checkout's root folder.

use std::process::Command;

const ALLOWED: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "src",
    "cluster",
    "benches",
    "deploy",
    "chaos-tests",
];

#[test]
fn the_root_folder_holds_only_what_it_should() {
    let output = Command::new("git")
        .args(["ls-tree", "--name-only", "HEAD"])
        .current_dir(super::root())
        .output()
        .expect("git runs");
    let listing = String::from_utf8(output.stdout).expect("names are UTF-8");
    let wrong: Vec<&str> =
        listing.lines().filter(|name| !name.starts_with('.') && !ALLOWED.contains(name)).collect();
    assert!(wrong.is_empty(), "not allowed at the top level: {wrong:?}");
}
