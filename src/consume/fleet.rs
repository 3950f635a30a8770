//! Heartbeats → what is known of the receivers, and whether one of them may be holding events back.
//! Pure: `now` is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::ledger::Statement;
use crate::publish::{Heartbeat, SpoolAccount, Stage};

/// A receiver that nothing was heard of for so long is no longer waited for: judging goes on without
/// what it may have had.
const GONE_AFTER: Duration = Duration::from_secs(300);
/// How long one that is gone is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(86_400);
/// Receivers that are remembered at most.
const RECEIVERS_MAX: usize = 10_000;

/// What is known of the receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    receivers: BTreeMap<String, Receiver>,
}

/// A receiver as it was heard of last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// What it told.
    pub heartbeat: Heartbeat,
    /// When it was heard, by the observer's clock.
    pub heard_at: Timestamp,
}

/// How a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It tells of itself, and holds nothing back.
    Live,
    /// It tells nothing, or holds events back, for longer than is good.
    Late,
    /// It said that it stops, and holds nothing back.
    Stopped,
    /// Nothing was heard of it for so long that it is no longer waited for.
    Gone,
}

impl Condition {
    /// Every condition, for a metric.
    pub const ALL: [Self; 4] = [Self::Live, Self::Late, Self::Stopped, Self::Gone];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Late => "late",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
        }
    }
}

impl Receiver {
    /// How long nothing has been heard of it.
    pub fn silent_for(&self, now: Timestamp) -> Duration {
        now.since(self.heard_at)
    }

    /// How long its oldest spooled event has been waiting, as far as is known. Its age is told by
    /// the receiver's clock, what has passed since by the observer's.
    pub fn holds_back_for(&self, now: Timestamp) -> Option<Duration> {
        let oldest = self.heartbeat.oldest_spooled_at?;
        Some(self.heartbeat.at.since(oldest) + self.silent_for(now))
    }

    /// How it is, where `late_after` is too long.
    pub fn condition(&self, late_after: Duration, now: Timestamp) -> Condition {
        let (silent, holds) = (self.silent_for(now), self.holds_back_for(now));
        let is_late = silent > late_after || holds.is_some_and(|held| held > late_after);
        match self.heartbeat.stage {
            Stage::Stopped if self.heartbeat.spool.in_spool == 0 => Condition::Stopped,
            _ if silent > late_after.max(GONE_AFTER) => Condition::Gone,
            _ if is_late => Condition::Late,
            _ => Condition::Live,
        }
    }
}

impl Fleet {
    /// Takes a heartbeat that was heard at this time, and says which receivers are forgotten by now.
    pub fn hear(&mut self, heartbeat: Heartbeat, heard_at: Timestamp) -> Vec<String> {
        let known = self.receivers.get(&heartbeat.receiver);
        if known.is_some_and(|known| known.heartbeat.at > heartbeat.at && known.heard_at >= heard_at) {
            return Vec::new();
        }
        self.receivers.insert(heartbeat.receiver.clone(), Receiver { heartbeat, heard_at });
        let mut forgotten = Vec::new();
        self.receivers.retain(|name, receiver| {
            let is_over = receiver.silent_for(heard_at) > REMEMBERED_FOR;
            if is_over {
                forgotten.push(name.clone());
            }
            !is_over
        });
        if self.receivers.len() > RECEIVERS_MAX {
            let oldest = self.receivers.iter().min_by_key(|(_, receiver)| receiver.heard_at);
            forgotten.extend(oldest.map(|(name, _)| name.clone()));
            forgotten.last().and_then(|name| self.receivers.remove(name));
        }
        forgotten
    }

    /// Forgets a receiver that another observer has not heard of for as long.
    pub fn forget(&mut self, receiver: &str) {
        self.receivers.remove(receiver);
    }

    /// Every receiver, by name.
    pub fn receivers(&self) -> impl Iterator<Item = &Receiver> {
        self.receivers.values()
    }

    /// Why a receiver may be holding events back, where `late_after` is too long.
    pub fn held(&self, late_after: Duration, now: Timestamp) -> Option<String> {
        let is_late = |receiver: &&Receiver| receiver.condition(late_after, now) == Condition::Late;
        let late = self.receivers().find(is_late)?;
        let name = &late.heartbeat.receiver;
        let silent = late.silent_for(now);
        Some(match late.holds_back_for(now) {
            Some(held) if silent <= late_after => {
                let events = late.heartbeat.spool.in_spool;
                format!("{events} events wait in the spool of receiver {name}, for {} s", held.as_secs())
            }
            _ => format!("nothing has been heard of receiver {name} for {} s", silent.as_secs()),
        })
    }

