//! Tables over the life of a pod.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::{Value, json};

use super::adopt::{Life, Observed, adopt};
use super::backoff::after;
use super::machine::{Effect, Input, ProbeKind, PullFailure, StartFailure, next_wake, step};
use super::state::{Instance, PodState, Run, Stage, Terminated};
use super::status;

fn pod(spec: Value) -> Arc<Pod> {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "ns", "uid": "u1", "generation": 1},
        "spec": spec,
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn deleted(pod: &Arc<Pod>, grace_s: i64) -> Arc<Pod> {
    let mut pod = Pod::clone(pod);
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
    pod.metadata.deletion_grace_period_seconds = Some(grace_s);
    Arc::new(pod)
}

fn at(seconds: i64) -> Timestamp {
    after(Timestamp::UNIX_EPOCH, 1000 + seconds)
}

fn ended(id: &str, exit_code: i32, t: i64) -> Terminated {
    Terminated {
        id: id.into(),
        exit_code,
        signal: None,
        reason: if exit_code == 0 { "Completed" } else { "Error" }.into(),
        message: String::new(),
        started_at: Some(at(t)),
        finished_at: Some(at(t)),
    }
}

/// A pod whose worker answers at once: images are there, starts succeed, stops do not end by themselves.
struct World {
    state: PodState,
    now: i64,
    log: Vec<Effect>,
}

impl World {
    fn new(spec: Value) -> World {
        let state = PodState::new(pod(spec), at(0));
        let mut world = World { state, now: 0, log: Vec::new() };
        world.input(Input::Wake);
        world
    }

    fn input(&mut self, input: Input) {
        let mut todo = vec![input];
        while let Some(input) = todo.pop() {
            for effect in step(&mut self.state, input.clone(), at(self.now)) {
                match &effect {
                    Effect::PrepareVolumes => todo.insert(0, Input::VolumesReady(Ok(()))),
                    Effect::CreateSandbox { .. } => {
                        todo.insert(0, Input::SandboxReady(Ok(vec!["10.244.0.5".parse().unwrap()])));
                    }
                    Effect::EnsureImage { container } => {
                        todo.insert(0, Input::Image { container: *container, result: Ok("sha256:1".into()) });
                    }
                    Effect::Start { container, attempt } => {
                        let name = self.state.containers[*container].name().to_owned();
                        let instance = Instance { id: format!("{name}{attempt}"), started_at: at(self.now) };
                        let result = Ok(instance);
                        todo.insert(0, Input::Started { container: *container, attempt: *attempt, result });
                    }
                    Effect::CleanUp => todo.insert(0, Input::CleanedUp(Ok(()))),
                    Effect::Purge => todo.insert(0, Input::Purged),
                    _ => {}
                }
                self.log.push(effect);
            }
        }
    }

    fn exit(&mut self, id: &str, code: i32) {
        self.input(Input::Exited(ended(id, code, self.now)));
    }

    fn running(&self) -> Vec<&str> {
        let running = self.state.containers.iter().filter(|c| matches!(c.run, Run::Running(_)));
        running.map(|c| c.name()).collect()
    }

    fn status(&self) -> PodStatus {
        status::generate(&self.state, &["192.0.2.1".into()], &PodStatus::default(), at(self.now))
    }

    fn phase(&self) -> String {
        self.status().phase.unwrap()
    }

    fn waiting(&self, i: usize) -> (String, String) {
        let status = self.status().container_statuses.unwrap().remove(i);
        let waiting = status.state.unwrap().waiting.unwrap();
        (waiting.reason.unwrap(), waiting.message.unwrap_or_default())
    }

    fn ready(&self) -> bool {
        status::condition(&self.status(), "Ready").unwrap().status == "True"
    }

    fn stops(&self) -> Vec<String> {
        let ids = self.log.iter().filter_map(|e| match e {
            Effect::Stop { id, .. } => Some(id.clone()),
            _ => None,
        });
        ids.collect()
    }

    fn events(&self, reason: &str) -> usize {
        self.log.iter().filter(|e| matches!(e, Effect::Event { reason: r, .. } if *r == reason)).count()
    }
}

fn one(policy: &str) -> Value {
    json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "i"}]})
}

#[test]
fn a_pod_starts_and_is_ready() {
    let w = World::new(one("Always"));
    assert_eq!(w.state.stage, Stage::Running);
    assert_eq!((w.phase().as_str(), w.ready()), ("Running", true));
    let s = w.status();
    assert_eq!(s.pod_ip.as_deref(), Some("10.244.0.5"));
    assert_eq!(s.qos_class.as_deref(), Some("BestEffort"));
    let c = &s.container_statuses.unwrap()[0];
    assert_eq!(c.container_id.as_deref(), Some("trireme://a0"));
    assert_eq!((c.restart_count, c.ready, c.started), (0, true, Some(true)));
}

