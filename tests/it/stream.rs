//! One contract, two streams: what is published is read back once, in order per key, and again
//! from wherever the store says. And what only the embedded log promises about its files.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sounder::clock::Timestamp;
use sounder::config::Kafka;
use sounder::consume::{Consumer, Partition, Positions, Taken};
use sounder::event::{Record, Topic};
use sounder::publish::{Log, Publisher};

use crate::harness;

const DAY: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(60);
const CONSUMED: [Topic; 4] = [Topic::Receipts, Topic::Sends, Topic::Consent, Topic::Feedback];

/// A stream under test, which can be opened again and again.
enum Stream {
    Embedded(tempfile::TempDir),
    Kafka(Kafka),
}

/// A stream that is open: a way in, and what it takes to make a way out.
struct Open {
    publisher: Publisher,
    log: Option<Log>,
}

impl Stream {
    fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().unwrap())
    }

    fn kafka() -> Self {
        Self::Kafka(Kafka {
            brokers: harness::brokers(),
            topic_prefix: format!("{}.", harness::unique("stream")),
            group: harness::unique("group"),
            partitions: 3,
            ..Kafka::default()
        })
    }

    async fn open(&self) -> Open {
        match self {
            Self::Embedded(dir) => {
                let log = Log::open(dir.path(), DAY, u64::MAX).unwrap();
                Open { publisher: Publisher::embedded(log.clone()), log: Some(log) }
            }
            Self::Kafka(kafka) => Open { publisher: Publisher::kafka(kafka, DAY).await.unwrap(), log: None },
        }
    }

    fn consumer(&self, open: &Open, positions: &BTreeMap<Partition, u64>) -> Consumer {
        match (self, &open.log) {
            (Self::Kafka(kafka), _) => Consumer::kafka(kafka, known(positions)).unwrap(),
            (Self::Embedded(_), log) => {
                let position = positions.get(&Partition::EMBEDDED).copied().unwrap_or(0);
                Consumer::embedded(log.clone().unwrap(), position)
            }
        }
    }
}

fn known(positions: &BTreeMap<Partition, u64>) -> Positions {
    Positions::new(std::sync::Mutex::new(positions.clone()))
}

fn record(n: usize) -> Record {
    Record {
        topic: CONSUMED[n % CONSUMED.len()],
        key: format!("key-{}", n % 20),
        id: format!("{n:06}"),
        source: "/connections/acme".into(),
        time: Timestamp::from_seconds(1_764_000_000 + i64::try_from(n).unwrap()),
        traceparent: n.is_multiple_of(2).then(|| format!("00-{n:032x}-{n:016x}-01")),
        value: Bytes::from(format!("{{\"n\":{n}}}")),
    }
}

fn records(range: std::ops::Range<usize>) -> Vec<Record> {
    range.map(record).collect()
}

/// Takes until `count` records are there; one more is not looked for.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<Taken> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch =
            tokio::time::timeout(PATIENCE, consumer.next(17)).await.expect("no more records").unwrap();
        assert!((1..=17).contains(&batch.records.len()));
        taken.extend(batch.records);
    }
    taken
}

fn positions(taken: &[Taken]) -> BTreeMap<Partition, u64> {
    taken.iter().map(|taken| (taken.partition, taken.offset + 1)).collect()
}

/// The records themselves, which must be records, by id.
fn by_id(taken: &[Taken]) -> Vec<Record> {
    let mut records: Vec<_> = taken.iter().map(|taken| taken.record.clone().unwrap()).collect();
    records.sort_by(|a, b| a.id.cmp(&b.id));
    records
}

async fn eventually(what: impl Fn() -> bool) {
    let check = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, check).await.expect("it did not come about");
}

async fn the_contract(stream: Stream) {
    everything_is_read_back_once_and_in_order(&stream).await;
    a_restart_goes_on_from_the_stores_positions(&stream).await;
    an_empty_store_replays_everything(&stream).await;
}

async fn everything_is_read_back_once_and_in_order(stream: &Stream) {
    let open = stream.open().await;
    open.publisher.ready().unwrap();
    let mut consumer = stream.consumer(&open, &BTreeMap::new());
    for chunk in 0..10 {
        let durable = open.publisher.publish(records(chunk * 10..chunk * 10 + 10)).await.unwrap();
        assert_eq!(durable.records, 10);
    }
    let taken = take(&mut consumer, 100).await;
    assert_eq!(by_id(&taken), records(0..100));
    let mut last: BTreeMap<(Topic, String), String> = BTreeMap::new();
    for record in taken.iter().filter_map(|taken| taken.record.as_ref()) {
        let before = last.insert((record.topic, record.key.clone()), record.id.clone());
        assert!(before.is_none_or(|before| before < record.id), "{} came late", record.id);
    }
    consumer.commit(&positions(&taken)).await.unwrap();
    let now = Timestamp::from_seconds(2_000_000_000);
    settle(&mut consumer, now).await;
    let ends = consumer.ends();
    assert!(positions(&taken).iter().all(|(partition, next)| ends.get(partition) == Some(next)), "{ends:?}");
    consumer.ready().unwrap();
    consumer.close().await;
    open.publisher.close(PATIENCE).await;
}

