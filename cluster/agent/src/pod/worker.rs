//! The worker of one pod: takes inputs one by one through `machine::step`, has the effects carried out, publishes the state.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::effects;
use super::machine::{self, Effect, Input, ProbeKind};
use super::publish::{self, Wish};
use super::state::{PodState, Stage};
use super::{spec, status};
use crate::env;
use crate::host::Host;
use crate::sources::PodSources;
use crate::volumes::{PodVolumes, content};

/// What reaches a worker.
#[derive(Clone, Debug)]
pub enum Message {
    Input(Input),
    /// The runtime says that a container ended: its last words are to be gathered.
    Exited(String),
}

/// The way to a worker, and what can be seen of it.
#[derive(Clone)]
pub struct Handle {
    pub inbox: mpsc::UnboundedSender<Message>,
    pub view: watch::Receiver<View>,
}

/// A worker's state and the status made from it.
#[derive(Clone)]
pub struct View {
    pub state: Arc<PodState>,
    pub status: Arc<PodStatus>,
}

impl Handle {
    /// A worker that has ended hears nothing any more, and needs nothing.
    pub fn send(&self, input: Input) {
        let _ = self.inbox.send(Message::Input(input));
    }
}

/// What a worker shares with the tasks it starts.
pub struct Shared {
    pub host: Arc<Host>,
    pub sources: PodSources,
    pub volumes: PodVolumes,
    pub inbox: mpsc::UnboundedSender<Message>,
}

/// Starts the worker of `state`; `finished` gets the uid when it has ended.
pub fn start(host: Arc<Host>, state: PodState, finished: mpsc::UnboundedSender<String>) -> Handle {
    let (inbox, messages) = mpsc::unbounded_channel();
    let previous = state.pod.status.clone().unwrap_or_default();
    let view = View { state: Arc::new(state.clone()), status: Arc::new(previous.clone()) };
    let (view_tx, view) = watch::channel(view);
    let sources = host.sources.open(spec::namespace(&state.pod), references(&state.pod));
    let volumes = PodVolumes::new(host.layout.clone(), host.client.clone());
    let shared = Arc::new(Shared { host, sources, volumes, inbox: inbox.clone() });
    let worker = Worker {
        shared,
        previous,
        view: view_tx,
        probes: HashMap::new(),
        tasks: JoinSet::new(),
        seen_at: Timestamp::now(),
        started: false,
        state,
    };
    let handle = Handle { inbox, view };
    tokio::spawn(async move {
        let uid = worker.state.uid().to_owned();
        worker.run(messages).await;
        // The manager may have ended before.
        let _ = finished.send(uid);
    });
    handle
}

/// Everything a pod refers to.
fn references(pod: &Pod) -> BTreeSet<env::SourceRef> {
    let s = spec::spec(pod);
    let mut refs: BTreeSet<env::SourceRef> =
        s.volumes.iter().flatten().flat_map(content::references).collect();
    refs.extend(spec::units(pod).iter().flat_map(|(_, c)| env::references(c)));
    refs.extend(s.image_pull_secrets.iter().flatten().map(|r| env::SourceRef::Secret(r.name.clone())));
    refs
}

struct Worker {
    shared: Arc<Shared>,
    state: PodState,
    previous: PodStatus,
    view: watch::Sender<View>,
    probes: HashMap<(usize, ProbeKind), AbortHandle>,
    tasks: JoinSet<()>,
    seen_at: Timestamp,
    started: bool,
}

