//! Leader election over a `coordination.k8s.io` Lease.
//!
//! Safety does not rest on clocks: whoever leads writes under its epoch, and the store refuses an
//! epoch that has passed. Time only decides how soon a silent holder is replaced.

use crate::Cache;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use prometheus::{IntGaugeVec, Opts, Registry};
use std::{future::Future, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// The delay before a failed attempt on the lease is repeated.
const RETRY: Duration = Duration::from_millis(100);
/// A lease whose holder has been silent for so many of its durations by our clock is not waited
/// for when we first see it.
const STALE_DURATIONS: i32 = 5;

/// Which lease is held, and in which epoch: what every write of the leader is guarded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Namespace of the Lease.
    pub lease_namespace: String,
    /// Name of the Lease.
    pub lease_name: String,
    /// `HOLDER/TRANSITIONS` of the Lease.
    pub epoch: String,
    /// The revision at which the lease was won: everything that earlier leaders wrote is older.
    pub since_revision: u64,
}

/// Which lease to strive for, as whom, and how.
#[derive(Clone, Debug)]
pub struct ElectorConfig {
    /// Namespace of the Lease, usually `kube-system`.
    pub namespace: String,
    /// Name of the Lease, for example `kube-scheduler`.
    pub name: String,
    /// Our `holderIdentity`; unique for each process start.
    pub identity: String,
    /// How long the lease is valid without renewal.
    pub lease: Duration,
    /// How often the holder renews it.
    pub renew: Duration,
    /// Where `leader_election_master_status` is registered.
    pub registry: Option<Registry>,
    /// Tells whose process is gone, as soon as somebody knows: its lease is taken without waiting
    /// for its end. See [`Lost`].
    pub lost: Option<Lost>,
}

/// The last process that was found to be gone: the part of its identity after the last `_`. A
/// mistake costs a change of leaders and nothing else, as a deposed one can not write.
pub type Lost = watch::Receiver<String>;

impl ElectorConfig {
    /// A lease of 2 s, renewed every 500 ms, in `kube-system`.
    pub fn new(name: &str, identity: &str) -> Self {
        Self {
            namespace: "kube-system".into(),
            name: name.into(),
            identity: identity.into(),
            lease: Duration::from_secs(2),
            renew: Duration::from_millis(500),
            registry: None,
            lost: None,
        }
    }
}

/// Strives for a lease in the background.
pub struct Elector {
    leadership: watch::Receiver<Option<Leadership>>,
    task: JoinHandle<()>,
}

impl Elector {
    /// Starts to strive for the lease; on `shutdown` a held lease is released.
    pub fn start(client: kube::Client, cfg: ElectorConfig, shutdown: CancellationToken) -> Elector {
        let (sender, leadership) = watch::channel(None);
        let runner = Runner::new(client, cfg, sender);
        Elector { leadership, task: tokio::spawn(runner.run(shutdown)) }
    }

    /// The leadership we hold now.
    pub fn leadership(&self) -> watch::Receiver<Option<Leadership>> {
        self.leadership.clone()
    }

    /// Waits until a held lease was given back after `shutdown`.
    pub async fn stopped(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "leader election ended abnormally");
        }
    }
}

/// Runs `work` whenever we lead, with a token that is cancelled when we do not any more; waits for
/// it to end before it leads again. Returns after `shutdown`, when `work` has ended.
pub async fn lead<F, Fut>(
    mut leadership: watch::Receiver<Option<Leadership>>,
    shutdown: CancellationToken,
    mut work: F,
) where
    F: FnMut(Leadership, CancellationToken) -> Fut,
    Fut: Future<Output = ()>,
{
    loop {
        let held = tokio::select! {
            () = shutdown.cancelled() => return,
            held = leadership.wait_for(Option::is_some) => match held {
                Ok(held) => held.clone().expect("waited for it"),
                // The elector has ended.
                Err(_) => return,
            },
        };
        let stop = shutdown.child_token();
        let mut running = std::pin::pin!(work(held.clone(), stop.clone()));
        let ended = tokio::select! {
            () = &mut running => true,
            _ = leadership.wait_for(|now| now.as_ref() != Some(&held)) => false,
        };
        if !ended {
            stop.cancel();
            running.await;
            continue;
        }
        // Work that ends by itself is not begun again in the same epoch.
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = leadership.wait_for(|now| now.as_ref() != Some(&held)) => {}
        }
    }
}

