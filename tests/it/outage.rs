//! Brokers that stop, die and come back, on a broker of the test's own; and observers that share.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use sounder::clock::Timestamp;
use sounder::config::Kafka;
use sounder::consume::{Consumer, Partition, Positions};
use sounder::event::{Record, Topic};
use sounder::publish::Publisher;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::harness::{self, Broker};

const DAY: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(60);
/// By when observers must go on once their broker answers: far more than they need, on a machine
/// that has other work too. A client that never recovers is what this test looks for.
const RECOVERY_MAX: Duration = Duration::from_secs(90);
/// How soon an event that is not acknowledged must be refused; providers wait for 10 s and more.
const REFUSAL_MAX: Duration = Duration::from_secs(8);
/// A broker stopped for longer than its lease answers first that the cluster has no brokers, from
/// which some clients never recover by themselves.
const PAUSE: Duration = Duration::from_secs(17);
const TURN: Duration = Duration::from_millis(20);

/// Takes as the pipeline does: short turns, and the position moves with each batch.
struct Observer {
    consumer: Consumer,
    positions: Positions,
    ids: BTreeSet<String>,
    places: Vec<(Partition, u64)>,
}

impl Observer {
    fn join(kafka: &Kafka, positions: &Positions) -> Self {
        let consumer = Consumer::kafka(kafka, Positions::clone(positions)).unwrap();
        Self { consumer, positions: Positions::clone(positions), ids: BTreeSet::new(), places: Vec::new() }
    }

    async fn turn(&mut self) {
        let Ok(batch) = timeout(TURN, self.consumer.next(17)).await else { return };
        let mut applied = BTreeMap::new();
        for taken in batch.unwrap().records {
            self.places.push((taken.partition, taken.offset));
            self.ids.insert(taken.record.expect("only ours are there").id);
            applied.insert(taken.partition, taken.offset + 1);
        }
        self.consumer.commit(&applied).await.unwrap();
        self.positions.lock().unwrap().extend(applied);
    }
}

async fn turns_until(observers: &mut [Observer], patience: Duration, what: impl Fn(&[Observer]) -> bool) {
    let begun = Instant::now();
    while !what(observers) {
        for observer in &mut *observers {
            observer.turn().await;
        }
        let state = |o: &Observer| (o.ids.len(), o.consumer.ends().len(), o.consumer.ready());
        let state = || observers.iter().map(state).collect::<Vec<_>>();
        assert!(begun.elapsed() < patience, "it did not come about: {:?}", state());
    }
}

fn kafka(brokers: &str) -> Kafka {
    Kafka {
        brokers: brokers.to_owned(),
        topic_prefix: format!("{}.", harness::unique("outage")),
        group: harness::unique("group"),
        partitions: 3,
        ..Kafka::default()
    }
}

fn record(n: usize) -> Record {
    let topics = [Topic::Receipts, Topic::Sends, Topic::Consent, Topic::Feedback];
    Record {
        topic: topics[n % topics.len()],
        key: format!("key-{n}"),
        id: id(n),
        source: "/connections/acme".into(),
        time: Timestamp::from_seconds(1_764_000_000),
        traceparent: None,
        value: Bytes::from_static(b"{}"),
    }
}

fn id(n: usize) -> String {
    format!("{n:06}")
}

fn ids(range: std::ops::Range<usize>) -> BTreeSet<String> {
    range.map(id).collect()
}

async fn publisher(kafka: &Kafka) -> Publisher {
    Publisher::kafka(kafka, DAY).await.unwrap()
}

/// Publishes a part with each publisher, again and again until it is acknowledged.
async fn publish(publishers: &[Publisher], range: std::ops::Range<usize>) {
    let done = async {
        for (nth, publisher) in publishers.iter().enumerate() {
            let part = || range.clone().skip(nth).step_by(publishers.len()).map(record).collect();
            while publisher.publish(part()).await.is_err() {}
        }
    };
    timeout(RECOVERY_MAX, done).await.expect("a publisher does not go on");
}

