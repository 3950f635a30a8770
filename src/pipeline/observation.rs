//! The stream → cells: take, apply, move on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use crate::clock::{Clock, Timestamp};
use crate::consume::{self, Batch, Consumer, Loss, Mark, Partition, Positions, Reporter};
use crate::failpoint::{self, Point};
use crate::metrics::Metrics;
use crate::publish::{self, Publisher};
use crate::registry::Registry;
use crate::tally::{self, Account, Apply, Clocks, Put, Store, Table};

/// Records taken from the stream at once.
const BATCH_RECORDS_MAX: usize = 2_000;
/// How long records gather before the next batch, unless the last one was full. Nobody waits for a
/// count that long, and a batch costs much the same whether it holds ten records or a thousand.
const GATHER: Duration = Duration::from_millis(20);
/// The first wait before a store that failed is tried again; doubled up to `RETRY_MAX`.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest wait before a store that failed is tried again.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long the stream may take to acknowledge a word that is written again.
const ANNOUNCE_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often it is asked how much of the stream is still to come.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// A fast clock does not make it be asked more often than this.
const MEASURE_WAIT_MIN: Duration = Duration::from_millis(50);
/// How far the stream clock may be ahead of ours: what a badly set clock may do to it.
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(300);

/// The stream → cells, at its own pace.
#[derive(Debug)]
pub struct Observation {
    /// The stream.
    pub consumer: Consumer,
    /// Where the store goes on, for whoever assigns partitions.
    pub positions: Positions,
    /// The state.
    pub store: Store,
    /// The stream again, to tell of a later word than one that was read after it.
    pub publisher: Publisher,
    /// Connections' numbers.
    pub registry: Arc<ArcSwap<Registry>>,
    /// The metrics.
    pub metrics: Metrics,
    /// The daemon's clock.
    pub clock: Clock,
    /// Who wants to know how far this is.
    pub reporter: Reporter,
    /// Every partition there is, once that is known.
    pub partitions: Option<BTreeSet<Partition>>,
    /// The records taken last, as the store knows them.
    pub marked: BTreeMap<Partition, Mark>,
}

/// Which record of each partition was taken last, by whatever process.
///
/// # Errors
/// When the store cannot be read.
pub async fn marks(store: &Store) -> Result<BTreeMap<Partition, Mark>, tally::Error> {
    let kept = store.load(Table::Marks).await?;
    let read =
        |(key, mark): (String, Bytes)| Some((Mark::partition(&key)?, serde_json::from_slice(&mark).ok()?));
    Ok(kept.into_iter().filter_map(read).collect())
}

/// What an observation does next.
enum Turn {
    Take(Result<Batch, consume::Error>),
    Measure,
    Stop,
}

