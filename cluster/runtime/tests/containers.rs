//! Real containers. Needs root and Debian's busybox-static.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use runtime::*;
use support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_container_runs_and_its_exit_is_known() {
    let f = Fixture::with_busybox("basic").await;
    let began = Instant::now();
    let sandbox = f.sandbox("pod1").await;
    let made = began.elapsed();
    assert!(sandbox.ready && sandbox.netns.exists());
    let began = Instant::now();
    let id = f.start("pod1", f.spec("c", "echo out; echo err >&2; hostname; exit 3")).await;
    eprintln!("sandbox {made:?}, container {:?}", began.elapsed());
    let status = f.ended(&id).await;
    assert_eq!((status.exit_code, status.signal, status.oom_killed), (Some(3), None, false));
    let text = log_text(&f.root.join("logs/c.log"));
    assert!(text.contains("out\n") && text.contains("err\n") && text.contains("pod1-host\n"), "{text}");
    let raw = std::fs::read_to_string(f.root.join("logs/c.log")).expect("log");
    assert!(raw.contains(" stderr F err") && raw.contains(" stdout F out"), "{raw}");
    f.runtime().remove_container(&id).await.expect("remove");
    assert!(f.runtime().container(&id).is_none());
    f.runtime().remove_sandbox("pod1").await.expect("remove");
    assert!(f.runtime().sandboxes().is_empty());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains(f.root.to_str().expect("utf-8")), "nothing is mounted outside");
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_the_box() {
    let f = Fixture::with_busybox("inside").await;
    // What an agent does without, its containers do not.
    // SAFETY: changes how later page faults of this process are served, nothing else.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) }, 0);
    f.sandbox("p").await;
    let masked = masked_files().join(" ");
    assert!(!masked.is_empty(), "this kernel has a file to hide");
    let mut spec = f.spec("c", "");
    spec.command[2] = [
        "echo pid $$; pwd; echo $FROM_IMAGE $MINE $HOSTNAME $HOME",
        "ls /dev | tr '\\n' ' '; echo",
        "cat /proc/self/mountinfo | wc -l",
        "ls / | tr '\\n' ' '; echo",
        "grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status; grep Seccomp: /proc/self/status",
        "grep THP_enabled /proc/self/status",
        "echo x > /dev/null && echo null-ok; head -c 4 /dev/urandom | wc -c",
        "mknod /tmp/mem c 1 5 && head -c 1 /tmp/mem; mknod /dev/mem2 c 1 5 && head -c 1 /dev/mem2",
        "echo 1 > /proc/sys/kernel/panic; touch /sys/x",
        &format!("cat {masked} | wc -c; echo masked"),
        "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max",
        "id",
    ]
    .join("\n");
    spec.env = vec![("MINE".into(), "1".into())];
    spec.seccomp = Seccomp::RuntimeDefault;
    spec.resources.pids = Some(50);
    let (text, code) = f.run("p", spec).await;
    eprintln!("{text}");
    assert_eq!(code, 0);
    for expected in [
        "pid 1\n/tmp\nyes 1 p-host /root\n",
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ",
        "bin dev etc proc sys tmp ",
        "CapEff:\t00000000a80425fb",
        "NoNewPrivs:\t0\nSeccomp:\t2\nTHP_enabled:\t1\n",
        "null-ok\n4\n",
        "head: /tmp/mem: Permission denied\n",
        "head: /dev/mem2: Permission denied\n",
        "can't create /proc/sys/kernel/panic: Read-only file system\n",
        "touch: /sys/x: Read-only file system\n",
        "\n0\nmasked\n",
        "\n50\n",
        "uid=0(root) gid=0(root) groups=0(root)\n",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing");
    }
}

