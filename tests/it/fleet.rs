//! Receivers and observers as processes of their own on one Kafka and one Redis: they share the work,
//! another one goes on where one was killed, and what receivers tell of themselves is heard.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use sounder::clock::Timestamp;
use sounder::config::Kafka;
use sounder::consume::Archive;
use sounder::event::{Record, Topic};
use sounder::publish::{Heartbeat, Publisher, SpoolAccount};
use sounder::simulate::discord::Standin;
use tokio::time::Instant;

use crate::harness::{self, CM_NUMBER, Child, Fate, Setting, cm, eventually, lime, twilio};

/// How soon another observer must evaluate after one was killed.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);

/// Whether a process evaluates, by what it counts of its own evaluations.
async fn evaluations(observer: &Child) -> u64 {
    let metrics = observer.get("/metrics").await.body;
    let count =
        metrics.lines().find_map(|line| line.strip_prefix("sounder_evaluation_duration_seconds_count "));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn two_receivers_and_two_observers_count_each_message_once() {
    let setting = Setting::kafka_and_redis();
    let others = [setting.sibling(), setting.sibling(), setting.sibling()];
    let (first, second) = tokio::join!(setting.serve_as("receive"), others[0].serve_as("receive"));
    let (third, fourth) = tokio::join!(others[1].serve_as("observe"), others[2].serve_as("observe"));
    let load = "--messages 3000 --rate 800 --shuffle --duplicates 0.3 --from-zero";
    // Both receivers take the same messages' receipts: what one of them got, the other gets as well.
    let one = setting.simulate_and_ask(&others[1], load);
    one.ends().await.with(0).saying("0 differences");
    let again = others[0].simulate_and_ask(&others[2], load);
    again.ends().await.with(0).saying("0 differences");
    for daemon in [first, second, third, fourth] {
        assert_eq!(daemon.read("/api/v1/ledger").await["balanced"], true);
        daemon.terminate().await.with(0);
    }
}

#[tokio::test]
async fn another_observer_goes_on_with_the_incident_of_one_that_was_killed() {
    let discord = Standin::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let setting = Setting::kafka_and_redis().telling(&discord);
    let (holder, next) = (setting.sibling(), setting.sibling());
    let receiver = setting.serve_as("receive").await;
    let killed = holder.serve_as("observe").await;
    eventually("the first observer evaluates", async || (evaluations(&killed).await > 0).then_some(())).await;
    let survivor = next.serve_as("observe").await;
    assert_eq!(receiver.takes(&twilio("1", Fate::Filtered)).await.status, 204);
    eventually("the card and its ping are there", async || (discord.posted().len() == 2).then_some(())).await;
    assert_eq!(evaluations(&survivor).await, 0, "the other one holds the lease");

    let begun = Instant::now();
    killed.kill();
    eventually("the other one evaluates", async || (evaluations(&survivor).await > 0).then_some(())).await;
    let took = begun.elapsed();
    assert!(took < TAKEN_OVER_WITHIN, "it took {took:?}");
    for message in 100..130 {
        assert_eq!(receiver.takes(&twilio(&message.to_string(), Fate::Delivered)).await.status, 204);
    }
    eventually("the card is resolved in its place", async || {
        let posted = discord.posted();
        posted[0].embeds()[0]["title"].as_str()?.starts_with("Resolved").then_some(())
    })
    .await;
    assert_eq!(discord.posted().len(), 2, "nothing was posted twice: {:?}", discord.posted());
    let said = format!("fleet: another observer evaluated {took:?} after the kill\n");
    std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).unwrap();
}

