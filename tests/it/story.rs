//! The product, as its users see it: providers call, the stream holds what they said, cells count
//! it, a card appears on Discord and is edited when the number recovers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Headers as _, Message as _};
use serde_json::Value;
use sounder::simulate::discord::{Fault, Message, Standin};

use crate::harness::{
    self, CM_NUMBER, Child, Fate, INFOBIP_NUMBER, LIME_NUMBER, PATIENCE, Setting, TWILIO_NUMBER, Webhook, cm,
    eventually, infobip, lime, twilio,
};

/// What a plain consumer reads of a receipt.
#[derive(Debug)]
struct Receipt {
    key: String,
    headers: BTreeMap<String, String>,
    value: Value,
}

async fn discord() -> Standin {
    Standin::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// A webhook of each provider: three messages are delivered, Twilio's is filtered.
fn one_of_each() -> [(Webhook, u16); 4] {
    [
        (twilio("1", Fate::Filtered), 204),
        (infobip("message-1", Fate::Delivered), 200),
        (cm("reference1", Fate::Delivered), 200),
        (lime("lime-1", Fate::Delivered), 200),
    ]
}

/// Sends one webhook of each provider.
async fn four_webhooks_arrive_at(daemon: &Child) {
    for (webhook, status) in one_of_each() {
        assert_eq!(daemon.takes(&webhook).await.status, status, "{}", webhook.path);
    }
}

/// Waits for the cells of those four webhooks.
async fn cells_hold_them(daemon: &Child) {
    let sick = daemon.counts(TWILIO_NUMBER, 0, 1).await;
    assert_eq!(sick["failures"]["carrier_filtered"], 1, "{sick}");
    for number in [INFOBIP_NUMBER, CM_NUMBER, LIME_NUMBER] {
        daemon.counts(number, 1, 0).await;
    }
}

/// The card, once its title begins so.
async fn card(discord: &Standin, title: &str) -> Message {
    let titled = |message: &Message| {
        let embeds = message.embeds();
        embeds.iter().any(|embed| embed["title"].as_str().is_some_and(|words| words.starts_with(title)))
    };
    eventually(&format!("a card says {title}"), async || discord.posted().into_iter().find(titled)).await
}

/// The sick number's next thirty messages are delivered.
async fn thirty_are_delivered_at(daemon: &Child) {
    for message in 100..130 {
        assert_eq!(daemon.takes(&twilio(&message.to_string(), Fate::Delivered)).await.status, 204);
    }
}

/// The card that told of the fall now tells of the recovery, in its place.
async fn the_number_falls_and_recovers(receiver: &Child, observer: &Child, discord: &Standin) {
    let alarm = card(discord, "Critical · +1 202 555 0142").await;
    let incident = &observer.read("/api/v1/incidents?open=true").await["incidents"][0];
    assert_eq!(incident["number"], TWILIO_NUMBER, "{incident}");
    thirty_are_delivered_at(receiver).await;
    let resolved = card(discord, "Resolved · +1 202 555 0142").await;
    assert_eq!(alarm.id, resolved.id);
    assert!(alarm.versions.len() < resolved.versions.len(), "the card was edited, not posted again");
    eventually("no incident is open", async || {
        let open = observer.read("/api/v1/incidents?open=true").await;
        open["incidents"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
}

/// Reads at least so many receipts, of four events, with a consumer that knows nothing of Sounder.
async fn receipts(setting: &Setting, count: usize) -> Vec<Receipt> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", harness::brokers())
        .set("group.id", harness::unique("reader"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[&format!("{}receipts.v1", setting.shared.topic_prefix)]).unwrap();
    let mut found = Vec::new();
    while found.len() < count || ids(&found).len() < 4 {
        let message = tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("no more").unwrap();
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        let headers = message.headers().unwrap().iter();
        found.push(Receipt {
            key: text(message.key()),
            headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
            value: serde_json::from_slice(message.payload().unwrap()).unwrap(),
        });
    }
    found
}

/// The events there are, however often.
fn ids(receipts: &[Receipt]) -> BTreeSet<&str> {
    receipts.iter().map(|receipt| receipt.headers["ce_id"].as_str()).collect()
}

/// What is in Kafka after those four webhooks, and one of them again.
fn are_the_four_and_a_retry(receipts: &[Receipt]) {
    let of = |connection| receipts.iter().filter(move |receipt| receipt.value["connection"] == connection);
    for receipt in receipts {
        let header = |name: &str| receipt.headers[name].as_str();
        let connection = receipt.value["connection"].as_str().unwrap();
        assert_eq!((header("ce_type"), header("ce_specversion")), ("sms.receipt.v1", "1.0"));
        assert_eq!(header("ce_source"), format!("/connections/{connection}"));
        assert!(receipt.key.starts_with(&format!("{connection}:")), "{}", receipt.key);
        assert!(header("ce_time").parse::<sounder::clock::Timestamp>().is_ok());
        let recipient = receipt.value["recipient"].as_str().unwrap();
        assert!(recipient.starts_with("h:"), "a recipient in the clear: {recipient}");
    }
    // What a laden broker takes long over may stand there twice, too.
    let keys: BTreeSet<_> = receipts.iter().map(|receipt| &receipt.key).collect();
    assert_eq!((ids(receipts).len(), keys.len()), (4, 4), "a retry has the id it had");
    assert!(of("acme-twilio").count() >= 2);
    let filtered = of("acme-twilio").next().unwrap();
    assert_eq!(filtered.value["failure"]["class"], "carrier_filtered");
}

/// The kinds of keys under the setting's prefix.
async fn kinds_of_keys(setting: &Setting) -> BTreeSet<String> {
    let prefix = format!("{}:{{0}}:", setting.shared.key_prefix);
    let client = redis::Client::open(harness::redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}*", setting.shared.key_prefix);
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    let kind = |key: &String| key.strip_prefix(&prefix).unwrap().split(':').next().unwrap().to_owned();
    keys.iter().map(kind).collect()
}

#[tokio::test]
async fn four_webhooks_become_events_cells_and_a_card_that_recovery_edits() {
    let discord = discord().await;
    // The first event waits for the producer to settle; spooled on a busy machine, it would come twice.
    let setting =
        Setting::kafka_and_redis().telling(&discord).set("[stream.kafka]", "spool_after = \"2500ms\"");
    let daemon = setting.serve().await;
    four_webhooks_arrive_at(&daemon).await;
    assert_eq!(daemon.takes(&one_of_each()[0].0).await.status, 204);
    are_the_four_and_a_retry(&receipts(&setting, 5).await);
    cells_hold_them(&daemon).await;
    let kinds = kinds_of_keys(&setting).await;
    assert!(
        ["meta", "gens", "g", "m", "cells", "positions"].iter().all(|kind| kinds.contains(*kind)),
        "{kinds:?}"
    );
    the_number_falls_and_recovers(&daemon, &daemon, &discord).await;
    daemon.terminate().await.with(0);
}

#[tokio::test]
async fn one_process_receives_and_another_observes() {
    let discord = discord().await;
    let setting = Setting::kafka_and_redis().telling(&discord);
    let other = setting.sibling();
    let (observer, receiver) = tokio::join!(other.serve_as("observe"), setting.serve_as("receive"));
    four_webhooks_arrive_at(&receiver).await;
    cells_hold_them(&observer).await;
    the_number_falls_and_recovers(&receiver, &observer, &discord).await;
    receiver.terminate().await.with(0);
    observer.terminate().await.with(0);
}

#[tokio::test]
async fn it_works_with_nothing_else_installed() {
    let discord = discord().await;
    let setting = Setting::embedded().telling(&discord);
    let daemon = setting.serve().await;
    four_webhooks_arrive_at(&daemon).await;
    cells_hold_them(&daemon).await;
    the_number_falls_and_recovers(&daemon, &daemon, &discord).await;
    daemon.terminate().await.with(0);
    let daemon = setting.serve().await;
    daemon.counts(TWILIO_NUMBER, 30, 1).await;
}

#[tokio::test]
async fn embedded_state_beside_kafka_has_one_observer() {
    let setting = Setting::kafka_and_embedded();
    let daemon = setting.serve().await;
    four_webhooks_arrive_at(&daemon).await;
    cells_hold_them(&daemon).await;
    let other = setting.sibling();
    let second = other.spawn(&["serve", "--role", "observe"]);
    second.ends().await.with(64).saying("state.kind = \"redis\"");
    daemon.kill();
    let daemon = setting.serve().await;
    cells_hold_them(&daemon).await;
}

#[tokio::test]
async fn what_a_deleted_webhook_did_not_take_goes_to_the_one_that_is_configured_next() {
    let (deleted, next) = (discord().await, discord().await);
    deleted.fail_next(Fault::NotFound);
    let setting = Setting::embedded().telling(&deleted);
    let daemon = setting.serve().await;
    four_webhooks_arrive_at(&daemon).await;
    eventually("it is said that the webhook is gone", async || {
        daemon.trouble_with("discord").await.filter(|said| said.contains("SIGHUP"))
    })
    .await;
    let setting = setting.telling(&next);
    setting.is_written();
    daemon.signal("HUP");
    card(&next, "Critical · +1 202 555 0142").await;
    eventually("Discord is fine", async || daemon.trouble_with("discord").await.is_none().then_some(()))
        .await;
    assert_eq!(deleted.posted().len(), 0);
}