/// The files of /proc that a container must find empty, as far as this kernel has them.
fn masked_files() -> Vec<&'static str> {
    let all = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats", "/proc/interrupts"];
    all.into_iter().filter(|file| std::path::Path::new(file).exists()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_groups_and_privileges() {
    let f = Fixture::with_busybox("users").await;
    f.sandbox("p").await;
    let mut spec =
        f.spec("c", "id; grep CapEff /proc/self/status; grep NoNew /proc/self/status; /bin/suid-id id -u");
    spec.user = UserSpec { uid: Some(33), supplemental_groups: vec![7], ..UserSpec::default() };
    let (text, _) = f.run("p", spec.clone()).await;
    assert!(text.contains("uid=33(web) gid=34(webs) groups=7,34(webs),40(logs)\n"), "{text}");
    assert!(text.contains("CapEff:\t0000000000000000\nNoNewPrivs:\t0\n"), "{text}");
    spec.no_new_privs = true;
    spec.seccomp = Seccomp::RuntimeDefault;
    let (text, _) = f.run("p", spec).await;
    assert!(text.contains("NoNewPrivs:\t1\n"), "{text}");
    let mut spec = f.spec("c", "grep CapBnd /proc/self/status; mount -t tmpfs none /tmp || echo refused");
    spec.cap_drop = vec!["ALL".into()];
    spec.cap_add = vec!["NET_BIND_SERVICE".into()];
    let (text, _) = f.run("p", spec).await;
    assert!(text.contains("CapBnd:\t0000000000000400\n") && text.contains("refused\n"), "{text}");
    let mut spec = f.spec(
        "c",
        "mount -t tmpfs none /tmp && echo mounted; ls /dev | wc -l; grep Seccomp: /proc/self/status",
    );
    spec.privileged = true;
    let (text, _) = f.run("p", spec).await;
    assert!(text.contains("mounted\n") && text.contains("Seccomp:\t0\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_and_read_only_roots() {
    let f = Fixture::with_busybox("volumes").await;
    f.sandbox("p").await;
    let host = f.root.join("vol");
    std::fs::create_dir_all(host.join("sub")).expect("mkdir");
    std::fs::write(host.join("file"), "content\n").expect("write");
    std::os::unix::fs::symlink("/etc", host.join("escape")).expect("symlink");
    let mount = |sub: Option<&str>, to: &str, read_only: bool| Mount {
        host_path: host.clone(),
        sub_path: sub.map(Into::into),
        container_path: to.into(),
        read_only,
        ..Mount::default()
    };
    let script = "cat /v/file /etc/one; touch /v/new; touch /r/new || echo ro; touch /sub/made; \
                  touch /rootfile || echo root-ro; touch /dev/shm/ok && echo shm-ok; touch /deep/er/x && echo deep";
    let mut spec = f.spec("c", script);
    spec.read_only_root = true;
    spec.mounts = vec![
        mount(None, "/v", false),
        mount(None, "/r", true),
        mount(Some("sub"), "/sub", false),
        mount(Some("made/up"), "/deep/er", false),
        mount(Some("file"), "/etc/one", false),
    ];
    let (text, _) = f.run("p", spec.clone()).await;
    assert!(text.starts_with("content\ncontent\n"), "{text}");
    for expected in ["ro\n", "root-ro\n", "shm-ok\n", "deep\n"] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert!(host.join("new").exists() && host.join("sub/made").exists() && host.join("made/up/x").exists());
    spec.mounts = vec![mount(Some("escape"), "/e", false)];
    let id = f.runtime().create_container("p", spec.clone()).await.expect("create");
    let error = f.runtime().start_container(&id).await.expect_err("a volume's link may not lead out of it");
    assert!(error.to_string().contains("cross-device link"), "{error}");
    spec.mounts =
        vec![Mount { host_path: "/no/such".into(), container_path: "/x".into(), ..Mount::default() }];
    let id = f.runtime().create_container("p", spec).await.expect("create");
    let error = f.runtime().start_container(&id).await.expect_err("missing").to_string();
    assert_eq!(error, "error mounting \"/no/such\" to rootfs at \"/x\": no such file or directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_to_start_are_precise() {
    let f = Fixture::with_busybox("failures").await;
    f.sandbox("p").await;
    for (command, message) in [
        ("foo", "exec: \"foo\": executable file not found in $PATH"),
        ("/no/foo", "exec: \"/no/foo\": stat /no/foo: no such file or directory"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
        ("/etc", "exec: \"/etc\": is a directory"),
    ] {
        let mut spec = f.spec("c", "");
        spec.command = vec![command.into()];
        let id = f.runtime().create_container("p", spec).await.expect("create");
        let error = f.runtime().start_container(&id).await.expect_err("must fail");
        assert_eq!(error.to_string(), message);
        let status = f.runtime().container(&id).expect("known");
        assert_eq!((status.state, status.exit_code), (ContainerState::Exited, Some(128)));
        assert_eq!(status.message, message);
    }
    let mut spec = f.spec("c", "");
    spec.user.uid = None;
    spec.image_id = "nothing".into();
    let error = f.runtime().create_container("p", spec).await.expect_err("no image");
    assert!(matches!(error, RuntimeError::ImageNotFound(_)));
    let error = f.runtime().create_container("q", f.spec("c", "")).await.expect_err("no sandbox");
    assert!(matches!(error, RuntimeError::SandboxNotFound(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_with_and_without_patience() {
    let f = Fixture::with_busybox("stop").await;
    f.sandbox("p").await;
    let polite = f.spec("polite", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done");
    let log = polite.log_path.clone();
    let id = f.start("p", polite).await;
    wait_for(|| log_text(&log).contains("up")).await;
    f.runtime().stop_container(&id, libc::SIGTERM, Duration::from_secs(10)).await.expect("stop");
    let status = f.runtime().container(&id).expect("known");
    assert_eq!((status.exit_code, status.signal), (Some(7), None));
    assert!(log_text(&log).contains("bye\n"));
    let id = f.start("p", f.spec("stubborn", "trap '' TERM; while :; do sleep 1; done")).await;
    let began = Instant::now();
    f.runtime().stop_container(&id, libc::SIGTERM, Duration::from_millis(200)).await.expect("stop");
    assert!(began.elapsed() < Duration::from_secs(5));
    let status = f.runtime().container(&id).expect("known");
    assert_eq!((status.exit_code, status.signal), (Some(137), Some(9)));
    f.runtime().stop_container(&id, libc::SIGTERM, Duration::from_secs(1)).await.expect("idempotent");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_limits_kill_and_tell() {
    let f = Fixture::with_busybox("oom").await;
    f.sandbox("p").await;
    let mut spec = f.spec("hog", "head -c 200000000 /dev/zero | tail");
    spec.command = ["tail", "/dev/zero"].map(str::to_owned).to_vec();
    spec.resources.memory_limit = Some(16 << 20);
    spec.resources.cpu_quota = Some(50_000);
    spec.resources.cpu_shares = Some(512);
    let id = f.start("p", spec).await;
    let status = f.ended(&id).await;
    assert!(status.oom_killed, "{status:?}");
    assert_eq!(status.exit_code, Some(137));
    let id = f.start("p", f.spec("idle", "while :; do :; done")).await;
    let cpu = || f.runtime().stats(&id).expect("stats").cpu_ns;
    wait_for(|| cpu() > 0).await;
    let stats = f.runtime().stats(&id).expect("stats");
    assert!(stats.memory_usage > 0 && stats.pids == 1, "{stats:?}");
    assert!(f.runtime().sandbox_stats("p").expect("stats").cpu_ns >= stats.cpu_ns);
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_shared_as_asked() {
    let f = Fixture::with_busybox("ns").await;
    let own = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("ns");
    let mut spec = f.sandbox_spec("shared");
    spec.share_pid = true;
    spec.sysctls = [("kernel.shm_rmid_forced".to_owned(), "1".to_owned())].into();
    f.runtime().create_sandbox(spec).await.expect("sandbox");
    let first = f.start("shared", f.spec("a", "touch /dev/shm/mark; sleep 1000")).await;
    let second = f.start("shared", f.spec("b", "sleep 1000")).await;
    let seen = f.exec(&second, "ps; ls /dev/shm; cat /proc/sys/kernel/shm_rmid_forced").await.out;
    assert!(seen.contains("pause") || seen.contains("trireme"), "{seen}");
    assert_eq!(seen.matches("sleep 1000").count(), 2, "{seen}");
    assert!(seen.contains("mark\n1\n"), "{seen}");
    f.runtime().stop_container(&first, libc::SIGTERM, Duration::ZERO).await.expect("stop");
    assert_eq!(f.exec(&second, "ps").await.out.matches("sleep 1000").count(), 1);
    let mut spec = f.sandbox_spec("host");
    (spec.host_network, spec.host_pid, spec.host_ipc) = (true, true, true);
    f.runtime().create_sandbox(spec).await.expect("sandbox");
    let id = f.start("host", f.spec("c", "sleep 1000")).await;
    let links = f.exec(&id, "for n in net pid ipc mnt; do readlink /proc/self/ns/$n; done").await.out;
    let links: Vec<&str> = links.lines().collect();
    assert_eq!(links[0], own("net").to_string_lossy());
    assert_eq!(links[1], own("pid").to_string_lossy());
    assert_eq!(links[2], own("ipc").to_string_lossy());
    assert_ne!(links[3], own("mnt").to_string_lossy());
    f.sandbox("own").await;
    let id = f.start("own", f.spec("d", "sleep 1000")).await;
    let seen = f.exec(&id, "readlink /proc/self/ns/net; ps; ip addr").await.out;
    assert!(!seen.contains(&*own("net").to_string_lossy()) && seen.contains("LOOPBACK,UP"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_and_rotation() {
    let f = Fixture::with_busybox("logs").await;
    f.sandbox("p").await;
    let script = "head -c 40000 /dev/zero | tr '\\0' x; echo; echo before; until test -e /v/go; do sleep 0.02; done; echo after";
    let mut spec = f.spec("c", script);
    let flag = f.root.join("flag");
    std::fs::create_dir(&flag).expect("mkdir");
    spec.mounts = vec![Mount { host_path: flag.clone(), container_path: "/v".into(), ..Mount::default() }];
    let log = spec.log_path.clone();
    let id = f.start("p", spec).await;
    wait_for(|| log_text(&log).contains("before")).await;
    let raw = std::fs::read_to_string(&log).expect("log");
    let tags: Vec<&str> = raw.lines().map(|l| l.split(' ').nth(2).expect("tag")).collect();
    assert_eq!(tags, ["P", "P", "F", "F"]);
    let old = log.with_extension("1");
    std::fs::rename(&log, &old).expect("rename");
    f.runtime().reopen_log(&id).await.expect("reopen");
    std::fs::write(flag.join("go"), "").expect("write");
    f.ended(&id).await;
    assert_eq!(log_text(&log), "after\n");
    assert!(!log_text(&old).contains("after"));
    assert_eq!(std::fs::metadata(&log).expect("log").permissions().mode() & 0o777, 0o640);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_builtin_images_work() {
    let f = Fixture::new("builtin").await;
    f.sandbox("p").await;
    let spec = |name: &str, image: &str, command: &[&str]| ContainerSpec {
        name: name.into(),
        image_id: image.into(),
        command: command.iter().map(|c| c.to_string()).collect(),
        log_path: f.root.join(format!("logs/{name}.log")),
        ..ContainerSpec::default()
    };
    let pause = f.start("p", spec("pause", "trireme/pause", &[])).await;
    let mut hello = spec("hello", "trireme/hello:latest", &[]);
    hello.env = vec![("POD_NAME".into(), "greeter".into()), ("NODE_NAME".into(), "n1".into())];
    let hello = f.start("p", hello).await;
    let log = f.root.join("logs/hello.log");
    wait_for(|| log_text(&log).contains("listening")).await;
    let script = "wget -q -O - http://127.0.0.1:8080/ && echo a b | cat && cd /etc && ls | cat; id; \
                  X=1; export X; env | cat | cat > /tmp/e; ls /tmp; false || echo or; echo \"$X ${Y:-z}\"; \
                  tar cf - -C /etc passwd | tar tf -; ps; wget -q -O - http://127.0.0.1:8080/config/../x";
    let seen = f.exec(&hello, script).await;
    for expected in [
        "Hello from pod greeter\nnode: n1\n",
        "a b\n",
        "passwd\n",
        "uid=0(root)",
        "e\nor\n1 z\n",
        "/bin/hello",
    ] {
        assert!(seen.out.contains(expected), "{expected:?} in {seen:?}");
    }
    assert!(log_text(&log).contains("GET / 200\n"));
    f.runtime().stop_container(&hello, libc::SIGTERM, Duration::from_secs(10)).await.expect("stop");
    assert_eq!(f.runtime().container(&hello).expect("known").exit_code, Some(0));
    f.runtime().stop_container(&pause, libc::SIGTERM, Duration::from_secs(10)).await.expect("stop");
    assert_eq!(f.runtime().container(&pause).expect("known").exit_code, Some(0));
    let (_, code) = f.run("p", spec("sh", "trireme/hello", &["sh", "-c", "exit 4"])).await;
    assert_eq!(code, 4);
}

/// The agent may live in a chroot: everything above once more, with a root that is no mount point.
#[test]
fn all_of_it_inside_a_chroot() {
    if std::env::var_os("IN_CHROOT").is_some() {
        return;
    }
    let dir = tempfile::tempdir().expect("tempdir");
    let program = std::env::current_exe().expect("exe");
    let script = r#"
        set -e
        mount --make-rprivate /
        for d in /bin /sbin /usr /lib /lib64 /proc /sys /dev /etc "$3"; do
            [ -e "$d" ] || continue
            mkdir -p "$1$d"; mount --rbind "$d" "$1$d"
        done
        mkdir -p "$1/tmp"
        exec chroot "$1" "$2" --test-threads 1 --skip all_of_it
    "#;
    // The programs of this build: the shim, and beneath it the tests.
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_runtime-shim")).parent().expect("a folder");
    assert!(program.starts_with(programs));
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(dir.path()).arg(&program).arg(programs);
    let output = command.env("IN_CHROOT", "1").env("TMPDIR", "/tmp").output().expect("unshare");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("0 failed"), "{text}");
}
