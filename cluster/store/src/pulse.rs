//! Whether the leader and the others hear each other, in both directions.
//!
//! A heartbeat says only that the leader can send. A leader that can not receive would keep its
//! followers calm and commit nothing; one that can not send would be missed late. So each member
//! asks the leader again and again, and the leader answers whether it is asked by a quorum. One
//! question is under way at a time: an answer proves both directions, its absence is counted in
//! heartbeats.
//!
//! On a busy machine silence proves little. A member that was not scheduled itself heard nothing for
//! that reason: such a heartbeat is not counted, neither by who asks nor by who leads. A leader whose
//! answer came late, after all, is given more time from then on, and so is the one that follows a leader
//! replaced for its silence: so elections never follow each other closely ([`Silence`]).
//!
//! What follows from silence is decided elsewhere: `failover.rs` asks the others before anybody is
//! replaced, and a leader that no quorum asks is none any more for those who ask this member.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Timings;
use crate::disk::DiskSpace;
use crate::leadership::Leadership;
use crate::object::MemberId;
use crate::peer::{Kind, Peers, PulseAnswer, PulseQuestion};
use crate::raft::Raft;
use crate::room::{self, Room};

/// An answer that takes longer will not come: the question is asked anew.
const ANSWER: Duration = Duration::from_secs(10);

/// Missed heartbeats that are enough in any case.
const ENOUGH_MOST: u32 = 10;
/// Answers in time, one after the other, after which one missed heartbeat less is enough.
const CALM: u32 = 20;

/// Heartbeats for which the leader has not answered, and how many of them are enough to believe that
/// it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silence {
    missed: u32,
    enough: u32,
    enough_least: u32,
    in_time: u32,
}

impl Silence {
    fn new(timings: &Timings) -> Silence {
        // With the heartbeat before them they make the least election time.
        let enough = beats(timings.election_min, timings).saturating_sub(1).clamp(1, ENOUGH_MOST);
        Silence { missed: 0, enough, enough_least: enough, in_time: 0 }
    }

    /// A heartbeat passed without the answer; this member looked at it on time, or was late itself.
    fn pass(&mut self, on_time: bool) {
        self.missed += u32::from(on_time);
    }

    /// The leader answered.
    fn answered(&mut self) {
        let missed = std::mem::take(&mut self.missed);
        if missed > 0 {
            self.enough = self.enough.max(missed * 2 + 1).min(ENOUGH_MOST);
            self.in_time = 0;
            return;
        }
        self.in_time += 1;
        if self.in_time >= CALM {
            self.enough = (self.enough - 1).max(self.enough_least);
            self.in_time = 0;
        }
    }

    /// The leader was replaced, for its silence or for another reason.
    fn replaced(&mut self) {
        if self.is_enough() {
            self.enough = (self.enough * 2).min(ENOUGH_MOST);
            self.in_time = 0;
        }
        self.missed = 0;
    }

    /// Whether this member takes the leader for gone.
    pub(crate) fn is_enough(self) -> bool {
        self.missed >= self.enough
    }

    /// Whether it agrees with another one that does; it need not have noticed by itself.
    pub(crate) fn agrees(self) -> bool {
        self.missed >= self.enough.div_ceil(2)
    }
}

/// How many heartbeats fit.
fn beats(time: Duration, timings: &Timings) -> u32 {
    (time.as_millis() / timings.heartbeat.as_millis().max(1)) as u32
}

/// The questions to the leader, and those from the others when this member leads.
pub(crate) struct Pulse {
    raft: Raft,
    peers: Arc<Peers>,
    /// As openraft sees it: also a leader that is cut off leads there.
    leads: watch::Receiver<Leadership>,
    timings: Timings,
    room: Arc<Room>,
    silence: watch::Sender<Silence>,
    /// While this member leads.
    heard: Mutex<Heard>,
    /// What the leader said last: see [`Pulse::little`].
    told: Mutex<Option<Option<DiskSpace>>>,
    /// This member leads, but no quorum has asked it for the longest election time.
    cut_off: watch::Sender<bool>,
}

/// Which of the others asked when.
#[derive(Default)]
struct Heard {
    /// Heartbeats that this member, which leads, was awake for.
    beat: u32,
    /// The last one at which each of the others asked, and what its disk had left then, when that was
    /// little.
    asked: HashMap<MemberId, (u32, Option<DiskSpace>)>,
}

