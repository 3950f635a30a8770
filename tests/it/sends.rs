//! Registered sends: a receipt that names no sender counts at once as nobody's, and moves to its
//! number when its send arrives, on either store; and what is registered wrongly is told.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Child, Fate, Setting, TWILIO_NUMBER as NUMBER, cm, eventually};

const RECIPIENT: &str = "+12025559876";

/// A CM account with several numbers, so that nothing but a send says whose a receipt is.
fn several_numbers(setting: Setting) -> Setting {
    setting.with(
        "[[connection]]\nid = \"many-cm\"\nprovider = \"cm\"\npath_secrets = [\"many-cm-path-c0ffee0123456789\"]\n",
    )
}

async fn register(daemon: &Child, path: &str, body: &Value) -> (u16, Value) {
    let answer = daemon.ask(Method::POST, path, body).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
}

/// A receipt before its send, a send before its receipt, and a receipt whose send never comes.
async fn receipts_meet_their_sends(daemon: &Child) {
    let path = "/hooks/many-cm/many-cm-path-c0ffee0123456789";
    let report = |reference: &str, fate| cm(reference, fate).at(path);
    let send = |reference: &str| json!({ "connection": "many-cm", "reference": reference, "number": NUMBER, "recipient": RECIPIENT });
    assert_eq!(daemon.takes(&report("first", Fate::Delivered)).await.status, 200);
    assert_eq!(daemon.takes(&report("never", Fate::Delivered)).await.status, 200);
    nobodys(daemon, 2).await;
    let both = json!([send("first"), send("second")]);
    assert_eq!(register(daemon, "/api/v1/sends", &both).await, (200, json!({ "registered": 2 })));
    daemon.counts(NUMBER, 1, 0).await;
    nobodys(daemon, 1).await;
    // What is told twice is the same news.
    assert_eq!(register(daemon, "/api/v1/sends", &both).await.0, 200);
    assert_eq!(daemon.takes(&report("second", Fate::Filtered)).await.status, 200);
    let health = daemon.counts(NUMBER, 1, 1).await;
    assert_eq!(health["totals"]["sent"], 0, "{health}");
    nobodys(daemon, 1).await;
}

/// Waits until so many delivered messages are nobody's.
async fn nobodys(daemon: &Child, messages: u64) {
    eventually(&format!("{messages} messages are nobody's"), async || {
        let health = daemon.read("/api/v1/health").await;
        let of = &health["connections"]["many-cm"]["unattributed"]["totals"];
        (of["delivered"] == messages).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_receipt_counts_as_nobodys_until_its_send_arrives_on_embedded_backends() {
    let setting = several_numbers(Setting::embedded());
    let daemon = setting.serve().await;
    receipts_meet_their_sends(&daemon).await;
    daemon.terminate().await;
}

#[tokio::test]
async fn a_receipt_counts_as_nobodys_until_its_send_arrives_on_kafka_and_redis() {
    let setting = several_numbers(Setting::kafka_and_redis());
    let daemon = setting.serve().await;
    receipts_meet_their_sends(&daemon).await;
    let ledger = daemon.read("/api/v1/ledger").await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    daemon.terminate().await;
}

#[tokio::test]
async fn what_is_registered_wrongly_is_told_and_nothing_of_it_taken() {
    let setting = several_numbers(Setting::embedded());
    let daemon = setting.serve().await;
    let right = json!({ "connection": "acme-twilio", "message_id": "SM1", "number": NUMBER });
    let wrong =
        json!({ "connection": "acme-twilio", "reference": "r", "number": NUMBER, "recipient": RECIPIENT });
    let (status, problem) = register(&daemon, "/api/v1/sends", &json!([right, wrong])).await;
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(status == 422 && detail.contains("[1]") && detail.contains("message_id"), "{problem}");
    assert!(!detail.contains(&RECIPIENT[2..]), "{detail}");
    let (status, problem) = register(&daemon, "/api/v1/sends", &json!({ "connection": "acme-twilio" })).await;
    assert!(
        status == 400 && problem["detail"].as_str().is_some_and(|text| text.contains("array")),
        "{problem}"
    );
    let many = vec![right; 10_001];
    assert_eq!(register(&daemon, "/api/v1/sends", &json!(many)).await.0, 422);
    let ledger = daemon.read("/api/v1/ledger").await;
    assert_eq!(ledger["events"]["produced"], 0, "{ledger}");
    let notice =
        json!({ "connection": "acme-twilio", "kind": "complaint", "number": NUMBER, "text": "By e-mail." });
    assert_eq!(register(&daemon, "/api/v1/feedback", &notice).await.0, 200);
    assert_eq!(register(&daemon, "/api/v1/feedback", &json!({ "kind": "complaint" })).await.0, 400);
    assert_eq!(daemon.read("/api/v1/ledger").await["events"]["produced"], 1);
    daemon.terminate().await;
}
