//! What breaks, and what does not break with it: nothing acknowledged is lost or counted twice.

use rdkafka::mocking::MockCluster;
use rdkafka::types::{
    RDKafkaApiKey, RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER as OUT_OF_ORDER,
};
use serde_json::json;
use sounder::event::Topic;

use crate::harness::{CM_NUMBER, Child, Fate, OwnRedis, Setting, cm, eventually};

/// Slow enough to be interrupted, with repetitions and out of order.
const LONG: &str = "--messages 6000 --rate 1500 --shuffle --duplicates 0.3 --from-zero";

/// Kills the daemon in the middle of a load, twice, and starts it on what it left.
async fn nothing_is_lost_by_a_kill(setting: &Setting) {
    let mut daemon = setting.serve().await;
    let load = setting.simulate(LONG);
    for _ in 0..2 {
        daemon.has_accepted(2000).await;
        daemon.kill();
        daemon = setting.serve().await;
    }
    load.ends().await.with(0).saying("0 differences");
}

#[tokio::test]
async fn a_killed_daemon_loses_nothing_on_embedded_backends() {
    nothing_is_lost_by_a_kill(&Setting::embedded()).await;
}

#[tokio::test]
async fn a_killed_daemon_loses_nothing_on_kafka_and_redis() {
    nothing_is_lost_by_a_kill(&Setting::kafka_and_redis()).await;
}

#[tokio::test]
async fn a_daemon_told_to_stop_under_load_answers_what_it_began_and_ends_with_0() {
    let setting = Setting::embedded();
    let daemon = setting.serve().await;
    let load = setting.simulate(LONG);
    daemon.has_accepted(2000).await;
    daemon.terminate().await.with(0);
    let daemon = setting.serve().await;
    load.ends().await.with(0).saying("0 differences");
    daemon.terminate().await.with(0);
}