impl Heard {
    /// Whether those who asked within so many heartbeats are, with `me`, a majority.
    fn quorum(&self, voters: &BTreeSet<MemberId>, me: MemberId, within: u32) -> bool {
        let heard = |id: &MemberId| self.asked.get(id).is_some_and(|(at, _)| self.beat - at <= within);
        voters.iter().filter(|id| **id == me || heard(id)).count() * 2 > voters.len()
    }
}

impl Pulse {
    pub(crate) fn new(
        raft: Raft,
        peers: Arc<Peers>,
        leads: watch::Receiver<Leadership>,
        timings: Timings,
        room: Arc<Room>,
    ) -> Arc<Pulse> {
        let (silence, cut_off) = (watch::Sender::new(Silence::new(&timings)), watch::Sender::new(false));
        let (heard, told) = (Mutex::default(), Mutex::default());
        Arc::new(Pulse { raft, peers, leads, timings, room, silence, heard, told, cut_off })
    }

    /// Whether nothing should grow: the leader's disk, or those of so many that no quorum is left, are
    /// nearly full. `own` is this member's, which decides as long as no leader has said anything.
    pub(crate) fn little(&self, own: Option<DiskSpace>) -> Option<DiskSpace> {
        if self.leads.borrow().is_self { self.decide(own) } else { self.told.lock().unwrap_or(own) }
    }

    fn decide(&self, own: Option<DiskSpace>) -> Option<DiskSpace> {
        let (voters, me) = (self.voters(), self.peers.me());
        let heard = self.heard.lock();
        let others = voters.iter().filter(|id| **id != me);
        let others: Vec<_> = others.map(|id| heard.asked.get(id).and_then(|(_, little)| *little)).collect();
        room::tightest(own, &others)
    }

    /// How long the leader has not answered this member.
    pub(crate) fn silence(&self) -> watch::Receiver<Silence> {
        self.silence.subscribe()
    }

    /// Whether this member leads nobody any more.
    pub(crate) fn cut_off(&self) -> watch::Receiver<bool> {
        self.cut_off.subscribe()
    }

    /// Another member asks; whether this one leads and is asked by a quorum.
    pub(crate) fn answer(&self, from: MemberId, question: PulseQuestion) -> PulseAnswer {
        let leads = self.leads.borrow().is_self && {
            let mut heard = self.heard.lock();
            let beat = heard.beat;
            heard.asked.insert(from, (beat, question.little));
            heard.quorum(&self.voters(), self.peers.me(), beats(self.timings.election_min, &self.timings))
        };
        match self.peers.removed(from, question.belongs) {
            Some(since) => PulseAnswer::Removed { since },
            None if leads => PulseAnswer::Leads { little: self.decide(self.room.little()) },
            None => PulseAnswer::No,
        }
    }

    /// Asks and listens until cancelled.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut leads = self.leads.clone();
        let watch = async {
            loop {
                let now = *leads.borrow_and_update();
                self.silence.send_modify(Silence::replaced);
                *self.told.lock() = None;
                self.cut_off.send_replace(false);
                let beat = async {
                    match now.leader {
                        Some(_) if now.is_self => self.listen().await,
                        Some(leader) => self.ask(leader).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    changed = leads.changed() => if changed.is_err() { return },
                    () = beat => return,
                }
            }
        };
        cancel.run_until_cancelled(watch).await;
    }

    /// Asks the leader again and again.
    async fn ask(&self, leader: MemberId) {
        loop {
            let question = PulseQuestion { belongs: self.peers.belongs(), little: self.room.little() };
            let question = self.peers.call::<_, PulseAnswer>(leader, Kind::Pulse, &question, ANSWER);
            let mut question = std::pin::pin!(question);
            let answer = loop {
                tokio::select! {
                    biased;
                    answer = &mut question => break answer,
                    on_time = self.heartbeat() => self.silence.send_modify(|silence| silence.pass(on_time)),
                }
            };
            if let Ok(PulseAnswer::Removed { since }) = answer {
                self.peers.book().removed(since);
            }
            let leads = if let Ok(PulseAnswer::Leads { little }) = answer { Some(little) } else { None };
            if leads.is_some() {
                *self.told.lock() = leads;
                self.silence.send_modify(Silence::answered);
            }
            let on_time = self.heartbeat().await;
            if leads.is_none() {
                self.silence.send_modify(|silence| silence.pass(on_time));
            }
        }
    }

    /// Waits for a heartbeat; whether this member was awake when it ended.
    async fn heartbeat(&self) -> bool {
        let heartbeat = self.timings.heartbeat;
        let begun = Instant::now();
        tokio::time::sleep(heartbeat).await;
        begun.elapsed() <= heartbeat + heartbeat / 2
    }

