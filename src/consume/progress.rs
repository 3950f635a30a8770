//! How far an observer is: positions, ends and the stream clock, told by the loop that knows
//! ([`Reporter`]) to whoever wants to know ([`Progress`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::{Fleet, Partition};
use crate::clock::Timestamp;
use crate::publish::Heartbeat;

/// How long an answer to “how far are you?” is awaited before the last one has to do.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(2);
/// How near the stream clock must be to ours before a state counts as whole.
const REBUILT_WITHIN: Duration = Duration::from_secs(60);
/// Questions that may wait at once.
const QUESTIONS_MAX: usize = 64;

/// What a store lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When it was noticed.
    pub at: Timestamp,
    /// What is known of it, a sentence without its end.
    pub what: String,
}

/// How far an observer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The next record to apply, by partition.
    pub positions: BTreeMap<Partition, u64>,
    /// The next record that will be written, by partition, when it was last measured.
    pub ends: BTreeMap<Partition, u64>,
    /// No record received before this moment is still to come.
    pub clock: Timestamp,
    /// When nothing was waiting last.
    pub caught_up_at: Timestamp,
    /// Why the observer stands still, if it does.
    pub fault: Option<String>,
    /// What the store lost, while that is being counted again. A store that is new has lost nothing,
    /// and cannot be told from one that was emptied.
    pub rebuilding: Option<String>,
    /// Since when.
    pub rebuilding_since: Timestamp,
    /// What the store lost last, of which something has been counted again.
    pub lost: Option<Loss>,
    /// Why the stream gives no records, if it does not: nobody knows then what waits in it.
    pub waits: Option<String>,
    /// What the receivers tell of themselves: they, too, may have what is still to be counted.
    pub fleet: Arc<Fleet>,
}

impl Reading {
    /// Records that are not applied yet.
    pub fn lag(&self) -> u64 {
        self.ends.keys().map(|partition| self.lag_of(*partition)).sum()
    }

    /// Records of one partition that are not applied yet.
    pub fn lag_of(&self, partition: Partition) -> u64 {
        let end = self.ends.get(&partition).copied().unwrap_or(0);
        end.saturating_sub(self.positions.get(&partition).copied().unwrap_or(0))
    }

    /// Why nothing can be judged now: Sounder's own delay must not look like a carrier's.
    pub fn held(&self, lag_max: Duration, now: Timestamp) -> Option<String> {
        if let Some(fault) = &self.fault {
            return Some(format!("the observer stands still: {fault}"));
        }
        let behind = now.since(self.caught_up_at);
        if behind > lag_max {
            return Some(match &self.waits {
                Some(waits) => format!("the stream has not answered for {} s: {waits}", behind.as_secs()),
                None => {
                    format!("{} events are waiting to be counted, for {} s", self.lag(), behind.as_secs())
                }
            });
        }
        // The clock is the slowest partition's, whoever reads it.
        let behind = now.since(self.clock);
        let own = (behind > lag_max).then(|| match &self.rebuilding {
            Some(loss) => loss.clone(),
            None if self.clock == Timestamp::default() => "the stream has not been read yet".to_owned(),
            None => format!("a part of the stream is counted only up to {} s ago", behind.as_secs()),
        });
        own.or_else(|| self.fleet.held(lag_max, now))
    }
}

/// Asks an observer how far it is.
#[derive(Clone, Debug)]
pub struct Progress {
    latest: watch::Receiver<Reading>,
    questions: mpsc::Sender<oneshot::Sender<()>>,
}

/// Answers for an observer.
#[derive(Debug)]
pub struct Reporter {
    latest: watch::Sender<Reading>,
    questions: mpsc::Receiver<oneshot::Sender<()>>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Passes on what receivers tell of themselves.
#[derive(Clone, Debug)]
pub struct Herald(watch::Sender<Reading>);

impl Herald {
    /// A receiver was heard at this time. Returns those that are forgotten by now.
    pub fn heard(&self, heartbeat: Heartbeat, heard_at: Timestamp) -> Vec<String> {
        let mut forgotten = Vec::new();
        self.0.send_modify(|reading| {
            forgotten = Arc::make_mut(&mut reading.fleet).hear(heartbeat, heard_at);
        });
        forgotten
    }

    /// Another observer has forgotten a receiver.
    pub fn forgotten(&self, receiver: &str) {
        self.0.send_modify(|reading| Arc::make_mut(&mut reading.fleet).forget(receiver));
    }
}

/// Two ends of one question: an observer that stands at `positions` and `clock`, over a store that
/// perhaps lost something, answers the other.
pub fn progress(
    (positions, clock, rebuilding): (BTreeMap<Partition, u64>, Timestamp, Option<String>),
    now: Timestamp,
) -> (Reporter, Progress) {
    let reading = Reading {
        positions,
        clock,
        rebuilding,
        rebuilding_since: now,
        caught_up_at: now,
        ..Reading::default()
    };
    let (latest, seen) = watch::channel(reading);
    let (ask, questions) = mpsc::channel(QUESTIONS_MAX);
    (Reporter { latest, questions, waiting: Vec::new() }, Progress { latest: seen, questions: ask })
}

impl Progress {
    /// The last reading, which may be a second old.
    pub fn last(&self) -> Reading {
        self.latest.borrow().clone()
    }

