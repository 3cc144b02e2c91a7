//! Which pods this node runs: one worker for each, started from the API's list and from what the runtime still has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use client::{Cache, Change, Changes};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use parking_lot::RwLock;
use runtime::{ContainerState, EventKind, RuntimeEvent};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::node::Contact;
use crate::pod::adopt::{Observed, adopt};
use crate::pod::machine::Input;
use crate::pod::state::PodState;
use crate::pod::worker::{self, Handle, Message, View};
use crate::pod::{effects, exit, spec};
use crate::{container_spec, images};

/// All workers by pod uid; the server looks pods up here.
#[derive(Clone, Default)]
pub struct Pods {
    workers: Arc<RwLock<HashMap<String, Handle>>>,
}

impl Pods {
    /// The pod `namespace/name` (of `uid`, when given).
    pub fn find(&self, namespace: &str, name: &str, uid: Option<&str>) -> Option<Handle> {
        let workers = self.workers.read();
        let matches = |h: &&Handle| {
            let view = h.view.borrow();
            let pod = &view.state.pod;
            spec::namespace(pod) == namespace
                && spec::name(pod) == name
                && uid.is_none_or(|u| u == spec::uid(pod))
        };
        let mut found: Vec<&Handle> = workers.values().filter(matches).collect();
        // A pod that is being removed may share its name with its successor.
        found.sort_by_key(|h| h.view.borrow().state.removed);
        found.first().map(|h| (*h).clone())
    }

    /// What all workers show.
    pub fn views(&self) -> Vec<View> {
        self.workers.read().values().map(|h| h.view.borrow().clone()).collect()
    }

    fn get(&self, uid: &str) -> Option<Handle> {
        self.workers.read().get(uid).cloned()
    }

    fn all(&self) -> Vec<Handle> {
        self.workers.read().values().cloned().collect()
    }
}

/// Runs the workers until `shutdown`; containers go on.
pub async fn run(
    host: Arc<Host>,
    pods: Pods,
    contact: watch::Receiver<Contact>,
    shutdown: CancellationToken,
) {
    let events = host.runtime.events();
    let api: Api<Pod> = Api::all(host.client.clone());
    let cache = Cache::builder(api).fields(&format!("spec.nodeName={}", host.cfg.node_name)).start();
    tokio::select! {
        () = cache.synced() => {}
        () = shutdown.cancelled() => return,
    }
    let (finished_tx, finished) = mpsc::unbounded_channel();
    let manager = Manager { host, pods, cache, finished_tx };
    let mut changes = manager.cache.changes();
    manager.take_over(&mut changes).await;
    tokio::select! {
        () = manager.serve(changes, events, contact, finished) => {}
        () = shutdown.cancelled() => {}
    }
}

struct Manager {
    host: Arc<Host>,
    pods: Pods,
    cache: Cache<Pod>,
    finished_tx: mpsc::UnboundedSender<String>,
}

impl Manager {
    /// Adopts what runs, and removes what nobody wants any more. The pods are those that the changes begin
    /// with: of a pod from anywhere else, they would not tell that it was deleted meanwhile.
    async fn take_over(&self, changes: &mut Changes<Pod>) {
        while let Some(Some(change)) = changes.next().now_or_never() {
            self.changed(change);
        }
        let live: HashSet<String> = self.pods.workers.read().keys().cloned().collect();
        for sandbox in self.host.runtime.sandboxes() {
            if !live.contains(&sandbox.id) {
                tokio::spawn(remove_orphan(self.host.clone(), sandbox));
            }
        }
        if let Err(error) = self.host.network.retain(&live).await {
            tracing::warn!(%error, "addresses of pods that are gone were not freed");
        }
        let layout = self.host.layout.clone();
        let known = tokio::task::spawn_blocking(move || layout.known_pods()).await;
        let running: HashSet<String> = self.host.runtime.sandboxes().into_iter().map(|s| s.id).collect();
        for uid in known.ok().and_then(Result::ok).unwrap_or_default() {
            if !live.contains(&uid) && !running.contains(&uid) {
                let layout = self.host.layout.clone();
                let removed = tokio::task::spawn_blocking(move || layout.remove_pod(&uid)).await;
                if let Ok(Err(error)) = removed {
                    tracing::warn!(%error, "volumes of a pod that is gone were not removed");
                }
            }
        }
    }

    fn start(&self, pod: Arc<Pod>) {
        let uid = spec::uid(&pod).to_owned();
        let (state, unwanted) = self.recall(pod);
        for id in unwanted {
            let host = self.host.clone();
            tokio::spawn(async move {
                if let Err(error) = host.runtime.remove_container(&id).await {
                    tracing::warn!(%error, "container not removed");
                }
            });
        }
        let handle = worker::start(self.host.clone(), state, self.finished_tx.clone());
        self.pods.workers.write().insert(uid, handle);
    }

    /// The state of a pod: new, or as the runtime and the API remember it.
    fn recall(&self, pod: Arc<Pod>) -> (PodState, Vec<String>) {
        let uid = spec::uid(&pod);
        let runtime = &self.host.runtime;
        let sandbox = runtime.sandboxes().into_iter().find(|s| s.id == uid);
        let units = spec::units(&pod);
        let observed: Vec<Observed> = runtime
            .containers()
            .iter()
            .filter(|c| c.sandbox_id == uid)
            .map(|c| {
                let unit = units.iter().find(|(_, u)| u.name == c.name).map(|(_, u)| u);
                let image =
                    runtime.image(&c.image_id).map_or_else(|| c.image_id.clone(), |i| images::reference(&i));
                exit::observe(&self.host.layout, unit, image, c)
            })
            .collect();
        let attempt = sandbox.filter(|s| s.ready).map(|s| s.attempt);
        adopt(pod, attempt, observed, Timestamp::now())
    }