impl Observation {
    /// Takes, applies and moves on until `shutdown` turns true; what is being applied is finished.
    ///
    /// # Errors
    /// What a person must mend before it can go on.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) -> Result<(), consume::Error> {
        let ended = self.observe(&mut shutdown).await;
        self.consumer.close().await;
        ended
    }

    async fn observe(&mut self, shutdown: &mut watch::Receiver<bool>) -> Result<(), consume::Error> {
        let every = self.clock.real(MEASURE_EVERY).max(MEASURE_WAIT_MIN);
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gathered = Instant::now();
        loop {
            let turn = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => Turn::Stop,
                () = self.reporter.asked() => Turn::Measure,
                _ = tick.tick() => Turn::Measure,
                batch = take(&mut self.consumer, gathered) => Turn::Take(batch),
            };
            match turn {
                Turn::Take(batch) => {
                    let batch = batch?;
                    failpoint::reach(Point::BatchTaken).await;
                    match self.apply(&batch, shutdown).await {
                        Applied::Whole => {}
                        Applied::Rewound => self.go_back(shutdown).await?,
                        Applied::Interrupted => return Ok(()),
                    }
                    let is_full = batch.records.len() >= BATCH_RECORDS_MAX;
                    gathered = Instant::now() + if is_full { Duration::ZERO } else { GATHER };
                }
                Turn::Measure => {
                    if self.measure().await == Applied::Rewound {
                        self.go_back(shutdown).await?;
                    }
                    self.mark().await;
                }
                Turn::Stop => {
                    self.mark().await;
                    return Ok(());
                }
            }
        }
    }

    /// Applies a batch, however often it takes, then moves the position.
    async fn apply(&mut self, batch: &Batch, shutdown: &mut watch::Receiver<bool>) -> Applied {
        let now = self.clock.now();
        let latest = now.plus(CLOCK_AHEAD_MAX);
        let times = || batch.records.iter().filter_map(|taken| Some(taken.record.as_ref()?.time));
        // The clock of the last measurement: what had been applied by then is behind it, and what is
        // being applied now, in whichever partition, is not.
        let clock = self.reporter.advance(None, latest);
        let mut apply = Apply::of(batch, clock, &self.registry.load());
        apply.newest = times().max().unwrap_or_default().min(latest);
        let started = self.clock.ticks();
        let account = match self.persist(&apply, shutdown).await {
            Ok(account) => account,
            Err(short) => return short,
        };
        self.metrics.apply_duration.observe(self.clock.ticks().saturating_sub(started).as_secs_f64());
        failpoint::reach(Point::BatchApplied).await;
        if let Some(oldest) = times().min() {
            self.reporter.counted_since(oldest);
        }
        self.count(account);
        self.keep(&apply.positions);
        if let Err(error) = self.consumer.commit(&apply.positions).await {
            // The store holds the position too, so nothing is counted twice for this.
            tracing::warn!(%error, "failed to commit the position; it goes with the next batch");
        }
        failpoint::reach(Point::BatchCommitted).await;
        self.reporter.moved(&apply.positions, batch.caught_up.then_some(now));
        Applied::Whole
    }

    async fn persist(&self, apply: &Apply, shutdown: &mut watch::Receiver<bool>) -> Result<Account, Applied> {
        let mut wait = RETRY_FIRST;
        loop {
            match self.try_apply(apply).await {
                Ok(account) => {
                    self.reporter.fault(None);
                    return Ok(account);
                }
                Err(Unapplied::Store(tally::Error::Rewound)) => return Err(Applied::Rewound),
                Err(error) => {
                    tracing::warn!(%error, "failed to apply a batch; nothing is lost, it is tried again");
                    self.reporter.fault(Some(error.to_string()));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(RETRY_MAX),
                _ = shutdown.wait_for(|stop| *stop) => return Err(Applied::Interrupted),
            }
        }
    }

    /// What recipients said first: the batch moves the positions past it.
    async fn try_apply(&self, apply: &Apply) -> Result<Account, Unapplied> {
        if !apply.words.is_empty() {
            for later in self.store.hold(&apply.words).await? {
                self.publisher.announce(later, ANNOUNCE_WAIT_MAX).await?;
            }
        }
        Ok(self.store.apply(apply).await?)
    }

    /// Goes on from where the store stands after it lost something.
    async fn go_back(&mut self, shutdown: &mut watch::Receiver<bool>) -> Result<(), consume::Error> {
        let mut wait = RETRY_FIRST;
        let resume = loop {
            match self.store.resume().await {
                Ok(resume) => break resume,
                Err(error) => self.reporter.fault(Some(error.to_string())),
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(RETRY_MAX),
                _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
            }
        };
        self.reporter.fault(None);
        tracing::warn!(loss = resume.loss, "the stream is read again from the store's positions");
        let at = self.clock.now();
        let loss = resume.loss.map(|what| Loss { at, what });
        self.reporter.resumed(&resume.positions, resume.clock, loss);
        *self.positions.lock().unwrap_or_else(PoisonError::into_inner) = resume.positions;
        self.partitions = None;
        self.marked.clear();
        self.consumer.go_back(&self.positions)
    }

    /// Notes which records were taken last: all that was taken is applied.
    async fn mark(&mut self) {
        let marks = self.consumer.marks();
        let news = marks.iter().filter(|(partition, mark)| self.marked.get(partition) != Some(mark));
        let put = |(partition, mark): (&Partition, &Mark)| Put {
            table: Table::Marks,
            key: Mark::key(*partition),
            value: serde_json::to_vec(mark).ok().map(Bytes::from),
        };
        let puts: Vec<_> = news.map(put).collect();
        if puts.is_empty() {
            return;
        }
        match self.store.save(puts).await {
            Ok(()) => self.marked = marks,
            // A stream that loses its records before the next note may then go unnoticed.
            Err(error) => tracing::debug!(%error, "failed to note the records taken last"),
        }
    }

    fn count(&self, account: Account) {
        for (line, count) in account.lines() {
            self.metrics.applied.with_label_values(&[line]).inc_by(count);
        }
        self.metrics.corrections.inc_by(account.corrected as f64);
    }

    fn keep(&self, positions: &BTreeMap<Partition, u64>) {
        let mut kept = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        // Also backwards: a partition that was emptied or made anew begins at its beginning, and what
        // a belated observer notes is only taken again.
        kept.extend(positions);
    }

    async fn measure(&mut self) -> Applied {
        // Other observers move positions too, and may hand their partitions over at any time.
        match self.store.positions().await {
            Ok(positions) => {
                self.keep(&positions);
                self.reporter.heard(&positions);
            }
            Err(error) => tracing::debug!(%error, "failed to read the store's positions"),
        }
        match marks(&self.store).await {
            Ok(marks) => self.consumer.learn(marks),
            Err(error) => tracing::debug!(%error, "failed to read which records were taken last"),
        }
        let now = self.clock.now();
        // All that was taken is applied, so the clock may pass it.
        let advanced = self.advance(now).await;
        let (ends, waits) = (self.consumer.ends(), self.consumer.ready().err());
        for (topic, lag) in self.reporter.measured(ends, waits, now) {
            self.metrics.consumer_lag.with_label_values(&[topic]).set(lag);
        }
        if self.consumer.caught_up() {
            self.reporter.rebuilt(now);
        }
        advanced
    }

    /// Notes how far this observer's partitions are, and learns how far all of them are.
    async fn advance(&mut self, now: Timestamp) -> Applied {
        let listed = self.partitions.is_none();
        if listed {
            match self.consumer.partitions().await {
                Ok(partitions) => self.partitions = Some(partitions),
                Err(error) => tracing::debug!(%error, "failed to list the partitions"),
            }
        }
        let Some(partitions) = &self.partitions else { return Applied::Whole };
        let mut times: BTreeMap<_, _> = partitions.iter().map(|partition| (*partition, None)).collect();
        times.extend(self.consumer.clocks(now));
        match self.store.advance(&Clocks { times, listed }).await {
            Ok(clock) => {
                self.reporter.advance(Some(clock), now.plus(CLOCK_AHEAD_MAX));
                Applied::Whole
            }
            Err(tally::Error::Rewound) => Applied::Rewound,
            Err(error) => {
                tracing::debug!(%error, "failed to move the stream clock");
                Applied::Whole
            }
        }
    }
}

