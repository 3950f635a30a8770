//! Requests made of the golden vectors and then spoilt, byte by byte, at a running daemon over its
//! socket: each is answered as documented or its connection closed, nothing panics, and the account
//! balances. `SOUNDER_TEST_FUZZ_REQUESTS` sends more of them.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::{Fate, PATIENCE, Setting, asked_for, eventually, twilio};

/// Requests that are sent, unless more are asked for.
const REQUESTS: u64 = 4000;
/// Connections at a time.
const AT_ONCE: u64 = 16;
/// Everything a receiver may answer.
const DOCUMENTED: [u16; 12] = [200, 204, 400, 401, 404, 405, 408, 413, 415, 429, 431, 503];
/// What gives parsers trouble when it stands where it should not.
const WEEDS: [&[u8]; 18] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\xff\xfe",
    b"%",
    b"%00",
    b"&&=&",
    b"\"",
    b"{\"a\":",
    b"<![CDATA[",
    b"&#x110000;",
    b"-1",
    b"99999999999999999999",
    b"\r\nTransfer-Encoding: chunked\r\n",
    b"\r\nContent-Length: 3\r\n",
    b"\r\nExpect: 100-continue\r\n",
    b" HTTP/1.1\r\n",
    b"/../",
];

/// A connection of each provider that believes whoever knows its path, beside those of the harness.
fn open_connections() -> String {
    let of = |provider| {
        format!(
            "[[connection]]\nid = \"open-{provider}\"\nprovider = \"{provider}\"\npath_secrets = [\"{OPEN}\"]\n"
        )
    };
    ["twilio", "infobip", "cm", "lime"].map(of).concat()
}

const OPEN: &str = "open-path-c0ffee0123456789";

/// The vectors' requests: the provider, the request line's two words, headers, body.
fn requests() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for provider in ["twilio", "infobip", "cm", "lime"] {
        let folder = format!("{}/tests/vectors/{provider}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "http") {
                let text = std::fs::read_to_string(path).unwrap();
                // Senders may be logged, recipients never: a sender must not look like a recipient.
                let request = text.split_once("\n\n").unwrap().1.replace("15005550006", "18884440101");
                all.push((provider.to_owned(), request));
            }
        }
    }
    // The order of a directory is no order.
    all.sort();
    all
}

/// A vector's request as bytes on the wire, mostly to a connection that believes it.
fn wired(provider: &str, request: &str, random: &mut Pcg64Mcg) -> Vec<u8> {
    let (head, body) = request.split_once("\n\n").unwrap();
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let (method, target) = line.split_once(' ').unwrap();
    let query = target.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    let target = match random.random_range(0..8) {
        0 => target.to_owned(),
        1 => format!("/hooks/acme-{provider}{query}"),
        _ => format!("/hooks/open-{provider}/{OPEN}{query}"),
    };
    let headers: String = headers.lines().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Changes a request in up to four places; a quarter stays whole.
fn spoil(bytes: &mut Vec<u8>, random: &mut Pcg64Mcg) {
    for _ in 0..random.random_range(0..=3) {
        let at = random.random_range(0..=bytes.len());
        let to = (at + random.random_range(0..64)).min(bytes.len());
        match random.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 => drop(bytes.drain(at..to)),
            2 => drop(bytes.splice(at..at, bytes[at..to].to_vec())),
            3 => bytes.truncate(at),
            4 => drop(bytes.splice(at..at, std::iter::repeat_n(b'[', 5000))),
            _ => {
                let weed = *WEEDS.choose(random).unwrap();
                drop(bytes.splice(at..at, weed.iter().copied()));
            }
        }
    }
}

/// The statuses of everything that is answered to these bytes; none when the connection is closed.
async fn answered(port: u16, bytes: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // It may close before it has read everything, and then nothing more can be written or read.
    drop(stream.write_all(bytes).await);
    drop(stream.shutdown().await);
    let mut answer = Vec::new();
    // An answer or an end; how it ends is the daemon's choice.
    drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap());
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // A request line may have become one of HTTP/1.0, and several requests one after another.
    let mut parts = answer.split("HTTP/1.");
    assert_eq!(parts.next(), Some(""), "no HTTP: {answer}");
    parts.map(|part| part[2..5].parse().unwrap()).collect()
}

#[tokio::test]
async fn whatever_is_sent_is_answered_as_documented_and_accounted_for() {
    let setting = Setting::embedded().with(&open_connections());
    let mut daemon = setting.serve().await;
    daemon.is_told_nonsense();
    let (requests, port) = (Arc::new(requests()), setting.receive);
    let each = asked_for("SOUNDER_TEST_FUZZ_REQUESTS").unwrap_or(REQUESTS) / AT_ONCE;
    let mut senders = JoinSet::new();
    for seed in 0..AT_ONCE {
        let requests = Arc::clone(&requests);
        senders.spawn(async move {
            let mut random = Pcg64Mcg::seed_from_u64(seed);
            let mut seen = BTreeMap::<Option<u16>, u64>::new();
            for _ in 0..each {
                let (provider, request) = requests.choose(&mut random).unwrap();
                let mut bytes = wired(provider, request, &mut random);
                spoil(&mut bytes, &mut random);
                let statuses = answered(port, &bytes).await;
                let other = statuses.iter().find(|status| !DOCUMENTED.contains(status));
                assert_eq!(other, None, "seed {seed}: {}", String::from_utf8_lossy(&bytes));
                *seen.entry(statuses.first().copied()).or_default() += 1;
            }
            seen
        });
    }
    let mut seen = BTreeMap::<Option<u16>, u64>::new();
    while let Some(some) = senders.join_next().await {
        some.unwrap().into_iter().for_each(|(status, count)| *seen.entry(status).or_default() += count);
    }
    // Much of it was understood, and every way of not being understood was met.
    for (status, least) in [(200, each), (204, each), (400, 10), (401, 10), (404, 10)] {
        assert!(seen.get(&Some(status)).is_some_and(|count| *count >= least), "{status}: {seen:?}");
    }
    assert_eq!(daemon.takes(&twilio("1", Fate::Delivered)).await.status, 204);
    eventually("the account balances", async || {
        let ledger = daemon.read("/api/v1/ledger").await;
        let webhooks = &ledger["webhooks"];
        let is_done = ledger["balanced"] == true && webhooks["in_flight"] == 0 && webhooks["lost"] == 0;
        (is_done && ledger["lag"] == 0).then_some(())
    })
    .await;
    let ended = daemon.terminate().await.with(0);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}
