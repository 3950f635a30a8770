//! `replay`: the stream counted once more gives what was counted live, and the same every time.

use serde_json::Value;

use crate::harness::{Setting, TWILIO_NUMBER};

const LOAD: &str = "--messages 1500 --rate 1500 --shuffle --duplicates 0.3 --from-zero";

/// What a replay prints, and how it ended.
async fn replay(setting: &Setting, arguments: &[&str], code: i32) -> (String, Value) {
    let words: Vec<&str> = ["replay", "--json"].iter().chain(arguments).copied().collect();
    let ended = setting.spawn(&words).ends().await.with(code);
    let read = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    (ended.stdout, read)
}

#[tokio::test]
async fn a_replay_of_kafka_beside_live_observers_equals_them_twice() {
    let setting = Setting::kafka_and_redis();
    let daemon = setting.serve().await;
    setting.simulate(LOAD).ends().await.with(0).saying("0 differences");
    let (first, read) = replay(&setting, &["--dry-run"], 0).await;
    assert_eq!((&read["differences"], &read["late"]), (&Value::Array(Vec::new()), &0.into()), "{first}");
    assert!(read["applied"].as_u64() >= Some(1500), "{first}");
    let (second, _) = replay(&setting, &["--dry-run"], 0).await;
    assert_eq!(first, second);

    let (_, nothing) = replay(&setting, &["--dry-run", "--from", "2100-01-01T00:00:00Z"], 0).await;
    assert_eq!((&nothing["applied"], &nothing["cells"]), (&0.into(), &0.into()));
    let (_, before) = replay(&setting, &["--dry-run", "--to", "2000-01-01T00:00:00Z"], 1).await;
    assert!(before["differences"].as_array().is_some_and(|all| !all.is_empty()), "{before}");

    let (said, read) = replay(&setting, &[], 0).await;
    assert!(read["state"].as_str().is_some_and(|state| state.contains("state.key_prefix")), "{said}");
    assert_eq!(daemon.read("/api/v1/ledger").await["balanced"], true);
}

#[tokio::test]
async fn a_replayed_directory_takes_the_place_of_the_live_one() {
    let setting = Setting::embedded();
    let daemon = setting.serve().await;
    setting.simulate(LOAD).ends().await.with(0).saying("0 differences");
    let path = format!("/api/v1/health/numbers/{}", TWILIO_NUMBER.replace('+', "%2B"));
    let counted = daemon.read(&path).await["totals"].clone();
    daemon.terminate().await.with(0);
    let (first, _) = replay(&setting, &["--dry-run"], 0).await;
    assert_eq!(first, replay(&setting, &["--dry-run"], 0).await.0);

    std::fs::rename(setting.data().join("state"), setting.data().join("taken-away")).unwrap();
    let (_, wrong) = replay(&setting, &["--dry-run"], 1).await;
    assert!(wrong["differences"].as_array().is_some_and(|all| !all.is_empty()), "{wrong}");
    let (said, _) = replay(&setting, &[], 0).await;
    assert!(said.contains("state.before-1"), "{said}");
    let daemon = setting.serve().await;
    assert_eq!(daemon.read(&path).await["totals"], counted);
    let ledger = daemon.read("/api/v1/ledger").await;
    assert_eq!((&ledger["balanced"], &ledger["lag"]), (&true.into(), &0.into()), "{ledger}");
}
