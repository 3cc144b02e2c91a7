//! Carries out decisions: one loop that owns what is known, and bindings that run beside it.

use crate::{
    Options,
    cluster::Cluster,
    metrics::Metrics,
    plan::{Decision, may_help, plan},
    waiting::Waiting,
};
use client::{Cache, Change, EventType, Recorder};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, Namespace, Node, ObjectReference, Pod};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// How many bindings may be under way at the same time.
const BINDINGS: usize = 64;
/// How long a binding may take; whether it came about is then learned from the cache.
const BINDING_LIMIT: Duration = Duration::from_secs(10);
/// How many pods are decided before news of the cluster are looked at again.
const BATCH: usize = 32;

/// What the scheduler reads: everything of these kinds.
#[derive(Clone)]
pub struct Caches {
    pub pods: Cache<Pod>,
    pub nodes: Cache<Node>,
    pub namespaces: Cache<Namespace>,
}

impl Caches {
    pub(crate) fn start(client: &kube::Client) -> Self {
        Self {
            pods: Cache::start(Api::all(client.clone())),
            nodes: Cache::start(Api::all(client.clone())),
            namespaces: Cache::start(Api::all(client.clone())),
        }
    }
}

/// How carrying out a decision ended.
struct Bound {
    pod: Arc<Pod>,
    began: Instant,
    result: Result<(), BindError>,
}

#[derive(Debug, thiserror::Error)]
enum BindError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("no answer in time")]
    Slow(#[from] tokio::time::error::Elapsed),
}

pub(crate) struct Runner {
    client: kube::Client,
    options: Arc<Options>,
    metrics: Metrics,
    recorder: Recorder,
    cluster: Cluster,
    waiting: Waiting,
    bindings: JoinSet<Bound>,
}

impl Runner {
    pub fn new(client: kube::Client, options: Arc<Options>, metrics: Metrics) -> Self {
        let recorder = Recorder::new(client.clone(), &options.scheduler_name, "");
        Self {
            client,
            options,
            metrics,
            recorder,
            cluster: Cluster::default(),
            waiting: Waiting::default(),
            bindings: JoinSet::new(),
        }
    }

    /// Places pods until `stop`.
    pub async fn run(mut self, caches: Caches, stop: CancellationToken) {
        let mut pods = caches.pods.changes().ready_chunks(1024);
        let mut nodes = caches.nodes.changes().ready_chunks(1024);
        let mut namespaces = caches.namespaces.changes().ready_chunks(1024);
        loop {
            let decided = self.decide();
            let next_at = self.waiting.next_at();
            let sleep = async {
                match next_at {
                    _ if decided => {}
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // News first: a decision is only as good as what it is made from.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(changes) = nodes.next() => changes.iter().for_each(|change| self.on_node(change)),
                Some(changes) = namespaces.next() => changes.iter().for_each(|change| self.on_namespace(change)),
                Some(changes) = pods.next() => changes.iter().for_each(|change| self.on_pod(change)),
                Some(bound) = self.bindings.join_next() => self.on_bound(bound),
                () = sleep => {}
            }
        }
        self.bindings.shutdown().await;
    }

    fn on_node(&mut self, change: &Change<Node>) {
        match &change.new {
            Some(node) => {
                self.cluster.put_node(node.clone());
                if may_help(change.old.as_deref(), node) {
                    self.waiting.wake(Instant::now());
                }
            }
            None => self.cluster.remove_node(&change.key.name),
        }
    }

    fn on_namespace(&mut self, change: &Change<Namespace>) {
        let name = change.key.name.to_string();
        match &change.new {
            Some(namespace) => {
                let labels = namespace.metadata.labels.clone().unwrap_or_default();
                if self.cluster.namespaces.insert(name, labels.clone()) != Some(labels) {
                    self.waiting.wake(Instant::now());
                }
            }
            None => {
                self.cluster.namespaces.remove(&name);
            }
        }
    }

    fn on_pod(&mut self, change: &Change<Pod>) {
        let now = Instant::now();
        let old_uid = change.old.as_ref().and_then(|pod| pod.metadata.uid.clone());
        let new_uid = change.new.as_ref().and_then(|pod| pod.metadata.uid.clone());
        if let Some(uid) = old_uid.filter(|uid| Some(uid) != new_uid.as_ref()) {
            self.gone(&uid, now);
        }
        let (Some(pod), Some(uid)) = (&change.new, new_uid) else { return };
        let spec = pod.spec.as_ref();
        let node = spec.and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty());
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
        match node {
            _ if matches!(phase, "Succeeded" | "Failed") => self.gone(&uid, now),
            Some(node) => {
                self.waiting.remove(&uid);
                let known = self.cluster.node_of(&uid).is_some();
                self.cluster.put_pod(node, pod.clone());
                if !known {
                    // Others may want to be near it.
                    self.waiting.wake(now);
                }
            }
            None if pod.metadata.deletion_timestamp.is_some() => self.waiting.remove(&uid),
            None if self.is_ours(pod) => self.waiting.put(pod.clone(), now),
            None => {}
        }
    }

