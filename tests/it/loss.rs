//! A Redis that loses something: noticed at the next write, gone back for, counted once all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use sounder::clock::Timestamp;
use sounder::config::{self, Secret};
use sounder::consume::{Archive, Partition};
use sounder::event::Topic;
use sounder::simulate::discord::Standin;
use sounder::tally::{Apply, Clocks, Error, Resume, Store};

use crate::harness::{self, Cluster, Fate, OwnRedis, Setting, TWILIO_NUMBER, eventually, twilio};

/// Slow enough to be interrupted, with repetitions and out of order.
const LONG: &str = "--messages 6000 --rate 1500 --shuffle --duplicates 0.3 --from-zero";

fn place(redis: &str, prefix: &str, rewind: u64) -> config::Redis {
    config::Redis {
        url: Secret::new(redis.into()),
        key_prefix: prefix.into(),
        rewind: Duration::from_secs(rewind),
    }
}

/// A batch that moves the embedded partition to a position and counts nothing.
fn up_to(position: u64) -> Apply {
    Apply { positions: BTreeMap::from([(Partition::EMBEDDED, position)]), ..Apply::default() }
}

fn at(resume: &Resume) -> Option<u64> {
    resume.positions.get(&Partition::EMBEDDED).copied()
}

#[tokio::test]
async fn positions_of_before_a_loss_are_refused_until_they_are_asked_for_again() {
    let (redis, prefix) = (harness::redis_url(), harness::unique("loss"));
    let store = Store::redis(&place(&redis, &prefix, 3600), 1).await.unwrap();
    assert_eq!(at(&store.resume().await.unwrap()), None);
    store.apply(&up_to(7)).await.unwrap();
    // As a Redis would stand there that was restarted: another process wrote it last.
    let meta = format!("{prefix}:{{0}}:meta");
    let trail = format!("{prefix}:{{0}}:trail");
    let mut connection =
        ::redis::Client::open(redis.clone()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut pretend = ::redis::pipe();
    pretend.hset(&meta, "run", "another").hset(&trail, 1, r#"["1.0","5"]"#);
    pretend.exec_async(&mut connection).await.unwrap();

    assert!(matches!(store.apply(&up_to(9)).await, Err(Error::Rewound)));
    assert!(matches!(store.apply(&up_to(9)).await, Err(Error::Rewound)), "it must be asked first");
    let resume = store.resume().await.unwrap();
    assert_eq!(at(&resume), Some(5), "where it stood a while before");
    assert!(resume.loss.is_some_and(|loss| loss.contains("last moments")));
    store.apply(&up_to(9)).await.unwrap();

    // Another daemon finds nothing wrong any more, and takes nothing from this one.
    let other = Store::redis(&place(&redis, &prefix, 3600), 1).await.unwrap();
    assert_eq!(other.resume().await.unwrap(), Resume { loss: None, ..store.resume().await.unwrap() });
    store.apply(&up_to(10)).await.unwrap();
}

#[tokio::test]
async fn one_slot_that_is_gone_takes_the_positions_to_the_beginning() {
    let (redis, prefix) = (harness::redis_url(), harness::unique("loss"));
    let store = Store::redis(&place(&redis, &prefix, 0), 3).await.unwrap();
    store.resume().await.unwrap();
    store.apply(&up_to(7)).await.unwrap();
    let mut connection =
        ::redis::Client::open(redis.clone()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let gone = ::redis::cmd("DEL").arg(format!("{prefix}:{{2}}:meta")).exec_async(&mut connection).await;
    gone.unwrap();
    assert!(matches!(store.expire(Timestamp::from_seconds(1)).await, Err(Error::Rewound)));
    assert!(matches!(store.apply(&up_to(9)).await, Err(Error::Rewound)));
    let resume = store.resume().await.unwrap();
    assert_eq!((at(&resume), resume.clock), (None, Timestamp::default()));
    assert!(resume.loss.is_some_and(|loss| loss.contains("beginning of the stream")));
    // Whoever still has the clock of before must not make what is read again late.
    store.expire(Timestamp::from_seconds(2_000_000_000)).await.unwrap();
    assert!(store.clock().await.unwrap() < Timestamp::from_seconds(2));
}

#[tokio::test]
async fn the_stream_clock_is_that_of_the_slowest_partition_whoever_reads_it() {
    let (redis, prefix) = (harness::redis_url(), harness::unique("loss"));
    let first = Store::redis(&place(&redis, &prefix, 0), 1).await.unwrap();
    let second = Store::redis(&place(&redis, &prefix, 0), 1).await.unwrap();
    let partition = |index| Partition { index, ..Partition::EMBEDDED };
    let clocks = |mine: i32, second: i64| Clocks {
        times: (0..2).map(|p| (partition(p), (p == mine).then(|| Timestamp::from_seconds(second)))).collect(),
        listed: true,
    };
    for store in [&first, &second] {
        store.resume().await.unwrap();
    }
    assert_eq!(first.advance(&clocks(0, 50)).await.unwrap(), Timestamp::default(), "nobody read the other");
    assert_eq!(second.advance(&clocks(1, 20)).await.unwrap(), Timestamp::from_seconds(20));
    assert_eq!(first.advance(&clocks(0, 60)).await.unwrap(), Timestamp::from_seconds(20));
    assert_eq!(second.advance(&clocks(1, 70)).await.unwrap(), Timestamp::from_seconds(60));
}

/// Waits until it says what it lost, and then that it has counted that again.
async fn is_counted_again(daemon: &harness::Child, log: &str) {
    eventually("the loss is noticed", async || daemon.stderr().contains(log).then_some(())).await;
    eventually("what was lost is counted again", async || {
        daemon.stderr().contains("the state is whole again").then_some(())
    })
    .await;
    assert_eq!(daemon.trouble_with("rebuild").await, None);
    eventually("the incident of the loss is over", async || {
        let told = daemon.read("/api/v1/incidents").await;
        let ours = told["incidents"].as_array()?.iter().find(|told| told["kind"] == "state_lost")?;
        ours["resolved"].is_string().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_is_emptied_while_it_is_used_is_counted_again() {
    let redis = OwnRedis::forgetful().await;
    let setting = Setting::on(Some(harness::brokers()), Some(redis.url()));
    let daemon = setting.serve().await;
    let load = setting.simulate(LONG);
    daemon.has_accepted(3000).await;
    let _: String = redis.ask(&["FLUSHALL"]).await;
    is_counted_again(&daemon, "is new, or was lost").await;
    let ended = load.ends().await;
    if ended.code != Some(0) {
        // What Kafka holds says whether it was counted wrongly or never published.
        let replayed = setting.spawn(&["replay", "--dry-run"]).ends().await;
        panic!("{ended:?}\n{replayed:?}\n{}\n{}", daemon.read("/api/v1/ledger").await, daemon.stderr());
    }
    ended.saying("0 differences");
    assert!(daemon.is_ready_now().await);
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_counted_again() {
    let mut redis = OwnRedis::forgetful().await;
    let setting = Setting::on(Some(harness::brokers()), Some(redis.url()));
    let daemon = setting.serve().await;
    let load = setting.simulate(LONG);
    daemon.has_accepted(3000).await;
    redis.goes_away();
    redis.comes_back().await;
    is_counted_again(&daemon, "is new, or was lost").await;
    load.ends().await.with(0).saying("0 differences");
}

#[tokio::test]
async fn a_redis_that_was_lost_while_nobody_looked_is_counted_again_at_start() {
    let redis = OwnRedis::forgetful().await;
    let setting = Setting::on(Some(harness::brokers()), Some(redis.url()));
    let daemon = setting.serve().await;
    setting.simulate("--messages 500 --rate 1000 --from-zero").ends().await.with(0).saying("0 differences");
    let counted = daemon.read("/api/v1/health/numbers/%2B12025550142").await;
    daemon.terminate().await.with(0);
    let _: String = redis.ask(&["FLUSHALL"]).await;
    let daemon = setting.serve().await;
    is_counted_again(&daemon, "is new, or was lost").await;
    let again = daemon.read("/api/v1/health/numbers/%2B12025550142").await;
    assert_eq!(again["totals"], counted["totals"], "{TWILIO_NUMBER}");
}

#[tokio::test]
async fn a_full_redis_stops_the_counting_and_nothing_else() {
    let redis = OwnRedis::start().await;
    let setting = Setting::on(Some(harness::brokers()), Some(redis.url()));
    let daemon = setting.serve().await;
    let load = setting.simulate(LONG);
    daemon.has_accepted(1000).await;
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    eventually("/readyz says that Redis is full", async || {
        daemon.trouble_with("observer").await.filter(|said| said.contains("maxmemory"))
    })
    .await;
    let accepted = daemon.accepted().await;
    daemon.has_accepted(accepted + 500).await;
    assert!(daemon.is_ready_now().await, "webhooks must not be turned away for it");
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    load.ends().await.with(0).saying("0 differences");
    assert_eq!(daemon.trouble_with("observer").await, None);
}

#[tokio::test]
async fn a_cluster_counts_once_through_a_failover_and_a_slot_that_moves() {
    let mut cluster = Cluster::start().await;
    let setting = Setting::on(Some(harness::brokers()), Some(cluster.url()));
    let daemon = setting.serve().await;
    let load = setting.simulate("--messages 12000 --rate 1500 --shuffle --duplicates 0.3 --from-zero");
    daemon.has_accepted(3000).await;
    let key = format!("{}:{{5}}:meta", setting.shared.key_prefix);
    let slot: u32 = cluster.nodes[0].ask(&["CLUSTER", "KEYSLOT", &key]).await;
    cluster.moves(&key, if slot < 10_922 { 2 } else { 1 }).await;
    daemon.has_accepted(6000).await;
    cluster.loses(0);
    cluster.fails_over().await;
    load.ends().await.with(0).saying("0 differences");
    eventually("the state is whole", async || daemon.trouble_with("rebuild").await.is_none().then_some(()))
        .await;
    assert_eq!(daemon.read("/api/v1/ledger").await["balanced"], true);
}

/// The sick number's card, and its ping.
async fn the_alarm_is_raised(daemon: &harness::Child, discord: &Standin) {
    assert_eq!(daemon.takes(&twilio("1", Fate::Filtered)).await.status, 204);
    eventually("the card and its ping are there", async || (discord.posted().len() == 2).then_some(())).await;
}

/// The number recovers, and its first card says so: no other message was posted than what is said of
/// the loss.
async fn the_same_card_resolves(daemon: &harness::Child, discord: &Standin) {
    for message in 100..130 {
        assert_eq!(daemon.takes(&twilio(&message.to_string(), Fate::Delivered)).await.status, 204);
    }
    eventually("the card is resolved", async || {
        let posted = discord.posted();
        let title = posted[0].embeds()[0]["title"].as_str()?.to_owned();
        title.starts_with("Resolved").then_some(())
    })
    .await;
    eventually("a card says that the state was lost, and is whole", async || {
        let posted = discord.posted();
        let title = posted.get(2)?.embeds()[0]["title"].as_str()?.to_owned();
        (title == "Resolved · Sounder · state lost").then_some(())
    })
    .await;
    let posted = discord.posted();
    assert_eq!(posted.len(), 3, "{posted:?}");
}

/// Waits until the newest record of the one incident names its card, with nothing left to say.
async fn the_card_is_in_the_stream(setting: &Setting) {
    let kafka = config::Kafka {
        brokers: harness::brokers(),
        topic_prefix: setting.shared.topic_prefix.clone(),
        ..config::Kafka::default()
    };
    let archive = Archive::Kafka(kafka);
    eventually("the card is in the stream", async || {
        let newest = archive.newest(Topic::Incidents).await.ok()?;
        let told: serde_json::Value = serde_json::from_slice(newest.values().next()?).ok()?;
        let waits = |(key, _): (&String, _)| key.starts_with("outbox/") && !key.starts_with("outbox/posted.");
        let pending = told["restore"].as_object()?.iter().any(waits);
        (told["discord"]["message"].is_string() && !pending).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_incident_survives_the_loss_of_redis_and_nobody_is_told_twice() {
    let discord = Standin::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let redis = OwnRedis::forgetful().await;
    let setting = Setting::on(Some(harness::brokers()), Some(redis.url())).telling(&discord);
    let daemon = setting.serve().await;
    the_alarm_is_raised(&daemon, &discord).await;
    the_card_is_in_the_stream(&setting).await;
    let _: String = redis.ask(&["FLUSHALL"]).await;
    is_counted_again(&daemon, "is new, or was lost").await;
    eventually("the incident is back", async || {
        let open = daemon.read("/api/v1/incidents?open=true").await;
        (open["incidents"][0]["number"] == TWILIO_NUMBER).then_some(())
    })
    .await;
    assert!(daemon.stderr().contains("alerts.restored"), "{}", daemon.stderr());
    the_same_card_resolves(&daemon, &discord).await;
}

#[tokio::test]
async fn an_incident_survives_a_damaged_directory() {
    let discord = Standin::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let setting = Setting::embedded().telling(&discord);
    let daemon = setting.serve().await;
    the_alarm_is_raised(&daemon, &discord).await;
    eventually("the card is known", async || {
        let open = daemon.read("/api/v1/incidents?open=true").await;
        open["incidents"][0]["discord"]["message"].is_string().then_some(())
    })
    .await;
    // It publishes what it wrote with its next turn, within seconds.
    eventually("the incident was published with its card", async || {
        let ledger = daemon.read("/api/v1/ledger").await;
        (ledger["consumed"]["not_counted"].as_u64()? >= 2).then_some(())
    })
    .await;
    daemon.terminate().await.with(0);
    harness::damage(&setting.data().join("state"));
    let daemon = setting.serve().await;
    is_counted_again(&daemon, "was moved aside").await;
    the_same_card_resolves(&daemon, &discord).await;
}
