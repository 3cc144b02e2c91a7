//! The one who breaks things, in an order that the seed decides.

use std::sync::Arc;
use std::time::Duration;

use store::{MemberId, OpenError};

use super::cluster::{Cluster, Crash};
use super::dice::Dice;
use super::disk::Health;
use super::net::Weather;
use super::world::World;

/// What can be done to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Kill,
    PowerCut,
    PowerCutAll,
    KillInDiskOperation,
    Restart,
    Isolate,
    OneWay,
    Split,
    Weather,
    SlowDisk,
    DiskErrors,
    FullDisk,
    ClockJump,
    Transfer,
    Grow,
    Shrink,
    ShrinkCutOff,
    BitFlip,
    BadReads,
}

const ACTS: [Act; 19] = [
    Act::Kill,
    Act::PowerCut,
    Act::PowerCutAll,
    Act::KillInDiskOperation,
    Act::Restart,
    Act::Isolate,
    Act::OneWay,
    Act::Split,
    Act::Weather,
    Act::SlowDisk,
    Act::DiskErrors,
    Act::FullDisk,
    Act::ClockJump,
    Act::Transfer,
    Act::Grow,
    Act::Shrink,
    Act::ShrinkCutOff,
    Act::BitFlip,
    Act::BadReads,
];

/// Members, out ones included, that a run may have.
const MEMBERS_MOST: u64 = 9;

/// The nemesis of one run.
pub struct Nemesis {
    world: Arc<World>,
    cluster: Arc<Cluster>,
    dice: Dice,
    /// What it does in this run.
    acts: Vec<Act>,
    pause_ms: (u64, u64),
    next_member: MemberId,
    /// Members whose disk was damaged on purpose.
    flipped: Vec<MemberId>,
}

impl Nemesis {
    #[must_use]
    pub fn new(cluster: &Arc<Cluster>, members: u64) -> Nemesis {
        let world = cluster.world.clone();
        let mut dice = world.dice("nemesis");
        let share = dice.between(150, 700);
        let mut acts: Vec<Act> = ACTS.into_iter().filter(|_| dice.per_mille(share)).collect();
        if acts.is_empty() {
            acts.push(Act::PowerCutAll);
        }
        let pause_ms = (dice.between(50, 500), dice.between(1_000, 6_000));
        let (next_member, flipped) = (members + 1, Vec::new());
        Nemesis { world, cluster: cluster.clone(), dice, acts, pause_ms, next_member, flipped }
    }

    /// Breaks things until it is dropped.
    pub async fn run(&mut self) {
        loop {
            self.wait(self.pause_ms).await;
            let Some(act) = self.dice.pick(&self.acts.clone()) else { return };
            self.world.fault(format!("{act:?}"));
            self.act(act).await;
            self.pick_up().await;
        }
    }

    async fn wait(&mut self, between_ms: (u64, u64)) {
        let wait = Duration::from_millis(self.dice.between(between_ms.0, between_ms.1));
        tokio::time::sleep(wait).await;
    }

    fn someone(&mut self) -> MemberId {
        let ids = self.cluster.ids();
        self.dice.pick(&ids).unwrap_or(1)
    }

    /// Somebody who leads, as it believes.
    fn leader(&mut self) -> MemberId {
        let leads = |id: &MemberId| {
            self.cluster.running(*id).is_some_and(|running| running.store.leadership().borrow().is_self)
        };
        let leading = self.cluster.ids().into_iter().find(leads);
        leading.unwrap_or_else(|| self.someone())
    }