    async fn serve(
        &self,
        mut changes: Changes<Pod>,
        mut events: broadcast::Receiver<RuntimeEvent>,
        mut contact: watch::Receiver<Contact>,
        mut finished: mpsc::UnboundedReceiver<String>,
    ) {
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(change) => self.changed(change),
                    None => return,
                },
                event = events.recv() => match event {
                    Ok(event) => self.runtime_event(&event),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.check_all(),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                Some(uid) = finished.recv() => self.ended(&uid),
                Ok(()) = contact.changed() => {
                    let now = *contact.borrow_and_update();
                    self.contact_changed(now).await;
                }
            }
        }
    }

    fn changed(&self, change: Change<Pod>) {
        let uid_of = |p: &Arc<Pod>| spec::uid(p).to_owned();
        if let Some(old) = &change.old
            && change.new.as_ref().is_none_or(|new| spec::uid(new) != spec::uid(old))
            && let Some(worker) = self.pods.get(&uid_of(old))
        {
            worker.send(Input::Removed);
        }
        let Some(pod) = change.new else { return };
        match self.pods.get(&uid_of(&pod)) {
            Some(worker) => {
                let known = worker.view.borrow().state.pod.metadata.resource_version.clone();
                if known != pod.metadata.resource_version {
                    worker.send(Input::Updated(pod));
                }
            }
            None => self.start(pod),
        }
    }

    fn runtime_event(&self, event: &RuntimeEvent) {
        let Some(worker) = self.pods.get(&event.sandbox_id) else { return };
        match event.kind {
            EventKind::Exited => {
                // A worker that has ended needs no news.
                let _ = worker.inbox.send(Message::Exited(event.container_id.clone()));
            }
            EventKind::SandboxLost => worker.send(Input::SandboxLost),
            EventKind::Started | EventKind::Oom => {}
        }
    }

    /// Events were missed: every container is looked at.
    fn check_all(&self) {
        for c in self.host.runtime.containers() {
            if c.state == ContainerState::Exited {
                self.runtime_event(&RuntimeEvent {
                    container_id: c.id,
                    sandbox_id: c.sandbox_id,
                    kind: EventKind::Exited,
                });
            }
        }
    }

    /// A worker has ended. Its pod may be listed anew already (a static pod, or the same object after all).
    fn ended(&self, uid: &str) {
        self.pods.workers.write().remove(uid);
    }

    async fn contact_changed(&self, contact: Contact) {
        let grace_s = self.host.cfg.timings.fence_grace.as_secs() as i64;
        match contact {
            Contact::Lost => {
                tracing::warn!("no server can be reached: stopping the pods that may be replaced elsewhere");
                for worker in self.pods.all() {
                    let replaceable = spec::is_replaceable(&worker.view.borrow().state.pod);
                    if replaceable {
                        worker.send(Input::Fenced { grace_s });
                    }
                }
            }
            Contact::Good => {
                if self.pods.all().iter().any(|w| w.view.borrow().state.fenced) {
                    self.unfence().await;
                }
            }
        }
    }

    /// Pods that are still this node's may run again; the others are removed by the watch.
    async fn unfence(&self) {
        let api: Api<Pod> = Api::all(self.host.client.clone());
        let params = ListParams::default().fields(&format!("spec.nodeName={}", self.host.cfg.node_name));
        let list = loop {
            match api.list(&params).await {
                Ok(list) => break list,
                Err(error) => tracing::warn!(%error, "pods of this node can not be listed"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        for pod in list.items.iter().filter(|p| p.metadata.deletion_timestamp.is_none()) {
            if let Some(worker) = self.pods.get(spec::uid(pod)) {
                worker.send(Input::Unfenced);
            }
        }
    }
}

/// A pod that was deleted while the agent was away: its containers get their grace period, then all of it goes.
async fn remove_orphan(host: Arc<Host>, sandbox: runtime::Sandbox) {
    tracing::info!(pod = %sandbox.name, namespace = %sandbox.namespace, uid = %sandbox.id, "removing a pod that is gone");
    let grace =
        sandbox.annotations.get(container_spec::ANNOTATION_GRACE).and_then(|g| g.parse().ok()).unwrap_or(30);
    let running: Vec<String> = host
        .runtime
        .containers()
        .into_iter()
        .filter(|c| c.sandbox_id == sandbox.id && c.state == ContainerState::Running)
        .map(|c| c.id)
        .collect();
    let stops =
        running.iter().map(|id| host.runtime.stop_container(id, libc::SIGTERM, Duration::from_secs(grace)));
    for result in futures::future::join_all(stops).await {
        if let Err(error) = result {
            tracing::warn!(%error, "container of a pod that is gone not stopped");
        }
    }
    if let Err(error) = effects::clean_up(&host, &sandbox.id).await {
        tracing::warn!(uid = %sandbox.id, %error, "pod that is gone not cleaned up");
    }
    effects::purge(&host, &sandbox.id, &sandbox.log_dir).await;
}