/// Waits until the daemon says what is wrong with one of the things it needs, or that nothing is.
async fn trouble(daemon: &Child, name: &str, wrong: impl Fn(Option<&str>) -> bool) {
    eventually(&format!("/readyz is right about the {name}"), async || {
        wrong(daemon.trouble_with(name).await.as_deref()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn webhooks_are_taken_while_redis_is_away_and_counted_when_it_is_back() {
    let mut redis = OwnRedis::start().await;
    let setting = Setting::on(Some(crate::harness::brokers()), Some(redis.url()));
    let daemon = setting.serve().await;
    let load = setting.simulate(LONG);
    daemon.has_accepted(1000).await;
    redis.goes_away();
    trouble(&daemon, "state", |said| said.is_some()).await;
    let accepted = daemon.accepted().await;
    daemon.has_accepted(accepted + 1000).await;
    assert!(daemon.is_ready_now().await, "webhooks must not be turned away for it");
    redis.comes_back().await;
    trouble(&daemon, "state", |said| said.is_none()).await;
    load.ends().await.with(0).saying("0 differences");
}

#[tokio::test]
async fn a_redis_that_is_paused_or_full_only_delays_the_counting() {
    let redis = OwnRedis::start().await;
    let setting = Setting::on(Some(crate::harness::brokers()), Some(redis.url()));
    let daemon = setting.serve().await;
    let load = setting.simulate(LONG);
    daemon.has_accepted(1000).await;
    redis.signal("-STOP");
    daemon.has_accepted(2000).await;
    redis.signal("-CONT");
    redis.ask::<String>(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    trouble(&daemon, "observer", |said| said.is_some_and(|said| said.contains("OOM"))).await;
    assert!(daemon.is_ready_now().await, "webhooks must not be turned away for it");
    redis.ask::<String>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    load.ends().await.with(0).saying("0 differences");
    trouble(&daemon, "observer", |said| said.is_none()).await;
}

/// At every step of a webhook's way through a daemon that writes its own log it dies once, and
/// whoever sends again what was not answered finds it counted once.
#[tokio::test]
async fn a_daemon_that_dies_at_any_step_loses_and_doubles_nothing() {
    let points = [
        "request.read",
        "webhook.proved",
        "webhook.normalized",
        "events.durable",
        "webhook.answered",
        "log.write",
        "log.torn",
        "log.sync",
        "log.synced",
        "batch.taken",
        "batch.applied",
        "batch.committed",
    ];
    let setting = Setting::embedded();
    for (nth, point) in points.into_iter().enumerate() {
        let verb = if point == "log.torn" { "fail" } else { "kill" };
        let mut armed = setting.serving_with(&format!("{point}={verb}"));
        let webhook = cm(&nth.to_string(), Fate::Delivered);
        eventually(&format!("it dies at {point}"), async || {
            let answered = armed.attempts(&webhook).await;
            assert_ne!((answered, point), (Some(200), "log.sync"), "answered before it was durable");
            armed.is_gone().then_some(())
        })
        .await;
        let daemon = setting.serve().await;
        assert_eq!(daemon.takes(&webhook).await.status, 200);
        daemon.counts(CM_NUMBER, nth as u64 + 1, 0).await;
        daemon.terminate().await.with(0);
    }
}

#[tokio::test]
async fn a_receiver_whose_kafka_is_away_says_so_and_comes_back_by_itself() {
    let kafka = MockCluster::new(1).unwrap();
    let setting = Setting::on(Some(kafka.bootstrap_servers()), None);
    for topic in Topic::ALL {
        kafka.create_topic(&format!("{}{}", setting.shared.topic_prefix, topic.name()), 1, 1).unwrap();
    }
    let daemon = setting.serve_as("receive").await;
    assert_eq!(daemon.takes(&cm("1", Fate::Delivered)).await.status, 200);
    kafka.broker_down(1).unwrap();
    assert_eq!(daemon.takes(&cm("2", Fate::Delivered)).await.status, 200);
    trouble(&daemon, "stream", |said| said.is_some()).await;
    trouble(&daemon, "spool", |said| said.is_some_and(|said| said.contains("wait in the spool"))).await;
    assert!(daemon.is_ready_now().await, "webhooks must not be turned away for it");
    kafka.broker_up(1).unwrap();
    trouble(&daemon, "spool", |said| said.is_none()).await;
    trouble(&daemon, "stream", |said| said.is_none()).await;
    let ledger = daemon.read("/api/v1/ledger").await;
    assert_eq!((&ledger["spool"]["in_spool"], &ledger["balanced"]), (&json!(0), &json!(true)), "{ledger}");
    assert!(ledger["spool"]["drained"].as_u64() >= Some(1), "{ledger}");
    let metrics = daemon.get("/metrics").await.body;
    assert!(metrics.contains("sounder_spool_events 0"), "{metrics}");
    assert!(metrics.contains("sounder_publish_total{sink=\"spool\"}"), "{metrics}");
}

#[tokio::test]
async fn a_producer_that_ends_for_good_is_replaced_and_costs_no_event() {
    let kafka = MockCluster::new(1).unwrap();
    let setting = Setting::on(Some(kafka.bootstrap_servers()), None);
    for topic in Topic::ALL {
        kafka.create_topic(&format!("{}{}", setting.shared.topic_prefix, topic.name()), 1, 1).unwrap();
    }
    let daemon = setting.serve_as("receive").await;
    assert_eq!(daemon.takes(&cm("1", Fate::Delivered)).await.status, 200);
    // An idempotent producer that is told so takes its sequence for lost, for good.
    kafka.request_errors(RDKafkaApiKey::Produce, &[OUT_OF_ORDER]);
    assert_eq!(daemon.takes(&cm("2", Fate::Delivered)).await.status, 200);
    eventually("another producer takes its place", async || {
        daemon.stderr().contains("the producer will never send again").then_some(())
    })
    .await;
    let published = |ledger: &serde_json::Value| ledger["events"]["durable"]["kafka"].as_u64();
    let before = published(&daemon.read("/api/v1/ledger").await);
    eventually("kafka itself takes webhooks again", async || {
        assert_eq!(daemon.takes(&cm("3", Fate::Delivered)).await.status, 200);
        (published(&daemon.read("/api/v1/ledger").await) > before).then_some(())
    })
    .await;
    trouble(&daemon, "spool", |said| said.is_none()).await;
    let ledger = daemon.read("/api/v1/ledger").await;
    assert_eq!((&ledger["balanced"], &ledger["spool"]["corrupt"]), (&json!(true), &json!(0)), "{ledger}");
    daemon.terminate().await.with(0);
}
