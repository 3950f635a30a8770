//! Whether a recipient may be written to, and registered sends set against receipts: asked of a
//! running daemon after real webhooks, on either kind of store.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sounder::clock::Clock;

use crate::harness::{
    Child, Fate, Setting, TWILIO_NUMBER as NUMBER, Webhook, eventually, twilio, twilio_form,
};

const PERSON: &str = "+12025559876";
const OTHER_NUMBER: &str = "+18005550123";
/// How long ago messages were sent that have settled, though not all of them are in the hour.
const TWO_HOURS: Duration = Duration::from_secs(2 * 3600);

/// A reply of the person's, as Twilio pushes it.
fn reply(message: &str, text: &str) -> Webhook {
    let sid = format!("SM{message:0>32}");
    twilio_form(&[
        ("AccountSid", "AC0123456789abcdef0123456789abcdef"),
        ("Body", text),
        ("From", PERSON),
        ("MessageSid", &sid),
        ("SmsStatus", "received"),
        ("To", NUMBER),
    ])
}

async fn consent(daemon: &Child, number: &str, person: &str) -> Value {
    let encoded = |text: &str| text.replace('+', "%2B");
    daemon.read(&format!("/api/v1/consent/{}/{}", encoded(number), encoded(person))).await
}

async fn the_last_word_is_told(daemon: &Child) {
    let before = consent(daemon, NUMBER, PERSON).await;
    assert_eq!((&before["opted_out"], &before["since"]), (&json!(false), &Value::Null), "{before}");
    assert_eq!(daemon.takes(&reply("1", "Stop")).await.status, 200);
    let out = eventually("the opt-out is known", async || {
        let answer = consent(daemon, NUMBER, PERSON).await;
        (answer["opted_out"] == true).then_some(answer)
    })
    .await;
    let word = &out["evidence"][0];
    assert_eq!((&word["action"], &word["evidence"]), (&json!("opt_out"), &json!("keyword")), "{out}");
    assert_eq!((&word["keyword"], &word["at"]), (&json!("STOP"), &out["since"]), "{out}");
    // Events name people by their hash, and so may whoever asks.
    let hash = out["recipient"].as_str().unwrap_or_default();
    assert!(hash.starts_with("h:") && !out.to_string().contains(&PERSON[1..]), "{out}");
    assert_eq!(consent(daemon, NUMBER, hash).await, out);
    assert_eq!(consent(daemon, OTHER_NUMBER, PERSON).await["opted_out"], false);
    assert_eq!(daemon.takes(&reply("2", "START")).await.status, 200);
    eventually("the return is known", async || {
        let answer = consent(daemon, NUMBER, PERSON).await;
        (answer["opted_out"] == false && answer["evidence"][0]["action"] == "opt_in").then_some(())
    })
    .await;
    let refused = daemon.get("/api/v1/consent/%2B18005550100/nobody").await;
    assert!(refused.status == 400 && !refused.body.contains("nobody"), "{}", refused.body);
}

async fn sends_are_set_against_receipts(daemon: &Child) {
    let sent_at = Clock::wall().now().minus(TWO_HOURS).to_string();
    let send = |message: &str| json!({ "connection": "acme-twilio", "message_id": format!("SM{message:0>32}"), "number": NUMBER, "sent_at": sent_at });
    let sends = json!([send("11"), send("12"), send("13")]);
    assert_eq!(daemon.ask(Method::POST, "/api/v1/sends", &sends).await.status, 200);
    for message in ["11", "12"] {
        assert_eq!(daemon.takes(&twilio(message, Fate::Delivered)).await.status, 204);
    }
    let told = eventually("both receipts have met their sends", async || {
        let told = daemon.read("/api/v1/reconciliation").await;
        (told["numbers"][NUMBER]["24h"]["answered"] == 2).then_some(told)
    })
    .await;
    for line in [&told["numbers"][NUMBER]["24h"], &told["connections"]["acme-twilio"]["24h"]] {
        let counts = ["sends", "answered", "missing", "orphans"].map(|name| line[name].as_u64());
        assert_eq!(counts, [Some(3), Some(2), Some(1), Some(0)], "{told}");
    }
}

#[tokio::test]
async fn consent_and_reconciliation_are_told_on_embedded_backends() {
    let setting = Setting::embedded();
    let daemon = setting.serve().await;
    the_last_word_is_told(&daemon).await;
    sends_are_set_against_receipts(&daemon).await;
    daemon.terminate().await;
}

#[tokio::test]
async fn consent_and_reconciliation_are_told_on_kafka_and_redis() {
    let setting = Setting::kafka_and_redis();
    let daemon = setting.serve().await;
    the_last_word_is_told(&daemon).await;
    sends_are_set_against_receipts(&daemon).await;
    daemon.terminate().await;
}
