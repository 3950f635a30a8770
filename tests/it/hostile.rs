//! What strangers may send: each is answered or cut off, costs little memory, and keeps nobody else
//! waiting. All of it is bounded and stays on loopback.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::{Child, Fate, PATIENCE, Setting, eventually, infobip_body, lime, twilio, twilio_form};

/// What a daemon may use beyond what it used before, in KiB, unless something else is said.
const GROWTH_KIB_MAX: u64 = 24 * 1024;
/// Connections that are opened and left alone, where the system gives so many.
const IDLE: usize = 10_000;
/// What one of them may cost, in KiB: hyper sets 8 aside to read into, and 8 to write from.
const IDLE_KIB_MAX: u64 = 24;

/// A connection of a stranger's.
struct Stranger(TcpStream);

impl Stranger {
    async fn connect(setting: &Setting) -> Self {
        Self(TcpStream::connect(("127.0.0.1", setting.receive)).await.unwrap())
    }

    /// Says something, which the daemon need not listen to.
    async fn says(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// All that it is answered until the connection is closed. It must be.
    async fn hears(&mut self) -> String {
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, async {
            let mut some = [0; 4096];
            while let Ok(count @ 1..) = self.0.read(&mut some).await {
                answer.extend_from_slice(&some[..count]);
            }
        });
        read.await.expect("the connection is never closed");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// Says it all at once, and hears the answer, and that the connection is closed.
async fn answered(setting: &Setting, request: impl AsRef<[u8]>) -> String {
    let mut stranger = Stranger::connect(setting).await;
    stranger.says(request).await;
    stranger.hears().await
}

const HEAD: &str = "POST /hooks/acme-twilio HTTP/1.1\r\nHost: x\r\n";

/// A webhook of a provider is taken, whatever else goes on.
async fn is_served(daemon: &Child, message: &str) {
    assert_eq!(daemon.takes(&twilio(message, Fate::Delivered)).await.status, 204);
}

/// Holds a daemon to the memory it may use, and its account to balancing.
struct Measured {
    daemon: Child,
    before_kib: u64,
}

impl Measured {
    async fn start(setting: &Setting) -> Self {
        let daemon = setting.serve().await;
        // What is allocated once is no growth.
        for message in 0..20 {
            is_served(&daemon, &message.to_string()).await;
        }
        let before_kib = daemon.resident_kib();
        Self { daemon, before_kib }
    }

    fn has_grown_by_at_most(&self, kib: u64) {
        let (before, after) = (self.before_kib, self.daemon.resident_kib());
        assert!(after <= before + kib, "memory grew from {before} to {after} KiB");
    }

    async fn ends_unharmed(self) {
        is_served(&self.daemon, "9").await;
        self.has_grown_by_at_most(GROWTH_KIB_MAX);
        let ledger = eventually("nothing is in flight", async || {
            let ledger = self.daemon.read("/api/v1/ledger").await;
            (ledger["webhooks"]["in_flight"] == 0).then_some(ledger)
        })
        .await;
        assert_eq!((&ledger["balanced"], &ledger["webhooks"]["lost"]), (&true.into(), &0.into()), "{ledger}");
        let ended = self.daemon.terminate().await.with(0);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_connections_cost_little_and_keep_nobody_waiting() {
    let idle = IDLE.min(open_files().saturating_sub(2000));
    let most = format!("connections_max = {}", idle + 100);
    let setting = Setting::embedded().set("[receive]", "header_timeout = \"10m\"").set("[receive]", &most);
    let measured = Measured::start(&setting).await;
    let mut strangers = Vec::with_capacity(idle);
    for _ in 0..idle {
        strangers.push(Stranger::connect(&setting).await);
    }
    eventually("all are taken in", async || (measured.daemon.open_files() >= idle).then_some(())).await;
    is_served(&measured.daemon, "21").await;
    measured.has_grown_by_at_most(IDLE_KIB_MAX * idle as u64);
    drop(strangers);
    eventually("all are let go of", async || (measured.daemon.open_files() < 500).then_some(())).await;
    is_served(&measured.daemon, "22").await;
    measured.has_grown_by_at_most(IDLE_KIB_MAX * idle as u64);
}

#[tokio::test]
async fn connections_above_the_bound_are_closed_unread() {
    let setting = Setting::embedded().set("[receive]", "connections_max = 5");
    let daemon = setting.serve().await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(Stranger::connect(&setting).await);
    }
    assert_eq!(answered(&setting, format!("{HEAD}Content-Length: 0\r\n\r\n")).await, "");
    drop(held);
    eventually("there is room again", async || {
        let request = daemon.request_of(&twilio("1", Fate::Delivered));
        request.send().await.is_ok_and(|answer| answer.status() == 204).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_opened_and_dropped_by_the_thousand_change_nothing() {
    let setting = Setting::embedded();
    let measured = Measured::start(&setting).await;
    for second in 0..3 {
        let mut storm = JoinSet::new();
        for part in 0..10 {
            let port = setting.receive;
            storm.spawn(async move {
                for nth in 0..100 {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    // Some say something first, and hang up in the middle of it.
                    if (nth + part) % 3 == 0 {
                        drop(stream.write_all(HEAD.as_bytes()).await);
                    }
                }
            });
        }
        is_served(&measured.daemon, &format!("2{second}")).await;
        storm.join_all().await;
    }
    measured.ends_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_headers_or_a_body_a_byte_at_a_time_is_cut_off() {
    let setting = Setting::embedded().set("[receive]", "header_timeout = \"1s\"");
    let measured = Measured::start(&setting).await;
    let (port, mut slow) = (setting.receive, JoinSet::new());
    for nth in 0..100 {
        slow.spawn(async move {
            let mut stranger = Stranger(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
            let is_body = nth % 2 == 0;
            stranger.says(HEAD).await;
            stranger.says(if is_body { "Content-Length: 60000\r\n\r\n" } else { "X-Slow: " }).await;
            let mut every = tokio::time::interval(Duration::from_millis(100));
            let mut answer = [0; 12];
            for _ in 0..1200 {
                every.tick().await;
                // An answer, or the end.
                let heard = timeout(Duration::from_millis(1), stranger.0.read(&mut answer)).await;
                if heard.is_ok() || !stranger.says("x").await {
                    return (is_body, String::from_utf8_lossy(&answer).into_owned());
                }
            }
            panic!("it was listened to for two minutes");
        });
    }
    for _ in 0..3 {
        assert_eq!(Stranger::connect(&setting).await.hears().await, "", "the silent are cut off, too");
    }
    is_served(&measured.daemon, "21").await;
    for (is_body, answer) in slow.join_all().await {
        assert!(!is_body || answer == "HTTP/1.1 408" || answer.starts_with('\0'), "{answer}");
    }
    let ledger = measured.daemon.read("/api/v1/ledger").await;
    assert_eq!(ledger["webhooks"]["refused"]["timed_out"], 50, "{ledger}");
    measured.ends_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_without_an_end_are_refused_once_they_are_too_large() {
    let setting = Setting::embedded();
    let measured = Measured::start(&setting).await;
    let (port, mut endless) = (setting.receive, JoinSet::new());
    for _ in 0..40 {
        endless.spawn(async move {
            let mut stranger = Stranger(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
            stranger.says(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n")).await;
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            for sent in 0..10_000 {
                if !stranger.says(&chunk).await {
                    return sent;
                }
            }
            panic!("40 MB were listened to");
        });
    }
    // What was on its way is taken by the system, not by the daemon.
    assert!(endless.join_all().await.into_iter().all(|sent| sent < 5000));
    let declared = answered(&setting, format!("{HEAD}Content-Length: 99999999999\r\n\r\n")).await;
    assert!(declared.starts_with("HTTP/1.1 413"), "{declared}");
    for length in ["99999999999999999999999", "-1", "1e3", "0x10", "+5"] {
        let unreadable = answered(&setting, format!("{HEAD}Content-Length: {length}\r\n\r\n")).await;
        assert!(unreadable.starts_with("HTTP/1.1 400"), "{length}: {unreadable}");
    }
    let ledger = measured.daemon.read("/api/v1/ledger").await;
    assert_eq!(ledger["webhooks"]["refused"]["too_large"], 41, "{ledger}");
    measured.ends_unharmed().await;
}

#[tokio::test]
async fn bodies_together_are_bounded_and_their_room_is_given_back() {
    let setting = Setting::embedded()
        .set("[receive]", "in_flight_bytes_max = 131072")
        .set("[receive]", "body_timeout = \"60s\"");
    let measured = Measured::start(&setting).await;
    let begun = format!("{HEAD}Content-Length: 65000\r\n\r\n{}", "x".repeat(64_000));
    let (mut one, mut other) = (Stranger::connect(&setting).await, Stranger::connect(&setting).await);
    assert!(one.says(&begun).await && other.says(&begun).await);
    let whole = format!("{HEAD}Content-Length: 4000\r\nConnection: close\r\n\r\n{}", "x".repeat(4000));
    eventually("there is no room", async || {
        let answer = answered(&setting, &whole).await;
        answer.starts_with("HTTP/1.1 503").then(|| assert!(answer.contains("retry-after: 5"), "{answer}"))
    })
    .await;
    drop((one, other));
    eventually("there is room again", async || {
        answered(&setting, &whole).await.starts_with("HTTP/1.1 401").then_some(())
    })
    .await;
    measured.ends_unharmed().await;
}

#[tokio::test]
async fn too_many_headers_or_too_large_ones_are_refused() {
    let setting = Setting::embedded();
    let measured = Measured::start(&setting).await;
    let large = format!("{HEAD}X-Large: {}\r\n\r\n", "x".repeat(200_000));
    let many: String = (0..500).map(|n| format!("X-{n}: 1\r\n")).collect();
    let many = format!("{HEAD}{many}\r\n");
    let target = format!("GET /hooks/{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(200_000));
    for (request, statuses) in [(large, "431"), (many, "431"), (target, "414 431")] {
        for _ in 0..50 {
            let answer = answered(&setting, &request).await;
            // What it had not read when it closed may cost the answer, on its way.
            let status = answer.get(9..12).unwrap_or_default();
            assert!(statuses.contains(status), "{answer:?}");
        }
    }
    measured.ends_unharmed().await;
}

#[tokio::test]
async fn what_is_signed_and_deep_or_long_is_a_dead_letter_and_not_fatal() {
    let setting = Setting::embedded();
    let measured = Measured::start(&setting).await;
    let deep = |open: &str, close: &str| open.repeat(20_000) + &close.repeat(20_000);
    let results = |inner: String| format!("{{\"results\":[{inner}]}}");
    let long: Vec<(String, String)> = (0..4000).map(|n| (format!("P{n}"), "v".into())).collect();
    let long: Vec<(&str, &str)> = long.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for webhook in [
        infobip_body(deep("[", "]")),
        infobip_body(results(deep("[", "]"))),
        infobip_body(results("{\"a\":".repeat(8000) + &"}".repeat(8000))),
        infobip_body("[".repeat(60_000)),
        infobip_body(format!("{{\"results\":[{{\"messageId\":{}}}]}}", "9".repeat(60_000))),
        twilio_form(&long),
        twilio_form(&[("MessageSid", "\u{0}\u{ffff}"), ("MessageStatus", &"d".repeat(60_000))]),
    ] {
        let answer = measured.daemon.takes(&webhook).await;
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
    }
    let ledger = measured.daemon.read("/api/v1/ledger").await;
    assert_eq!(ledger["webhooks"]["accepted"], 27, "{ledger}");
    measured.ends_unharmed().await;
}

#[tokio::test]
async fn requests_that_two_readers_could_read_differently_are_refused() {
    let setting = Setting::embedded();
    let measured = Measured::start(&setting).await;
    for headers in [
        "Content-Length: 3\r\nContent-Length: 5\r\n",
        "Content-Length: 3, 5\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Bad Header: 1\r\n",
        "No-Colon\r\n",
        "X: a\r\n folded: b\r\n",
        "X: \u{0}\r\n",
    ] {
        let answer = answered(&setting, format!("{HEAD}{headers}\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n")).await;
        // What it had not read when it closed may cost the answer, on its way.
        let only = answer.is_empty() || answer.starts_with("HTTP/1.1 400");
        assert!(only && answer.matches("HTTP/1.1").count() < 2, "{headers:?}: {answer:?}");
    }
    measured.ends_unharmed().await;
}

/// A webhook of Lime's, which is not signed over its URL, to another target.
fn to_target(target: &str) -> String {
    let webhook = lime("1", Fate::Delivered);
    let headers: String =
        webhook.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let target = target.replace('@', &webhook.path);
    let body = &webhook.body;
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

#[tokio::test]
async fn a_target_is_read_in_each_of_its_forms_and_its_host_means_nothing() {
    let setting = Setting::embedded();
    let measured = Measured::start(&setting).await;
    for (target, status) in [
        ("@", "200"),
        ("http://evil.example@", "200"),
        ("https://127.0.0.1:1@?x=1", "200"),
        ("*", "404"),
        ("//hooks/acme-lime", "404"),
        ("/hooks/../hooks/acme-lime", "401"),
        ("/hooks/%61cme-lime", "401"),
        ("http://evil.example", "404"),
    ] {
        let answer = answered(&setting, to_target(target)).await;
        assert_eq!(answer.get(9..12), Some(status), "{target}: {answer:?}");
    }
    let connect =
        answered(&setting, "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!(connect.get(9..12), Some("404"), "{connect:?}");
    measured.ends_unharmed().await;
}

#[tokio::test]
async fn http_2_is_not_spoken_and_whoever_speaks_it_is_closed() {
    let setting = Setting::embedded();
    let measured = Measured::start(&setting).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // SETTINGS; then streams that are reset at once; then headers that go on for ever.
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let reset = |stream: u8| [0, 0, 1, 1, 4, 0, 0, 0, stream, 0x82, 0, 0, 4, 3, 0, 0, 0, stream, 0, 0, 0, 8];
    let resets: Vec<u8> = (1..=255).step_by(2).flat_map(reset).collect();
    let headers = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
    let continued: Vec<u8> = [0, 0, 1, 9, 0, 0, 0, 0, 1, 0x82].repeat(2000);
    let floods = [resets.repeat(50), [&headers[..], &continued].concat()];
    for flood in floods {
        for _ in 0..20 {
            let answer = answered(&setting, [&preface[..], &settings, &flood].concat()).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer:?}");
        }
    }
    let upgrade =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let answer =
        answered(&setting, format!("{HEAD}{upgrade}Content-Length: 0\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer:?}");
    measured.ends_unharmed().await;
}

/// Files this process may have open.
fn open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}
