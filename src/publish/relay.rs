//! Records → Kafka, or the spool while Kafka does not answer in time; and the spool → Kafka.
//!
//! A circuit opens at the first record that is not acknowledged within `spool_after`; from then on
//! nobody waits for Kafka. What waits in the spool is the probe: once it is acknowledged, the
//! circuit closes. Nothing is answered that is neither acknowledged nor fsynced.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::spool::Portion;
use super::{Error, KafkaPublisher, Spool};
use crate::config::{Ack, Kafka};
use crate::event::Record;
use crate::failpoint::{self, Point};

/// Events a second that are drained beside live traffic.
const DRAIN_RATE: u32 = 10_000;
/// Events drained at a time.
const DRAIN_EVENTS: usize = 500;
/// How long Kafka may take over them; longer than it tries, unless told otherwise.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);
/// Events that ask whether Kafka is back.
const PROBE_EVENTS: usize = 20;
/// How often they ask.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Kafka, with a spool for when it does not answer. Cheap to clone.
#[derive(Clone)]
pub struct Relay(Arc<Inner>);

struct Inner {
    kafka: KafkaPublisher,
    spool: Arc<Spool>,
    ack: Ack,
    spool_after: Duration,
    open: AtomicBool,
    closing: AtomicBool,
}

impl Relay {
    /// Starts to drain what is there.
    pub(super) fn start(kafka: KafkaPublisher, spool: Spool, config: &Kafka) -> Self {
        let relay = Self(Arc::new(Inner {
            kafka,
            spool: Arc::new(spool),
            ack: config.ack,
            spool_after: config.spool_after,
            open: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }));
        tokio::spawn(drain(Arc::downgrade(&relay.0)));
        relay
    }

    /// Makes records durable and says how many of them in the spool.
    pub(super) async fn publish(&self, records: Vec<Record>) -> Result<usize, Error> {
        let Inner { kafka, spool, spool_after, .. } = &*self.0;
        let count = records.len();
        if self.0.ack == Ack::Disk || self.0.is_open() {
            failpoint::reach(Point::EventsSpooling).await;
            spool.append(records).await?;
            return Ok(count);
        }
        let Err(left) = kafka.attempt(&records, *spool_after).await else { return Ok(0) };
        if !left.refused.is_empty() {
            return Err(left.error);
        }
        self.0.opens(&left.error);
        let mut places = left.places.into_iter().peekable();
        let unacknowledged =
            records.into_iter().enumerate().filter(|(nth, _)| places.next_if_eq(nth).is_some());
        let unacknowledged: Vec<_> = unacknowledged.map(|(_, record)| record).collect();
        let count = unacknowledged.len();
        failpoint::reach(Point::EventsSpooling).await;
        spool.append(unacknowledged).await?;
        Ok(count)
    }

    /// Whether Kafka has answered since the start.
    pub(super) fn is_met(&self) -> Result<(), Error> {
        self.0.kafka.is_met()
    }

    /// Waits until Kafka has answered since the start.
    pub(super) async fn met(&self) {
        self.0.kafka.met().await;
    }

    /// Events Kafka acknowledged though they were given up, since this was asked last.
    pub(super) fn take_ghosts(&self) -> u64 {
        self.0.kafka.take_ghosts()
    }

    /// Whether Kafka takes records, as far as was heard lately.
    pub(super) fn ready(&self) -> Result<(), String> {
        self.0.kafka.ready()?;
        match self.0.open.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err("kafka does not acknowledge events in time".into()),
        }
    }

    /// Whether records can be made durable, in Kafka or else in the spool.
    pub(super) fn accepts(&self) -> Result<(), String> {
        match (self.0.ack, self.ready()) {
            (Ack::Kafka, Ok(())) => Ok(()),
            (Ack::Disk, _) | (Ack::Kafka, Err(_)) => self.0.spool.ready(),
        }
    }

    /// The spool.
    pub(super) fn spool(&self) -> &Arc<Spool> {
        &self.0.spool
    }

    /// Hands one record to Kafka alone: what is of no use once it is late has no place in the spool.
    pub(super) async fn announce(&self, record: Record, patience: Duration) -> Result<(), Error> {
        match self.0.is_open() {
            true => Err(Error::Unreachable("kafka does not acknowledge events in time".into())),
            false => self.0.kafka.attempt(&[record], patience).await.map_err(|left| left.error),
        }
    }

    /// Drains no more, and waits for what is under way.
    pub(super) async fn close(&self, budget: Duration) {
        self.0.closing.store(true, Ordering::Release);
        if !self.0.is_open() {
            self.0.kafka.close(budget).await;
        }
    }
}