/// Takes a batch, not before `gathered`. Dropping the future loses nothing.
async fn take(consumer: &mut Consumer, gathered: Instant) -> Result<Batch, consume::Error> {
    sleep_until(gathered).await;
    consumer.next(BATCH_RECORDS_MAX).await
}

/// Why a batch was not applied.
#[derive(Debug, thiserror::Error)]
enum Unapplied {
    #[error(transparent)]
    Store(#[from] tally::Error),
    #[error("failed to write a recipient's later word again: {0}")]
    Stream(#[from] publish::Error),
}

#[derive(PartialEq)]
enum Applied {
    Whole,
    /// Not at all: the store's positions were moved back.
    Rewound,
    Interrupted,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::consume::{Progress, progress};
    use crate::event::{Body, ConnectionId, Event, EventId, Number, Provider, Record, Send};
    use crate::publish::Log;

    const DAY: Duration = Duration::from_secs(86_400);

    fn send(name: &str, received_at: Timestamp) -> Record {
        let connection = ConnectionId::parse("acme").unwrap();
        let send = Send {
            provider: Provider::Twilio,
            connection: connection.clone(),
            message_id: Some(name.into()),
            reference: None,
            number: Number::parse("+18005550100").unwrap(),
            list: None,
            recipient: None,
            sent_at: received_at,
            received_at,
        };
        Event { id: EventId::of(&connection, &[name]), body: Body::Send(send) }.record(None)
    }

    fn observation(log: &Log, store: &Store, clock: Clock) -> (Observation, Progress) {
        let (reporter, progress) = progress(Default::default(), clock.now());
        let observation = Observation {
            consumer: Consumer::embedded(log.clone(), 0),
            positions: Positions::default(),
            store: store.clone(),
            publisher: Publisher::embedded(log.clone()),
            registry: Arc::new(ArcSwap::from_pointee(Registry::new(
                &config::load(&config::Source::of("")).unwrap(),
            ))),
            metrics: Metrics::new().unwrap(),
            clock,
            reporter,
            partitions: None,
            marked: BTreeMap::new(),
        };
        (observation, progress)
    }

    async fn total(store: &Store, progress: &Progress, end: u64) -> Account {
        while progress.fresh().await.positions.get(&Partition::EMBEDDED) != Some(&end) {}
        store.account().await.unwrap()[&Partition::EMBEDDED]
    }

    #[tokio::test]
    async fn weeks_that_are_read_at_once_are_counted_whole_and_their_end_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(&dir.path().join("stream"), 60 * DAY, u64::MAX).unwrap();
        let store = Store::embedded(&dir.path().join("state")).unwrap();
        let start = Timestamp::from_seconds(1_764_000_000);
        let records: Vec<_> = (0..10).map(|n| send(&format!("SM{n}"), start.plus(DAY * 3 * n))).collect();
        log.append(&records).await.unwrap();
        let now = start.plus(DAY * 27);
        let (observation, progress) = observation(&log, &store, Clock::fast(now, 2));
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(observation.run(stopped));
        assert_eq!(total(&store, &progress, 10).await, Account { applied: 10, ..Account::default() });

        store.expire(progress.fresh().await.clock).await.unwrap();
        log.append(&records[9..]).await.unwrap();
        let told_again = Account { applied: 10, duplicate: 1, ..Account::default() };
        assert_eq!(total(&store, &progress, 11).await, told_again);
        stop.send_replace(true);
        running.await.unwrap().unwrap();
    }
}