    /// A reading made after this call, or the last one where the observer does not answer.
    pub async fn fresh(&self) -> Reading {
        let (answer, answered) = oneshot::channel();
        if self.questions.try_send(answer).is_ok() && timeout(ANSWER_WAIT_MAX, answered).await.is_err() {
            tracing::debug!("the observer is busy; its last reading has to do");
        }
        self.last()
    }
}

impl Reporter {
    /// Who passes on, beside the observer's own word, what receivers tell of themselves.
    pub fn herald(&self) -> Herald {
        Herald(self.latest.clone())
    }

    /// Resolves when somebody asks; [`Reporter::measured`] answers. Safe to drop at any point.
    pub async fn asked(&mut self) {
        match self.questions.recv().await {
            Some(question) => self.waiting.push(question),
            // Nobody is left who could ask.
            None => std::future::pending().await,
        }
    }

    /// Moves the stream clock forward, never past `latest`, and says where it stands.
    pub fn advance(&self, clock: Option<Timestamp>, latest: Timestamp) -> Timestamp {
        let mut stands = Timestamp::default();
        self.latest.send_modify(|reading| {
            reading.clock = reading.clock.max(clock.unwrap_or_default().min(latest));
            stands = reading.clock;
        });
        stands
    }

    /// Records have been applied up to these positions; `caught_up` when nothing was waiting behind.
    pub fn moved(&self, positions: &BTreeMap<Partition, u64>, caught_up: Option<Timestamp>) {
        self.latest.send_modify(|reading| {
            reading.positions.extend(positions.iter().map(|(partition, at)| (*partition, *at)));
            for (partition, at) in positions {
                let end = reading.ends.entry(*partition).or_default();
                *end = (*end).max(*at);
            }
            reading.caught_up_at = caught_up.unwrap_or(reading.caught_up_at);
        });
    }

    /// Others have applied records up to these positions. What was applied here is known already, and
    /// one of them that is late may tell of less.
    pub fn heard(&self, positions: &BTreeMap<Partition, u64>) {
        self.latest.send_modify(|reading| {
            for (partition, at) in positions {
                let known = reading.positions.entry(*partition).or_default();
                *known = (*known).max(*at);
            }
        });
    }

    /// The ends have been measured, as far as the stream answers. Returns the lag by topic.
    pub fn measured(
        &mut self,
        ends: BTreeMap<Partition, u64>,
        waits: Option<String>,
        now: Timestamp,
    ) -> BTreeMap<&'static str, i64> {
        let mut lags = BTreeMap::new();
        self.latest.send_modify(|reading| {
            (reading.ends, reading.waits) = (ends, waits);
            if reading.lag() == 0 && reading.waits.is_none() {
                reading.caught_up_at = now;
            }
            for partition in reading.ends.keys() {
                let lag = i64::try_from(reading.lag_of(*partition)).unwrap_or(i64::MAX);
                *lags.entry(partition.topic.name()).or_default() += lag;
            }
        });
        for question in self.waiting.drain(..) {
            // Whoever asked may have gone.
            question.send(()).ok();
        }
        lags
    }

    /// The counting goes on from elsewhere: from where the store, which lost something, stands now.
    pub fn resumed(&self, positions: &BTreeMap<Partition, u64>, clock: Timestamp, loss: Option<Loss>) {
        self.latest.send_modify(|reading| {
            positions.clone_into(&mut reading.positions);
            reading.clock = clock;
            if let (None, Some(loss)) = (&reading.rebuilding, &loss) {
                reading.rebuilding_since = loss.at;
            }
            reading.rebuilding = loss.map(|loss| loss.what);
        });
    }

    /// Records from this moment on have been counted. If that is before a loss was noticed, it was one
    /// indeed: the store had counted such records already, or should have.
    pub fn counted_since(&self, oldest: Timestamp) {
        self.latest.send_if_modified(|reading| {
            let Some(what) = reading.rebuilding.clone() else { return false };
            let at = reading.rebuilding_since;
            let is_news = oldest < at && reading.lost.as_ref().is_none_or(|lost| lost.at != at);
            if is_news {
                reading.lost = Some(Loss { at, what });
            }
            is_news
        });
    }

    /// What was lost has been counted again, if the clock says so too.
    pub fn rebuilt(&self, now: Timestamp) {
        self.latest.send_if_modified(|reading| {
            let whole = now.since(reading.clock) <= REBUILT_WITHIN && reading.lag() == 0;
            let was = if whole { reading.rebuilding.take() } else { None };
            if was.is_some() {
                tracing::info!("the state is whole again: what it had lost has been counted from the stream");
            }
            was.is_some()
        });
    }