impl Inner {
    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) || self.kafka.is_away()
    }

    fn opens(&self, why: &Error) {
        if !self.open.swap(true, Ordering::AcqRel) {
            tracing::warn!(%why, "stream.spool takes the events until Kafka answers in time");
        }
    }

    fn closes(&self) {
        if self.open.swap(false, Ordering::AcqRel) {
            let waiting = self.spool.events();
            tracing::info!(waiting, "stream.kafka takes events again; the spool drains");
        }
    }

    /// Drains a portion, or waits until there may be one.
    async fn step(self: Arc<Self>) {
        let is_open = self.is_open();
        let max = if is_open { PROBE_EVENTS } else { DRAIN_EVENTS };
        let spool = Arc::clone(&self.spool);
        match spawn_blocking(move || spool.take(max)).await {
            Ok(Ok(Some(portion))) => {
                failpoint::reach(Point::DrainTaken).await;
                self.hand_over(portion).await;
            }
            Ok(Ok(None)) => {
                self.spool.wait(PROBE_EVERY).await;
                if self.spool.events() == 0 {
                    // Nothing is here to ask with: the next webhook does.
                    self.open.store(false, Ordering::Release);
                }
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "stream.spool cannot be read; it is tried again");
                sleep(PROBE_EVERY).await;
            }
            Err(error) => tracing::error!(%error, "stream.spool broke while it was read; it is tried again"),
        }
    }

    async fn hand_over(self: Arc<Self>, portion: Portion) {
        let mut left: Vec<usize> = (0..portion.records.len()).collect();
        let mut set_aside = Vec::new();
        while !left.is_empty() {
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            let due = sleep(PROBE_EVERY);
            let records: Vec<_> = left.iter().filter_map(|at| portion.records.get(*at)).cloned().collect();
            let patience = if self.is_open() { PROBE_EVERY } else { DRAIN_PATIENCE };
            let Err(unsent) = self.kafka.attempt(&records, patience).await else { break };
            let is_refused = |place: &usize| unsent.refused.contains(place);
            set_aside.extend(unsent.refused.iter().filter_map(|at| records.get(*at)).cloned());
            let after = unsent.places.iter().filter(|place| !is_refused(place));
            left = after.filter_map(|place| left.get(*place).copied()).collect();
            if !left.is_empty() {
                self.opens(&unsent.error);
                due.await;
            }
        }
        failpoint::reach(Point::DrainHanded).await;
        self.settle(portion, &set_aside).await;
    }

    async fn settle(self: Arc<Self>, portion: Portion, set_aside: &[Record]) {
        if !set_aside.is_empty() {
            let count = set_aside.len();
            tracing::error!(events = count, "stream.kafka takes some events never; they are set aside");
            while let Err(error) = self.spool.set_aside(set_aside).await {
                tracing::error!(%error, "stream.spool cannot set events aside; it is tried again");
                sleep(PROBE_EVERY).await;
            }
        }
        let handed = portion.records.len() - set_aside.len().min(portion.records.len());
        let (spool, count) = (Arc::clone(&self.spool), set_aside.len() as u64);
        drop(spawn_blocking(move || spool.settle(&portion, count)).await);
        failpoint::reach(Point::DrainMarked).await;
        self.spool.tidy().await;
        if handed > 0 {
            self.closes();
        }
        if self.ack == Ack::Kafka {
            sleep(Duration::from_secs(1) * u32::try_from(handed).unwrap_or(u32::MAX) / DRAIN_RATE).await;
        }
    }
}

