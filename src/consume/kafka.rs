//! Kafka → batches, from the store's positions on. Never commits by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::{Instant, sleep_until};

use super::assignment::Assignment;
use super::broker;
use super::trace::{Mark, Trace};
use super::{Batch, Error, Partition, Positions, Taken};
use crate::clock::Timestamp;
use crate::config::Kafka;
use crate::event::{Record, Topic};
use crate::publish::{client_config, refused_settings, scrub, secrets, topic_name};

/// What the observer applies.
pub(super) const TOPICS: [Topic; 4] = [Topic::Receipts, Topic::Sends, Topic::Consent, Topic::Feedback];

/// What is set unless `stream.kafka.properties` says otherwise.
const DEFAULTS: [(&str, &str); 12] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // An observer that died lets its partitions go after this; brokers take no less by default.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1500"),
    // How old what is known of the partitions' ends may be.
    ("statistics.interval.ms", "250"),
    ("fetch.wait.max.ms", "250"),
    ("queued.max.messages.kbytes", "16384"),
    ("socket.timeout.ms", "10000"),
    // A client that starts while brokers still come up hears of the topics with the next refresh.
    ("topic.metadata.refresh.interval.ms", "2000"),
];

/// When it is first looked whether partitions are missing: joining a group takes its time.
const LOOK_FIRST: Duration = Duration::from_secs(15);
/// The longest time between two such looks.
const LOOK_MAX: Duration = Duration::from_secs(300);

/// How many members the observers' group has; `None` while its coordinator does not know: a broker
/// that has just started reads its groups first.
pub(super) async fn members(kafka: &Kafka) -> Result<Option<usize>, Error> {
    let group = kafka.group.clone();
    let count = broker::ask(kafka, move |client| {
        match client.fetch_group_list(Some(&group), broker::ANSWER_TIMEOUT) {
            Ok(found) => Ok(Some(found.groups().iter().map(|group| group.members().len()).sum())),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    });
    count.await.map_err(|error| match error {
        Error::Unusable(what) => Error::Unusable(format!(
            "{what}, when asked who is in the group {}; grant Sounder the right to describe it",
            kafka.group
        )),
    })
}

/// True of what a coordinator says while it moves or starts.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(Code::CoordinatorLoadInProgress | Code::CoordinatorNotAvailable | Code::NotCoordinator)
    )
}

/// What a consumer waits for.
enum Event {
    Received(Option<Taken>),
    /// These partitions are not what they were.
    Replaced(Vec<Partition>),
    Forsaken,
    Look,
}

/// Takes from Kafka as a member of the observers' group.
pub struct KafkaConsumer {
    consumer: StreamConsumer<Assignment>,
    kafka: Kafka,
    positions: Positions,
    prefixed: BTreeMap<Topic, String>,
    secrets: Vec<String>,
    /// An error that came behind records, told with the next call.
    held: Option<Error>,
    /// When it is looked whether partitions are missing, and how long after that again.
    look_at: Instant,
    look_after: Duration,
}

impl KafkaConsumer {
    pub(super) fn join(kafka: &Kafka, positions: Positions) -> Result<Self, Error> {
        let prefixed: BTreeMap<_, _> = TOPICS.map(|topic| (topic, topic_name(kafka, topic))).into();
        Ok(Self {
            consumer: subscribed(kafka, &positions, Trace::default())?,
            kafka: kafka.clone(),
            positions,
            prefixed,
            secrets: secrets(kafka),
            held: None,
            look_at: Instant::now() + LOOK_FIRST,
            look_after: LOOK_FIRST,
        })
    }

    /// Puts a new client in the place of one that will not go on by itself. It goes on from the
    /// store's positions, so what was taken and applied does not come twice.
    pub(super) fn replace(&mut self, why: &str) -> Result<(), Error> {
        tracing::warn!("consume.kafka {why}; another client takes its place");
        let fresh = subscribed(&self.kafka, &self.positions, self.assignment().hand_over())?;
        fresh.context().note("a new client looks for the brokers");
        self.held = None;
        let lost = std::mem::replace(&mut self.consumer, fresh);
        // Its end may wait for threads of its own; nobody here waits for it.
        std::thread::spawn(move || drop(lost));
        Ok(())
    }

