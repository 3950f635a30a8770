//! A clock that is set back and forward under a daemon: nothing panics, nothing is lost, the account
//! balances, and judging goes on.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;
use sounder::admin::Extras;
use sounder::app;
use sounder::clock::Clock;
use sounder::config::{self, Role, Source};

use crate::harness::{CM_NUMBER, Fate, Setting, cm, eventually, post};

const HOUR: i64 = 3_600_000;

/// How many evaluations there were.
async fn evaluations(client: &reqwest::Client, admin: &str) -> f64 {
    let metrics = client.get(format!("{admin}/metrics")).send().await.unwrap().text().await.unwrap();
    let count =
        metrics.lines().find_map(|line| line.strip_prefix("sounder_evaluation_duration_seconds_count "));
    count.map_or(0.0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_and_forward_loses_nothing_and_stops_nothing() {
    let shown: &'static AtomicI64 = Box::leak(Box::new(AtomicI64::new(1_764_000_000_000)));
    let setting = Setting::embedded().set("[health]", "evaluate_every = \"1h\"");
    let config = config::load(&Source::of(setting.text())).unwrap();
    let daemon = app::start(config, Role::All, Clock::driven(shown), Extras::default()).await.unwrap();
    let (receive, admin) = (setting.receive_url(), setting.admin_url());
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let read = async |path: &str| {
        let answer = client.get(format!("{admin}{path}")).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    let mut sent = 0;
    for step in [0, 1, -50, 72, -49] {
        shown.fetch_add(step * HOUR, Relaxed);
        for _ in 0..10 {
            let webhook = cm(&format!("m{sent}"), Fate::Delivered);
            // Twice: a repetition after the step counts nothing either.
            for _ in 0..2 {
                assert_eq!(post(&client, &receive, &webhook).send().await.unwrap().status(), 200);
            }
            sent += 1;
        }
        // Another message's receipt comes again, on the other side of the step.
        let again = cm("m0", Fate::Delivered);
        assert_eq!(post(&client, &receive, &again).send().await.unwrap().status(), 200);
        let number = format!("/api/v1/health/numbers/{}", CM_NUMBER.replace('+', "%2B"));
        eventually("all are counted once", async || {
            (read(&number).await["totals"]["delivered"] == sent).then_some(())
        })
        .await;
        let ledger = eventually("all are applied", async || {
            let ledger = read("/api/v1/ledger").await;
            (ledger["lag"] == 0).then_some(ledger)
        })
        .await;
        assert_eq!((&ledger["balanced"], &ledger["webhooks"]["lost"]), (&true.into(), &0.into()), "{ledger}");
        assert_eq!(ledger["consumed"]["late"], 0, "{ledger}");
        assert_eq!(ledger["consumed"]["total"], ledger["events"]["durable"]["embedded"], "{ledger}");
        let before = evaluations(&client, &admin).await;
        shown.fetch_add(HOUR, Relaxed);
        eventually("it is judged again when it is time", async || {
            (evaluations(&client, &admin).await > before).then_some(())
        })
        .await;
    }
    daemon.stop().await;
}