/// Drains until the last clone of the relay is gone, or it closes.
async fn drain(relay: Weak<Inner>) {
    while let Some(inner) = relay.upgrade() {
        if inner.closing.load(Ordering::Acquire) {
            return;
        }
        inner.step().await;
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("kafka", &self.0.kafka).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use tokio::time::timeout;

    use super::*;
    use crate::clock::Timestamp;
    use crate::config::Secret;
    use crate::event::Topic;

    const PATIENCE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    struct Bench {
        cluster: MockCluster<'static, DefaultProducerContext>,
        dir: tempfile::TempDir,
        config: Kafka,
    }

    impl Bench {
        fn new(ack: Ack, properties: &[(&str, &str)]) -> Self {
            let cluster = MockCluster::new(1).unwrap();
            for topic in Topic::ALL {
                cluster.create_topic(&format!("sms.{}", topic.name()), 2, 1).unwrap();
            }
            let secret = |(k, v): &(&str, &str)| ((*k).to_owned(), Secret::new((*v).into()));
            let properties = properties.iter().map(secret).collect();
            let config = Kafka { brokers: cluster.bootstrap_servers(), ack, properties, ..Kafka::default() };
            Self { cluster, dir: tempfile::tempdir().unwrap(), config }
        }

        async fn relay(&self, bytes_max: u64) -> Relay {
            let kafka = KafkaPublisher::start(&self.config, DAY, PATIENCE).await.unwrap();
            Relay::start(kafka, Spool::open(self.dir.path(), bytes_max).unwrap(), &self.config)
        }
    }

    fn records(count: usize) -> Vec<Record> {
        let record = |n: usize| Record {
            topic: if n.is_multiple_of(5) { Topic::Consent } else { Topic::Receipts },
            key: n.to_string(),
            id: n.to_string(),
            source: "/connections/a".into(),
            time: Timestamp::from_seconds(1),
            traceparent: None,
            value: bytes::Bytes::from_static(b"{}"),
        };
        (0..count).map(record).collect()
    }

    /// Publishes until Kafka itself has acknowledged, and the spool is empty.
    async fn recovered(relay: &Relay) {
        let all = async {
            while relay.publish(records(1)).await != Ok(0) || relay.spool().events() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, all).await.expect("kafka is not taken up again");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_broker_that_goes_costs_no_event_and_its_return_drains_the_spool() {
        let bench = Bench::new(Ack::Kafka, &[]);
        let relay = bench.relay(u64::MAX).await;
        recovered(&relay).await;
        let before = relay.spool().account();
        bench.cluster.broker_down(1).unwrap();
        for _ in 0..20 {
            assert_eq!(relay.publish(records(10)).await, Ok(10));
        }
        assert!(relay.ready().is_err() && relay.accepts().is_ok());
        let account = relay.spool().account();
        assert_eq!(
            (account.in_spool, account.drained),
            (200, before.drained),
            "one is only drained once taken"
        );
        bench.cluster.broker_up(1).unwrap();
        recovered(&relay).await;
        let account = relay.spool().account();
        assert!(account.drained >= before.drained + 200 && account.imbalance() == 0, "{account:?}");
        assert_eq!((account.corrupt, account.set_aside), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn without_room_in_the_spool_a_webhook_is_refused() {
        let bench = Bench::new(Ack::Kafka, &[]);
        let relay = bench.relay(1).await;
        bench.cluster.broker_down(1).unwrap();
        let refused = async { while relay.publish(records(1)).await != Err(Error::Full) {} };
        timeout(PATIENCE, refused).await.unwrap();
        bench.cluster.broker_up(1).unwrap();
        recovered(&relay).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_queue_goes_to_the_spool_at_once() {
        let bench = Bench::new(Ack::Kafka, &[("queue.buffering.max.messages", "5"), ("linger.ms", "1000")]);
        let relay = bench.relay(u64::MAX).await;
        assert!(relay.publish(records(6)).await.unwrap() > 0);
        assert!(relay.0.open.load(Ordering::Acquire));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn with_ack_disk_all_goes_through_the_spool() {
        let bench = Bench::new(Ack::Disk, &[]);
        let relay = bench.relay(u64::MAX).await;
        assert_eq!(relay.publish(records(10)).await, Ok(10));
        let drained = async {
            while relay.spool().account().drained < 10 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, drained).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_event_kafka_never_takes_is_refused_or_set_aside_and_holds_nobody_up() {
        let bench = Bench::new(Ack::Kafka, &[("message.max.bytes", "1000")]);
        let relay = bench.relay(u64::MAX).await;
        // A first batch may take so long on a laden machine that it is spooled.
        recovered(&relay).await;
        let before = relay.spool().account();
        let mut poisoned = records(4);
        poisoned[2].value = bytes::Bytes::from(vec![b' '; 5000]);
        assert!(relay.publish(poisoned.clone()).await.is_err(), "its provider must not think it is kept");
        relay.spool().append(poisoned).await.unwrap();
        let drained = async {
            while relay.spool().events() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, drained).await.unwrap();
        let account = relay.spool().account();
        assert_eq!((account.drained - before.drained, account.set_aside, account.imbalance()), (3, 1, 0));
    }
}
