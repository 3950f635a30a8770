//! Receivers and observers as processes of their own: what receivers tell of themselves, and what
//! observers make of it.

use serde_json::json;

use crate::harness::{CM_NUMBER, Fate, Setting, cm, eventually, lime};

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
