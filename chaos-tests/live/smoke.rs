//! A short run of real processes as part of the test command: servers are killed and cut off while
//! clients work. Only what must never happen is judged, not how fast anything is: the machine may be
//! slow. Needs root.

#[path = "../debian.rs"]
#[allow(dead_code, reason = "one program is enough here")]
mod debian;

use std::path::PathBuf;
use std::process::Command;

use chaos::live::plan::Fault;
use chaos::live::run::{self, Options};

/// Seconds in which faults begin.
const SECONDS: u64 = 10;
/// The invariant that judges how long things take.
const IN_TIME: &str = "faults are survived";

/// The program beside this test; made when it is not there, as when only this package is tested.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this test is a file");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("it is in a target folder");
    let program = folder.join("trireme");
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--package", "trireme", "--bin", "trireme"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the program is not built");
    }
    program
}

#[test]
fn killed_and_cut_off_servers_break_no_promise() {
    // It parts the servers.
    debian::installed("ip", "iproute2");
    let options = Options {
        seconds: SECONDS,
        faults: vec![Fault::Kill, Fault::Partition],
        seed: 1,
        program: program(),
        disks: false,
        history: None,
    };
    let verdict = run::run(&options).expect("the run is made");
    let broken: Vec<_> = verdict.violations.iter().filter(|found| found.invariant != IN_TIME).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    let applied = verdict.summary.outcomes.get("applied").copied().unwrap_or(0);
    assert!(applied > 0, "nothing was written: {}", verdict.summary);
    assert!(!verdict.summary.gaps.is_empty(), "no fault was made: {}", verdict.summary);
}