    fn victim(&mut self) -> MemberId {
        if self.dice.per_mille(500) { self.leader() } else { self.someone() }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Kill => self.crash(Crash::Kill).await,
            Act::PowerCut => self.crash(Crash::Power).await,
            Act::PowerCutAll => {
                for id in self.cluster.ids() {
                    self.cluster.crash(id, Crash::Power);
                }
                self.wait((10, 2_000)).await;
            }
            Act::KillInDiskOperation => self.fuse().await,
            Act::Restart => {
                let id = self.victim();
                self.cluster.shut_down(id).await;
            }
            Act::Isolate | Act::OneWay | Act::Split => self.partition(act).await,
            Act::Weather => self.weather().await,
            Act::SlowDisk | Act::DiskErrors | Act::FullDisk => self.sick_disk(act).await,
            Act::ClockJump => {
                let (id, ahead) = (self.someone(), self.dice.between(0, 240_000) as i64 - 120_000);
                self.cluster.set_clock(id, ahead);
            }
            Act::Transfer => {
                if let Some(running) = {
                    let id = self.leader();
                    self.cluster.running(id)
                } {
                    // The caller may be told that it did not work: that is no fault.
                    drop(running.store.transfer_leadership().await);
                }
            }
            Act::Grow => self.grow().await,
            Act::Shrink => self.shrink().await,
            Act::ShrinkCutOff => self.shrink_cut_off().await,
            Act::BitFlip => self.flip().await,
            Act::BadReads => self.bad_reads().await,
        }
    }

    async fn crash(&mut self, how: Crash) {
        let id = self.victim();
        self.cluster.crash(id, how);
        self.wait((1, 4_000)).await;
        // Between a kill and the next start the power may fail, too.
        if how == Crash::Kill && self.dice.per_mille(200) {
            self.cluster.crash(id, Crash::Power);
        }
    }

    async fn fuse(&mut self) {
        let (id, operations) = (self.victim(), self.dice.between(1, 60));
        if let Some(platter) = self.cluster.platter(id) {
            platter.light_fuse(operations);
            self.wait((500, 3_000)).await;
            let how = if self.dice.per_mille(500) { Crash::Kill } else { Crash::Power };
            self.cluster.crash(id, how);
        }
    }

    async fn partition(&mut self, act: Act) {
        let ids = self.cluster.ids();
        let center = self.victim();
        let chosen: Vec<MemberId> = match act {
            Act::Split => ids.iter().copied().filter(|_| self.dice.per_mille(500)).collect(),
            _ => vec![center],
        };
        let (out, inward) = match act {
            Act::OneWay => (self.dice.per_mille(500), true),
            _ => (true, true),
        };
        for &from in &chosen {
            for &to in ids.iter().filter(|id| !chosen.contains(id)) {
                if out {
                    self.cluster.net.cut(from, to);
                }
                if (act == Act::OneWay && !out) || (act != Act::OneWay && inward) {
                    self.cluster.net.cut(to, from);
                }
            }
        }
        self.wait((200, 5_000)).await;
        if self.dice.per_mille(300) {
            // Something else happens while the network is cut.
            let id = self.victim();
            self.cluster.crash(id, Crash::Kill);
        }
        self.cluster.net.heal();
    }

    async fn weather(&mut self) {
        let dice = &mut self.dice;
        let weather = Weather {
            delay_ms: (dice.between(0, 5), dice.between(5, 120)),
            lost: dice.between(0, 60),
            doubled: dice.between(0, 100),
            overtaking: dice.between(0, 200),
        };
        self.cluster.net.set_weather(weather);
        self.wait((500, 8_000)).await;
        self.cluster.net.set_weather(Weather::CALM);
    }

    async fn sick_disk(&mut self, act: Act) {
        let id = self.victim();
        let Some(platter) = self.cluster.platter(id) else { return };
        platter.set_health(match act {
            Act::SlowDisk => Health { sync_ms: (5, self.dice.between(50, 900)), ..Health::GOOD },
            Act::DiskErrors => Health { errors: self.dice.between(5, 300), ..Health::GOOD },
            _ => Health { full: true, ..Health::GOOD },
        });
        self.wait((500, 6_000)).await;
        if act == Act::SlowDisk && self.dice.per_mille(400) {
            self.cluster.crash(id, Crash::Power);
        }
        platter.set_health(Health::GOOD);
    }

    /// A new member joins.
    async fn grow(&mut self) {
        if self.next_member > MEMBERS_MOST || self.cluster.ids().len() >= 5 {
            return;
        }
        let id = self.next_member;
        self.next_member += 1;
        self.cluster.add(id);
        self.start(id).await;
        for _ in 0..3 {
            let asked = self.someone();
            let Some(running) = self.cluster.running(asked) else { continue };
            let adding = running.store.add_member(id, super::cluster::addr_of(id));
            let added = running.process.end.run_until_cancelled(adding).await;
            self.world.fault(format!("adding {id} by {asked}: {added:?}"));
            if added.is_some_and(|added| added.is_ok()) {
                return;
            }
        }
    }

    /// A member is removed, and its machine switched off.
    async fn shrink(&mut self) {
        let ids = self.cluster.ids();
        if ids.len() > 3 {
            let id = self.someone();
            self.remove(id).await;
        }
    }

    async fn remove(&mut self, id: MemberId) -> bool {
        for _ in 0..3 {
            let asked = self.someone();
            let Some(running) = self.cluster.running(asked).filter(|_| asked != id) else { continue };
            let removing = running.store.remove_member(id);
            let removed = running.process.end.run_until_cancelled(removing).await;
            self.world.fault(format!("removing {id} by {asked}: {removed:?}"));
            if removed.is_some_and(|removed| removed.is_ok()) {
                self.cluster.exclude(id);
                return true;
            }
        }
        false
    }

    /// A leader that is cut off is asked to remove those that it can not reach: it must refuse.
    async fn shrink_cut_off(&mut self) {
        let leader = self.leader();
        let Some(running) = self.cluster.running(leader) else { return };
        let status = running.store.status();
        let votes = |id: &MemberId| status.members.iter().any(|member| member.id == *id && member.voter);
        let others: Vec<MemberId> =
            self.cluster.ids().into_iter().filter(|id| *id != leader && votes(id)).collect();
        for &other in &others {
            self.cluster.net.cut(leader, other);
            self.cluster.net.cut(other, leader);
        }
        self.wait((0, 1_000)).await;
        if let Some(running) = self.cluster.running(leader) {
            for other in others {
                let removing = running.store.remove_member(other);
                let removing = tokio::time::timeout(Duration::from_secs(7), removing);
                let removed = running.process.end.run_until_cancelled(removing).await;
                self.world.fault(format!("removing {other} by {leader}, cut off: {removed:?}"));
                if let Some(Ok(Ok(()))) = removed {
                    self.world.problem(format!("{leader}, cut off from all others, removed {other}"));
                }
            }
            self.wait((500, 3_000)).await;
        }
        self.cluster.net.heal();
    }

    /// One bit of a member turns: of one that is stopped, or under one that runs.
    async fn flip(&mut self) {
        if !self.flipped.is_empty() {
            return;
        }
        let id = self.someone();
        if self.dice.per_mille(600) {
            self.cluster.crash(id, Crash::Kill);
        }
        let flipped = self.cluster.platter(id).and_then(|platter| platter.flip_bit());
        if let Some(place) = flipped {
            self.world.fault(format!("a bit turned on member {id}: {place}"));
            self.flipped.push(id);
        }
    }

    /// What a member reads has a bit turned now and then, while it runs; somebody needs what it reads.
    async fn bad_reads(&mut self) {
        if !self.flipped.is_empty() {
            return;
        }
        let id = self.victim();
        let Some(platter) = self.cluster.platter(id) else { return };
        self.flipped.push(id);
        platter.set_health(Health { flips: self.dice.between(20, 600), ..Health::GOOD });
        match self.dice.below(3) {
            0 => self.grow().await,
            1 => self.crash(Crash::Kill).await,
            _ => {}
        }
        self.pick_up().await;
        self.wait((500, 6_000)).await;
        platter.set_health(Health::GOOD);
    }

    /// Starts a member; what is damaged is replaced.
    async fn start(&mut self, id: MemberId) {
        let cluster = self.cluster.clone();
        let Err(error) = cluster.start(id).await else { return };
        self.world.fault(format!("member {id} does not start: {error}"));
        if let OpenError::Damaged { .. } | OpenError::ForeignFolder { .. } | OpenError::Format { .. } = error
        {
            if !self.flipped.contains(&id) {
                self.world.problem(format!("crashes damaged member {id}: {error}"));
            }
            self.cluster.exclude(id);
            self.flipped.push(id);
        }
    }

    /// Everybody that lies on the ground is started again; who is damaged is replaced by a new one.
    pub async fn pick_up(&mut self) {
        for id in self.cluster.fallen() {
            self.cluster.crash(id, Crash::Kill);
        }
        for running in self.cluster.all_running() {
            // A store that stopped by itself, for a disk that failed: the supervisor restarts it.
            let stopped = futures::FutureExt::now_or_never(running.store.stopped());
            if let Some(doubt) = stopped {
                let text = format!("member {} stopped: {doubt}", running.process.member);
                if text.contains("panicked") {
                    self.world.problem(text)
                } else {
                    self.world.fault(text)
                }
                self.cluster.crash(running.process.member, Crash::Kill);
            }
        }
        for id in self.cluster.ids() {
            if self.cluster.is_stopped(id) {
                self.start(id).await;
            }
        }
    }

    /// Ends all faults.
    pub async fn heal(&mut self) {
        self.cluster.net.heal();
        self.cluster.net.set_weather(Weather::CALM);
        for id in self.cluster.ids() {
            if let Some(platter) = self.cluster.platter(id) {
                platter.set_health(Health::GOOD);
                platter.put_out_fuse();
            }
            if self.cluster.running(id).is_none() && !self.cluster.is_stopped(id) {
                // The end of the faults interrupted its start.
                self.cluster.crash(id, Crash::Kill);
            }
        }
        self.pick_up().await;
    }
}
