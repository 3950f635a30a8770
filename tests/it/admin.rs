//! The other listener: metrics, readiness, the account, incidents; and that nothing it shows is a
//! secret or a recipient's number.

use crate::harness::{Child, Fate, Setting, TWILIO_NUMBER, cm, eventually, infobip, leaks, lime, twilio};

/// A daemon that has been told good and bad news by every provider, and has an incident.
pub(crate) async fn busy_daemon(setting: &Setting) -> Child {
    let daemon = setting.serve().await;
    for webhook in [
        twilio("1", Fate::Filtered),
        twilio("2", Fate::Delivered).without("x-twilio-signature"),
        infobip("message-1", Fate::Delivered),
        cm("reference1", Fate::Filtered),
        lime("lime-1", Fate::Delivered),
    ] {
        daemon.takes(&webhook).await;
    }
    daemon.counts(TWILIO_NUMBER, 0, 1).await;
    eventually("an incident is open", async || {
        let open = daemon.read("/api/v1/incidents?open=true").await;
        open["incidents"].get(0).is_some().then_some(())
    })
    .await;
    daemon
}

/// What the contract calls what `/metrics` shows once all of it has been used.
const METRICS: [&str; 19] = [
    "webhooks_total",
    "events_total",
    "receipts_total",
    "failures_total",
    "webhook_duration_seconds",
    "verify_failures_total",
    "secret_uses_total",
    "publish_duration_seconds",
    "publish_total",
    "consumer_lag_events",
    "applied_total",
    "apply_duration_seconds",
    "numbers",
    "incidents_open",
    "incident_transitions_total",
    "evaluation_duration_seconds",
    "cells",
    "ledger_imbalance",
    "build_info",
];

#[tokio::test]
async fn metrics_have_the_names_of_the_contract() {
    let setting = Setting::embedded();
    let daemon = busy_daemon(&setting).await;
    // What an evaluation did is counted a moment after it can be seen.
    let text = eventually("every metric is there", async || {
        let text = daemon.get("/metrics").await.body;
        METRICS.iter().all(|name| text.contains(&format!("# TYPE sounder_{name} "))).then_some(text)
    })
    .await;
    assert!(text.contains("sounder_ledger_imbalance 0\n"), "{text}");
}

#[tokio::test]
async fn a_healthy_daemon_says_so_and_its_account_balances() {
    let setting = Setting::embedded();
    let daemon = busy_daemon(&setting).await;
    assert_eq!(daemon.get("/healthz").await.status, 200);
    let readiness = daemon.read("/readyz").await;
    assert_eq!(readiness["ready"], true, "{readiness}");
    // What one provider sent is counted before what another did.
    let ledger = eventually("everything is applied", async || {
        let ledger = daemon.read("/api/v1/ledger").await;
        (ledger["lag"] == 0).then_some(ledger)
    })
    .await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    let webhooks = &ledger["webhooks"];
    assert_eq!((&webhooks["received"], &webhooks["accepted"]), (&5.into(), &4.into()), "{ledger}");
    assert_eq!(webhooks["rejected"]["unauthorized"], 1, "{ledger}");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_details() {
    let setting = Setting::embedded();
    let daemon = setting.serve().await;
    for path in
        ["/api/v1/health/numbers/%2B12025550199", "/api/v1/incidents/01J", "/api/v1/nothing", "/nothing"]
    {
        let answer = daemon.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, Some("application/problem+json")),
            "{path}"
        );
        assert!(answer.body.contains("\"status\":404") && answer.body.contains("\"detail\""), "{answer:?}");
    }
    assert_eq!(daemon.get("/api/v1/health/numbers/%2B123456789012345678").await.status, 400);
}

#[tokio::test]
async fn with_tokens_the_api_asks_for_one_and_probes_do_not() {
    let setting = Setting::embedded().asking_for_a_token();
    let daemon = setting.serve().await;
    let refused = daemon.get("/api/v1/ledger").await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(daemon.get(path).await.status, 200, "{path}");
    }
    let mut load = setting.simulate("--messages 100 --admin-token wrong-token-c0ffee").ends().await.with(69);
    load.stderr.truncate(0);
    let token = crate::harness::ADMIN_TOKEN;
    setting.simulate(&format!("--messages 100 --rate max --admin-token {token}")).ends().await.with(0);
}

#[tokio::test]
async fn nothing_that_is_shown_is_a_secret_or_a_recipients_number() {
    let setting = Setting::embedded();
    let daemon = busy_daemon(&setting).await;
    for path in ["/", "/metrics", "/readyz", "/api/v1/health", "/api/v1/incidents", "/api/v1/ledger"] {
        let shown = daemon.get(path).await;
        assert_eq!((shown.status, leaks(&shown.body)), (200, Vec::new()), "{path}");
    }
    let ended = daemon.terminate().await.with(0);
    assert_eq!(leaks(&format!("{}{}", ended.stdout, ended.stderr)), Vec::<String>::new());
    let said = "12025559876 and twilio-token-c0ffee0123456789";
    assert_eq!(leaks(said).len(), 2, "the search itself finds what it looks for");
}
