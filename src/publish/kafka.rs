//! Records → Kafka, acknowledged with acks=all by an idempotent producer, or an error.
//!
//! Nothing here waits for room: a full queue is an error at once. A record is given up after
//! `message.timeout.ms`, which is shorter than the answer's deadline, so that few are acknowledged
//! after their webhook was refused.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::Error;
use super::broker::{START_TIMEOUT, create_missing, topic_name};
use super::delivery::{Batch, Left, Place};
use super::producer::Live;
use crate::config::Kafka;
use crate::event::{Record, Topic};
use crate::failpoint::{self, Point};

/// How often brokers that are there and take nothing are asked for their topics, at most.
const TOPICS_EVERY: Duration = Duration::from_secs(2);
/// How long brokers are left alone that refused us at a start that need not wait for them.
const MEET_RETRY: Duration = Duration::from_secs(10);

/// How long brokers may have every topic and refuse a producer, every few seconds anew, before another
/// takes its place: one that knew a topic which was deleted takes the new one's leaders for old news.
const REFUSED_MAX: Duration = Duration::from_secs(30);
/// The longest time between two refusals that belong together.
const REFUSED_EVERY: Duration = Duration::from_secs(10);

/// Publishes to Kafka. Cheap to clone.
#[derive(Clone)]
pub struct KafkaPublisher(Arc<Inner>);

struct Inner {
    config: Kafka,
    /// How long topics that are created keep events.
    retention: Duration,
    /// Names on the brokers, in the order of [`Topic::ALL`].
    topics: Vec<String>,
    live: ArcSwap<Live>,
    /// Why nothing may be sent yet: no broker has answered well since the start, so topics may be missing.
    unmet: watch::Sender<Option<Error>>,
    /// Events acknowledged though they were given up, since they were asked for last.
    ghosts: Arc<AtomicU64>,
    renewing: tokio::sync::Mutex<()>,
    /// Told by the producer when it is broken or refused, and at the end.
    ailing: Arc<Notify>,
}

impl KafkaPublisher {
    /// Connects, and creates the topics that are missing. Brokers need not be there yet: nothing is
    /// sent before they answer.
    pub(super) async fn start(config: &Kafka, retention: Duration, within: Duration) -> Result<Self, Error> {
        let publisher = Self::unmet(config, retention)?;
        match publisher.meet(within).await {
            Err(why @ Error::Unreachable(_)) => {
                tracing::warn!(%why, "stream.kafka is not there yet; it is waited for");
                publisher.0.unmet.send_replace(Some(why));
                tokio::spawn(await_brokers(Arc::downgrade(&publisher.0)));
            }
            met => met?,
        }
        Ok(publisher)
    }

    fn unmet(config: &Kafka, retention: Duration) -> Result<Self, Error> {
        let ailing = Arc::new(Notify::new());
        let live = Arc::new(Live::new(config, &ailing, None)?);
        let publisher = Self(Arc::new(Inner {
            config: config.clone(),
            retention,
            topics: Topic::ALL.iter().map(|topic| topic_name(config, *topic)).collect(),
            live: ArcSwap::new(live),
            unmet: watch::Sender::new(Some(Error::Unreachable("kafka has not answered yet".into()))),
            ghosts: Arc::default(),
            renewing: tokio::sync::Mutex::new(()),
            ailing: Arc::clone(&ailing),
        }));
        tokio::spawn(keep(Arc::downgrade(&publisher.0), ailing));
        Ok(publisher)
    }

    /// Hears from the brokers, and creates the topics that are missing.
    async fn meet(&self, within: Duration) -> Result<(), Error> {
        let Inner { config, retention, .. } = &*self.0;
        let there = self.0.live.load_full().topics(config, within).await?;
        create_missing(config, &there, *retention).await?;
        self.0.unmet.send_replace(None);
        Ok(())
    }

    /// Waits until brokers have answered well since the start.
    pub(super) async fn met(&self) {
        // The sender is in here, so it is not gone.
        drop(self.0.unmet.subscribe().wait_for(Option::is_none).await);
    }

    /// Waits until brokers have answered since the start, be it with a refusal that a person has to
    /// see to.
    pub(super) async fn answered(&self) -> Result<(), Error> {
        let is_answer = |unmet: &Option<Error>| !matches!(unmet, Some(Error::Unreachable(_)));
        drop(self.0.unmet.subscribe().wait_for(is_answer).await);
        self.is_met()
    }