    pub(super) async fn next(&mut self, max: usize) -> Result<Batch, Error> {
        if let Some(error) = self.held.take() {
            return Err(error);
        }
        let mut held = None;
        let mut records = Vec::new();
        while records.is_empty() {
            let event = tokio::select! {
                biased;
                replaced = self.assignment().replaced() => Event::Replaced(replaced),
                received = self.consumer.recv() => Event::Received(self.sort(received)?),
                () = self.assignment().forsaken() => Event::Forsaken,
                () = sleep_until(self.look_at) => Event::Look,
            };
            match event {
                Event::Received(taken) => records.extend(taken),
                Event::Replaced(partitions) => self.begin_anew(&partitions),
                Event::Forsaken => self.replace("the client lost every broker for good")?,
                Event::Look => self.look()?,
            }
        }
        // Nothing is waited for from here on, so a dropped future has taken nothing with it.
        while records.len() < max {
            let received = tokio::select! {
                biased;
                received = self.consumer.recv() => received,
                () = std::future::ready(()) => break,
            };
            match self.sort(received) {
                Ok(taken) => records.extend(taken),
                // What was taken goes first.
                Err(error) => {
                    held = Some(error);
                    break;
                }
            }
        }
        self.held = held;
        Ok(Batch { records, caught_up: self.caught_up() })
    }

    /// Replaces a client that has joined its group and may go without what it should read. One that
    /// knew topics which were gone does not read, or does not even join for, those that are there in
    /// their place. Where there are more observers than partitions this comes to nothing, ever more seldom.
    fn look(&mut self) -> Result<(), Error> {
        self.look_after = match self.assignment().lacks() {
            true => {
                self.replace("the client may not read all that it should")?;
                (self.look_after * 2).min(LOOK_MAX)
            }
            false => LOOK_FIRST,
        };
        self.look_at = Instant::now() + self.look_after;
        Ok(())
    }

    /// A record, or nothing if what came passes by itself, or what a person has to see.
    fn sort(&self, received: Result<BorrowedMessage<'_>, KafkaError>) -> Result<Option<Taken>, Error> {
        let error = match received {
            Ok(message) => return Ok(self.take(&message)),
            // Which topic's partition ended it does not say; the statistics do.
            Err(KafkaError::PartitionEOF(_)) => return Ok(None),
            Err(error) => error,
        };
        let text = scrub(&error.to_string(), &self.secrets);
        match (&error, error.rdkafka_error_code()) {
            // librdkafka will not go on with this client.
            (KafkaError::MessageConsumptionFatal(_), _) | (_, Some(Code::Fatal)) => {
                Err(Error::Unusable(format!("{text}; restart Sounder, and report it if it comes again")))
            }
            // Rights and credentials do not come back by themselves.
            (
                _,
                Some(
                    Code::TopicAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::ClusterAuthorizationFailed
                    | Code::Authentication
                    | Code::SaslAuthenticationFailed
                    | Code::InvalidGroupId
                    | Code::InconsistentGroupProtocol,
                ),
            ) => Err(Error::Unusable(format!(
                "{text}; grant Sounder its topics and group, and check `stream.kafka.properties`"
            ))),
            (_, Some(Code::UnknownTopicOrPartition | Code::UnknownTopic)) => {
                self.assignment().note_missing(&text);
                Ok(None)
            }
            // Brokers, leaders, coordinators, topics that are being made: librdkafka tries again, at
            // most `reconnect.backoff.max.ms` apart.
            _ => {
                self.assignment().note(&text);
                Ok(None)
            }
        }
    }

    /// A record of ours, or a hole where somebody else wrote into our topic.
    fn take(&self, message: &BorrowedMessage<'_>) -> Option<Taken> {
        let partition = self.assignment().partition(message.topic(), message.partition())?;
        let offset = u64::try_from(message.offset()).ok()?;
        // rdkafka panics on a header whose name is no UTF-8; such a message must not end the observer
        // whenever it is read again.
        let record = std::panic::catch_unwind(AssertUnwindSafe(|| decode(partition.topic, message)));
        let record = record.unwrap_or_default();
        let is_next = self.assignment().taken(partition, offset, record.as_ref());
        is_next.then_some(Taken { partition, offset, record })
    }

    /// Reads partitions from their beginning whose records are not those that were applied: Kafka lost
    /// them, and has others now.
    fn begin_anew(&self, partitions: &[Partition]) {
        for partition in partitions {
            let Some(topic) = self.prefixed.get(&partition.topic) else { continue };
            tracing::error!(
                topic,
                partition.index,
                "consume.kafka has other records than those that were applied; it is read from its beginning"
            );
            if let Err(error) = self.consumer.seek(topic, partition.index, Offset::Beginning, Duration::ZERO)
            {
                // It was taken away meanwhile: whoever gets it looks for himself.
                tracing::warn!(%error, "consume.kafka cannot go back");
            }
        }
    }

