//! The state's contract: one suite, run on the embedded store, on Redis and on Redis in slots, and
//! random histories counted by each of them as by a naive reading of the definition.

#![expect(clippy::unwrap_used, reason = "what tests are told in may fail like a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config as ProptestConfig, TestRunner};
use sounder::clock::Timestamp;
use sounder::config::{self, Config, Secret};
use sounder::consume::{Batch, Partition, Taken};
use sounder::event::{
    Action, Blames, Body, Confidence, ConnectionId, Consent, Event, EventId, Evidence, Failure, FailureClass,
    Feedback, FeedbackKind, ListId, Number, Provider, Receipt, Record, Scope, Send, Severity, State, Topic,
};
use sounder::registry::Registry;
use sounder::tally::{
    Account, Apply, Aside, Bucket, CellKey, Cells, Cohort, CohortSource, Counter, Counters, Entry, Error,
    Heard, Mirror, NOTICES_MAX, Notice, Outcome, Placement, PlacementSource, Put, RollKey, RollKind, Store,
    Subject, Table, Touch, Word,
};

use crate::harness;

const DAY: i64 = 86_400;
/// The first second of a day, from which the tests tell their time.
const START: i64 = 20_000 * DAY;

/// A place for a store, which can be opened again.
enum Place {
    Directory(tempfile::TempDir),
    Redis { url: String, prefix: String, slots: u16 },
}

impl Place {
    fn directory() -> Self {
        Self::Directory(tempfile::tempdir().unwrap())
    }

    fn redis(slots: u16) -> Self {
        Self::redis_at(harness::redis_url(), slots)
    }

    fn redis_at(url: String, slots: u16) -> Self {
        Self::Redis { url, prefix: harness::unique("tally"), slots }
    }

    async fn open(&self) -> Store {
        match self {
            Self::Directory(dir) => Store::embedded(&dir.path().join("state")).unwrap(),
            Self::Redis { url, prefix, slots } => Store::redis(&redis_at(url, prefix), *slots).await.unwrap(),
        }
    }
}

fn redis_at(url: &str, prefix: &str) -> config::Redis {
    config::Redis {
        url: Secret::new(url.into()),
        key_prefix: prefix.into(),
        rewind: Duration::from_secs(600),
    }
}

