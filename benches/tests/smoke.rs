//! Every row runs, at toy size and without etcd: so that the benches can not rot.

use std::process::Command;

fn run(row: &str, expected: &[&str]) {
    let dir = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_trireme-benches"))
        .args([row, "--toy", "--alone", "--pairs", "1", "--dir"])
        .arg(dir.path())
        .output()
        .expect("the benches start");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    for line in expected {
        assert!(shown.contains(line), "{row} does not show {line:?}:\n{shown}");
    }
}

#[test]
fn every_row_runs() {
    run(
        "all",
        &[
            "puts, 256 clients",
            "puts, one client",
            "linearizable reads",
            "watchers of everything",
            "watchers by node name",
            "first acknowledged write",
            "planned transfer",
            "node heartbeats",
            "steady writes",
            "memory per object",
            "a new member catches up",
            "restart of one of the members",
        ],
    );
}