    pub(super) fn commit(&self, positions: &BTreeMap<Partition, u64>) -> Result<(), Error> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in positions {
            let (Some(topic), Ok(offset)) = (self.prefixed.get(&partition.topic), i64::try_from(*offset))
            else {
                continue;
            };
            if self.assignment().has(*partition) {
                list.add_partition_offset(topic, partition.index, Offset::Offset(offset))
                    .map_err(|error| Error::Unusable(error.to_string()))?;
            }
        }
        // The answer comes to the callback. Not being able to ask passes by itself, and the store's
        // position is the one that counts.
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "consume.commit not sent");
        }
        Ok(())
    }

    pub(super) fn learn(&self, marks: BTreeMap<Partition, Mark>) {
        self.assignment().learn(marks);
    }

    pub(super) fn marks(&self) -> BTreeMap<Partition, Mark> {
        self.assignment().marks()
    }

    pub(super) fn ends(&self) -> BTreeMap<Partition, u64> {
        self.assignment().ends()
    }

    pub(super) fn clocks(&self, now: Timestamp) -> BTreeMap<Partition, Option<Timestamp>> {
        self.assignment().clocks(now)
    }

    pub(super) async fn partitions(&self) -> Result<BTreeSet<Partition>, Error> {
        let prefixed = self.prefixed.clone();
        let found = broker::ask(&self.kafka, move |client| {
            let mut partitions = BTreeSet::new();
            for (topic, name) in &prefixed {
                let metadata = client.fetch_metadata(Some(name), broker::ANSWER_TIMEOUT)?;
                let indices = metadata.topics().iter().flat_map(|topic| topic.partitions());
                partitions.extend(indices.map(|found| Partition { topic: *topic, index: found.id() }));
            }
            Ok(partitions)
        });
        found.await
    }

    pub(super) fn caught_up(&self) -> bool {
        self.assignment().caught_up()
    }

    pub(super) fn ready(&self) -> Result<(), String> {
        self.assignment().ready()
    }

    pub(super) async fn close(self) {
        // Leaving the group waits for the coordinator.
        if let Err(error) = tokio::task::spawn_blocking(move || drop(self)).await {
            tracing::error!(%error, "consume.close failed");
        }
    }

    fn assignment(&self) -> &Assignment {
        self.consumer.context()
    }
}

impl fmt::Debug for KafkaConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConsumer").field("assignment", self.assignment()).finish_non_exhaustive()
    }
}

/// A client that is about to join the group.
fn subscribed(
    kafka: &Kafka,
    positions: &Positions,
    trace: Trace,
) -> Result<StreamConsumer<Assignment>, Error> {
    let hidden = secrets(kafka);
    let unusable = |error: KafkaError| Error::Unusable(refused_settings(&error, &hidden).to_string());
    let mut client = client_config(kafka, &DEFAULTS).map_err(|error| Error::Unusable(error.to_string()))?;
    client.set("group.id", &kafka.group);
    let context = Assignment::new(kafka.topic_prefix.clone(), Positions::clone(positions), hidden.clone())
        .knowing(trace);
    let consumer: StreamConsumer<_> =
        StreamConsumer::from_config_and_context(&client, context).map_err(unusable)?;
    let names = TOPICS.map(|topic| topic_name(kafka, topic));
    consumer.subscribe(&names.each_ref().map(String::as_str)).map_err(unusable)?;
    Ok(consumer)
}

/// A record of ours; an empty value where there is none.
pub(super) fn decode(topic: Topic, message: &impl Message) -> Option<Record> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let headers = message.headers()?;
    let header = |name: &str| headers.iter().find(|h| h.key == name).and_then(|h| text(h.value?));
    Some(Record {
        topic,
        key: text(message.key()?)?,
        id: header("ce_id")?,
        source: header("ce_source")?,
        time: header("ce_time")?.parse().ok()?,
        traceparent: header("traceparent"),
        value: bytes::Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage, Timestamp as Time};

    use super::*;

    fn message(headers: &[(&str, &str)]) -> OwnedMessage {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let (payload, key) = (Some(b"{}".to_vec()), Some(b"k".to_vec()));
        OwnedMessage::new(payload, key, "t".into(), Time::NotAvailable, 0, 0, Some(headers))
    }

    #[test]
    fn a_message_without_our_attributes_is_no_record() {
        let whole =
            [("ce_id", "i"), ("ce_source", "/connections/a"), ("ce_time", "2025-11-24T16:00:00.412Z")];
        let record = decode(Topic::Receipts, &message(&whole)).unwrap();
        assert_eq!(record.time, Timestamp::from_millis(1_764_000_000_412));
        assert_eq!((record.key.as_str(), record.traceparent), ("k", None));
        for missing in 0..whole.len() {
            let mut some = whole.to_vec();
            some.remove(missing);
            assert_eq!(decode(Topic::Receipts, &message(&some)), None);
        }
    }
}
