//! What operators see of codes that nobody knows and of clocks that are wrong, and the commands that
//! explain a code and print a URL.

use crate::harness::{Setting, infobip_body, twilio_form};

#[tokio::test]
async fn a_code_that_nobody_knows_is_counted_by_itself_and_a_clock_that_is_ahead_is_measured() {
    let setting = Setting::embedded();
    let daemon = setting.serve().await;
    for (sid, code) in [("SM1", "39999"), ("SM2", "39999"), ("SM3", "30007")] {
        let form = [("ErrorCode", code), ("MessageSid", sid), ("MessageStatus", "undelivered")];
        assert_eq!(daemon.takes(&twilio_form(&form)).await.status, 204);
    }
    let report = r#"{"results":[{"messageId":"m1","to":"12025559876","sender":"18885550101","doneAt":"2199-01-01T00:00:00.000+0100",
        "status":{"groupId":2,"id":9},"error":{"groupId":2,"id":4711}}]}"#;
    assert_eq!(daemon.takes(&infobip_body(report.into())).await.status, 200);
    let metrics = daemon.get("/metrics").await.body;
    for (code, provider, count) in [("39999", "twilio", 2), ("4711", "infobip", 1)] {
        let line =
            format!("sounder_unknown_codes_total{{code=\"{code}\",provider=\"{provider}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(!metrics.contains("code=\"30007\""), "a known code is none");
    let ahead = "sounder_provider_clock_ahead_seconds{provider=\"infobip\"} ";
    let seconds = metrics.lines().find_map(|line| line.strip_prefix(ahead)?.parse::<f64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 3e9), "{seconds:?}");
}

#[tokio::test]
async fn codes_are_explained_and_urls_printed() {
    let setting = Setting::embedded();
    let told = setting.spawn(&["explain-code", "twilio", "30007"]).ends().await.with(0).stdout;
    assert!(told.contains("carrier_filtered") && told.contains("number"), "{told}");
    setting.spawn(&["explain-code", "cm", "4711"]).ends().await.with(64).saying("unknown_codes_total");
    setting.spawn(&["explain-code", "sinch", "1"]).ends().await.with(64).saying("twilio, infobip, cm, lime");
    let url = "https://hooks.acme.example/hooks/acme-twilio#rc=5&rp=all";
    setting.spawn(&["url", "acme-twilio"]).ends().await.with(0).saying(url).saying("Messaging Service");
    let all = setting.spawn(&["url", "--json"]).ends().await.with(0).stdout;
    assert!(all.contains("/hooks/acme-cm/cm-path-") && all.contains("/hooks/acme-lime/lime-path-"), "{all}");
    setting.spawn(&["url", "acme-sinch"]).ends().await.with(64).saying("acme-infobip");
}