/// What to do about the lease as it is now.
#[derive(Debug, PartialEq)]
enum Step {
    /// There is none: create it.
    Create,
    /// It is free, or bears our name since an unanswered attempt or an earlier start of this server, which
    /// may still have writes under way: take it, in a new epoch. That our view was not stale, the write proves.
    Take,
    /// It is somebody's until this moment at least.
    WaitUntil(Instant),
}

struct Runner {
    cfg: ElectorConfig,
    api: Api<Lease>,
    cache: Cache<Lease>,
    sender: watch::Sender<Option<Leadership>>,
    status: Option<IntGaugeVec>,
}

impl Runner {
    fn new(client: kube::Client, cfg: ElectorConfig, sender: watch::Sender<Option<Leadership>>) -> Self {
        let api: Api<Lease> = Api::namespaced(client, &cfg.namespace);
        let cache = Cache::builder(api.clone()).fields(&format!("metadata.name={}", cfg.name)).start();
        let opts = Opts::new("leader_election_master_status", "1 for the leader, 0 for a standby.");
        let status = cfg.registry.as_ref().map(|registry| {
            let gauge =
                IntGaugeVec::new(opts.const_label("lease", &cfg.name), &["name"]).expect("valid metric");
            if let Err(error) = registry.register(Box::new(gauge.clone())) {
                tracing::debug!(%error, "leader election metric is registered already");
            }
            gauge.with_label_values(&[&cfg.name]).set(0);
            gauge
        });
        Self { cfg, api, cache, sender, status }
    }

    async fn run(self, shutdown: CancellationToken) {
        while let Some(Some(lease)) = shutdown.run_until_cancelled(self.win()).await {
            let held = leadership(&lease);
            tracing::info!(lease = %self.cfg.name, epoch = %held.epoch, "leading");
            self.publish(Some(held));
            let last = self.hold(lease, &shutdown).await;
            self.publish(None);
            match last {
                Some(lease) => self.release(lease).await,
                None => tracing::warn!(lease = %self.cfg.name, "leadership lost"),
            }
        }
    }

    fn publish(&self, held: Option<Leadership>) {
        if let Some(status) = &self.status {
            status.with_label_values(&[&self.cfg.name]).set(i64::from(held.is_some()));
        }
        self.sender.send_replace(held);
    }

    /// Waits for the lease to be free and takes it. `None` never comes while the cache lives.
    async fn win(&self) -> Option<Lease> {
        let mut changes = self.cache.changes();
        self.cache.synced().await;
        let mut seen: Option<(Lease, Instant)> = None;
        let mut lost = self.cfg.lost.clone();
        let mut gone: Option<String> = None;
        loop {
            let now = self.cache.get(&self.cfg.namespace, &self.cfg.name);
            if seen.as_ref().map(|(lease, _)| &lease.spec) != now.as_ref().map(|lease| &lease.spec) {
                seen = now.map(|lease| ((*lease).clone(), Instant::now()));
            }
            let held = seen.as_ref().map(|(lease, at)| (lease, *at));
            let mut step = step(&self.cfg.identity, held, Instant::now(), Timestamp::now());
            let holder_is_gone = held.zip(gone.take()).is_some_and(|((lease, _), gone)| is_of(lease, &gone));
            if holder_is_gone && matches!(step, Step::WaitUntil(_)) {
                step = Step::Take;
            }
            let attempt = match (step, &seen) {
                (Step::WaitUntil(at), _) => {
                    tokio::select! {
                        change = changes.next() => { change?; }
                        last = next_lost(&mut lost) => gone = Some(last),
                        () = tokio::time::sleep_until(at) => {}
                    }
                    continue;
                }
                (Step::Take, Some((lease, _))) => self.write(self.taken(lease)).await,
                _ => self.create().await,
            };
            match attempt {
                Ok(lease) => return Some(lease),
                Err(error) => {
                    tracing::debug!(lease = %self.cfg.name, %error, "could not take the lease");
                    // Somebody else was faster, and the cache will tell; or no server answers.
                    tokio::select! {
                        change = changes.next() => { change?; }
                        () = tokio::time::sleep(RETRY) => {}
                    }
                }
            }
        }
    }