#[test]
fn phases_by_policy_and_exit_code() {
    let cases = [
        ("Never", 0, "Succeeded"),
        ("Never", 1, "Failed"),
        ("OnFailure", 0, "Succeeded"),
        ("OnFailure", 1, "Running"),
        ("Always", 0, "Running"),
    ];
    for (policy, code, phase) in cases {
        let mut w = World::new(one(policy));
        w.exit("a0", code);
        assert_eq!(w.phase(), phase, "{policy} {code}");
        let finished = w.state.stage == Stage::Finished;
        assert_eq!(finished, phase != "Running", "{policy} {code}");
    }
}

#[test]
fn restarts_are_delayed_ten_seconds_doubling() {
    let mut w = World::new(one("Always"));
    w.exit("a0", 1);
    assert_eq!(w.running(), ["a"], "the first restart is immediate");
    w.exit("a1", 1);
    for (attempt, delay, text) in [(2, 10, "10s"), (3, 20, "20s"), (4, 40, "40s"), (5, 80, "1m20s")] {
        let (reason, message) = w.waiting(0);
        assert_eq!(reason, "CrashLoopBackOff");
        assert_eq!(message, format!("back-off {text} restarting failed container=a pod=p_ns(u1)"));
        assert_eq!(next_wake(&w.state), Some(at(w.now + delay)));
        w.now += delay - 1;
        w.input(Input::Wake);
        assert!(w.running().is_empty());
        w.now += 1;
        w.input(Input::Wake);
        assert_eq!(w.running(), ["a"]);
        let c = &w.status().container_statuses.unwrap()[0];
        assert_eq!(c.restart_count, attempt);
        assert!(c.last_state.as_ref().unwrap().terminated.is_some());
        w.exit(&format!("a{attempt}"), 1);
    }
    w.now += 160;
    w.input(Input::Wake);
    w.now += 700;
    w.exit("a6", 1);
    assert_eq!(w.running(), ["a"], "ten quiet minutes forget the delay");
}

#[test]
fn init_containers_run_in_order_and_sidecars_stay() {
    let mut w = World::new(json!({"containers": [{"name": "m", "image": "i"}], "initContainers": [
        {"name": "i1", "image": "i"},
        {"name": "s", "image": "i", "restartPolicy": "Always"},
        {"name": "i2", "image": "i"}]}));
    assert_eq!((w.running(), w.phase()), (vec!["i1"], "Pending".into()));
    assert_eq!(w.waiting(0).0, "PodInitializing");
    w.exit("i10", 0);
    assert_eq!(w.running(), ["s", "i2"]);
    w.exit("i20", 0);
    assert_eq!((w.running(), w.phase()), (vec!["s", "m"], "Running".into()));
    assert_eq!(status::condition(&w.status(), "Initialized").unwrap().status, "True");
    w.exit("s0", 1);
    assert_eq!(w.running(), ["s", "m"], "a sidecar is restarted");
}

#[test]
fn a_failed_init_container_fails_a_pod_that_never_restarts() {
    let mut w = World::new(json!({"restartPolicy": "Never", "containers": [{"name": "m", "image": "i"}],
        "initContainers": [{"name": "i1", "image": "i"}]}));
    w.exit("i10", 3);
    assert_eq!((w.phase().as_str(), w.state.stage), ("Failed", Stage::Finished));
    assert!(!w.state.containers[1].created);
}

#[test]
fn sidecars_end_after_the_main_containers_in_reverse_order() {
    let mut w = World::new(json!({"restartPolicy": "Never", "containers": [{"name": "m", "image": "i"}],
        "initContainers": [
            {"name": "s1", "image": "i", "restartPolicy": "Always"},
            {"name": "s2", "image": "i", "restartPolicy": "Always"}]}));
    w.exit("m0", 0);
    assert_eq!(w.stops(), ["s20"]);
    w.exit("s20", 143);
    assert_eq!(w.stops(), ["s20", "s10"]);
    w.exit("s10", 143);
    assert_eq!((w.phase().as_str(), w.state.stage), ("Succeeded", Stage::Finished));
}