impl Worker {
    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        let shutdown = self.shared.host.shutdown.clone();
        let (wishes, wishes_rx) = watch::channel(Wish::default());
        let (gone_tx, mut gone) = mpsc::unbounded_channel();
        let publisher = tokio::spawn(publish::run(
            self.shared.host.client.clone(),
            self.state.pod.clone(),
            wishes_rx,
            gone_tx,
        ));
        let mut changes = self.shared.sources.changes();
        let mut renewal = std::pin::pin!(tokio::time::sleep(Duration::MAX));
        let (renew_tx, mut renew_rx) = mpsc::unbounded_channel::<Option<Timestamp>>();
        self.step(Input::Wake, &wishes);
        let mut resumed = Vec::new();
        machine::resume(&self.state, &mut resumed);
        self.carry_out(resumed, &wishes);
        while self.state.stage != Stage::Gone {
            let wake = machine::next_wake(&self.state).map(until);
            tokio::select! {
                () = shutdown.cancelled() => break,
                message = messages.recv() => match message {
                    Some(Message::Input(input)) => {
                        let refresh = matches!(&input, Input::Updated(_) | Input::VolumesReady(Ok(())));
                        self.step(input, &wishes);
                        if refresh {
                            self.refresh(renew_tx.clone());
                        }
                    }
                    Some(Message::Exited(id)) => self.gather_exit(id),
                    None => break,
                },
                Some(()) = gone.recv() => self.step(Input::Removed, &wishes),
                Some(()) = changes.next(), if !changes.is_empty() => {
                    self.step(Input::SourcesChanged, &wishes);
                    self.refresh(renew_tx.clone());
                }
                Some(at) = renew_rx.recv() => {
                    let wait = at.map_or(Duration::from_secs(24 * 3600), until);
                    renewal.set(tokio::time::sleep(wait));
                }
                () = &mut renewal => self.refresh(renew_tx.clone()),
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => self.step(Input::Wake, &wishes),
                Some(_) = self.tasks.join_next() => {}
            }
        }
        publisher.abort();
    }

    fn step(&mut self, input: Input, wishes: &watch::Sender<Wish>) {
        let effects = machine::step(&mut self.state, input, Timestamp::now());
        self.carry_out(effects, wishes);
    }

    fn carry_out(&mut self, effects: Vec<Effect>, wishes: &watch::Sender<Wish>) {
        self.publish(wishes, effects.contains(&Effect::DeleteFromApi));
        for effect in effects {
            match effect {
                Effect::DeleteFromApi => {}
                Effect::Probe { container, instance, kind } => {
                    let task = effects::probe(&self.shared, &self.state, container, instance, kind);
                    if let Some(old) = self.probes.insert((container, kind), self.tasks.spawn(task)) {
                        old.abort();
                    }
                }
                Effect::StopProbes { container, kinds } => {
                    for kind in kinds {
                        if let Some(probe) = self.probes.remove(&(container, *kind)) {
                            probe.abort();
                        }
                    }
                }
                Effect::Event { warning, reason, message, container } => {
                    let c = container.map(|i| self.state.containers[i].spec.clone());
                    self.shared.host.event(&self.state.pod, c.as_deref(), warning, reason, message);
                }
                other => {
                    self.tasks.spawn(effects::carry_out(
                        self.shared.clone(),
                        Arc::new(self.state.clone()),
                        other,
                    ));
                }
            }
        }
    }

    fn publish(&mut self, wishes: &watch::Sender<Wish>, delete: bool) {
        let host_ips = self.shared.host.host_ips();
        let new = status::generate(&self.state, &host_ips, &self.previous, Timestamp::now());
        if !self.started && new.phase.as_deref() == Some("Running") {
            self.started = true;
            let took = Timestamp::now().duration_since(self.seen_at);
            self.shared.host.metrics.pod_start.observe(took.as_secs_f64());
        }
        let changed = new != self.previous;
        self.previous = new.clone();
        let status = Arc::new(new);
        self.view.send_replace(View { state: Arc::new(self.state.clone()), status: status.clone() });
        if changed || delete {
            wishes.send_modify(|wish| {
                wish.status = Some(status);
                wish.delete |= delete;
            });
        }
    }

    /// Brings the files of the pod's volumes up to date.
    fn refresh(&mut self, renewed: mpsc::UnboundedSender<Option<Timestamp>>) {
        if !self.state.is_live() || self.state.volumes != super::state::Part::Ready {
            return;
        }
        let (shared, pod) = (self.shared.clone(), self.state.pod.clone());
        let place = shared.host.place(self.state.ips.iter().map(ToString::to_string).collect());
        self.tasks.spawn(async move {
            match shared.sources.objects().await {
                Ok(objects) => {
                    if let Err(error) = shared.volumes.refresh(&pod, &objects, &place).await {
                        tracing::debug!(pod = %spec::display(&pod), %error, "volumes not refreshed");
                    }
                }
                Err(error) => tracing::debug!(pod = %spec::display(&pod), %error, "volumes not refreshed"),
            }
            // The worker may have ended meanwhile.
            let _ = renewed.send(shared.volumes.renew_at().await);
        });
    }

    fn gather_exit(&mut self, id: String) {
        let shared = self.shared.clone();
        let container = self.state.by_id(&id).map(|i| self.state.containers[i].spec.clone());
        self.tasks.spawn(async move { effects::report_exit(&shared, container, &id).await });
    }
}

/// How long until `at`.
fn until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()
}