    /// Renews until `shutdown` (the lease to release) or until it is lost (`None`).
    async fn hold(&self, mut lease: Lease, shutdown: &CancellationToken) -> Option<Lease> {
        let mut valid_until = Instant::now() + self.cfg.lease;
        let mut delay = self.cfg.renew;
        loop {
            if shutdown.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return Some(lease);
            }
            let began = Instant::now();
            let mut renewed = lease.clone();
            renewed.spec.get_or_insert_default().renew_time = Some(MicroTime(Timestamp::now()));
            match self.write(renewed).await {
                Ok(newer) => {
                    lease = newer;
                    valid_until = began + self.cfg.lease;
                    delay = self.cfg.renew;
                }
                Err(error) => {
                    tracing::debug!(lease = %self.cfg.name, %error, "could not renew the lease");
                    // Perhaps it was renewed and only the answer was lost, or somebody labelled it.
                    match tokio::time::timeout(self.cfg.renew, self.api.get_opt(&self.cfg.name)).await {
                        Ok(Ok(Some(now))) if epoch(&now) == epoch(&lease) => lease = now,
                        Ok(Ok(_)) => return None,
                        Ok(Err(_)) | Err(_) => {}
                    }
                    delay = RETRY;
                }
            }
            if Instant::now() >= valid_until {
                return None;
            }
        }
    }

    async fn release(&self, mut lease: Lease) {
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        match self.write(lease).await {
            Ok(_) => tracing::info!(lease = %self.cfg.name, "lease released"),
            Err(error) => tracing::warn!(lease = %self.cfg.name, %error, "could not release the lease"),
        }
    }

    fn taken(&self, lease: &Lease) -> Lease {
        let mut lease = lease.clone();
        let spec = lease.spec.get_or_insert_default();
        spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0) + 1);
        self.sign(spec);
        lease
    }

    fn sign(&self, spec: &mut LeaseSpec) {
        let now = MicroTime(Timestamp::now());
        spec.holder_identity = Some(self.cfg.identity.clone());
        spec.lease_duration_seconds = Some(self.cfg.lease.as_secs().max(1) as i32);
        spec.acquire_time = Some(now.clone());
        spec.renew_time = Some(now);
    }

    async fn write(&self, lease: Lease) -> Result<Lease, AttemptError> {
        let params = PostParams::default();
        let write = self.api.replace(&self.cfg.name, &params, &lease);
        Ok(tokio::time::timeout(self.cfg.lease / 2, write).await??)
    }

    async fn create(&self) -> Result<Lease, AttemptError> {
        let mut spec = LeaseSpec { lease_transitions: Some(0), ..LeaseSpec::default() };
        self.sign(&mut spec);
        let metadata = ObjectMeta {
            name: Some(self.cfg.name.clone()),
            namespace: Some(self.cfg.namespace.clone()),
            ..ObjectMeta::default()
        };
        let lease = Lease { metadata, spec: Some(spec) };
        let params = PostParams::default();
        let create = self.api.create(&params, &lease);
        Ok(tokio::time::timeout(self.cfg.lease / 2, create).await??)
    }
}

#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("no answer in time")]
    Slow(#[from] tokio::time::error::Elapsed),
}