#[tokio::test]
async fn observers_add_receivers_up_and_judge_nothing_while_one_of_them_is_missing() {
    // The first event waits for the producer to settle; on a busy machine it would be spooled.
    let patient = |setting: Setting| setting.set("[stream.kafka]", "spool_after = \"2500ms\"");
    let one = patient(Setting::kafka_and_redis());
    let other = patient(one.sibling());
    let watcher = one.sibling().set("[health]", "lag_max = \"12s\"");
    let observer = watcher.serve_as("observe").await;
    let (first, second) = (one.serve_as("receive").await, other.serve_as("receive").await);
    for message in ["1", "2", "3"] {
        assert_eq!(first.takes(&cm(message, Fate::Delivered)).await.status, 200);
    }
    assert_eq!(second.takes(&lime("4", Fate::Delivered)).await.status, 200);
    assert_eq!(second.takes(&cm("5", Fate::Delivered).at("/hooks/acme-cm")).await.status, 401);
    observer.counts(CM_NUMBER, 3, 0).await;
    let fleet = eventually("both receivers have told of what they took", async || {
        let fleet = observer.read("/api/v1/ledger?scope=fleet").await;
        (fleet["webhooks"]["received"] == 5).then_some(fleet)
    })
    .await;
    assert_eq!((&fleet["scope"], &fleet["balanced"]), (&json!("fleet"), &json!(true)), "{fleet}");
    let webhooks = &fleet["webhooks"];
    assert_eq!((&webhooks["accepted"], &webhooks["rejected"]), (&json!(4), &json!({"unauthorized": 1})));
    assert_eq!((&fleet["events"]["durable"], &fleet["spool"]["in_spool"]), (&json!({"kafka": 4}), &json!(0)));
    assert_eq!(fleet["consumed"]["total"], 4, "{fleet}");
    let share = &fleet["connections"]["acme-cm"];
    assert_eq!((&share["webhooks"]["received"], &share["events"]["produced"]), (&json!(4), &json!(3)));
    assert!(share["last_webhook_at"].is_string(), "{fleet}");
    let conditions = |fleet: &serde_json::Value| {
        let receivers = fleet["receivers"].as_array().cloned().unwrap_or_default();
        let mut conditions: Vec<_> = receivers.iter().map(|one| one["condition"].to_string()).collect();
        conditions.sort();
        conditions.join(" ")
    };
    assert_eq!(conditions(&fleet), "\"live\" \"live\"", "{fleet}");

    // One that is killed is missed; one that ends is not.
    second.kill();
    first.terminate().await.with(0);
    let said = eventually("a receiver is missed", async || observer.trouble_with("receivers").await).await;
    assert!(said.contains("nothing has been heard of receiver"), "{said}");
    let health = observer.read("/api/v1/health").await;
    assert!(health["held"].as_str().is_some_and(|held| held.contains("receiver")), "{health}");
    assert!(observer.is_ready_now().await, "it counts and shows all the same");
    let fleet = observer.read("/api/v1/ledger?scope=fleet").await;
    assert_eq!(conditions(&fleet), "\"late\" \"stopped\"", "{fleet}");
    let second = other.serve_as("receive").await;
    eventually("it is back", async || observer.trouble_with("receivers").await.is_none().then_some(())).await;
    let metrics = observer.get("/metrics").await.body;
    assert!(metrics.contains("sounder_receivers{condition=\"live\"} 1"), "{metrics}");
    assert!(metrics.contains("sounder_ledger_imbalance 0\n"), "{metrics}");
    second.terminate().await.with(0);
    observer.terminate().await.with(0);
}

#[tokio::test]
async fn a_receiver_that_is_gone_for_good_is_taken_out_of_the_topic() {
    let setting = Setting::kafka_and_redis();
    let kafka = Kafka {
        brokers: harness::brokers(),
        topic_prefix: setting.shared.topic_prefix.clone(),
        partitions: 3,
        ..Kafka::default()
    };
    let publisher = Publisher::kafka(&kafka, Duration::from_secs(86_400)).await.unwrap();
    let at = Timestamp::from_seconds(1_764_000_000);
    let heartbeat = json!({
        "receiver": "gone", "stage": "receiving", "version": "0", "at": at, "started_at": at,
        "spool": SpoolAccount::default(), "oldest_spooled_at": null, "ledger": {},
    });
    let value = Bytes::from(heartbeat.to_string());
    let record = Record { value, ..Heartbeat::forgotten("gone", at) };
    drop(publisher.publish(vec![record]).await.unwrap());
    let archive = Archive::Kafka(kafka);
    let told =
        async || archive.newest(Topic::Receivers).await.ok().map(|told| told.into_keys().collect::<Vec<_>>());
    eventually("the one that is gone is told of", async || (told().await? == ["gone"]).then_some(())).await;

    let (receiver, observing) = (setting.serve_as("receive").await, setting.sibling());
    let observer = observing.serve_as("observe").await;
    eventually("only the one that lives is told of", async || {
        let told = told().await?;
        (told.len() == 1 && told[0] != "gone").then_some(())
    })
    .await;
    let fleet = eventually("the receiver is heard", async || {
        let fleet = observer.read("/api/v1/ledger?scope=fleet").await;
        (fleet["receivers"].as_array()?.len() == 1).then_some(fleet)
    })
    .await;
    assert_eq!(
        (&fleet["receivers"][0]["condition"], &fleet["balanced"]),
        (&json!("live"), &json!(true)),
        "{fleet}"
    );
    receiver.terminate().await.with(0);
    observer.terminate().await.with(0);
}
