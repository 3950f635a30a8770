//! A broker that is paused or dies under load: webhooks are taken all the while, and every event is
//! in the stream in the end.

use sounder::config::Kafka;

use crate::harness::{Child, Fate, Setting, cm, eventually};
use crate::outage::Broker;

/// Long enough to be interrupted twice, with repetitions and out of order.
const LONG: &str = "--messages 8000 --rate 800 --shuffle --duplicates 0.3 --from-zero";

async fn broker() -> Option<(Broker, Kafka)> {
    let broker = Broker::start()?;
    let kafka = Kafka { brokers: broker.address.clone(), ..Kafka::default() };
    broker.answers(&kafka).await;
    Some((broker, kafka))
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
    let Some((mut broker, kafka)) = broker().await else { return };
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
    broker.answers(&kafka).await;
    load.ends().await.with(0).saying("0 differences");
    drained(&daemon, 1500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_killed_with_a_full_hand_loses_nothing() {
    let Some((broker, _)) = broker().await else { return };
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
    daemon.counts(crate::harness::CM_NUMBER, 40, 0).await;
}