/// Decides about a lease that we first saw in this state at `seen`.
fn step(me: &str, lease: Option<(&Lease, Instant)>, now: Instant, clock: Timestamp) -> Step {
    let Some((lease, seen)) = lease else { return Step::Create };
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.as_deref().unwrap_or("");
    let seconds = spec.lease_duration_seconds.unwrap_or(1).max(1);
    let free_at = seen + Duration::from_secs(seconds as u64);
    let stale = spec.renew_time.is_none_or(|renewed| {
        clock.duration_since(renewed.0).as_secs() > i64::from(seconds.saturating_mul(STALE_DURATIONS))
    });
    if holder.is_empty() || holder == me || stale || now >= free_at {
        Step::Take
    } else {
        Step::WaitUntil(free_at)
    }
}

/// The next process that is found to be gone.
async fn next_lost(lost: &mut Option<Lost>) -> String {
    if let Some(receiver) = lost
        && receiver.changed().await.is_ok()
    {
        return receiver.borrow_and_update().clone();
    }
    std::future::pending().await
}

/// Whether the process with this unique part in its identity holds the lease.
fn is_of(lease: &Lease, unique: &str) -> bool {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or("");
    holder.rsplit_once('_').is_some_and(|(_, part)| part == unique)
}

fn epoch(lease: &Lease) -> String {
    let spec = lease.spec.clone().unwrap_or_default();
    format!("{}/{}", spec.holder_identity.unwrap_or_default(), spec.lease_transitions.unwrap_or(0))
}

fn leadership(lease: &Lease) -> Leadership {
    Leadership {
        lease_namespace: lease.metadata.namespace.clone().unwrap_or_default(),
        lease_name: lease.metadata.name.clone().unwrap_or_default(),
        epoch: epoch(lease),
        since_revision: lease.metadata.resource_version.as_deref().and_then(|r| r.parse().ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewed: &str) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(2),
            lease_transitions: Some(4),
            renew_time: Some(MicroTime(renewed.parse().unwrap())),
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    #[test]
    fn when_to_take_a_lease() {
        let start = Instant::now();
        let clock: Timestamp = "2026-01-01T00:00:05Z".parse().unwrap();
        let after = |seconds| start + Duration::from_secs(seconds);
        let fresh = "2026-01-01T00:00:04Z";
        for (holder, renewed, now, expected) in [
            ("other", fresh, after(1), Step::WaitUntil(after(2))),
            ("other", fresh, after(2), Step::Take),
            ("", fresh, after(0), Step::Take),
            ("me", fresh, after(0), Step::Take),
            ("other", "2025-12-31T23:59:00Z", after(0), Step::Take),
            // A holder whose clock runs ahead of ours is waited for all the same.
            ("other", "2026-01-01T01:00:00Z", after(0), Step::WaitUntil(after(2))),
        ] {
            let lease = lease(holder, renewed);
            assert_eq!(step("me", Some((&lease, start)), now, clock), expected, "{holder} {renewed}");
        }
        assert_eq!(step("me", None, start, clock), Step::Create);
        assert_eq!(epoch(&lease("a", fresh)), "a/4");
    }

    #[tokio::test]
    async fn work_runs_only_while_leading() {
        let (sender, receiver) = watch::channel(None);
        let shutdown = CancellationToken::new();
        let (log, mut entries) = tokio::sync::mpsc::unbounded_channel();
        let running = tokio::spawn(lead(receiver, shutdown.clone(), move |held, stop| {
            let log = log.clone();
            async move {
                log.send(format!("begin {}", held.epoch)).unwrap();
                stop.cancelled().await;
                log.send(format!("end {}", held.epoch)).unwrap();
            }
        }));
        for n in 0..2 {
            let held =
                Leadership { epoch: format!("me/{n}"), ..leadership(&lease("me", "2026-01-01T00:00:00Z")) };
            sender.send_replace(Some(held));
            assert_eq!(entries.recv().await.unwrap(), format!("begin me/{n}"));
            if n == 0 {
                sender.send_replace(None);
            } else {
                shutdown.cancel();
            }
            assert_eq!(entries.recv().await.unwrap(), format!("end me/{n}"));
        }
        running.await.unwrap();
    }
}