    /// Says why the observer stands still, or that it goes on.
    pub fn fault(&self, fault: Option<String>) {
        self.latest.send_if_modified(|reading| {
            let changed = reading.fault != fault;
            reading.fault = fault;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fresh_reading_is_made_after_the_question() {
        let (mut reporter, progress) = progress(Default::default(), Timestamp::default());
        let asked = tokio::spawn(async move { progress.fresh().await });
        reporter.asked().await;
        let ends = BTreeMap::from([(Partition::EMBEDDED, 7)]);
        reporter.measured(ends.clone(), None, Timestamp::from_seconds(5));
        let reading = asked.await.unwrap();
        assert_eq!((reading.lag(), reading.caught_up_at), (7, Timestamp::default()));
        reporter.moved(&BTreeMap::from([(Partition::EMBEDDED, 7)]), None);
        reporter.measured(ends.clone(), None, Timestamp::from_seconds(6));
        assert_eq!(reporter.latest.borrow().caught_up_at, Timestamp::from_seconds(6));
        reporter.measured(ends, Some("no broker answers".into()), Timestamp::from_seconds(7));
        assert_eq!(reporter.latest.borrow().caught_up_at, Timestamp::from_seconds(6), "nobody knows");
    }

    #[test]
    fn what_others_have_applied_does_not_wait() {
        let (mut reporter, progress) = progress(Default::default(), Timestamp::default());
        let at = |offset| BTreeMap::from([(Partition::EMBEDDED, offset)]);
        reporter.moved(&at(7), None);
        // The partition went to another observer, who took two records, and came back.
        reporter.measured(at(9), None, Timestamp::default());
        assert_eq!(progress.last().lag(), 2);
        reporter.heard(&at(9));
        assert_eq!(progress.last().lag(), 0);
        reporter.heard(&at(8));
        assert_eq!(progress.last().lag(), 0, "somebody is late");
    }

    #[test]
    fn nothing_is_judged_while_sounder_itself_is_behind() {
        let at = Timestamp::from_seconds;
        let minute = Duration::from_secs(60);
        let mut reading = Reading { caught_up_at: at(1000), clock: at(1000), ..Reading::default() };
        assert_eq!(reading.held(minute, at(1060)), None);
        assert!(reading.held(minute, at(1061)).is_some());
        let elsewhere = Reading { caught_up_at: at(1061), ..reading.clone() };
        assert!(elsewhere.held(minute, at(1061)).is_some_and(|reason| reason.contains("up to 61 s ago")));
        reading.waits = Some("no broker answers".into());
        assert!(reading.held(minute, at(1061)).is_some_and(|reason| reason.contains("no broker answers")));
        reading.fault = Some("Redis is away".into());
        assert!(reading.held(minute, at(1000)).is_some_and(|reason| reason.contains("Redis is away")));
    }

    #[test]
    fn nothing_is_judged_while_a_receiver_may_hold_events_back() {
        let (reporter, progress) = progress(Default::default(), Timestamp::from_seconds(1000));
        reporter.advance(Some(Timestamp::from_seconds(1100)), Timestamp::from_seconds(1100));
        let (minute, at) = (Duration::from_secs(60), Timestamp::from_seconds);
        reporter.herald().heard(heartbeat(at(1000)), at(1000));
        reporter.moved(&BTreeMap::new(), Some(at(1100)));
        assert_eq!(progress.last().held(minute, at(1060)), None);
        assert!(progress.last().held(minute, at(1061)).is_some_and(|reason| reason.contains("receiver r")));
        reporter.herald().heard(heartbeat(at(1061)), at(1061));
        assert_eq!(progress.last().held(minute, at(1061)), None);
    }

    fn heartbeat(at: Timestamp) -> Heartbeat {
        Heartbeat {
            receiver: "r".into(),
            stage: crate::publish::Stage::Receiving,
            version: "1".into(),
            at,
            started_at: at,
            spool: crate::publish::SpoolAccount::default(),
            oldest_spooled_at: None,
            ledger: crate::ledger::Statement::default(),
        }
    }

    #[test]
    fn the_stream_clock_goes_forward_only_and_not_past_its_bound() {
        let (reporter, _progress) = progress(Default::default(), Timestamp::default());
        let at = |s| Some(Timestamp::from_seconds(s));
        let bound = Timestamp::from_seconds(100);
        assert_eq!(reporter.advance(at(50), bound), Timestamp::from_seconds(50));
        assert_eq!(reporter.advance(at(40), bound), Timestamp::from_seconds(50));
        assert_eq!(reporter.advance(None, bound), Timestamp::from_seconds(50));
        assert_eq!(reporter.advance(at(500), bound), bound);
    }
}
