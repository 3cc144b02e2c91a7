//! The caches that the controllers share; kept warm also while another server leads.

use crate::{objects::controller_uid, pods};
use client::{Cache, Cacheable};
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet},
    batch::v1::{CronJob, Job},
    coordination::v1::Lease,
    core::v1::{
        ConfigMap, Endpoints, Namespace, Node, PersistentVolumeClaim, Pod, ReplicationController,
        ResourceQuota, Service, ServiceAccount,
    },
    discovery::v1::EndpointSlice,
    policy::v1::PodDisruptionBudget,
    rbac::v1::ClusterRole,
};
use kube::Api;
use std::time::Duration;

/// Pods and other managed objects by the uid of the owner that manages them.
pub(crate) const BY_CONTROLLER: &str = "controller";
/// Pods by the node they are bound to.
pub(crate) const BY_NODE: &str = "node";
/// EndpointSlices by `NAMESPACE/SERVICE`.
pub(crate) const BY_SERVICE: &str = "service";
/// The namespace of the nodes' heartbeats.
pub(crate) const NODE_LEASES: &str = "kube-node-lease";
/// The name of the ConfigMap with the cluster's certificate authority in every namespace.
pub(crate) const ROOT_CA: &str = "kube-root-ca.crt";

/// How long a new leader waits for idle caches to confirm that they have seen everything its
/// predecessor wrote. What was written arrives long before.
pub(crate) const CATCH_UP_LIMIT: Duration = Duration::from_millis(150);

pub(crate) struct Caches {
    pub pods: Cache<Pod>,
    pub nodes: Cache<Node>,
    pub namespaces: Cache<Namespace>,
    pub services: Cache<Service>,
    pub endpoints: Cache<Endpoints>,
    pub slices: Cache<EndpointSlice>,
    pub deployments: Cache<Deployment>,
    pub replica_sets: Cache<ReplicaSet>,
    pub replication_controllers: Cache<ReplicationController>,
    pub daemon_sets: Cache<DaemonSet>,
    pub stateful_sets: Cache<StatefulSet>,
    pub revisions: Cache<ControllerRevision>,
    pub claims: Cache<PersistentVolumeClaim>,
    pub jobs: Cache<Job>,
    pub cron_jobs: Cache<CronJob>,
    pub budgets: Cache<PodDisruptionBudget>,
    pub quotas: Cache<ResourceQuota>,
    pub service_accounts: Cache<ServiceAccount>,
    pub root_ca: Cache<ConfigMap>,
    pub node_leases: Cache<Lease>,
    pub cluster_roles: Cache<ClusterRole>,
}

/// The caches that others in this process can use, too: of what there is most.
#[derive(Clone)]
pub struct Shared {
    pub pods: Cache<Pod>,
    pub nodes: Cache<Node>,
    pub namespaces: Cache<Namespace>,
}

impl Shared {
    /// Starts them; whoever `client` is must be allowed to read all of it.
    pub fn start(client: &kube::Client) -> Self {
        let on_node = |pod: &Pod| pods::node_name(pod).map(str::to_owned).into_iter().collect();
        Self {
            pods: Cache::builder(Api::all(client.clone()))
                .index(BY_CONTROLLER, controller_uid)
                .index(BY_NODE, on_node)
                .start(),
            nodes: Cache::start(Api::all(client.clone())),
            namespaces: Cache::start(Api::all(client.clone())),
        }
    }
}

impl Caches {
    pub fn start(client: &kube::Client, shared: Shared) -> Self {
        fn all<K>(client: &kube::Client) -> Cache<K>
        where
            K: Cacheable + kube::Resource<DynamicType = ()>,
        {
            Cache::start(Api::all(client.clone()))
        }
        fn managed<K>(client: &kube::Client) -> Cache<K>
        where
            K: Cacheable + kube::Resource<DynamicType = ()>,
        {
            Cache::builder(Api::all(client.clone())).index(BY_CONTROLLER, controller_uid).start()
        }
        let Shared { pods, nodes, namespaces } = shared;
        Self {
            pods,
            nodes,
            namespaces,
            services: all(client),
            endpoints: all(client),
            slices: Cache::builder(Api::all(client.clone())).index(BY_SERVICE, service_of).start(),
            deployments: all(client),
            replica_sets: managed(client),
            replication_controllers: all(client),
            daemon_sets: all(client),
            stateful_sets: all(client),
            revisions: managed(client),
            claims: all(client),
            jobs: managed(client),
            cron_jobs: all(client),
            budgets: all(client),
            quotas: all(client),
            service_accounts: all(client),
            root_ca: Cache::builder(Api::all(client.clone()))
                .fields(&format!("metadata.name={ROOT_CA}"))
                .start(),
            node_leases: Cache::start(Api::namespaced(client.clone(), NODE_LEASES)),
            cluster_roles: all(client),
        }
    }

    /// Returns when every cache holds at least what was written before `revision`.
    pub async fn caught_up(&self, revision: u64) {
        tokio::join!(
            self.pods.synced(),
            self.nodes.synced(),
            self.namespaces.synced(),
            self.services.synced(),
            self.endpoints.synced(),
            self.slices.synced(),
            self.deployments.synced(),
            self.replica_sets.synced(),
            self.replication_controllers.synced(),
            self.daemon_sets.synced(),
            self.stateful_sets.synced(),
            self.revisions.synced(),
            self.claims.synced(),
            self.jobs.synced(),
            self.cron_jobs.synced(),
            self.budgets.synced(),
            self.quotas.synced(),
            self.service_accounts.synced(),
            self.root_ca.synced(),
            self.node_leases.synced(),
            self.cluster_roles.synced(),
        );
        let reached = async {
            tokio::join!(
                self.pods.reached(revision),
                self.replica_sets.reached(revision),
                self.deployments.reached(revision),
                self.jobs.reached(revision),
                self.stateful_sets.reached(revision),
            )
        };
        // Idle caches are not behind, they have only not been told how far they are.
        if tokio::time::timeout(CATCH_UP_LIMIT, reached).await.is_err() {
            tracing::debug!(revision, "some caches have not confirmed the revision yet");
        }
    }
}

/// `NAMESPACE/SERVICE` of an EndpointSlice.
fn service_of(slice: &EndpointSlice) -> Vec<String> {
    let service = crate::objects::labels(&slice.metadata).get("kubernetes.io/service-name");
    service.map(|name| service_key(crate::objects::namespace(&slice.metadata), name)).into_iter().collect()
}

/// What [`BY_SERVICE`] knows a service as.
pub(crate) fn service_key(namespace: &str, service: &str) -> String {
    format!("{namespace}/{service}")
}