#[test]
fn deletion_stops_cleans_up_and_deletes() {
    let mut w = World::new(one("Always"));
    let gone = deleted(&w.state.pod, 30);
    w.input(Input::Updated(gone.clone()));
    assert_eq!(w.stops(), ["a0"]);
    assert_eq!(w.phase(), "Running");
    assert!(w.ready(), "readiness lasts until the end");
    w.input(Input::Updated(deleted(&gone, 5)));
    assert!(w.log.contains(&Effect::Stop { container: 0, id: "a0".into(), grace_s: 5, hook: false }));
    w.exit("a0", 143);
    assert_eq!(w.state.stage, Stage::Finished);
    assert_eq!(w.phase(), "Failed");
    assert_eq!(w.log.last(), Some(&Effect::DeleteFromApi));
    w.input(Input::Removed);
    assert_eq!(w.state.stage, Stage::Gone);
}

#[test]
fn a_pod_deleted_while_it_starts_never_runs() {
    let mut state = PodState::new(pod(one("Always")), at(0));
    step(&mut state, Input::Wake, at(0));
    step(&mut state, Input::VolumesReady(Ok(())), at(0));
    let gone = deleted(&state.pod, 30);
    assert_eq!(step(&mut state, Input::Updated(gone), at(1)), []);
    let effects = step(&mut state, Input::SandboxReady(Ok(vec![])), at(1));
    assert_eq!(effects, [Effect::CleanUp]);
}

#[test]
fn pulls_that_fail_back_off() {
    let mut state = PodState::new(pod(one("Always")), at(0));
    for input in [Input::Wake, Input::VolumesReady(Ok(())), Input::SandboxReady(Ok(vec![]))] {
        step(&mut state, input, at(0));
    }
    assert_eq!(state.containers[0].run, Run::Pulling);
    let failure = PullFailure { reason: "ErrImagePull", message: "no such host".into() };
    step(&mut state, Input::Image { container: 0, result: Err(failure) }, at(0));
    let mut w = World { state, now: 0, log: vec![] };
    assert_eq!(w.waiting(0), ("ErrImagePull".into(), "no such host".into()));
    w.now = 2;
    w.input(Input::Wake);
    let expected = "Back-off pulling image \"i\": ErrImagePull: no such host";
    assert_eq!(w.waiting(0), ("ImagePullBackOff".into(), expected.into()));
    assert_eq!((w.events("BackOff"), next_wake(&w.state)), (1, Some(at(10))));
    w.now = 10;
    w.input(Input::Wake);
    assert_eq!(w.running(), ["a"]);
}

#[test]
fn a_program_that_can_not_be_executed_is_a_failed_start() {
    let mut state = PodState::new(pod(one("Always")), at(0));
    for input in [Input::Wake, Input::VolumesReady(Ok(())), Input::SandboxReady(Ok(vec![]))] {
        step(&mut state, input, at(0));
    }
    step(&mut state, Input::Image { container: 0, result: Ok("x".into()) }, at(0));
    let failure = StartFailure::Ended(Terminated { reason: "StartError".into(), ..ended("a0", 128, 0) });
    let effects = step(&mut state, Input::Started { container: 0, attempt: 0, result: Err(failure) }, at(0));
    assert!(effects.contains(&Effect::EnsureImage { container: 0 }), "restarted at once, then with delays");
}

#[test]
fn probes_decide_over_start_life_and_readiness() {
    let probe = json!({"exec": {"command": ["x"]}});
    let mut w = World::new(json!({"containers": [{"name": "a", "image": "i", "startupProbe": probe,
        "livenessProbe": probe, "readinessProbe": probe}]}));
    let probes = |w: &World| -> Vec<ProbeKind> {
        w.log
            .iter()
            .filter_map(|e| if let Effect::Probe { kind, .. } = e { Some(*kind) } else { None })
            .collect()
    };
    assert_eq!(probes(&w), [ProbeKind::Startup]);
    assert!(!w.ready());
    let probed = |kind, healthy| Input::Probed { id: "a0".into(), kind, healthy, message: "m".into() };
    w.input(probed(ProbeKind::Startup, true));
    assert_eq!(probes(&w), [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness]);
    assert!(!w.ready());
    w.input(probed(ProbeKind::Readiness, true));
    assert!(w.ready());
    w.input(probed(ProbeKind::Liveness, false));
    assert_eq!(w.stops(), ["a0"]);
    w.exit("a0", 137);
    assert_eq!(w.running(), ["a"]);
    assert!(!w.ready());
}

#[test]
fn a_deadline_fails_the_pod() {
    let mut spec = one("Always");
    spec["activeDeadlineSeconds"] = json!(30);
    let mut w = World::new(spec);
    assert_eq!(next_wake(&w.state), Some(at(30)));
    w.now = 30;
    w.input(Input::Wake);
    assert_eq!(w.stops(), ["a0"]);
    w.exit("a0", 143);
    let s = w.status();
    assert_eq!((s.phase.as_deref(), s.reason.as_deref()), (Some("Failed"), Some("DeadlineExceeded")));
}

