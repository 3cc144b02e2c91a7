//! Which faults, in which order, on whom, for how long: from a seed. Pure.

use clap::ValueEnum;

use crate::sim::dice::Dice;

/// A fault of real processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, later SIGCONT.
    Pause,
    /// Cut from the other servers; its clients still reach it.
    Partition,
    /// Nothing that it sends reaches the other servers.
    Mute,
    /// Nothing that the other servers send reaches it.
    Deaf,
    /// Its file system has no byte left.
    DiskFull,
    /// The same, and it is killed: it has to start again on the full file system.
    FullRestart,
    /// Its file system stands still, again and again.
    SlowDisk,
    /// SIGTERM: a planned stop, which hands leadership over first.
    Transfer,
}

/// Who suffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Leader,
    /// The so-manieth server, whatever it does.
    Server(u64),
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub fault: Fault,
    pub victim: Victim,
    pub hold_ms: u64,
}

/// Shortest and longest time for which a fault is held.
const HOLD_MS: (u64, u64) = (800, 3_000);

/// An endless row of faults: each of those wanted once in every round, in an order of its own.
pub struct Plan {
    dice: Dice,
    wanted: Vec<Fault>,
    round: Vec<Fault>,
    servers: u64,
}

impl Plan {
    /// `only`: no other faults than these, if any are named.
    #[must_use]
    pub fn new(seed: u64, only: &[Fault], servers: u64) -> Plan {
        let wanted = if only.is_empty() { Fault::value_variants().to_vec() } else { only.to_vec() };
        Plan { dice: Dice::new(seed, "live faults"), wanted, round: Vec::new(), servers }
    }

    pub fn next_step(&mut self) -> Step {
        if self.round.is_empty() {
            self.round.clone_from(&self.wanted);
        }
        let at = self.dice.below(self.round.len() as u64) as usize;
        let fault = self.round.swap_remove(at);
        // A transfer of leadership is one only on the leader; the rest hurts most there.
        let on_leader = fault == Fault::Transfer || self.dice.per_mille(600);
        let other = 1 + self.dice.below(self.servers);
        let victim = if on_leader { Victim::Leader } else { Victim::Server(other) };
        Step { fault, victim, hold_ms: self.dice.between(HOLD_MS.0, HOLD_MS.1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_plan() {
        let steps = |seed| {
            let mut plan = Plan::new(seed, &[], 3);
            (0..50).map(|_| plan.next_step()).collect::<Vec<_>>()
        };
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }

    #[test]
    fn every_round_has_every_fault_once() {
        let mut plan = Plan::new(3, &[], 3);
        for _ in 0..20 {
            let all = Fault::value_variants();
            let round: Vec<Fault> = all.iter().map(|_| plan.next_step().fault).collect();
            assert!(all.iter().all(|fault| round.contains(fault)), "{round:?}");
        }
    }

    #[test]
    fn one_fault_alone_strikes_the_leader_and_others() {
        let mut plan = Plan::new(1, &[Fault::Kill], 3);
        let steps: Vec<Step> = (0..100).map(|_| plan.next_step()).collect();
        assert!(steps.iter().all(|step| step.fault == Fault::Kill));
        for victim in [Victim::Leader, Victim::Server(1), Victim::Server(2), Victim::Server(3)] {
            assert!(steps.iter().any(|step| step.victim == victim), "{victim:?} is spared");
        }
    }
}