    /// The accounts of all receivers, added up.
    pub fn sum(&self) -> (Statement, SpoolAccount) {
        let mut sum = (Statement::default(), SpoolAccount::default());
        for Receiver { heartbeat, .. } in self.receivers() {
            sum.0.merge(&heartbeat.ledger);
            sum.1.merge(&heartbeat.spool);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(10_000 + second)
    }

    fn heartbeat(receiver: &str, second: i64) -> Heartbeat {
        Heartbeat {
            receiver: receiver.into(),
            stage: Stage::Receiving,
            version: "1".into(),
            at: at(second),
            started_at: at(0),
            spool: SpoolAccount::default(),
            oldest_spooled_at: None,
            ledger: Statement::default(),
        }
    }

    fn fleet(heartbeats: impl IntoIterator<Item = Heartbeat>) -> Fleet {
        let mut fleet = Fleet::default();
        for heartbeat in heartbeats {
            let heard_at = heartbeat.at;
            fleet.hear(heartbeat, heard_at);
        }
        fleet
    }

    fn condition(fleet: &Fleet, now: Timestamp) -> Condition {
        fleet.receivers().next().unwrap().condition(MINUTE, now)
    }

    #[test]
    fn nothing_is_judged_while_nothing_is_heard_of_a_receiver_that_lives() {
        let fleet = fleet([heartbeat("a", 0), heartbeat("b", 100)]);
        assert_eq!(fleet.held(MINUTE, at(60)), None);
        let held = fleet.held(MINUTE, at(61)).unwrap();
        assert!(held.contains("receiver a") && held.contains("61 s"), "{held}");
        assert!(fleet.held(MINUTE, at(301)).is_some_and(|held| held.contains("receiver b")));
        assert_eq!(
            (condition(&fleet, at(300)), condition(&fleet, at(301))),
            (Condition::Late, Condition::Gone)
        );
        assert_eq!(fleet.held(MINUTE, at(401)), None, "whoever is gone is not waited for");
    }

    #[test]
    fn nothing_is_judged_while_an_event_waits_in_a_spool_for_long() {
        let spool = SpoolAccount { spooled: 7, in_spool: 7, ..SpoolAccount::default() };
        let waiting =
            |oldest| Heartbeat { spool, oldest_spooled_at: Some(at(oldest)), ..heartbeat("a", 100) };
        assert_eq!(fleet([waiting(45)]).held(MINUTE, at(105)), None);
        let held = fleet([waiting(45)]).held(MINUTE, at(106)).unwrap();
        assert!(held.contains("7 events") && held.contains("61 s"), "{held}");
        // Its clock is an hour ahead; its events' age is right all the same.
        let mut skewed = Fleet::default();
        skewed.hear(waiting(45), at(3700));
        assert_eq!(skewed.held(MINUTE, at(3705)), None);
        assert!(skewed.held(MINUTE, at(3706)).is_some());
    }

    #[test]
    fn a_receiver_that_stopped_with_an_empty_spool_holds_nothing_up() {
        let stopped = Heartbeat { stage: Stage::Stopped, ..heartbeat("a", 0) };
        assert_eq!(fleet([stopped.clone()]).held(MINUTE, at(200)), None);
        assert_eq!(condition(&fleet([stopped.clone()]), at(200)), Condition::Stopped);
        let full = SpoolAccount { spooled: 1, in_spool: 1, ..SpoolAccount::default() };
        let left = Heartbeat { spool: full, oldest_spooled_at: Some(at(0)), ..stopped };
        assert!(fleet([left.clone()]).held(MINUTE, at(200)).is_some(), "its events are not counted");
        assert_eq!(condition(&fleet([left]), at(301)), Condition::Gone);
    }

    #[test]
    fn an_older_heartbeat_replaces_no_newer_one_unless_a_clock_was_set_back() {
        let mut fleet = fleet([heartbeat("a", 50)]);
        fleet.hear(heartbeat("a", 40), at(45));
        assert_eq!(fleet.receivers().next().unwrap().heartbeat.at, at(50));
        fleet.hear(heartbeat("a", 40), at(60));
        assert_eq!(fleet.receivers().next().unwrap().heartbeat.at, at(40));
    }

    #[test]
    fn receivers_are_forgotten_after_a_day() {
        let mut fleet = fleet([heartbeat("a", 0)]);
        assert_eq!(fleet.hear(heartbeat("b", 86_400), at(86_400)), [""; 0]);
        assert_eq!(fleet.receivers().count(), 2);
        assert_eq!(fleet.hear(heartbeat("b", 86_401), at(86_401)), ["a"]);
        assert_eq!(fleet.receivers().count(), 1);
        fleet.forget("b");
        assert_eq!(fleet.receivers().count(), 0);
    }
}