    /// Whether brokers have answered well since the start, or why nothing may be sent.
    pub(super) fn is_met(&self) -> Result<(), Error> {
        self.0.unmet.borrow().clone().map_or(Ok(()), Err)
    }

    /// Sends records and waits for the acknowledgement of all of them.
    pub(super) async fn publish(&self, records: &[Record]) -> Result<(), Error> {
        self.attempt(records, Duration::MAX).await.map_err(|left| left.error)
    }

    /// Sends records and waits so long for the acknowledgement of all of them. What is left may be
    /// acknowledged later all the same.
    pub(super) async fn attempt(&self, records: &[Record], patience: Duration) -> Result<(), Left> {
        if records.is_empty() {
            return Ok(());
        }
        // A heartbeat that comes late is nobody's second.
        let is_event = records.iter().any(|record| record.topic != Topic::Receivers);
        let ghosts = if is_event { Arc::clone(&self.0.ghosts) } else { Arc::default() };
        let (batch, answered) = Batch::of(records.len(), ghosts);
        let offered = self.offer(records, &batch).await;
        failpoint::reach(Point::EventsOffered).await;
        let error = match offered {
            Err(error) => error,
            Ok(()) => match timeout(patience, answered).await {
                Ok(Ok(Ok(()))) => {
                    failpoint::reach(Point::EventsAcknowledged).await;
                    return Ok(());
                }
                Ok(Ok(Err(error))) => error,
                Ok(Err(_)) => Error::NotAcknowledged("the producer was closed".into()),
                Err(_) => Error::NotAcknowledged("kafka did not acknowledge events in time".into()),
            },
        };
        Err(batch.left(error))
    }

    /// Queues records; stops at the first that cannot be, unless only it cannot.
    async fn offer(&self, records: &[Record], batch: &Arc<Batch>) -> Result<(), Error> {
        self.is_met()?;
        let mut live = self.0.live.load_full();
        if live.is_broken() {
            live = self.renew().await?;
        }
        for (nth, record) in records.iter().enumerate() {
            match self.send(&live, record, Place { batch: Arc::clone(batch), nth }) {
                Err(error @ Error::Refused(_)) => batch.report(nth, Some(error)),
                sent => sent?,
            }
        }
        Ok(())
    }

    /// Events acknowledged though they were given up, since this was asked last.
    pub(super) fn take_ghosts(&self) -> u64 {
        self.0.ghosts.swap(0, Ordering::Relaxed)
    }

    /// Whether no broker is connected, as far as was heard lately.
    pub(super) fn is_away(&self) -> bool {
        self.0.unmet.borrow().is_some()
            || self.0.live.load().producer().is_none_or(|producer| producer.context().is_away())
    }

    /// Whether a broker takes records, as far as was heard lately.
    pub(super) fn ready(&self) -> Result<(), String> {
        self.is_met().map_err(|error| error.to_string())?;
        self.0.live.load().trouble().map_or(Ok(()), Err)
    }

    /// Waits for what is under way.
    pub(super) async fn close(&self, budget: Duration) {
        let live = self.0.live.load_full();
        let flush = move || live.producer().map(|producer| producer.flush(budget));
        if !matches!(tokio::task::spawn_blocking(flush).await, Ok(Some(Ok(())))) {
            tracing::warn!("stream.kafka closed before every event was acknowledged");
        }
    }

    fn send(&self, live: &Live, record: &Record, place: Place) -> Result<(), Error> {
        let closed = || Error::NotAcknowledged("the producer is closed".into());
        let producer = live.producer().ok_or_else(closed)?;
        let number = Topic::ALL.iter().position(|topic| *topic == record.topic);
        let topic = number.and_then(|number| self.0.topics.get(number)).ok_or_else(closed)?;
        let mut message = BaseRecord::with_opaque_to(topic, Box::new(place))
            .key(record.key.as_bytes())
            .timestamp(record.time.millis())
            .headers(headers(record));
        // No value at all is what lets compaction forget a key.
        message.payload = Some(&record.value[..]).filter(|value| !value.is_empty());
        producer.send(message).map_err(|(error, _)| {
            producer.context().refused(error.rdkafka_error_code().unwrap_or(Code::Fail))
        })
    }