/// Every publisher refuses in time and says that it is not ready, and goes on so for a while.
async fn all_refuse(publishers: &[Publisher], at_least: Duration) {
    let begun = Instant::now();
    let mut refusing = JoinSet::new();
    for publisher in publishers {
        let publisher = publisher.clone();
        refusing.spawn(async move {
            loop {
                let published = timeout(REFUSAL_MAX, publisher.publish(vec![record(0)])).await;
                let refused = published.expect("no answer in time").is_err() && publisher.ready().is_err();
                if refused && begun.elapsed() > at_least {
                    return;
                }
            }
        });
    }
    timeout(PATIENCE, refusing.join_all()).await.expect("a publisher does not refuse");
}

fn all_have(expected: &BTreeSet<String>) -> impl Fn(&[Observer]) -> bool {
    move |observers| observers.iter().all(|observer| observer.ids.is_superset(expected))
}

fn nothing_is_invented(observers: &[Observer], sent: &BTreeSet<String>) {
    for observer in observers {
        assert_eq!(&observer.ids, sent);
        let places: BTreeSet<_> = observer.places.iter().collect();
        assert_eq!(places.len(), observer.places.len(), "a record was taken twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_and_observers_go_on_after_their_broker_was_stopped_or_died() {
    let Some(mut broker) = Broker::start() else { return };
    let base = kafka(&broker.address);
    broker.answers().await;
    // Some clients lose all brokers over a stopped one and some do not, so there are several.
    let mut publishers = Vec::new();
    for _ in 0..8 {
        publishers.push(publisher(&base).await);
    }
    publish(&publishers, 0..40).await;
    let mut observers: Vec<_> = (0..6)
        .map(|n| Kafka { group: format!("{}-{n}", base.group), ..base.clone() })
        .map(|kafka| Observer::join(&kafka, &Positions::default()))
        .collect();
    turns_until(&mut observers, PATIENCE, all_have(&ids(0..40))).await;

    let waiting = |all: &[Observer]| all.iter().all(|observer| observer.consumer.ready().is_err());
    broker.signal("-STOP");
    tokio::join!(turns_until(&mut observers, PATIENCE, waiting), all_refuse(&publishers, PAUSE));
    broker.signal("-CONT");
    publish(&publishers, 40..80).await;
    turns_until(&mut observers, RECOVERY_MAX, all_have(&ids(0..80))).await;

    broker.kill();
    tokio::join!(turns_until(&mut observers, PATIENCE, waiting), all_refuse(&publishers, Duration::ZERO));
    broker.restart();
    broker.answers().await;
    publish(&publishers, 80..120).await;
    turns_until(&mut observers, RECOVERY_MAX, all_have(&ids(0..120))).await;

    let ready = |all: &[Observer]| {
        publishers.iter().all(|publisher| publisher.ready().is_ok())
            && all.iter().all(|observer| observer.consumer.ready().is_ok())
    };
    turns_until(&mut observers, PATIENCE, ready).await;
    nothing_is_invented(&observers, &ids(0..120));
    for observer in observers {
        observer.consumer.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observers_hand_partitions_over_without_losing_a_record() {
    let kafka = kafka(&harness::brokers());
    let publishers = [publisher(&kafka).await];
    // Both know the one store, whose positions the second one must go on from.
    let store = Positions::default();
    publish(&publishers, 0..100).await;
    let mut observers = vec![Observer::join(&kafka, &store)];
    turns_until(&mut observers, PATIENCE, all_have(&ids(0..100))).await;
    let applied = store.lock().unwrap().clone();

    observers.push(Observer::join(&kafka, &store));
    let shared = |all: &[Observer]| all.iter().all(|observer| !observer.consumer.ends().is_empty());
    turns_until(&mut observers, PATIENCE, shared).await;
    publish(&publishers, 100..200).await;
    let all = ids(0..200);
    let together = |observers: &[Observer]| {
        observers.iter().flat_map(|observer| observer.ids.iter().cloned()).collect::<BTreeSet<_>>()
    };
    turns_until(&mut observers, PATIENCE, |observers| together(observers) == all).await;
    let second = &observers[1];
    assert!(!second.places.is_empty(), "the second one took nothing");
    for (partition, offset) in &second.places {
        assert!(*offset >= applied.get(partition).copied().unwrap_or(0), "{partition:?} began anew");
    }

    observers.remove(0).consumer.close().await;
    publish(&publishers, 200..260).await;
    turns_until(&mut observers, PATIENCE, all_have(&ids(200..260))).await;
    observers.remove(0).consumer.close().await;
}
