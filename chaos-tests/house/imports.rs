//! Who may import whom among our own crates.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

/// Crate -> the crates of ours it may depend on. A crate that is not listed may not exist.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("trireme-api", &[]),
    ("trireme-store", &[]),
    // Stands in for a crate of openraft.
    ("base2histogram", &[]),
    ("trireme-client", &["trireme-api"]),
    ("trireme-apiserver", &["trireme-api", "trireme-store"]),
    ("trireme-controllers", &["trireme-api", "trireme-client"]),
    ("trireme-scheduler", &["trireme-api", "trireme-client"]),
    ("trireme-runtime", &[]),
    ("trireme-network", &["trireme-api", "trireme-client"]),
    ("trireme-agent", &["trireme-api", "trireme-client", "trireme-runtime", "trireme-network"]),
    ("trireme-console", &["trireme-api", "trireme-client"]),
];

/// These crates of ours may import any other, and none may import them.
const ROOFS: &[&str] = &["trireme", "chaos-tests", "trireme-benches"];

/// `api` is pure: it must not reach for a clock's runtime, files, sockets or randomness.
const API_NEVER: &[&str] = &["tokio", "hyper", "rand", "rustix", "reqwest", "openraft"];

/// Second TLS backends, C++ or unsafe-to-parse crates that must never enter the tree.
const NOBODY_EVER: &[&str] =
    &["aws-lc-sys", "aws-lc-rs", "openssl-sys", "native-tls", "rsa", "serde_yml", "im"];

fn metadata() -> &'static serde_json::Value {
    static READ: OnceLock<serde_json::Value> = OnceLock::new();
    READ.get_or_init(read_metadata)
}

/// For this machine's platform only: crates of other platforms need not be downloaded.
fn read_metadata() -> serde_json::Value {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &platform])
        .current_dir(super::root())
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let metadata = metadata();
    let members: Vec<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().filter_map(|m| m.as_str()).collect();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(&package["id"].as_str().unwrap()))
        .map(|package| {
            let normal = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
            let names = normal.map(|d| d["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

#[test]
fn our_crates_import_only_whom_they_may() {
    let mut wrong = Vec::new();
    for (name, imports) in dependencies() {
        if ROOFS.contains(&name.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(known, _)| *known == name) else {
            wrong.push(format!("{name}: not a room of the house"));
            continue;
        };
        for import in imports.iter().filter(|import| *import == "trireme" || import.starts_with("trireme-")) {
            if !allowed.contains(&import.as_str()) {
                wrong.push(format!("{name} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden imports:\n{}", wrong.join("\n"));
}

#[test]
fn the_api_crate_is_pure() {
    let dependencies = dependencies();
    let api = &dependencies["trireme-api"];
    let wrong: Vec<_> = api.iter().filter(|name| API_NEVER.contains(&name.as_str())).collect();
    assert!(wrong.is_empty(), "trireme-api imports {wrong:?}");
}

#[test]
fn openraft_stays_inside_the_store() {
    for (name, imports) in dependencies() {
        assert!(
            name == "trireme-store" || !imports.iter().any(|i| i == "openraft"),
            "{name} imports openraft"
        );
    }
}

#[test]
fn one_tls_backend_and_nothing_banned() {
    let metadata = metadata();
    let resolved = metadata["resolve"]["nodes"].as_array().unwrap();
    let used: Vec<&str> = resolved.iter().filter_map(|node| node["id"].as_str()).collect();
    for banned in NOBODY_EVER {
        let found =
            used.iter().find(|id| id.contains(&format!("#{banned}@")) || id.ends_with(&format!("/{banned}")));
        assert!(found.is_none(), "{banned} entered the dependency tree: {found:?}");
    }
}