macro_rules! contract {
    ($($test:ident)+) => {
        #[tokio::test]
        async fn a_cluster_keeps_the_contract_too() {
            let cluster = harness::Cluster::start().await;
            $($test(Place::redis_at(cluster.url(), 16)).await;)+
        }

        mod embedded { $(#[tokio::test] async fn $test() { super::$test(super::Place::directory()).await })+ }
        mod redis { $(#[tokio::test] async fn $test() { super::$test(super::Place::redis(1)).await })+ }
        mod redis_in_slots { $(#[tokio::test] async fn $test() { super::$test(super::Place::redis(5)).await })+ }
    };
}

contract! {
    a_batch_applied_twice_is_counted_once
    a_message_that_may_have_been_forgotten_is_late
    a_touch_keeps_a_message_and_the_clock_forgets_it
    a_redelivery_weeks_later_counts_nothing
    a_dropped_minute_is_never_written_again
    positions_account_and_cells_survive
    documents_change_together
    mirrors_take_nothing_from_each_other
    records_without_news_are_accounted_for
    batches_may_be_large_or_empty
    consent_and_feedback_are_listed_and_receipts_heard
    of_notices_the_newest_are_kept
    the_later_word_is_held_and_told_again
}

async fn a_batch_applied_twice_is_counted_once(place: Place) {
    let store = place.open().await;
    let batch = batch(
        0,
        &[touch(1, State::Sent, 0, 1), touch(2, State::Delivered, 0, 1), touch(1, State::Delivered, 5, 1)],
    );
    assert_eq!(store.apply(&batch).await.unwrap(), Account { applied: 3, ..Account::default() });
    let once = cells(&store).await;
    assert_eq!(store.apply(&batch).await.unwrap(), Account { duplicate: 3, ..Account::default() });
    assert_eq!(cells(&store).await, once);
    assert_eq!(total(&once, 1), counted(Counter::DELIVERED, 2));
}

async fn a_message_that_may_have_been_forgotten_is_late(place: Place) {
    let store = place.open().await;
    store.apply(&batch(DAY, &[touch(1, State::Sent, 0, 1)])).await.unwrap();
    let day5 = 5 * DAY;
    let news = [
        touch(1, State::Delivered, 0, 1),
        touch(2, State::Delivered, DAY - 1, 1),
        touch(3, State::Sent, DAY, 1),
    ];
    let account = store.apply(&batch(day5, &news)).await.unwrap();
    assert_eq!(account, Account { applied: 2, late: 1, ..Account::default() });
    // A provider's own old time makes no difference: nobody can tell whether it was counted.
    let mut old = touch(4, State::Delivered, day5, 1);
    old.heard.cohort = Cohort::new(CohortSource::ProviderSent, at(0));
    assert_eq!(store.apply(&batch(day5, &[old])).await.unwrap().late, 1);
    assert_eq!(total(&cells(&store).await, 1).total(), 2);
}

async fn a_touch_keeps_a_message_and_the_clock_forgets_it(place: Place) {
    let store = place.open().await;
    let told = touch(1, State::Sent, 0, 1);
    for day in [0, 3, 7, 11] {
        let account = store.apply(&batch(day * DAY, std::slice::from_ref(&told))).await.unwrap();
        assert_eq!(account.late, 0, "day {day}");
        store.expire(at(day * DAY)).await.unwrap();
    }
    // The generation of day 11 is over four days after that day's end.
    store.expire(at(16 * DAY - 1)).await.unwrap();
    assert_eq!(store.apply(&batch(0, std::slice::from_ref(&told))).await.unwrap().duplicate, 1);
    store.expire(at(20 * DAY)).await.unwrap();
    assert_eq!(store.apply(&batch(0, &[told])).await.unwrap().late, 1);
    assert_eq!(store.clock().await.unwrap(), at(20 * DAY));
}

async fn a_redelivery_weeks_later_counts_nothing(place: Place) {
    let store = place.open().await;
    let told = batch(0, &[touch(1, State::Delivered, 0, 1), touch(2, State::Sent, 60, 1)]);
    assert_eq!(store.apply(&told).await.unwrap().applied, 2);
    for day in 1..=21 {
        store.apply(&batch(day * DAY, &[touch(100, State::Delivered, day * DAY, 2)])).await.unwrap();
        store.expire(at(day * DAY)).await.unwrap();
    }
    let before = cells(&store).await;
    // A stale offset, a restored topic, a lagging observer: the batch's own clock is of that time, too.
    assert_eq!(store.apply(&told).await.unwrap(), Account { late: 2, ..Account::default() });
    assert_eq!(cells(&store).await, before);
    store.close().await;
    drop(store);
    let store = place.open().await;
    assert_eq!(store.apply(&told).await.unwrap(), Account { late: 2, ..Account::default() });
    assert_eq!(cells(&store).await, before);
}

async fn a_dropped_minute_is_never_written_again(place: Place) {
    let store = place.open().await;
    store.apply(&batch(0, &[touch(1, State::Sent, 0, 1)])).await.unwrap();
    let later = 26 * 3600;
    store.expire(at(later)).await.unwrap();
    let mut send = touch(1, State::Unknown, 0, 2);
    send.heard.placement = Placement::new(PlacementSource::RegisteredSend, cell(2).id());
    store.apply(&batch(later, &[send])).await.unwrap();
    let cells = cells(&store).await;
    assert!(cells.iter().flat_map(|(_, cell)| cell.buckets()).all(|(b, _)| matches!(b, Bucket::Hour(_))));
    assert_eq!((total(&cells, 1), total(&cells, 2)), (Counters::default(), counted(Counter::SENT, 1)));
    if let Place::Redis { prefix, url, .. } = &place
        && *url == harness::redis_url()
    {
        assert_eq!(keys(&format!("{prefix}:*:m:*")).await, Vec::<String>::new());
    }
    store.expire(at(32 * DAY)).await.unwrap();
    assert_eq!(buckets(&self::cells(&store).await, |_| true), BTreeMap::new());
}

async fn positions_account_and_cells_survive(place: Place) {
    let store = place.open().await;
    let kafka = |index| Partition { topic: Topic::Sends, index };
    let mut news = batch(7, &[touch(1, State::Delivered, 7, 1)]);
    news.positions = BTreeMap::from([(kafka(0), 3), (kafka(11), 9)]);
    news.aside = BTreeMap::from([(kafka(11), Aside { dead: 2, not_counted: 5 })]);
    store.apply(&news).await.unwrap();
    let before = cells(&store).await;
    store.close().await;
    drop(store);
    let store = place.open().await;
    assert_eq!(store.positions().await.unwrap(), news.positions);
    let account = store.account().await.unwrap();
    assert_eq!(account[&Partition::EMBEDDED], Account { applied: 1, ..Account::default() });
    assert_eq!(account[&kafka(11)], Account { dead: 2, not_counted: 5, ..Account::default() });
    assert_eq!(cells(&store).await, before);
    assert_eq!(store.clock().await.unwrap(), at(7));
    assert_eq!(store.apply(&news).await.unwrap().duplicate, 1);
}

async fn documents_change_together(place: Place) {
    let store = place.open().await;
    let put = |table, key: &str, value: Option<&'static str>| Put {
        table,
        key: key.into(),
        value: value.map(|text| Bytes::from_static(text.as_bytes())),
    };
    let first = [
        put(Table::Incidents, "a/b", Some("1")),
        put(Table::Outbox, "a", Some("2")),
        put(Table::Outbox, "b", Some("3")),
    ];
    store.save(first.to_vec()).await.unwrap();
    store.save(vec![put(Table::Outbox, "a", None), put(Table::Incidents, "a/b", Some("4"))]).await.unwrap();
    store.save(Vec::new()).await.unwrap();
    store.close().await;
    drop(store);
    let store = place.open().await;
    let table = |pairs: &[(&str, &'static str)]| {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Bytes::from_static(v.as_bytes())))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(store.load(Table::Incidents).await.unwrap(), table(&[("a/b", "4")]));
    assert_eq!(store.load(Table::Outbox).await.unwrap(), table(&[("b", "3")]));
    assert_eq!(store.load(Table::Standings).await.unwrap(), table(&[]));
}

async fn mirrors_take_nothing_from_each_other(place: Place) {
    let store = place.open().await;
    let (a, b) = (Mirror::default(), Mirror::default());
    for n in 0..4 {
        let news: Vec<Touch> =
            (0..20).map(|m| touch(n * 10 + m, State::Delivered, i64::from(n) * 60, n % 3 + 1)).collect();
        store.apply(&batch(i64::from(n) * 60, &news)).await.unwrap();
        store.refresh(&a).await.unwrap();
    }
    let (x, y, z) = tokio::join!(store.refresh(&b), store.refresh(&a), store.refresh(&b));
    x.and(y).and(z).unwrap();
    let fresh = cells(&store).await;
    assert_eq!(fresh.len(), 3);
    for mirror in [&a, &b] {
        mirror.read(|cells| assert_eq!(buckets(cells, |_| true), buckets(&fresh, |_| true)));
    }
    // A mirror outlives the store's handle, and one that followed another store starts anew.
    store.close().await;
    drop(store);
    place.open().await.refresh(&a).await.unwrap();
    a.read(|cells| assert_eq!(cells, &fresh));
    Place::redis(1).open().await.refresh(&a).await.unwrap();
    assert!(a.read(Cells::is_empty));
}

async fn records_without_news_are_accounted_for(place: Place) {
    let store = place.open().await;
    let registry = registry("acme");
    let receipt = record(&Fact { message: 0, received: 5, says: Says::receipt(State::Sent) }, "acme");
    let record = |offset, record: Option<Record>| Taken { partition: Partition::EMBEDDED, offset, record };
    let dead = Record { value: Bytes::from_static(b"{}"), ..receipt.clone() };
    let aside = Record { topic: Topic::Inbound, ..receipt.clone() };
    let records =
        vec![record(7, Some(receipt)), record(8, None), record(9, Some(dead)), record(10, Some(aside))];
    let taken = Batch { records, caught_up: true };
    let account = store.apply(&Apply::of(&taken, at(5), &registry)).await.unwrap();
    assert_eq!(account, Account { applied: 1, dead: 2, not_counted: 1, ..Account::default() });
    assert_eq!(store.account().await.unwrap(), BTreeMap::from([(Partition::EMBEDDED, account)]));
    assert_eq!(store.positions().await.unwrap(), BTreeMap::from([(Partition::EMBEDDED, 11)]));
}

async fn batches_may_be_large_or_empty(place: Place) {
    let store = place.open().await;
    assert_eq!(store.apply(&Apply::default()).await.unwrap(), Account::default());
    let news: Vec<Touch> = (0..6_000).map(|m| touch(m, State::Sent, 0, 1)).collect();
    assert_eq!(store.apply(&batch(0, &news)).await.unwrap().applied, 6_000);
    assert_eq!(store.apply(&batch(0, &news)).await.unwrap().duplicate, 6_000);
    assert_eq!(total(&cells(&store).await, 1), counted(Counter::SENT, 6_000));
    store.ready().await.unwrap();
    assert!(store.lease("a", Duration::from_secs(60)).await.unwrap().is_some());
}

#[tokio::test]
async fn one_holder_at_a_time_has_the_lease() {
    let (place, long) = (Place::redis(1), Duration::from_secs(60));
    let (a, b) = (place.open().await, place.open().await);
    let token = a.lease("a", long).await.unwrap().unwrap();
    assert_eq!(b.lease("b", long).await.unwrap(), None);
    assert_eq!(a.lease("a", Duration::from_millis(1)).await.unwrap(), Some(token));
    let next = loop {
        if let Some(next) = b.lease("b", long).await.unwrap() {
            break next;
        }
    };
    assert!(next > token);
    // Whoever was asleep since does no harm when it wakes.
    let put = |value| Put { table: Table::Outbox, key: "k".into(), value: Some(Bytes::from_static(value)) };
    b.save_as(next, vec![put(b"new")]).await.unwrap();
    let fenced = a.save_as(token, vec![put(b"old")]).await.unwrap_err();
    assert!(matches!(fenced, Error::Fenced), "{fenced}");
    assert_eq!(a.load(Table::Outbox).await.unwrap()["k"], Bytes::from_static(b"new"));
}

#[tokio::test]
async fn a_redis_state_of_another_format_is_refused() {
    let place = Place::redis(1);
    place.open().await;
    let Place::Redis { prefix, url, .. } = &place else { unreachable!() };
    let mut connection =
        ::redis::Client::open(url.clone()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut newer = ::redis::cmd("HSET");
    newer.arg(format!("{prefix}:{{0}}:meta")).arg("format").arg(99);
    newer.exec_async(&mut connection).await.unwrap();
    let told = Store::redis(&redis_at(url, prefix), 1).await.unwrap_err().to_string();
    assert!(told.contains("has format 99, not"), "{told}");
    assert!(told.contains("run the version of Sounder that wrote it, or use another key_prefix"), "{told}");
}

#[tokio::test]
async fn slots_are_fixed_and_lost_functions_come_back() {
    let place = Place::redis(1);
    let store = place.open().await;
    let Place::Redis { prefix, .. } = &place else { unreachable!() };
    let url = harness::redis_url();
    let told = Store::redis(&redis_at(&url, prefix), 2).await.unwrap_err().to_string();
    assert!(told.contains("slots 1, not 2; set state.slots"), "{told}");
    let mut connection =
        ::redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    ::redis::cmd("FUNCTION").arg("DELETE").arg("sounder_v2").exec_async(&mut connection).await.unwrap();
    assert_eq!(store.apply(&batch(0, &[touch(1, State::Sent, 0, 1)])).await.unwrap().applied, 1);
}

#[tokio::test]
async fn a_directory_has_one_owner_and_a_damaged_one_is_moved_aside() {
    let place = Place::directory();
    let store = place.open().await;
    store.apply(&batch(0, &[touch(1, State::Sent, 0, 1)])).await.unwrap();
    let Place::Directory(dir) = &place else { unreachable!() };
    let state = dir.path().join("state");
    let told = Store::embedded(&state).unwrap_err().to_string();
    assert!(told.contains("in use by another process"), "{told}");
    store.close().await;
    assert!(store.positions().await.is_err() && store.ready().await.is_err());
    harness::damage(&state);
    let store = place.open().await;
    assert_eq!(store.apply(&batch(0, &[touch(1, State::Sent, 0, 1)])).await.unwrap().applied, 1);
    assert!(dir.path().join("state.broken-1").is_dir());
}

#[tokio::test]
async fn a_directory_of_another_format_is_refused() {
    let place = Place::directory();
    place.open().await.close().await;
    let Place::Directory(dir) = &place else { unreachable!() };
    let state = dir.path().join("state");
    {
        let db = fjall::Database::builder(&state).open().unwrap();
        let meta = db.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
        meta.insert("format", "99").unwrap();
    }
    let told = Store::embedded(&state).unwrap_err().to_string();
    assert!(told.contains("holds format 99 and this version of Sounder reads format 2"), "{told}");
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_said_so_without_its_password() {
    let nobody = redis_at("redis://:hunter2@127.0.0.1:1", "sounder");
    let error = Store::redis(&nobody, 1).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

async fn keys(pattern: &str) -> Vec<String> {
    let client = ::redis::Client::open(harness::redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    ::redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap()
}

// Random histories.

/// One event as it was told: what a naive reader needs and nothing packed.
#[derive(Clone, Debug)]
struct Fact {
    message: u8,
    received: i64,
    says: Says,
}

#[derive(Clone, Debug)]
enum Says {
    Receipt {
        state: State,
        class: FailureClass,
        occurred: Option<i64>,
        sent: Option<i64>,
        number: Option<u8>,
    },
    Send {
        sent: i64,
        number: u8,
    },
}

impl Says {
    fn receipt(state: State) -> Self {
        Self::Receipt { state, class: FailureClass::Unknown, occurred: None, sent: None, number: Some(0) }
    }
}

/// A history and the two ways in which it is told.
#[derive(Clone, Debug)]
struct History {
    facts: Vec<Fact>,
    tellings: [Telling; 4],
}

/// Which fact comes when (each at least once), where batches end, and the clock of each batch.
#[derive(Clone, Debug)]
struct Telling {
    order: Vec<usize>,
    batches: Vec<(usize, i64)>,
}

const SPAN: i64 = 4 * DAY;
/// What lies between the moments at which providers say that things happened.
const MOMENT: i64 = 80_000;
const NUMBERS: [&str; 4] = ["+18005550001", "+18005550002", "71441", "+18005550099"];
/// The number that the connection is configured with.
const CONFIGURED: u8 = 3;

fn histories() -> impl Strategy<Value = History> {
    let state = prop::sample::select(vec![
        State::Unknown,
        State::Accepted,
        State::Sent,
        State::Delivered,
        State::Canceled,
        State::Blocked,
        State::Failed,
        State::Failed,
    ]);
    // Few moments, so that many are equal.
    let occurred = prop::option::weighted(0.8, (1..4_i64).prop_map(|n| n * MOMENT));
    // Anywhere, or a little before one of those moments.
    let near = (1..4_i64, prop::sample::select(vec![5, 11, 60, 100, 290, 500, 1_000, 3_000, 7_000]));
    let sent = prop_oneof![0..SPAN, near.prop_map(|(n, before)| n * MOMENT - before)];
    let class = prop::sample::select(FailureClass::ALL.to_vec());
    let receipt =
        (state, class, occurred, prop::option::of(sent.clone()), prop::option::of(0..4_u8)).prop_map(
            |(state, class, occurred, sent, number)| Says::Receipt { state, class, occurred, sent, number },
        );
    let send = (sent, 0..4_u8).prop_map(|(sent, number)| Says::Send { sent, number });
    let says = prop_oneof![4 => receipt, 1 => send];
    let fact =
        (0..6_u8, 0..SPAN, says).prop_map(|(message, received, says)| Fact { message, received, says });
    prop::collection::vec(fact, 1..40).prop_flat_map(|facts| {
        let telling = telling(facts.len());
        (Just(facts), [telling.clone(), telling.clone(), telling.clone(), telling])
            .prop_map(|(facts, tellings)| History { facts, tellings })
    })
}

fn telling(facts: usize) -> impl Strategy<Value = Telling> + Clone {
    let again = prop::collection::vec(0..facts, 0..facts);
    let order = again
        .prop_flat_map(move |again| Just((0..facts).chain(again).collect::<Vec<usize>>()).prop_shuffle());
    (order, prop::collection::vec((1..12_usize, 0..SPAN), 1..6))
        .prop_map(|(order, batches)| Telling { order, batches })
}

#[test]
fn any_telling_of_a_history_gives_the_cells_of_its_definition() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = runtime.block_on(harness::Cluster::start());
    let places = [Place::directory(), Place::redis(1), Place::redis(3), Place::redis_at(cluster.url(), 16)];
    let stores: Vec<Store> = runtime.block_on(async {
        let mut stores = Vec::new();
        for place in &places {
            stores.push(place.open().await);
        }
        stores
    });
    let mirrors: [Mirror; 4] = Default::default();
    let config = ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() };
    let cases = AtomicU32::new(0);
    TestRunner::new(config)
        .run(&histories(), |history| {
            // Cases share the stores; their own connection keeps them apart.
            let connection = format!("case{}", cases.fetch_add(1, Relaxed));
            let expected = definition(&history.facts, &connection);
            for ((store, mirror), telling) in stores.iter().zip(&mirrors).zip(&history.tellings) {
                runtime.block_on(tell(store, &history.facts, telling, &connection));
                runtime.block_on(store.refresh(mirror)).unwrap();
                let mine = |key: &CellKey| key.connection.as_str() == connection;
                let found = mirror.read(|cells| buckets(cells, mine));
                prop_assert_eq!(&found, &expected, "{:?}", store);
            }
            Ok(())
        })
        .unwrap();
    // What the mirrors followed step by step is what a new one reads at once.
    for (store, mirror) in stores.iter().zip(&mirrors) {
        let fresh = runtime.block_on(cells(store));
        mirror.read(|cells| assert_eq!(buckets(cells, |_| true), buckets(&fresh, |_| true)));
    }
}

async fn tell(store: &Store, facts: &[Fact], telling: &Telling, connection: &str) {
    let registry = registry(connection);
    let (mut rest, mut sizes) = (&telling.order[..], telling.batches.iter().cycle());
    while let (false, Some((size, clock))) = (rest.is_empty(), sizes.next()) {
        let (now, later) = rest.split_at(rest.len().min(*size));
        rest = later;
        let taken = |(offset, fact): (u64, &usize)| Taken {
            partition: Partition { topic: Topic::Receipts, index: i32::try_from(offset % 2).unwrap() },
            offset,
            record: Some(record(&facts[*fact], connection)),
        };
        let batch = Batch { records: (0..).zip(now).map(taken).collect(), caught_up: rest.is_empty() };
        let account = store.apply(&Apply::of(&batch, at(*clock), &registry)).await.unwrap();
        assert_eq!(account.applied + account.duplicate, batch.records.len() as u64, "{account:?}");
    }
    store.expire(at(SPAN)).await.unwrap();
}

/// The cells as `Health` in the documentation defines them, computed from all that was heard.
fn definition(facts: &[Fact], connection: &str) -> BTreeMap<(CellKey, Bucket), Vec<(usize, i64)>> {
    let mut counts: BTreeMap<(CellKey, Bucket), BTreeMap<usize, i64>> = BTreeMap::new();
    let messages: BTreeSet<u8> = facts.iter().map(|fact| fact.message).collect();
    for message in messages {
        let heard: Vec<&Fact> = facts.iter().filter(|fact| fact.message == message).collect();
        let cell = where_it_counts(&heard, connection);
        let second = START + when_it_counts(&heard);
        let state = what_it_counts_as(&heard);
        let counters = [&[state][..], &what_else_it_counts_as(&heard, state)].concat();
        let minute = u32::try_from(second / 60).unwrap();
        let mut add = |bucket| {
            for counter in &counters {
                *counts.entry((cell.clone(), bucket)).or_default().entry(*counter).or_default() += 1;
            }
        };
        add(Bucket::Hour(minute / 60));
        // Minutes are kept for 25 h before the clock, which the test ends at the span's end.
        if i64::from(minute) >= (START + SPAN - 25 * 3600) / 60 {
            add(Bucket::Minute(minute));
        }
    }
    counts.into_iter().map(|(at, counters)| (at, counters.into_iter().collect())).collect()
}

/// Rank, then the provider's time, then severity, then the class listed first.
fn what_it_counts_as(heard: &[&Fact]) -> usize {
    let mut words = Vec::new();
    for fact in heard {
        let Says::Receipt { state, class, occurred, .. } = &fact.says else { continue };
        let (rank, severity, counter) = match state {
            State::Unknown => (0, 0, 0),
            State::Accepted => (1, 0, 1),
            State::Sent => (2, 0, 2),
            State::Delivered => (3, 0, 3),
            State::Canceled => (3, 1, 4),
            State::Blocked => (3, 2, 5),
            State::Failed => (3, 3, 6 + *class as usize),
        };
        let listed_first = if *state == State::Failed { -(*class as i32) } else { 0 };
        words.push(((rank, *occurred, severity, listed_first), counter));
    }
    words.sort_unstable();
    words.last().map_or(0, |(_, counter)| *counter)
}

/// Seen before it was delivered, registered, answered, and how long it took.
fn what_else_it_counts_as(heard: &[&Fact], state: usize) -> Vec<usize> {
    let registered = heard.iter().any(|fact| matches!(fact.says, Says::Send { .. }));
    let states = heard.iter().filter_map(|fact| match fact.says {
        Says::Receipt { state, .. } => Some(state),
        Says::Send { .. } => None,
    });
    let under_way = states.clone().any(|state| !state.is_terminal());
    let arrived = heard.iter().filter_map(|fact| match fact.says {
        Says::Receipt { state: State::Delivered, occurred, .. } => {
            Some(occurred.unwrap_or(fact.received).min(fact.received))
        }
        _ => None,
    });
    let told = registered || heard.iter().any(|f| matches!(f.says, Says::Receipt { sent: Some(_), .. }));
    let delivered = state == 3;
    let delay = arrived.min().filter(|_| delivered && told).map(|at| at - when_it_counts(heard));
    let limits = [10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200];
    let step = delay.map(|delay| 20 + limits.iter().filter(|limit| delay > **limit).count());
    let also = [
        (delivered && (registered || under_way)).then_some(17),
        registered.then_some(18),
        (registered && states.count() > 0).then_some(19),
        step,
    ];
    also.into_iter().flatten().collect()
}

/// The earliest time of the best source: registered send, provider, receiver.
fn when_it_counts(heard: &[&Fact]) -> i64 {
    let sends = heard.iter().filter_map(|fact| match fact.says {
        Says::Send { sent, .. } => Some(sent),
        Says::Receipt { .. } => None,
    });
    // A provider's sent time after the receipt came in is taken as that.
    let provider = heard.iter().filter_map(|fact| match fact.says {
        Says::Receipt { sent, .. } => Some(sent?.min(fact.received)),
        Says::Send { .. } => None,
    });
    let received = heard.iter().map(|fact| fact.received).min();
    sends.min().or(provider.min()).or(received).unwrap()
}

/// The cell of the best source: registered send, receipt, connection; otherwise unattributed.
fn where_it_counts(heard: &[&Fact], connection: &str) -> CellKey {
    let best = |source: &dyn Fn(&Fact) -> Option<u8>| {
        let named = heard.iter().filter_map(|fact| source(fact));
        named.map(|number| numbered(number, connection)).min_by_key(CellKey::id)
    };
    let sent = best(&|fact| match fact.says {
        Says::Send { number, .. } => Some(number),
        Says::Receipt { .. } => None,
    });
    let receipt = |fact: &Fact| match fact.says {
        Says::Receipt { number, .. } => number,
        Says::Send { .. } => None,
    };
    sent.or_else(|| best(&|fact| receipt(fact).filter(|number| *number != CONFIGURED)))
        .or_else(|| best(&receipt))
        .unwrap_or(CellKey { number: None, list: None, connection: ConnectionId::parse(connection).unwrap() })
}

fn numbered(number: u8, connection: &str) -> CellKey {
    CellKey {
        number: Number::parse(NUMBERS[usize::from(number)]),
        connection: ConnectionId::parse(connection).unwrap(),
        list: list(number),
    }
}

fn list(number: u8) -> Option<ListId> {
    (number == 1).then(|| ListId::parse("spring").unwrap())
}

fn record(fact: &Fact, connection: &str) -> Record {
    let connection = ConnectionId::parse(connection).unwrap();
    let message_id = Some(format!("SM{}", fact.message));
    let received_at = at(fact.received);
    let number = |number: u8| Number::parse(NUMBERS[usize::from(number)]).unwrap();
    let body = match &fact.says {
        Says::Send { sent, number: n } => Body::Send(Send {
            provider: Provider::Lime,
            connection: connection.clone(),
            message_id,
            reference: None,
            number: number(*n),
            list: list(*n),
            recipient: None,
            sent_at: at(*sent),
            received_at,
        }),
        Says::Receipt { state, class, occurred, sent, number: n } => Body::Receipt(Receipt {
            provider: Provider::Lime,
            connection: connection.clone(),
            message_id,
            reference: None,
            number: n.map(number),
            list: n.and_then(list),
            recipient: None,
            country: None,
            network: fact.message.is_multiple_of(2).then(|| format!("310 \"{}\"", fact.received % 3)),
            state: *state,
            is_final: state.is_terminal(),
            failure: (*state == State::Failed).then(|| Failure {
                class: *class,
                code: "1".into(),
                text: "A sentence.".into(),
                blames: Blames::Provider,
            }),
            provider_status: "x".into(),
            segments: Some(2),
            price: None,
            sent_at: sent.map(at),
            occurred_at: occurred.map(at),
            received_at,
        }),
    };
    Event { id: EventId::of(&connection, &["any"]), body }.record(None)
}

fn registry(connection: &str) -> Registry {
    let loopback = "127.0.0.1:0".parse().unwrap();
    let second = Duration::from_secs(1);
    Registry::new(&Config {
        receive: config::Receive { public_url: String::new(), ..config::Receive::default() },
        stream: config::Stream {
            kind: config::StreamKind::Embedded,
            dir: "data".into(),
            retention: second,
            retention_bytes: 1,
        },
        state: config::State { kind: config::StateKind::Embedded, slots: 1 },
        connections: vec![config::Connection {
            id: ConnectionId::parse(connection).unwrap(),
            provider: Provider::Lime,
            public_url: String::new(),
            auth: config::Auth::default(),
            number: Number::parse(NUMBERS[usize::from(CONFIGURED)]),
            reference_prefix: Vec::new(),
            rate_limit: None,
            timezone: "UTC".into(),
            mapping: config::Mapping::default(),
            api: None,
        }],
        lists: Vec::new(),
        numbers: Vec::new(),
        health: config::Health::default(),
        alert: config::Alert::default(),
        admin: config::Admin { listen: loopback, tokens: Vec::new() },
        privacy: config::Privacy {
            recipients: config::Recipients::Clear,
            inbound_text: config::InboundText::Drop,
            dead_letters: config::DeadLetters::Digest,
        },
        warnings: Vec::new(),
        unreadable: Vec::new(),
        keywords: config::Keywords::default(),
    })
}

// What people do, counted beside the cells.

#[derive(Clone, Debug)]
struct Deed {
    kind: RollKind,
    subject: u8,
    name: u8,
    second: i64,
}

const SUBJECTS: u8 = 3;

fn deeds() -> impl Strategy<Value = (Vec<Deed>, [Telling; 4])> {
    let kind = prop::sample::select(vec![RollKind::OptOuts, RollKind::LikelyOptOuts, RollKind::Complaints]);
    let deed = (kind, 0..SUBJECTS, 0..5_u8, 0..30 * DAY).prop_map(|(kind, subject, name, second)| Deed {
        kind,
        subject,
        name,
        second,
    });
    prop::collection::vec(deed, 1..40).prop_flat_map(|deeds| {
        let telling = telling(deeds.len());
        (Just(deeds), [telling.clone(), telling.clone(), telling.clone(), telling])
    })
}

fn subject(case: u32, subject: u8) -> Subject {
    Subject::Number(Number::parse(&format!("+1{case:07}{subject:03}")).unwrap())
}

#[test]
fn any_telling_of_what_people_did_counts_each_of_them_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = runtime.block_on(harness::Cluster::start());
    let places = [Place::directory(), Place::redis(1), Place::redis(3), Place::redis_at(cluster.url(), 16)];
    let stores = places.each_ref().map(|place| runtime.block_on(place.open()));
    let mirrors: [Mirror; 4] = Default::default();
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let cases = AtomicU32::new(1);
    let kinds = [RollKind::OptOuts, RollKind::LikelyOptOuts, RollKind::Complaints];
    let windows = [DAY, 7 * DAY, 30 * DAY].map(|span| Duration::from_secs(span.unsigned_abs()));
    TestRunner::new(config)
        .run(&(deeds(), 0..31 * DAY), |((deeds, tellings), now)| {
            let case = cases.fetch_add(1, Relaxed);
            let naive = |kind, of: u8, span: Duration| {
                let mut first: BTreeMap<u8, i64> = BTreeMap::new();
                for deed in deeds.iter().filter(|deed| deed.kind == kind && deed.subject == of) {
                    let known = first.entry(deed.name).or_insert(deed.second);
                    *known = deed.second.min(*known);
                }
                let from = now - i64::try_from(span.as_secs()).unwrap();
                first.values().filter(|second| (from + 1..=now).contains(*second)).count() as u64
            };
            for ((store, mirror), telling) in stores.iter().zip(&mirrors).zip(&tellings) {
                runtime.block_on(tell_deeds(store, &deeds, telling, case));
                runtime.block_on(store.refresh(mirror)).unwrap();
                for (kind, of) in kinds.into_iter().flat_map(|kind| (0..SUBJECTS).map(move |of| (kind, of))) {
                    for span in windows {
                        let within =
                            |cells: &Cells| cells.rolls.within(kind, &subject(case, of), span, at(now));
                        let told = format!("{kind:?} of {of} in {span:?} on {store:?}");
                        prop_assert_eq!(mirror.read(within), naive(kind, of, span), "{}", told);
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    for (store, mirror) in stores.iter().zip(&mirrors) {
        let fresh = runtime.block_on(cells(store));
        mirror.read(|cells| assert_eq!(cells.rolls, fresh.rolls));
        // All of them are forgotten in time.
        runtime.block_on(store.expire(at(62 * DAY))).unwrap();
        assert_eq!(runtime.block_on(cells(store)).rolls.iter().count(), 0, "{store:?}");
    }
}

async fn tell_deeds(store: &Store, deeds: &[Deed], telling: &Telling, case: u32) {
    let (mut rest, mut sizes) = (&telling.order[..], telling.batches.iter().cycle());
    while let (false, Some((size, clock))) = (rest.is_empty(), sizes.next()) {
        let (now, later) = rest.split_at(rest.len().min(*size));
        rest = later;
        let entry = |deed: &Deed| Entry {
            roll: RollKey { kind: deed.kind, subject: subject(case, deed.subject) },
            name: [deed.name; 8],
            at: at(deed.second),
            notice: None,
        };
        let entries = now.iter().map(|place| entry(&deeds[*place])).collect();
        store.apply(&Apply { entries, clock: at(*clock), ..Apply::default() }).await.unwrap();
    }
}

async fn consent_and_feedback_are_listed_and_receipts_heard(place: Place) {
    let store = place.open().await;
    let connection = ConnectionId::parse("acme").unwrap();
    let number = Number::parse("+18005550100");
    let consent = |action, evidence, second| {
        Body::Consent(Consent {
            provider: Provider::Lime,
            connection: connection.clone(),
            action,
            evidence,
            confidence: Confidence::Certain,
            keyword: None,
            scope: Scope::Number,
            scope_id: "+18005550100".into(),
            number: number.clone(),
            list: None,
            recipient: serde_json::from_str(&format!("\"h:{second}\"")).unwrap(),
            message_id: None,
            occurred_at: None,
            received_at: at(second),
        })
    };
    let feedback = |kind, severity, second| {
        Body::Feedback(Feedback {
            provider: Provider::Lime,
            connection: connection.clone(),
            kind,
            severity,
            number: number.clone(),
            subject: Some("campaign".into()),
            provider_event: "x".into(),
            code: None,
            text: "A sentence.".into(),
            occurred_at: Some(at(second)),
            received_at: at(50),
        })
    };
    let bodies = [
        consent(Action::OptOut, Evidence::Keyword, 10),
        consent(Action::OptOut, Evidence::SendRejected, 11),
        consent(Action::OptIn, Evidence::Keyword, 12),
        feedback(FeedbackKind::Complaint, Severity::Complaint, 20),
        feedback(FeedbackKind::Suspension, Severity::Suspension, 30),
    ];
    let receipt = Fact { message: 0, received: 40, says: Says::receipt(State::Sent) };
    let records = bodies
        .into_iter()
        .zip(0..)
        .map(|(body, n)| Event { id: EventId::of(&connection, &[&n.to_string()]), body }.record(None));
    let records = records.chain([record(&receipt, "acme")]).zip(0..);
    let taken = |(record, offset)| Taken { partition: Partition::EMBEDDED, offset, record: Some(record) };
    let batch = Batch { records: records.map(taken).collect(), caught_up: true };
    let apply = Apply::of(&batch, at(50), &registry("acme"));
    for _ in 0..2 {
        assert_eq!(store.apply(&apply).await.unwrap().not_counted, 5);
    }
    store.close().await;
    drop(store);
    let cells = cells(&place.open().await).await;
    let within = |kind| {
        let subject = Subject::Number(number.clone().unwrap());
        cells.rolls.within(kind, &subject, Duration::from_secs(3600), at(50))
    };
    assert_eq!((within(RollKind::OptOuts), within(RollKind::Complaints)), (1, 1));
    let told: Vec<_> = cells.rolls.notices().map(|notice| (notice.kind, notice.at)).collect();
    assert_eq!(told, [(FeedbackKind::Complaint, at(20)), (FeedbackKind::Suspension, at(30))]);
    assert_eq!(cells.heard, BTreeMap::from([(connection, at(40))]));
}

async fn the_later_word_is_held_and_told_again(place: Place) {
    let store = place.open().await;
    let connection = ConnectionId::parse("acme").unwrap();
    let said = |action, person: &str, second: i64| {
        let body = Body::Consent(Consent {
            provider: Provider::Lime,
            connection: connection.clone(),
            action,
            evidence: Evidence::Keyword,
            confidence: Confidence::Certain,
            keyword: None,
            scope: Scope::Number,
            scope_id: "+18005550100".into(),
            number: None,
            list: None,
            recipient: serde_json::from_str(&format!("\"h:{person}\"")).unwrap(),
            message_id: None,
            occurred_at: Some(at(second)),
            received_at: at(100),
        });
        Event { id: EventId::of(&connection, &[person, &second.to_string()]), body }.record(None)
    };
    let word = |record: &Record| Word::of(record).unwrap();
    let (out, back, other) =
        (said(Action::OptOut, "1", 50), said(Action::OptIn, "1", 40), said(Action::OptIn, "2", 60));
    assert_eq!(store.hold(&[word(&out), word(&other)]).await.unwrap(), []);
    assert_eq!(store.hold(&[word(&back), word(&out)]).await.unwrap(), [out]);
    store.close().await;
    drop(store);
    let store = place.open().await;
    for (person, action, second) in [("1", Action::OptOut, 50), ("2", Action::OptIn, 60)] {
        let recipient = serde_json::from_str(&format!("\"h:{person}\"")).unwrap();
        let held = store.held(&recipient).await.unwrap();
        let held: Vec<_> = held.iter().map(|held| (held.consent.action, held.at)).collect();
        assert_eq!(held, [(action, at(second))]);
    }
    assert_eq!(store.held(&serde_json::from_str("\"h:\"").unwrap()).await.unwrap().len(), 0);
}

async fn of_notices_the_newest_are_kept(place: Place) {
    let store = place.open().await;
    let connection = ConnectionId::parse("acme").unwrap();
    let roll = RollKey {
        kind: RollKind::Notices(FeedbackKind::Account),
        subject: Subject::Connection(connection.clone()),
    };
    let entry = |n: i64| Entry {
        roll: roll.clone(),
        name: n.to_be_bytes(),
        at: at(n),
        notice: Some(Notice {
            at: at(n),
            kind: FeedbackKind::Account,
            severity: Severity::Warning,
            provider: Provider::Lime,
            connection: connection.clone(),
            number: None,
            subject: None,
            event: "x".into(),
            code: None,
            text: "A sentence.".into(),
        }),
    };
    let (max, last) = (i64::try_from(NOTICES_MAX).unwrap(), 2 * i64::try_from(NOTICES_MAX).unwrap());
    for batch in [max..last, 0..max + 5, max..last] {
        let entries = batch.map(entry).collect();
        store.apply(&Apply { entries, ..Apply::default() }).await.unwrap();
    }
    let mirror = Mirror::default();
    store.refresh(&mirror).await.unwrap();
    let seconds = |cells: &Cells| cells.rolls.notices().map(|notice| notice.at).collect::<Vec<_>>();
    let newest: Vec<_> = (max..last).map(at).collect();
    assert_eq!(mirror.read(seconds), newest);
    store.close().await;
    drop(store);
    assert_eq!(seconds(&cells(&place.open().await).await), newest);
}

// What the tests are told in.

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(START + second)
}

fn cell(number: u32) -> CellKey {
    let number = Number::parse(&format!("+1800555{number:04}"));
    CellKey { number, connection: ConnectionId::parse("acme").unwrap(), list: ListId::parse("spring") }
}

/// News of a message that is on a numbered cell, received at a second.
fn touch(message: u32, state: State, second: i64, number: u32) -> Touch {
    let mut identity = [0; 16];
    for (part, bytes) in identity.chunks_mut(4).zip([7_u32, 11, 13, 1]) {
        part.copy_from_slice(&message.wrapping_mul(bytes.wrapping_mul(2_654_435_761)).to_be_bytes());
    }
    let heard = Heard::new(
        Outcome::new(state, None, Some(at(second))),
        Cohort::new(CohortSource::ReceivedAt, at(second)),
        Placement::new(PlacementSource::Receipt, cell(number).id()),
    );
    Touch { identity, heard, received_at: at(second) }
}

fn batch(clock: i64, touches: &[Touch]) -> Apply {
    Apply {
        touches: touches.iter().map(|touch| (Partition::EMBEDDED, touch.clone())).collect(),
        cells: (1..=3)
            .map(cell)
            .filter(|key| touches.iter().any(|t| t.heard.placement.cell() == key.id()))
            .collect(),
        clock: at(clock),
        ..Apply::default()
    }
}

async fn cells(store: &Store) -> Cells {
    let mirror = Mirror::default();
    store.refresh(&mirror).await.unwrap();
    mirror.read(Cells::clone)
}

fn total(cells: &Cells, number: u32) -> Counters {
    let id = cell(number).id();
    cells.iter().find(|(found, _)| *found == id).map_or_else(Counters::default, |(_, cell)| cell.totals())
}

fn counted(counter: Counter, messages: i64) -> Counters {
    let mut counters = Counters::default();
    counters.add(counter, messages);
    counters
}

fn buckets(cells: &Cells, of: impl Fn(&CellKey) -> bool) -> BTreeMap<(CellKey, Bucket), Vec<(usize, i64)>> {
    let mut buckets = BTreeMap::new();
    for (_, cell) in cells.iter().filter(|(_, cell)| of(&cell.key)) {
        for (bucket, counters) in cell.buckets() {
            let counts = counters.iter().filter(|(_, count)| *count != 0).collect();
            buckets.insert((cell.key.clone(), bucket), counts);
        }
    }
    buckets
}
