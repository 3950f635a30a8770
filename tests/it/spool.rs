//! A broker that is paused or dies under load: webhooks are taken all the while, and every event is
//! in the stream in the end.

use crate::harness::{BROKER_PASSWORD, Broker, CM_NUMBER, Child, Fate, Setting, cm, eventually};

/// Long enough to be interrupted twice, with repetitions and out of order.
const LONG: &str = "--messages 8000 --rate 800 --shuffle --duplicates 0.3 --from-zero";

async fn broker() -> Option<Broker> {
    let broker = Broker::start()?;
    broker.answers().await;
    Some(broker)
}

/// Waits until so many more webhooks are taken.
async fn goes_on(daemon: &Child, webhooks: u64) {
    let accepted = daemon.accepted().await;
    daemon.has_accepted(accepted + webhooks).await;
}

/// Waits until nothing waits in the spool, and looks whether the account balances.
async fn drained(daemon: &Child, at_least: u64) {
    let ledger = eventually("the spool is drained", async || {
        let ledger = daemon.read("/api/v1/ledger").await;
        (ledger["spool"]["in_spool"] == 0 && ledger["spool"]["drained"].as_u64() >= Some(at_least))
            .then_some(ledger)
    })
    .await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    assert_eq!(ledger["spool"]["corrupt"], 0, "{ledger}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_taken_while_the_broker_is_paused_and_while_it_is_dead() {
    let Some(mut broker) = broker().await else { return };
    let setting = Setting::on(Some(broker.address.clone()), None);
    let daemon = setting.serve().await;
    let load = setting.simulate(LONG);
    goes_on(&daemon, 1000).await;
    broker.signal("-STOP");
    goes_on(&daemon, 1500).await;
    broker.signal("-CONT");
    drained(&daemon, 1).await;
    goes_on(&daemon, 500).await;
    broker.kill();
    goes_on(&daemon, 1500).await;
    broker.restart();
    broker.answers().await;
    load.ends().await.with(0).saying("0 differences");
    drained(&daemon, 1500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_starts_before_the_broker_takes_webhooks_and_counts_them_later() {
    let Some(mut broker) = broker().await else { return };
    broker.kill();
    let setting = Setting::on(Some(broker.address.clone()), None);
    let daemon = setting.serve().await;
    assert!(daemon.trouble_with("stream").await.is_some_and(|why| why.contains("stream.kafka.brokers")));
    for message in 0..30 {
        assert_eq!(daemon.takes(&cm(&message.to_string(), Fate::Delivered)).await.status, 200);
    }
    assert_eq!(daemon.read("/api/v1/ledger").await["spool"]["in_spool"], 30);
    // What it takes is kept through a start like the last one, too.
    daemon.kill();
    let daemon = setting.serve().await;
    broker.restart();
    broker.answers().await;
    drained(&daemon, 30).await;
    daemon.counts(CM_NUMBER, 30, 0).await;
    assert_eq!(daemon.trouble_with("stream").await, None);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_that_starts_before_the_broker_says_so_and_counts_later() {
    let Some(mut broker) = broker().await else { return };
    broker.kill();
    let setting = Setting::on(Some(broker.address.clone()), None);
    let receiver = setting.serve_as("receive").await;
    let observing = setting.sibling();
    let observer = observing.spawn(&["serve", "--role", "observe"]);
    has_started(&observer).await;
    assert!(observer.trouble_with("stream").await.is_some_and(|why| why.contains("stream.kafka.brokers")));
    assert!(!observer.is_ready_now().await);
    for message in 0..10 {
        assert_eq!(receiver.takes(&cm(&message.to_string(), Fate::Delivered)).await.status, 200);
    }
    broker.restart();
    observer.counts(CM_NUMBER, 10, 0).await;
    eventually("the observer is ready", async || observer.is_ready_now().await.then_some(())).await;
    assert_eq!(observer.trouble_with("stream").await, None);
    observer.terminate().await.with(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_there_later_and_refuses_topics_ends_an_observer_and_no_receiver() {
    let Some(mut broker) = broker().await else { return };
    broker.kill();
    let setting =
        Setting::on(Some(broker.address.clone()), None).set("[stream.kafka]", "replication_factor = 3");
    let receiver = setting.serve_as("receive").await;
    let observing = setting.sibling().set("[stream.kafka]", "replication_factor = 3");
    let observer = observing.spawn(&["serve", "--role", "observe"]);
    has_started(&observer).await;
    broker.restart();
    observer.ends().await.with(70).saying("`stream.kafka.partitions` and `replication_factor`");
    eventually("the receiver says so too", async || {
        receiver.trouble_with("stream").await.filter(|why| why.contains("replication_factor"))
    })
    .await;
    assert_eq!(receiver.takes(&cm("1", Fate::Delivered)).await.status, 200);
    assert_eq!(receiver.read("/api/v1/ledger").await["spool"]["in_spool"], 1);
    receiver.terminate().await.with(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_refuses_the_password_ends_any_start_with_a_sentence() {
    let Some(broker) = Broker::start_guarded() else { return };
    broker.answers().await;
    let said = |password: &str| {
        format!(
            "properties = {{ \"security.protocol\" = \"sasl_plaintext\", \"sasl.mechanism\" = \"PLAIN\", \
             \"sasl.username\" = \"broker\", \"sasl.password\" = \"{password}\" }}"
        )
    };
    let setting = Setting::on(Some(broker.address.clone()), None);
    for role in ["receive", "observe"] {
        let wrong = setting.sibling().set("[stream.kafka]", &said("kafka-password-c0ffee"));
        let ended = wrong.spawn(&["serve", "--role", role]).ends().await.with(69);
        let ended = ended.saying("refuses Sounder").saying("`stream.kafka.properties`");
        assert!(!ended.stderr.contains("c0ffee"), "{ended:?}");
    }
    let right = setting.sibling().set("[stream.kafka]", &said(BROKER_PASSWORD));
    right.serve_as("receive").await.terminate().await.with(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_has_forgotten_everything_while_nobody_looked_is_begun_anew() {
    let Some(mut broker) = broker().await else { return };
    let setting = Setting::on(Some(broker.address.clone()), None);
    let daemon = setting.serve().await;
    for message in 0..15 {
        assert_eq!(daemon.takes(&cm(&message.to_string(), Fate::Delivered)).await.status, 200);
    }
    daemon.counts(CM_NUMBER, 15, 0).await;
    daemon.terminate().await.with(0);
    broker.kill();
    broker.forget();
    broker.restart();
    broker.answers().await;
    // Each partition holds more by now than was ever read of it.
    let receiver = setting.serve_as("receive").await;
    for message in 15..135 {
        assert_eq!(receiver.takes(&cm(&message.to_string(), Fate::Delivered)).await.status, 200);
    }
    drained(&receiver, 0).await;
    receiver.terminate().await.with(0);
    let daemon = setting.serve().await;
    daemon.counts(CM_NUMBER, 135, 0).await;
    assert!(daemon.stderr().contains("has other records than those that were applied"));
    daemon.terminate().await.with(0);
}

/// Waits until it has started, ready or not.
async fn has_started(daemon: &Child) {
    eventually("it has started", async || daemon.stderr().contains("sounder is ready").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_killed_with_a_full_hand_loses_nothing() {
    let Some(broker) = broker().await else { return };
    let setting = Setting::on(Some(broker.address.clone()), None);
    let daemon = setting.serve().await;
    broker.signal("-STOP");
    for message in 0..40 {
        assert_eq!(daemon.takes(&cm(&message.to_string(), Fate::Delivered)).await.status, 200);
    }
    daemon.kill();
    broker.signal("-CONT");
    let daemon = setting.serve().await;
    drained(&daemon, 40).await;
    daemon.counts(CM_NUMBER, 40, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kafka_takes_after_it_was_spooled_is_counted_once() {
    let Some(broker) = broker().await else { return };
    let setting = Setting::on(Some(broker.address.clone()), None);
    let daemon = setting.serve().await;
    assert_eq!(daemon.takes(&cm("first", Fate::Delivered)).await.status, 200);
    broker.signal("-STOP");
    // Its request stands in the broker's socket, and is carried out when the broker goes on.
    assert_eq!(daemon.takes(&cm("ghost", Fate::Delivered)).await.status, 200);
    broker.signal("-CONT");
    drained(&daemon, 1).await;
    eventually("the ghost is there", async || {
        let ledger = daemon.read("/api/v1/ledger").await;
        (ledger["consumed"]["duplicate"].as_u64() >= Some(1) && ledger["lag"] == 0).then_some(())
    })
    .await;
    daemon.counts(CM_NUMBER, 2, 0).await;
    let metrics = daemon.get("/metrics").await.body;
    let ghosts = metrics.lines().find_map(|line| line.strip_prefix("sounder_ghosts_total "));
    assert!(ghosts.is_some_and(|ghosts| ghosts.parse::<u64>().is_ok_and(|ghosts| ghosts > 0)), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_refuses_with_a_time_to_come_back() {
    let Some(broker) = broker().await else { return };
    let setting = Setting::on(Some(broker.address.clone()), None).set("[stream]", "spool_bytes_max = 1000");
    let daemon = setting.serve().await;
    broker.signal("-STOP");
    let refused = eventually("a webhook is refused", async || {
        let answer = daemon.takes(&cm("full", Fate::Delivered)).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));

    broker.signal("-CONT");
    drained(&daemon, 1).await;
    eventually("there is room again", async || {
        (daemon.takes(&cm("full", Fate::Delivered)).await.status == 200).then_some(())
    })
    .await;
    daemon.counts(CM_NUMBER, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_ack_disk_a_dead_broker_is_nobodys_concern() {
    let Some(mut broker) = broker().await else { return };
    let setting = Setting::on(Some(broker.address.clone()), None).set("[stream.kafka]", "ack = \"disk\"");
    let daemon = setting.serve().await;
    let load = setting.simulate(LONG);
    goes_on(&daemon, 1000).await;
    broker.kill();
    goes_on(&daemon, 1500).await;
    broker.restart();
    load.ends().await.with(0).saying("0 differences");
    drained(&daemon, 1500).await;
    let ledger = daemon.read("/api/v1/ledger").await;
    assert_eq!(ledger["events"]["durable"]["kafka"], 0, "all of it went by the spool: {ledger}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_without_a_leader_cost_no_event() {
    let Some(mut broker) = broker().await else { return };
    let setting = Setting::on(Some(broker.address.clone()), None);
    let daemon = setting.serve().await;
    // Half as long again as the others: the broker notices in its own time that a disk is gone.
    let load = setting.simulate(&LONG.replace("8000", "12000"));
    goes_on(&daemon, 500).await;
    broker.loses_a_disk();
    eventually("partitions have lost their leader", async || {
        (daemon.read("/api/v1/ledger").await["spool"]["in_spool"].as_u64() > Some(100)).then_some(())
    })
    .await;
    goes_on(&daemon, 500).await;
    broker.gets_its_disk_back();
    load.ends().await.with(0).saying("0 differences");
    drained(&daemon, 100).await;
}

/// All of Kafka's memory goes, and with it what was counted already; what comes then is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_is_made_anew_and_read_from_its_beginning() {
    let Some(mut broker) = broker().await else { return };
    let setting = Setting::on(Some(broker.address.clone()), None);
    // What is made anew begins with leader epochs below those of what was there.
    let daemon = setting.serve().await;
    for message in 0..30 {
        assert_eq!(daemon.takes(&cm(&message.to_string(), Fate::Delivered)).await.status, 200);
    }
    daemon.counts(CM_NUMBER, 30, 0).await;
    broker.kill();
    broker.restart();
    broker.answers().await;
    drained(&daemon, 0).await;
    broker.deletes(&format!("{}receipts.v1", setting.shared.topic_prefix)).await;
    for message in 30..60 {
        assert_eq!(daemon.takes(&cm(&message.to_string(), Fate::Delivered)).await.status, 200);
    }
    daemon.counts(CM_NUMBER, 60, 0).await;
    drained(&daemon, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_has_forgotten_everything_is_begun_anew() {
    let Some(mut broker) = broker().await else { return };
    let setting = Setting::on(Some(broker.address.clone()), None);
    let daemon = setting.serve().await;
    for message in 0..30 {
        assert_eq!(daemon.takes(&cm(&message.to_string(), Fate::Delivered)).await.status, 200);
    }
    daemon.counts(CM_NUMBER, 30, 0).await;
    broker.kill();
    broker.forget();
    broker.restart();
    broker.answers().await;
    for message in 30..40 {
        assert_eq!(daemon.takes(&cm(&message.to_string(), Fate::Delivered)).await.status, 200);
    }
    drained(&daemon, 0).await;
    daemon.counts(CM_NUMBER, 40, 0).await;
}