    /// Creates topics that somebody deleted, or that went with a broker's disk: otherwise all events
    /// would wait in the spool until a person notices.
    async fn restore_topics(&self) -> Result<(), Error> {
        let Inner { config, retention, topics, .. } = &*self.0;
        let there = self.0.live.load_full().topics(config, START_TIMEOUT).await?;
        let missing: Vec<_> = topics.iter().filter(|topic| !there.contains(*topic)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        tracing::error!(
            ?missing,
            "stream.kafka has lost topics, and what was in them; they are created anew"
        );
        create_missing(config, &there, *retention).await
    }

    /// Replaces a producer that will never send again; one caller does, the others wait for it.
    async fn renew(&self) -> Result<Arc<Live>, Error> {
        let _renewing = self.0.renewing.lock().await;
        let live = self.0.live.load_full();
        if !live.is_broken() {
            return Ok(live);
        }
        let trouble = live.trouble();
        let why = trouble.as_deref().unwrap_or("a fatal error");
        tracing::warn!(why, "stream.kafka the producer will never send again; another takes its place");
        let fresh = Arc::new(Live::new(&self.0.config, &self.0.ailing, trouble)?);
        self.0.live.store(Arc::clone(&fresh));
        Ok(fresh)
    }
}

/// Replaces each producer that breaks, whether anybody publishes or not, and brings back topics that
/// are gone, until the publisher is gone.
async fn keep(publisher: Weak<Inner>, ailing: Arc<Notify>) {
    let (mut looked, mut told, mut since) = (Instant::now(), Instant::now(), Instant::now());
    loop {
        ailing.notified().await;
        let Some(inner) = publisher.upgrade() else { return };
        let publisher = KafkaPublisher(inner);
        if std::mem::replace(&mut told, Instant::now()).elapsed() > REFUSED_EVERY {
            since = told;
        }
        if since.elapsed() > REFUSED_MAX {
            since = Instant::now();
            publisher.0.live.load().gives_up();
        }
        if publisher.0.live.load().is_broken() {
            if let Err(error) = publisher.renew().await {
                tracing::error!(%error, "stream.kafka has no producer; it is tried again");
            }
        } else if looked.elapsed() > TOPICS_EVERY {
            if let Err(error) = publisher.restore_topics().await {
                tracing::warn!(%error, "stream.kafka could not be asked for its topics; it is tried again");
            }
            looked = Instant::now();
        }
    }
}

/// Asks brokers that were not there at the start until they answer, or the publisher is gone.
async fn await_brokers(publisher: Weak<Inner>) {
    while let Some(inner) = publisher.upgrade() {
        let publisher = KafkaPublisher(inner);
        let pause = match publisher.meet(START_TIMEOUT).await {
            Ok(()) => {
                tracing::info!("stream.kafka is there");
                return;
            }
            Err(Error::Unreachable(_)) => TOPICS_EVERY,
            Err(error) => {
                tracing::error!(%error, "stream.kafka is there and refuses; it is tried again");
                publisher.0.unmet.send_replace(Some(error));
                MEET_RETRY
            }
        };
        drop(publisher);
        sleep(pause).await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ailing.notify_one();
    }
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPublisher").field("brokers", &self.0.config.brokers).finish_non_exhaustive()
    }
}

