//! Thousands of messages, shuffled, repeated and forged, are counted as an independent oracle counts
//! them.

use crate::harness::Setting;

/// Everything that happens to webhooks on their way.
const ROUGH: &str = "--messages 20000 --rate max --shuffle --duplicates 0.3 --forged 0.02 --inbound 0.01";

#[tokio::test]
async fn counts_agree_on_embedded_backends() {
    let setting = Setting::embedded();
    let daemon = setting.serve().await;
    setting.simulate(ROUGH).ends().await.with(0).saying("0 differences");
    daemon.terminate().await.with(0);
}

#[tokio::test]
async fn counts_agree_on_kafka_and_redis() {
    let setting = Setting::kafka_and_redis();
    let daemon = setting.serve().await;
    setting.simulate(ROUGH).ends().await.with(0).saying("0 differences");
    daemon.terminate().await.with(0);
}
