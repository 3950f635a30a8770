//! `[stream]` and `[stream.kafka]`: what holds the events, and for how long.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use super::mistake::Wrong;
use super::section::{Field, Section};
use super::value::{byte_size, choice, duration, property, text, whole};

/// The stream: `[stream]`.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Which stream.
    pub kind: StreamKind,
    /// Directory of the embedded stream, the embedded state and the spool.
    pub dir: PathBuf,
    /// How long the embedded stream, and topics Sounder creates, keep events.
    pub retention: Duration,
    /// How much the embedded stream keeps, in bytes.
    pub retention_bytes: u64,
}

/// Which stream: `stream.kind`.
#[derive(Clone, Debug)]
pub enum StreamKind {
    /// Segment files in `dir`.
    Embedded,
    /// Kafka.
    Kafka(Kafka),
}

/// Kafka: `[stream.kafka]`.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Bootstrap servers, comma-separated.
    pub brokers: String,
    /// What stands before every topic's name.
    pub topic_prefix: String,
    /// The observers' consumer group.
    pub group: String,
    /// Partitions of topics Sounder creates.
    pub partitions: i32,
    /// Copies of topics Sounder creates.
    pub replication_factor: i32,
    /// Copies that must have an event before it is acknowledged.
    pub min_insync_replicas: i32,
    /// What a webhook's 2xx waits for.
    pub ack: Ack,
    /// Events that are not acknowledged by then go into the spool.
    pub spool_after: Duration,
    /// How much the spool holds, in bytes: `stream.spool_bytes_max`.
    pub spool_bytes_max: u64,
    /// Passed through to librdkafka; values may be secrets and are never shown.
    pub properties: BTreeMap<String, Secret>,
}

/// What a webhook's 2xx waits for: `stream.kafka.ack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Kafka's acknowledgement, or the spool's when Kafka is slow.
    Kafka,
    /// The spool's, always.
    Disk,
}

/// How long librdkafka tries, in milliseconds, unless `properties` say otherwise.
const MESSAGE_TIMEOUT_MS: u64 = 3000;

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
            topic_prefix: "sms.".to_owned(),
            group: "sounder".to_owned(),
            partitions: 12,
            replication_factor: 1,
            min_insync_replicas: 1,
            ack: Ack::Kafka,
            spool_after: Duration::from_millis(500),
            spool_bytes_max: 10 << 30,
            properties: BTreeMap::new(),
        }
    }
}

/// Client properties that promises depend on; Sounder sets them.
const RESERVED: [&str; 8] = [
    "acks",
    "request.required.acks",
    "bootstrap.servers",
    "metadata.broker.list",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
];

pub(super) fn read(mut section: Section<'_>, answer_deadline: Duration) -> Stream {
    let is_kafka = section.or("kind", choice(&[("embedded", false), ("kafka", true)]), false);
    let dir = PathBuf::from(section.or("dir", text, "data".to_owned()));
    if dir.as_os_str().is_empty() {
        section.wrong("dir", "is empty", "name a directory, as in \"data\"");
    }
    let spool_bytes_max = section.or("spool_bytes_max", byte_size, Kafka::default().spool_bytes_max);
    // Read also when it is not used, so that its mistakes show before somebody switches.
    let kafka = Kafka { spool_bytes_max, ..read_kafka(section.section("kafka"), answer_deadline) };
    Stream {
        kind: if is_kafka { StreamKind::Kafka(kafka) } else { StreamKind::Embedded },
        dir,
        retention: section.or("retention", duration, Duration::from_secs(35 * 86_400)),
        retention_bytes: section.or("retention_bytes", byte_size, 50 << 30),
    }
}

fn read_kafka(mut section: Section<'_>, answer_deadline: Duration) -> Kafka {
    let default = Kafka::default();
    let ack = section.or("ack", choice(&[("kafka", Ack::Kafka), ("disk", Ack::Disk)]), default.ack);
    let spool_after = section.or("spool_after", duration, default.spool_after);
    let properties = section.entries_of("properties", client_property).into_iter().collect();
    if let Some((what, remedy)) = deadlines(spool_after, &properties, answer_deadline) {
        section.wrong("spool_after", &what, &remedy);
    }
    let copies = section.or("replication_factor", whole(1..=32), default.replication_factor);
    let in_sync = section.or("min_insync_replicas", whole(1..=32), default.min_insync_replicas);
    if in_sync > copies {
        section.wrong(
            "min_insync_replicas",
            "is more than replication_factor, so nothing could ever be acknowledged",
            "lower it, or raise replication_factor",
        );
    }
    Kafka {
        brokers: section.or("brokers", brokers, default.brokers),
        topic_prefix: section.or("topic_prefix", topic_prefix, default.topic_prefix),
        group: section.or("group", group, default.group),
        partitions: section.or("partitions", whole(1..=10_000), default.partitions),
        replication_factor: copies,
        min_insync_replicas: in_sync,
        ack,
        spool_after,
        properties,
        ..default
    }
}

/// What is wrong with the order of the deadlines, and the remedy: an event is spooled while Kafka
/// still tries, and Kafka gives it up before its webhook is answered 503.
fn deadlines(
    spool_after: Duration,
    properties: &BTreeMap<String, Secret>,
    answer_deadline: Duration,
) -> Option<(String, String)> {
    let set = ["message.timeout.ms", "delivery.timeout.ms"].iter().find_map(|name| properties.get(*name));
    // librdkafka itself refuses what is no number.
    let tries = set.and_then(|value| value.expose().parse().ok()).unwrap_or(MESSAGE_TIMEOUT_MS);
    let tries = Duration::from_millis(tries);
    if spool_after >= tries {
        return Some((
            format!("is not shorter than message.timeout.ms ({} ms)", tries.as_millis()),
            "shorten it, so that an event is spooled before Kafka gives it up".to_owned(),
        ));
    }
    (tries >= answer_deadline).then(|| {
        (
            format!(
                "stands beside a message.timeout.ms ({} ms) that is not shorter than receive.answer_deadline ({} ms)",
                tries.as_millis(),
                answer_deadline.as_millis()
            ),
            "lower message.timeout.ms in properties, or raise receive.answer_deadline".to_owned(),
        )
    })
}

fn client_property(name: &str, field: &Field<'_>) -> Result<Secret, Wrong> {
    if RESERVED.contains(&name) {
        return Err(Wrong::new("is set by Sounder, whose promises depend on it", "remove it"));
    }
    property(name, field)
}

fn brokers(field: &Field<'_>) -> Result<String, Wrong> {
    let written = field.text()?;
    if written.split(',').any(|broker| broker.trim().is_empty()) {
        return Err(Wrong::new("names no broker", "write HOST:PORT, more of them separated by commas"));
    }
    Ok(written.to_owned())
}

fn topic_prefix(field: &Field<'_>) -> Result<String, Wrong> {
    let written = field.text()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if written.len() > 200 || !written.bytes().all(fits) {
        return Err(Wrong::new(
            "cannot begin a topic's name",
            "use up to 200 letters, digits, dots, underscores and hyphens",
        ));
    }
    Ok(written.to_owned())
}

fn group(field: &Field<'_>) -> Result<String, Wrong> {
    match field.text()? {
        "" => Err(Wrong::new("is empty", "name the consumer group, as in \"sounder\"")),
        name => Ok(name.to_owned()),
    }
}