/// The event's attributes as CloudEvents' Kafka binding has them (binary content mode, §3.2).
fn headers(record: &Record) -> OwnedHeaders {
    let time = record.time.to_string();
    let all = [
        ("ce_specversion", Some("1.0")),
        ("ce_id", Some(&record.id)),
        ("ce_type", Some(record.topic.event_type())),
        ("ce_source", Some(&record.source)),
        ("ce_time", Some(&time)),
        ("content-type", Some("application/json")),
        ("traceparent", record.traceparent.as_deref()),
    ];
    all.into_iter()
        .filter_map(|(key, value)| value.map(|value| Header { key, value: Some(value) }))
        .fold(OwnedHeaders::new_with_capacity(7), OwnedHeaders::insert)
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;

    use super::*;
    use crate::clock::Timestamp;
    use crate::config::Secret;

    /// Patient unless `properties` say otherwise: a laden machine may take seconds over a first batch.
    fn config(brokers: String, properties: &[(&str, &str)]) -> Kafka {
        let patience = [("message.timeout.ms", "60000")];
        let properties =
            patience.iter().chain(properties).map(|(k, v)| ((*k).into(), Secret::new((*v).into()))).collect();
        Kafka {
            brokers,
            topic_prefix: "t.".into(),
            group: "g".into(),
            partitions: 2,
            properties,
            ..Kafka::default()
        }
    }

    fn cluster() -> MockCluster<'static, DefaultProducerContext> {
        let cluster = MockCluster::new(1).unwrap();
        for topic in Topic::ALL {
            cluster.create_topic(&format!("t.{}", topic.name()), 2, 1).unwrap();
        }
        cluster
    }

    async fn started(config: &Kafka) -> KafkaPublisher {
        let kafka = KafkaPublisher::start(config, Duration::from_secs(3600), START_TIMEOUT).await.unwrap();
        kafka.answered().await.unwrap();
        kafka
    }

    fn records(count: usize) -> Vec<Record> {
        let record = |n: usize| Record {
            topic: Topic::ALL[n % Topic::ALL.len()],
            key: n.to_string(),
            id: n.to_string(),
            source: "/connections/a".into(),
            time: Timestamp::from_seconds(1),
            traceparent: None,
            value: bytes::Bytes::from_static(b"{}"),
        };
        (0..count).map(record).collect()
    }

    #[tokio::test]
    async fn a_broker_that_is_down_is_an_error_in_time_and_its_return_makes_ready_again() {
        let cluster = cluster();
        let config = config(cluster.bootstrap_servers(), &[("message.timeout.ms", "1000")]);
        let kafka = started(&config).await;
        let works = async || while kafka.publish(&records(2)).await.is_err() || kafka.ready().is_err() {};
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, works()).await.unwrap();
        cluster.broker_down(1).unwrap();
        let error = kafka.publish(&records(2)).await.unwrap_err();
        assert!(matches!(error, Error::NotAcknowledged(_)), "{error}");
        assert!(kafka.ready().is_err());
        cluster.broker_up(1).unwrap();
        tokio::time::timeout(patience, works()).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_is_an_error_at_once() {
        let cluster = cluster();
        let properties = [("queue.buffering.max.messages", "5"), ("linger.ms", "1000")];
        let config = config(cluster.bootstrap_servers(), &properties);
        let kafka = started(&config).await;
        assert_eq!(kafka.publish(&records(6)).await, Err(Error::Full));
    }

    #[tokio::test]
    async fn a_broken_producer_is_replaced() {
        let cluster = cluster();
        let config = config(cluster.bootstrap_servers(), &[]);
        let kafka = started(&config).await;
        let before = kafka.0.live.load_full();
        before.producer().unwrap().context().refused(Code::OutOfOrderSequenceNumber);
        kafka.publish(&records(3)).await.unwrap();
        assert!(!Arc::ptr_eq(&before, &kafka.0.live.load_full()));
    }

    #[tokio::test]
    async fn a_broken_producer_is_replaced_though_nobody_publishes() {
        let cluster = cluster();
        let config = config(cluster.bootstrap_servers(), &[]);
        let kafka = started(&config).await;
        let before = kafka.0.live.load_full();
        before.producer().unwrap().context().refused(Code::OutOfOrderSequenceNumber);
        let replaced = async {
            while Arc::ptr_eq(&before, &kafka.0.live.load_full()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), replaced).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_answering_is_said_without_the_secrets() {
        let properties = [("sasl.password", "hunter2"), ("sasl.username", "sounder")];
        let config = config("127.0.0.1:1".into(), &properties);
        let live = Arc::new(Live::new(&config, &Arc::default(), None).unwrap());
        let error = live.topics(&config, Duration::from_secs(1)).await.unwrap_err().to_string();
        assert!(error.contains("no answer from 127.0.0.1:1"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn settings_that_are_not_taken_are_named_and_not_quoted() {
        let no = |properties: &[(&str, &str)]| {
            Live::new(&config("x:1".into(), properties), &Arc::default(), None).err().unwrap().to_string()
        };
        let wrong = no(&[("linger.ms", "hunter2")]);
        assert!(wrong.contains("linger.ms") && !wrong.contains("hunter2"), "{wrong}");
        assert!(no(&[("acks", "1")]).contains("may not set acks"));
    }
}
