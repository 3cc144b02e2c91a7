//! Agents, shims and containers that die at the wrong moment. Needs root and Debian's busybox-static.

mod support;

use std::time::Duration;

use runtime::*;
use support::*;

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_the_agent() {
    let mut f = Fixture::with_busybox("adopt").await;
    let sandbox = f.sandbox("p").await;
    let flag = f.root.join("flag");
    std::fs::create_dir(&flag).expect("mkdir");
    let mut spec = f.spec("c", "echo one; until test -e /v/go; do sleep 0.02; done; echo two; exit 9");
    spec.mounts = vec![Mount { host_path: flag.clone(), container_path: "/v".into(), ..Mount::default() }];
    let log = spec.log_path.clone();
    let waits = f.start("p", spec).await;
    let stays = f.start("p", f.spec("stays", "sleep 1000")).await;
    let busy = Runtime::open(config(&f.root, &f.cgroup)).await;
    assert!(matches!(busy.err(), Some(OpenError::Busy(_))));
    f.drop_runtime().await;
    std::fs::write(flag.join("go"), "").expect("write");
    wait_for(|| log_text(&log).contains("two")).await;
    f.reopen().await;
    let again = f.runtime().sandboxes();
    assert_eq!((again.len(), again[0].pid, again[0].ready), (1, sandbox.pid, true));
    let status = f.ended(&waits).await;
    assert_eq!((status.exit_code, status.name.as_str()), (Some(9), "c"));
    assert_eq!(f.runtime().container(&stays).expect("known").state, ContainerState::Running);
    assert_eq!(f.exec(&stays, "echo alive").await.out, "alive\n");
    f.runtime().stop_sandbox("p").await.expect("stop");
    let status = f.runtime().container(&stays).expect("known");
    assert_eq!((status.state, status.exit_code), (ContainerState::Exited, Some(137)));
    f.drop_runtime().await;
    f.reopen().await;
    assert_eq!(f.runtime().container(&waits).expect("kept on disk").exit_code, Some(9));
    assert!(!f.runtime().sandboxes()[0].ready);
    f.runtime().remove_sandbox("p").await.expect("remove");
    assert!(f.runtime().containers().is_empty());
    assert_eq!(std::fs::read_dir(f.root.join("containers")).expect("dir").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_shim_takes_its_containers_along() {
    let f = Fixture::with_busybox("shimdeath").await;
    let sandbox = f.sandbox("p").await;
    let mut events = f.runtime().events();
    let id = f.start("p", f.spec("c", "sleep 1000 & sleep 1000")).await;
    let pid = f.runtime().container(&id).expect("known").pid;
    kill(sandbox.pid);
    let mut kinds = Vec::new();
    while kinds.last() != Some(&EventKind::SandboxLost) {
        let event = tokio::time::timeout(Duration::from_secs(60), events.recv()).await.expect("in time");
        kinds.push(event.expect("event").kind);
    }
    assert_eq!(kinds, [EventKind::Started, EventKind::Exited, EventKind::SandboxLost]);
    let status = f.runtime().container(&id).expect("known");
    assert_eq!((status.state, status.exit_code), (ContainerState::Exited, Some(137)));
    wait_for(|| !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
    let mut spec = f.sandbox_spec("p");
    spec.attempt = 1;
    let again = f.runtime().create_sandbox(spec).await.expect("a new attempt");
    assert!(again.ready && again.pid != sandbox.pid);
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_needs_no_agent_and_leaves_nothing() {
    let mut f = Fixture::with_busybox("purge").await;
    let sandbox = f.sandbox("p").await;
    let id = f.start("p", f.spec("c", "sleep 1000 & sleep 1000")).await;
    let pid = f.runtime().container(&id).expect("known").pid;
    f.drop_runtime().await;
    Runtime::purge(&f.root, &f.cgroup).expect("purge");
    for pid in [pid, sandbox.pid] {
        wait_for(|| !std::path::Path::new(&format!("/proc/{pid}/exe")).exists()).await;
    }
    for hierarchy in ["", "cpu", "memory", "pids", "unified", "cpuacct"] {
        assert!(!std::path::Path::new("/sys/fs/cgroup").join(hierarchy).join(&f.cgroup).exists());
    }
    assert!(!f.root.join("sandboxes").exists() && f.root.join("images").exists());
    Runtime::purge(&f.root, &f.cgroup).expect("idempotent");
    f.reopen().await;
    assert!(f.runtime().containers().is_empty() && f.runtime().image(BUSYBOX).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_sandboxes_are_refused_without_leftovers() {
    let f = Fixture::new("badbox").await;
    let mut spec = f.sandbox_spec("p");
    spec.sysctls = [("net.no.such".to_owned(), "1".to_owned())].into();
    let error = f.runtime().create_sandbox(spec).await.expect_err("no such sysctl").to_string();
    assert!(error.contains("sysctl net.no.such=1: no such file or directory"), "{error}");
    assert_eq!(std::fs::read_dir(f.root.join("sandboxes")).expect("dir").count(), 0);
    assert!(f.runtime().create_sandbox(f.sandbox_spec("../x")).await.is_err());
    let long = "x".repeat(120);
    let mut spec = f.sandbox_spec(&long);
    spec.hostname = "h".into();
    let first = f.runtime().create_sandbox(spec.clone()).await.expect("a long id");
    let again = f.runtime().create_sandbox(spec).await.expect("again");
    assert_eq!(first, again, "the same again is the same");
}
