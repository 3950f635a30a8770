//! The status page in a real browser: a daemon that was sent signed webhooks, looked at with
//! Chromium. The page's script is held to the API by nothing else.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are tests, their helpers included")]

use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sounder::admin::Extras;
use sounder::app::{self, Daemon};
use sounder::clock::Clock;
use sounder::config::Role;
use sounder::simulate::load::{self, Pace, Plan};
use sounder::simulate::scene;
use sounder::simulate::traffic::{Options, Outlook, Traffic};
use tokio::sync::watch;

/// Ten minutes a second: what is sent matures in one.
const SPEED: u32 = 600;
/// Time for the incident to open.
const OPENS_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_numbers_bands_and_an_incident_and_reports_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fast(Clock::wall().now(), SPEED);
    let daemon = start(&dir, clock).await;
    let admin = format!("http://{}", daemon.admin_address());
    until_an_incident_opens(&admin).await;

    silence_the_brand(&admin).await;

    let seen = look(format!("{admin}/#number/+18005550100")).await;
    let (dom, log) = (String::from_utf8_lossy(&seen.stdout), String::from_utf8_lossy(&seen.stderr));
    for expected in [
        ">ready<",
        "ledger balanced",
        "the clock runs 600×",
        "Infobip",
        "+1 202 555 0142",
        r#"<span class="pill healthy">healthy</span>"#,
        "Twilio 100.0 %",
        "+1 800 555 0100",
        r#"<span class="pill critical">critical</span>"#,
        "incident: critical",
        "Critical · +1 800 555 0100",
        "Pause campaigns on this number",
        "(1) Sounder",
        "Why · +1 800 555 0100",
        "It alerts: critical is confirmed since",
        "Nobody is called: ada silenced brand Acme until",
        "critical: below 80.0 %",
        "<strong>brand Acme</strong>",
        ">Acknowledge</button>",
    ] {
        assert!(dom.contains(expected), "{expected} is not in the page:\n{dom}\n{log}");
    }
    let said: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(said.is_empty(), "the browser's console is not empty: {said:#?}");
    daemon.stop().await;
}

/// A daemon on embedded backends that has been sent a few hundred webhooks, half of one number's
/// telling of a failure.
async fn start(dir: &tempfile::TempDir, clock: Clock) -> Daemon {
    let mut config = scene::config(dir.path(), 1);
    // A second's pause of this process is ten minutes of its clock, and no reason to hold.
    config.health.lag_max = Duration::from_secs(7 * 86_400);
    let extras = Extras { clock_speed: Some(SPEED), ..Extras::default() };
    let daemon = app::start(config.clone(), Role::All, clock, extras).await.unwrap();
    let address = daemon.receive_address().unwrap();
    let options = Options { messages: Some(600), delivery_rate: 1.0, ..Options::default() };
    let mut traffic = Traffic::new(&config, &format!("http://{address}"), options).unwrap();
    for sender in traffic.senders_mut() {
        if sender.number.as_ref().is_some_and(|number| number.as_str() == scene::SICK) {
            sender.outlook = Outlook { delivery_rate: 0.5, filtered: 0.9, of_provider: 0.0 };
        }
    }
    let plan = Plan {
        authority: address.to_string(),
        connections: 4,
        pace: Pace::Unpaced,
        duration: None,
        retry_for: Duration::from_secs(30),
        clock,
    };
    let (_stop, stopped) = watch::channel(false);
    let report = load::run(plan, Arc::new(Mutex::new(traffic)), Arc::default(), stopped).await;
    assert_eq!((report.unacknowledged, report.refused), (0, 0), "{:?}", report.statuses);
    daemon
}

async fn until_an_incident_opens(admin: &str) {
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    let opened = async {
        loop {
            looks.tick().await;
            let answer = reqwest::get(format!("{admin}/api/v1/incidents?open=true")).await.unwrap();
            let told: serde_json::Value = answer.json().await.unwrap();
            if told["incidents"][0]["band"] == "critical" {
                return;
            }
        }
    };
    tokio::time::timeout(OPENS_WITHIN, opened).await.expect("no critical incident was opened in time");
}

async fn silence_the_brand(admin: &str) {
    let asked = serde_json::json!({ "brand": "Acme", "for": "366d", "why": "a test", "by": "ada" });
    let answer = reqwest::Client::new().post(format!("{admin}/api/v1/silences")).json(&asked).send().await;
    assert_eq!(answer.unwrap().status(), 201);
}

/// What Chromium makes of the page after some seconds: the document, and on the error output
/// whatever the page wrote to the console.
async fn look(url: String) -> Output {
    let seen = tokio::task::spawn_blocking(move || {
        let profile = tempfile::tempdir().unwrap();
        Command::new(chromium())
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--enable-logging=stderr",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--virtual-time-budget=5000", "--timeout=60000", "--dump-dom", &url])
            .output()
    });
    let seen = seen.await.unwrap().expect("Chromium is missing: run the tests with tests/run");
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    seen
}

#[expect(clippy::disallowed_methods, reason = "tests/run says where it found Chromium")]
fn chromium() -> String {
    std::env::var("SOUNDER_TEST_CHROMIUM").unwrap_or_else(|_| "chromium".into())
}