#[test]
fn a_lost_sandbox_begins_again_with_init_containers() {
    let mut w = World::new(json!({"containers": [{"name": "m", "image": "i"}],
        "initContainers": [{"name": "i1", "image": "i"}]}));
    w.exit("i10", 0);
    assert_eq!(w.running(), ["m"]);
    w.input(Input::SandboxLost);
    assert_eq!(w.events("SandboxChanged"), 1);
    assert!(w.log.contains(&Effect::CreateSandbox { attempt: 1 }));
    assert_eq!(w.running(), ["i1"]);
    w.exit("i11", 0);
    assert_eq!(w.running(), ["m"]);
}

#[test]
fn a_fenced_pod_stops_and_comes_back() {
    let mut w = World::new(one("Always"));
    w.input(Input::Fenced { grace_s: 1 });
    assert_eq!(w.stops(), ["a0"]);
    w.exit("a0", 137);
    assert!(w.running().is_empty());
    w.input(Input::Unfenced);
    assert_eq!(w.running(), ["a"]);
}

#[test]
fn a_changed_image_restarts_its_container() {
    let mut w = World::new(one("Always"));
    let changed = pod(json!({"containers": [{"name": "a", "image": "other"}]}));
    w.input(Input::Updated(changed));
    assert_eq!(w.stops(), ["a0"]);
    w.exit("a0", 0);
    assert_eq!(w.running(), ["a"]);
    assert_eq!(w.status().container_statuses.unwrap()[0].restart_count, 1);
}

#[test]
fn an_ephemeral_container_joins_a_running_pod_and_is_not_restarted() {
    let mut w = World::new(one("Always"));
    let mut spec = one("Always");
    spec["ephemeralContainers"] = json!([{"name": "e", "image": "i"}]);
    w.input(Input::Updated(pod(spec)));
    assert_eq!(w.running(), ["a", "e"]);
    w.exit("e0", 1);
    assert_eq!(w.running(), ["a"]);
    assert_eq!(w.phase(), "Running");
}

#[test]
fn running_containers_are_adopted_as_they_are() {
    let w = World::new(one("Always"));
    let mut known = Pod::clone(&w.state.pod);
    known.status = Some(w.status());
    let life = |attempt, what| Observed { name: "a".into(), attempt, image_id: "x".into(), what };
    let running = Instance { id: "a0".into(), started_at: at(0) };
    let (state, unwanted) = adopt(Arc::new(known), Some(0), vec![life(0, Life::Running(running))], at(50));
    assert!(unwanted.is_empty());
    let mut w = World { state, now: 50, log: vec![] };
    assert!(w.ready(), "not unready for a moment");
    w.input(Input::Wake);
    assert!(!w.log.iter().any(|e| matches!(e, Effect::Start { .. } | Effect::Stop { .. })));
    assert_eq!((w.running(), w.status().container_statuses.unwrap()[0].restart_count), (vec!["a"], 0));
}

#[test]
fn what_the_runtime_forgot_is_taken_from_the_api() {
    let w = World::new(one("Never"));
    let mut known = Pod::clone(&w.state.pod);
    known.status = Some(w.status());
    let (state, _) = adopt(Arc::new(known), None, vec![], at(50));
    let mut w = World { state, now: 50, log: vec![] };
    w.input(Input::Wake);
    assert_eq!(w.phase(), "Failed", "a container that ran and is gone has failed, and is not run twice");
    let t = w.status().container_statuses.unwrap()[0].state.clone().unwrap().terminated.unwrap();
    assert_eq!((t.exit_code, t.reason.as_deref()), (137, Some("ContainerStatusUnknown")));
}

#[test]
fn changed_resources_apply_in_place_unless_a_restart_is_wanted() {
    let spec = |cpu: &str, policy: Value| json!({"containers": [{"name": "a", "image": "i", "resizePolicy": policy, "resources": {"requests": {"cpu": cpu}}}]});
    let restart = json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
    for (policy, restarted) in [(Value::Null, false), (restart, true)] {
        let mut w = World::new(spec("1", policy.clone()));
        w.input(Input::Updated(pod(spec("2", policy))));
        assert_eq!(w.log.contains(&Effect::Resize { container: 0, id: "a0".into() }), !restarted);
        assert_eq!(w.stops().is_empty(), !restarted);
    }
}