    /// While this member leads: notices when no quorum asks it any more, and when one does again.
    async fn listen(&self) {
        let longest = beats(self.timings.election_max, &self.timings);
        // Who has not learned yet who leads is not missed.
        let asked = self.voters().into_iter().map(|id| (id, (0, None))).collect();
        *self.heard.lock() = Heard { beat: 0, asked };
        loop {
            let on_time = self.heartbeat().await;
            let cut_off = {
                let mut heard = self.heard.lock();
                heard.beat += u32::from(on_time);
                !heard.quorum(&self.voters(), self.peers.me(), longest)
            };
            let changed = self.cut_off.send_if_modified(|was| std::mem::replace(was, cut_off) != cut_off);
            if changed && cut_off {
                tracing::warn!(
                    "no quorum has been heard for the longest election time: this member leads nobody"
                );
            }
        }
    }

    fn voters(&self) -> BTreeSet<MemberId> {
        self.raft.server_metrics().borrow_watched().membership_config.voter_ids().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a [`Silence`], as letters.
    fn after(events: &str) -> Silence {
        let mut silence = Silence::new(&Timings::default());
        for event in events.chars() {
            match event {
                'm' => silence.pass(true),
                'l' => silence.pass(false),
                'a' => silence.answered(),
                'r' => silence.replaced(),
                'c' => (0..CALM).for_each(|_| silence.answered()),
                other => panic!("no event {other}"),
            }
        }
        silence
    }

    #[test]
    fn silence_is_judged_by_what_this_member_could_have_heard() {
        // m: missed, l: missed while this member was late itself, a: answered, r: replaced, c: calm.
        // Then: whether it agrees with others, whether it is enough, how many are.
        let table = [
            ("", false, false, 2),
            ("m", true, false, 2),
            ("mm", true, true, 2),
            ("llllllllllllllllllll", false, false, 2),
            ("mlllm", true, true, 2),
            ("aaaa", false, false, 2),
            // A leader that is only slow gets more time.
            ("ma", false, false, 3),
            ("mam", false, false, 3),
            ("mamm", true, false, 3),
            ("mammm", true, true, 3),
            ("mmmmmma", false, false, 10),
            ("mac", false, false, 2),
            ("mmac", false, false, 4),
            // And so does the one after a leader that was silent.
            ("mmr", false, false, 4),
            ("mmrmmmmr", false, false, 8),
            ("mmrmmmmrmmmmmmmmrmmmmmmmmmmr", false, false, 10),
            ("mmrc", false, false, 3),
            ("mmrccccc", false, false, 2),
            // One that handed over was not.
            ("r", false, false, 2),
            ("mr", false, false, 2),
        ];
        for (events, agrees, is_enough, enough) in table {
            let silence = after(events);
            let found = (silence.agrees(), silence.is_enough(), silence.enough);
            assert_eq!(found, (agrees, is_enough, enough), "after {events:?}");
        }
    }

    /// A follower that hears answers this late, again and again, when nobody is gone.
    #[test]
    fn a_slow_machine_does_not_change_its_leader_again_and_again() {
        // Answers come after 0 to 9 heartbeats.
        let mut changes = 0;
        let mut silence = Silence::new(&Timings::default());
        for round in 0..1_000_u32 {
            for _ in 0..round * 7 % 10 {
                silence.pass(true);
                if silence.is_enough() {
                    silence.replaced();
                    changes += 1;
                    break;
                }
            }
            silence.answered();
        }
        assert!((1..=3).contains(&changes), "{changes} changes of the leader");
    }

    #[test]
    fn a_leader_counts_those_who_asked_while_it_was_awake() {
        let (voters, five) = (BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 2, 3, 4, 5]));
        // Beats of the leader, who asked at which of them, whether that is a quorum of three, and of five.
        let table = [
            (0, vec![], false, false),
            (6, vec![(2, 0)], true, false),
            (7, vec![(2, 0)], false, false),
            (7, vec![(2, 0), (3, 1)], true, false),
            (9, vec![(4, 3), (5, 9)], false, true),
            (9, vec![(4, 2), (5, 9)], false, false),
        ];
        for (beat, asked, of_three, of_five) in table {
            let heard = Heard { beat, asked: asked.iter().map(|(id, at)| (*id, (*at, None))).collect() };
            let found = (heard.quorum(&voters, 1, 6), heard.quorum(&five, 1, 6));
            assert_eq!(found, (of_three, of_five), "beat {beat}, asked {asked:?}");
        }
    }
}