/// Goes on taking until the consumer knows that there is nothing more.
async fn settle(consumer: &mut Consumer, now: Timestamp) {
    let wait = async {
        while !(consumer.caught_up() && consumer.clocks(now).values().all(|clock| *clock == Some(now))) {
            // Nothing comes, but asking is what serves the callbacks.
            let more = tokio::time::timeout(Duration::from_millis(50), consumer.next(17)).await;
            assert!(more.is_err(), "a record came twice");
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the end was never heard of");
}

async fn a_restart_goes_on_from_the_stores_positions(stream: &Stream) {
    let open = stream.open().await;
    let mut consumer = stream.consumer(&open, &BTreeMap::new());
    let first = take(&mut consumer, 100).await;
    consumer.close().await;

    // Half of each partition was applied before the end came; the rest was only taken.
    let mut applied = BTreeMap::new();
    let middle: BTreeMap<_, _> = positions(&first).into_iter().map(|(p, next)| (p, next / 2)).collect();
    applied.extend(middle.iter().map(|(partition, next)| (*partition, *next)));
    let rest: Vec<_> = first.into_iter().filter(|taken| taken.offset >= middle[&taken.partition]).collect();
    let mut consumer = stream.consumer(&open, &applied);
    let again = take(&mut consumer, rest.len()).await;
    assert_eq!(by_id(&again), by_id(&rest));
    consumer.close().await;
}

async fn an_empty_store_replays_everything(stream: &Stream) {
    let open = stream.open().await;
    let mut consumer = stream.consumer(&open, &BTreeMap::new());
    let taken = take(&mut consumer, 100).await;
    consumer.commit(&positions(&taken)).await.unwrap();
    consumer.close().await;
    let mut consumer = stream.consumer(&open, &BTreeMap::new());
    assert_eq!(by_id(&take(&mut consumer, 100).await), records(0..100));
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_stream_keeps_the_contract() {
    the_contract(Stream::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_keeps_the_contract() {
    the_contract(Stream::kafka()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_kafka_an_event_carries_its_attributes_in_headers() {
    let Stream::Kafka(kafka) = Stream::kafka() else { unreachable!() };
    let publisher = Publisher::kafka(&kafka, DAY).await.unwrap();
    let _durable = publisher.publish(vec![record(0)]).await.unwrap();
    let headers = tokio::task::spawn_blocking(move || plain_headers(&kafka)).await.unwrap();
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", "000000"),
        ("ce_type", "sms.receipt.v1"),
        ("ce_source", "/connections/acme"),
        ("ce_time", "2025-11-24T16:00:00.000Z"),
        ("content-type", "application/json"),
        ("traceparent", "00-00000000000000000000000000000000-0000000000000000-01"),
    ];
    assert_eq!(headers, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

/// The headers of the first receipt, as anybody's consumer sees them.
fn plain_headers(kafka: &Kafka) -> Vec<(String, String)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &kafka.brokers).set("group.id", "plain");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for index in 0..kafka.partitions {
        let topic = format!("{}receipts.v1", kafka.topic_prefix);
        list.add_partition_offset(&topic, index, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let message = consumer.poll(PATIENCE).expect("no record").unwrap();
    assert_eq!((message.key(), message.payload()), (Some(&b"key-0"[..]), Some(&b"{\"n\":0}"[..])));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    message.headers().unwrap().iter().map(|h| (h.key.to_owned(), text(h.value.unwrap()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_no_record_is_a_hole_and_no_end() {
    let Stream::Kafka(kafka) = Stream::kafka() else { unreachable!() };
    let publisher = Publisher::kafka(&kafka, DAY).await.unwrap();
    let foreign: rdkafka::producer::FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &kafka.brokers).create().unwrap();
    let topic = format!("{}receipts.v1", kafka.topic_prefix);
    let message = rdkafka::producer::FutureRecord::to(&topic).key("k").payload("not ours");
    foreign.send(message, PATIENCE).await.unwrap();
    let _durable = publisher.publish(vec![record(0)]).await.unwrap();
    let mut consumer = Consumer::kafka(&kafka, Positions::default()).unwrap();
    let taken = take(&mut consumer, 2).await;
    assert_eq!(taken.iter().filter(|taken| taken.record.is_none()).count(), 1);
    consumer.close().await;
}

// What only the embedded log promises.

async fn filled(dir: &Path, count: usize) -> Log {
    let log = Log::open(dir, DAY, u64::MAX).unwrap();
    for n in 0..count {
        log.append(&[record(n)]).await.unwrap();
    }
    log
}

fn only_segment(dir: &Path) -> std::path::PathBuf {
    dir.join(format!("{:020}.log", 0))
}

#[tokio::test]
async fn a_second_process_is_refused_and_a_reopened_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 5).await;
    let error = Log::open(dir.path(), DAY, u64::MAX).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    drop(log);
    let log = filled(dir.path(), 5).await;
    let read: Vec<_> = log.read(0, 100).unwrap().into_iter().map(|(n, r)| (n, r.unwrap().id)).collect();
    let expected: Vec<_> = (0..10).map(|n| (n, format!("{:06}", n % 5))).collect();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_wherever_it_tore() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), DAY, u64::MAX).unwrap();
    let mut ends = Vec::new();
    for n in 0..3 {
        log.append(&[record(n)]).await.unwrap();
        ends.push(fs::metadata(only_segment(dir.path())).unwrap().len());
    }
    drop(log);
    let whole = fs::read(only_segment(dir.path())).unwrap();
    for cut in 0..=whole.len() {
        fs::write(only_segment(dir.path()), &whole[..cut]).unwrap();
        let log = Log::open(dir.path(), DAY, u64::MAX).unwrap();
        let kept = ends.iter().filter(|end| **end <= cut as u64).count();
        assert_eq!(log.end(), kept as u64, "cut at {cut}");
        log.append(&[record(9)]).await.unwrap();
        let read: Vec<_> = log.read(0, 9).unwrap().into_iter().map(|(_, r)| r.unwrap()).collect();
        let expected: Vec<_> = (0..kept).map(record).chain([record(9)]).collect();
        assert_eq!(read, expected, "cut at {cut}");
        drop(log);
        for entry in fs::read_dir(dir.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flipped_bit_costs_the_record_it_hit_and_nothing_else(place in 0.0..1.0_f64, bit in 0..8_u32) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            drop(filled(dir.path(), 8).await);
            let mut bytes = fs::read(only_segment(dir.path())).unwrap();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the file")]
            let at = (place * bytes.len() as f64) as usize;
            bytes[at] ^= 1 << bit;
            fs::write(only_segment(dir.path()), bytes).unwrap();
            let log = Log::open(dir.path(), DAY, u64::MAX).unwrap();
            let end = log.end();
            log.append(&[record(100)]).await.unwrap();
            let read = log.read(0, 100).unwrap();
            let offsets: Vec<_> = read.iter().map(|(offset, _)| *offset).collect();
            assert_eq!(offsets, (0..=end).collect::<Vec<_>>(), "every offset is accounted for");
            assert_eq!(read.last().unwrap().1, Some(record(100)));
            let mut kept = 0;
            for (offset, found) in &read[..read.len() - 1] {
                if let Some(found) = found {
                    assert_eq!(*found, record(usize::try_from(*offset).unwrap()), "nothing is invented");
                    kept += 1;
                }
            }
            assert!(kept >= 7, "only {kept} of 8 are left");
        });
    }
}

#[tokio::test]
async fn only_consumed_segments_are_ever_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), DAY, 100 << 20).unwrap();
    let big = |n| Record { value: Bytes::from(vec![b'x'; 8 << 20]), ..record(n) };
    for n in 0..20 {
        log.append(&[big(n)]).await.unwrap();
    }
    assert_eq!(log.start(), 0, "nobody has consumed anything");
    log.release(9);
    log.append(&[big(20)]).await.unwrap();
    log.append(&[big(21)]).await.unwrap();
    let start = log.start();
    assert!((1..=9).contains(&start), "{start}");
    assert_eq!(log.read(0, 1).unwrap()[0].0, start);
    drop(log);
    let log = Log::open(dir.path(), DAY, 100 << 20).unwrap();
    assert_eq!((log.start(), log.end()), (start, 22));
}

#[tokio::test]
async fn another_format_version_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 1).await);
    let mut bytes = fs::read(only_segment(dir.path())).unwrap();
    bytes[11] = 9;
    let sum = crc32c::crc32c(&bytes[..28]).to_be_bytes();
    bytes[28..32].copy_from_slice(&sum);
    fs::write(only_segment(dir.path()), bytes).unwrap();
    let error = Log::open(dir.path(), DAY, u64::MAX).unwrap_err().to_string();
    assert!(error.contains("format version 9"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_shorter_than_the_stores_position_is_read_on_from_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 3).await;
    let mut consumer = Consumer::embedded(log.clone(), 10);
    log.append(&[record(3)]).await.unwrap();
    assert_eq!(by_id(&take(&mut consumer, 1).await), [record(3)]);
    eventually(|| consumer.caught_up()).await;
}