    fn gone(&mut self, uid: &str, now: Instant) {
        self.waiting.remove(uid);
        if self.cluster.remove_pod(uid) {
            self.waiting.wake(now);
        }
    }

    fn is_ours(&self, pod: &Pod) -> bool {
        let spec = pod.spec.as_ref();
        let scheduler = spec.and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or("default-scheduler");
        let gated =
            spec.and_then(|spec| spec.scheduling_gates.as_ref()).is_some_and(|gates| !gates.is_empty());
        scheduler == self.options.scheduler_name && !gated
    }

    /// Decides on some of the pods that wait; whether there are more.
    fn decide(&mut self) -> bool {
        for _ in 0..BATCH {
            if self.bindings.len() >= BINDINGS {
                return false;
            }
            let began = Instant::now();
            let Some(pod) = self.waiting.next(began) else {
                self.metrics.pending(self.waiting.counts());
                return false;
            };
            let decision = plan(&self.cluster, &pod);
            self.metrics.decided(began.elapsed());
            match decision {
                Decision::Bind(node) => {
                    self.cluster.put_pod(&node, pod.clone());
                    self.bind(pod, node, began);
                }
                Decision::Wait(message) => {
                    self.waiting.park(pod.metadata.uid.as_deref().unwrap_or(""), Instant::now());
                    self.metrics.attempted("unschedulable", began.elapsed());
                    self.tell_unschedulable(&pod, message);
                }
            }
        }
        true
    }

    fn bind(&mut self, pod: Arc<Pod>, node: String, began: Instant) {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let name = pod.metadata.name.clone().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let recorder = self.recorder.clone();
        self.bindings.spawn(async move {
            let result = bind(&api, &pod, &node).await;
            if result.is_ok() {
                let message = format!("Successfully assigned {namespace}/{name} to {node}");
                recorder.about(&*pod, EventType::Normal, "Scheduled", message);
            }
            Bound { pod, began, result }
        });
    }

    fn on_bound(&mut self, bound: Result<Bound, tokio::task::JoinError>) {
        let Bound { pod, began, result } = match bound {
            Ok(bound) => bound,
            Err(error) => return tracing::error!(%error, "a binding ended abnormally"),
        };
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let Err(error) = result else {
            self.metrics.attempted("scheduled", began.elapsed());
            return;
        };
        self.metrics.attempted("error", began.elapsed());
        tracing::info!(pod = ?pod.metadata.name, namespace = ?pod.metadata.namespace, %error, "could not bind");
        self.recorder.about(
            &*pod,
            EventType::Warning,
            "FailedScheduling",
            format!("binding rejected: {error}"),
        );
        // If it came about all the same, the cache will say so.
        self.cluster.remove_pod(&uid);
        self.waiting.failed(&uid, Instant::now());
        self.waiting.wake(Instant::now());
    }

    /// Says on the pod, and in an event, why it waits.
    fn tell_unschedulable(&self, pod: &Arc<Pod>, message: String) {
        self.recorder.about(&**pod, EventType::Warning, "FailedScheduling", message.clone());
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let told = conditions.into_iter().flatten().any(|condition| {
            condition.type_ == "PodScheduled" && condition.message.as_deref() == Some(message.as_str())
        });
        if told {
            return;
        }
        let condition = serde_json::json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": message, "lastProbeTime": null, "lastTransitionTime": Timestamp::now().strftime("%FT%TZ").to_string() });
        let patch = serde_json::json!({ "metadata": { "uid": pod.metadata.uid }, "status": { "conditions": [condition] } });
        let api: Api<Pod> =
            Api::namespaced(self.client.clone(), pod.metadata.namespace.as_deref().unwrap_or(""));
        let name = pod.metadata.name.clone().unwrap_or_default();
        tokio::spawn(async move {
            if let Err(error) =
                api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(patch)).await
            {
                tracing::debug!(pod = %name, %error, "could not say why the pod waits");
            }
        });
    }
}

async fn bind(api: &Api<Pod>, pod: &Pod, node: &str) -> Result<(), BindError> {
    let target = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Node".into()),
        name: Some(node.to_owned()),
        ..ObjectReference::default()
    };
    let metadata = ObjectMeta {
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectMeta::default()
    };
    let binding = Binding { metadata, target };
    let name = pod.metadata.name.as_deref().unwrap_or("");
    let params = PostParams::default();
    let request = api.create_subresource::<Binding, serde_json::Value>("binding", name, &params, &binding);
    tokio::time::timeout(BINDING_LIMIT, request).await??;
    Ok(())
}
