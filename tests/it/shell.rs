//! The admin API from the shell, against a running daemon: what is wrong and why, who has taken it on,
//! whom not to call; on both stores.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use crate::admin::busy_daemon;
use crate::harness::{Child, Setting, TWILIO_NUMBER, eventually};

/// What a command prints to standard error that ends with this code.
async fn complains(setting: &Setting, arguments: &[&str], code: i32) -> String {
    setting.spawn(arguments).ends().await.with(code).stderr
}

/// What a command prints that ends well.
async fn says(setting: &Setting, arguments: &[&str]) -> String {
    setting.spawn(arguments).ends().await.with(0).stdout
}

async fn incident_of_twilios_number(daemon: &Child) -> String {
    let told = daemon.read("/api/v1/incidents?open=true").await;
    let incidents = told["incidents"].as_array().unwrap();
    let found = incidents.iter().find(|incident| incident["number"] == TWILIO_NUMBER).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_incident_is_explained_silenced_and_acknowledged() {
    for setting in [Setting::embedded(), Setting::kafka_and_redis()] {
        let daemon = busy_daemon(&setting).await;
        let id = incident_of_twilios_number(&daemon).await;
        let why = says(&setting, &["explain", TWILIO_NUMBER]).await;
        assert!(why.contains("It alerts: critical is confirmed since"), "{why}");
        let why = says(&setting, &["explain", "--incident", &id]).await;
        assert!(why.contains("Critical · +1 202 555 0142") && why.contains("What to do:"), "{why}");

        let add =
            ["silence", "add", "--number", TWILIO_NUMBER, "--for", "2h", "--why", "a test", "--by", "ada"];
        let begun = says(&setting, &add).await;
        let why = says(&setting, &["explain", TWILIO_NUMBER]).await;
        assert!(why.contains("Nobody is called: ada silenced +12025550142 until"), "{why}");
        let list = ["silence", "list", "--admin", &setting.admin_url(), "--admin-token", "none-is-needed"];
        assert!(says(&setting, &list).await.contains("by ada: a test"));
        let silence = begun.split_whitespace().next().unwrap();
        assert_eq!(says(&setting, &["silence", "end", silence]).await, "ended\n");
        assert_eq!(says(&setting, &["silence", "list"]).await, "nothing is silenced\n");

        let acknowledged = says(&setting, &["ack", &id, "--by", "ada"]).await;
        assert!(acknowledged.contains("acknowledged by ada"), "{acknowledged}");
        // A second one changes nothing.
        assert_eq!(says(&setting, &["ack", &id, "--by", "eve"]).await, acknowledged);
        assert!(says(&setting, &["incidents"]).await.contains(acknowledged.trim()));
        eventually("the evaluation has noted it on the incident", async || {
            let told = daemon.read(&format!("/api/v1/incidents/{id}")).await;
            (told["acknowledged"]["by"] == "ada").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_complaint_is_reported_and_lists_and_numbers_are_listed() {
    let setting = Setting::embedded();
    let daemon = busy_daemon(&setting).await;
    let told =
        ["feedback", "--connection", "acme-twilio", "--kind", "complaint", "--number", TWILIO_NUMBER, "One."];
    assert!(says(&setting, &told).await.starts_with("published as "));
    let lists = says(&setting, &["lists"]).await;
    assert!(lists.starts_with("acme-promo") && lists.contains("4 numbers"), "{lists}");
    let numbers = says(&setting, &["numbers"]).await;
    assert!(numbers.lines().count() == 4 && numbers.contains("acme-promo"), "{numbers}");
    let page = daemon.read("/api/v1/numbers?limit=3").await;
    let rest = daemon
        .read(&format!("/api/v1/numbers?after={}", page["next"].as_str().unwrap().replace('+', "%2B")))
        .await;
    assert_eq!(
        (page["numbers"].as_array().unwrap().len(), rest["numbers"].as_array().unwrap().len()),
        (3, 1)
    );
    assert_eq!(daemon.read("/api/v1/openapi.json").await["openapi"], "3.1.0");
}

#[tokio::test]
async fn what_the_api_refuses_or_nobody_answers_ends_with_its_own_code() {
    let setting = Setting::embedded().asking_for_a_token();
    let away = complains(&setting, &["numbers"], 69).await;
    assert!(away.contains("cannot be reached: is the daemon up"), "{}", away);
    let _daemon = setting.serve().await;
    // The configured token may read, and nothing else.
    assert!(says(&setting, &["numbers"]).await.contains(TWILIO_NUMBER));
    let add = ["silence", "add", "--number", TWILIO_NUMBER, "--for", "2h", "--why", "w"];
    let refused = complains(&setting, &add, 64).await;
    assert!(refused.contains("--admin-token"), "{}", refused);
    for (arguments, said) in [
        (&["explain", "+12025550199"][..], "no such number"),
        (&["explain", "--incident", "01J"], "no incident has this id"),
        (&["explain"], "<NUMBER>"),
        (&["silence", "add", "--for", "2h", "--why", "w"], "--number"),
        (&["numbers", "--admin-token", "env:SOUNDER_NO_SUCH"], "SOUNDER_NO_SUCH, which is not set"),
    ] {
        let refused = complains(&setting, arguments, 64).await;
        assert!(refused.contains(said), "{arguments:?}: {}", refused);
    }
}
