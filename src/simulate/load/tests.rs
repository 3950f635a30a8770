//! The sender against a tiny server: what it counts, what it repeats, what it blames on whom.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::simulate::fate::{Fact, State};
use crate::simulate::traffic;

/// Answers the nth request what `status` says of n.
async fn server(status: impl Fn(usize) -> u16 + Copy + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let requests = Arc::clone(&requests);
            let service = service_fn(move |_request| {
                let status = status(requests.fetch_add(1, Ordering::Relaxed));
                let mut response = Response::new(Full::new(Bytes::from_static(b"body")));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                // Every third answer ends its connection, so that reconnecting is exercised.
                if requests.load(Ordering::Relaxed).is_multiple_of(3) {
                    response.headers_mut().insert("connection", http::HeaderValue::from_static("close"));
                }
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

struct Counted(u32);

impl Source for Counted {
    fn next(&mut self, _: Timestamp) -> Option<Webhook> {
        self.0 = self.0.checked_sub(1)?;
        let fact = Fact { message: self.0, sender: 0, state: State::Delivered, second: 0 };
        let mut request = http::Request::new(Full::new(Bytes::from_static(b"{}")));
        *request.method_mut() = http::Method::POST;
        request.headers_mut().insert("host", http::HeaderValue::from_static("test"));
        Some(Webhook { request, facts: Arc::from([fact]), expect: Expect::Acceptance })
    }
}

fn plan(address: SocketAddr) -> Plan {
    Plan {
        authority: address.to_string(),
        connections: 4,
        pace: Pace::Unpaced,
        duration: None,
        retry_for: Duration::from_secs(20),
        clock: Clock::wall(),
    }
}

async fn send(plan: Plan, webhooks: u32) -> Report {
    let (_stop, stopped) = watch::channel(false);
    run(plan, Arc::new(Mutex::new(Counted(webhooks))), Arc::default(), stopped).await
}

#[tokio::test]
async fn every_webhook_is_counted_once_over_connections_that_end() {
    let report = send(plan(server(|_| 200).await), 200).await;
    assert_eq!((report.sent, report.acknowledged, report.unacknowledged), (200, 200, 0));
    assert_eq!((report.broken, report.retries), (0, 0));
    assert_eq!(report.statuses.get(&200), Some(&200));
    let mut messages: Vec<_> = report.facts.iter().map(|fact| fact.message).collect();
    messages.sort_unstable();
    assert_eq!(messages, (0..200).collect::<Vec<_>>());
    assert!(report.latency().max_ms > 0.0);
}

#[tokio::test]
async fn refusals_for_now_are_sent_again_until_they_are_taken() {
    let busy = |nth: usize| if nth.is_multiple_of(5) { 503 } else { 204 };
    let report = send(plan(server(busy).await), 100).await;
    assert_eq!((report.acknowledged, report.facts.len()), (100, 100));
    assert_eq!(report.statuses.get(&204), Some(&100));
    assert_eq!(report.statuses.get(&503), Some(&report.retries));
    assert!(report.retries >= 20);
}

#[tokio::test]
async fn what_is_never_answered_is_uncertain_not_lost() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let report = send(Plan { retry_for: Duration::ZERO, ..plan(address) }, 10).await;
    assert_eq!((report.unacknowledged, report.acknowledged), (10, 0));
    assert_eq!((report.facts.len(), report.uncertain.len()), (0, 10));
}

#[tokio::test]
async fn a_refusal_at_the_first_word_is_certain() {
    let report = send(plan(server(|_| 401).await), 10).await;
    assert_eq!((report.refused, report.facts.len(), report.uncertain.len()), (10, 0, 0));
}

#[test]
fn a_refusal_after_a_doubtful_attempt_is_not() {
    let answered = |status| Answered { status };
    assert_eq!(judge(answered(401), Doubt::Earlier), Some(Outcome::Uncertain(Some(401))));
    assert_eq!(judge(answered(401), Doubt::None), Some(Outcome::Refused(401)));
    for again in [408, 429, 500, 503] {
        assert_eq!(judge(answered(again), Doubt::None), None);
    }
}

#[tokio::test]
async fn forgeries_must_be_refused() {
    struct Forged(Counted);
    impl Source for Forged {
        fn next(&mut self, now: Timestamp) -> Option<Webhook> {
            let webhook = self.0.next(now)?;
            Some(Webhook { facts: Arc::from([]), expect: traffic::Expect::Refusal, ..webhook })
        }
    }
    for (status, believed) in [(401, 0), (200, 5), (404, 5)] {
        let address = server(move |_| status).await;
        let (_stop, stopped) = watch::channel(false);
        let source = Arc::new(Mutex::new(Forged(Counted(5))));
        let report = run(plan(address), source, Arc::default(), stopped).await;
        assert_eq!((report.forged, report.forged_not_refused), (5, believed), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_had_to_wait_for_a_connection_counts_from_when_it_was_due() {
    let shared = Shared {
        plan: Plan { pace: Pace::PerSecond(10.0), ..plan("127.0.0.1:1".parse().unwrap()) },
        source: Arc::new(Mutex::new(Counted(0))),
        progress: Arc::default(),
        tickets: AtomicU64::new(0),
        started: Instant::now(),
    };
    let (_stop, mut stopped) = watch::channel(false);
    assert_eq!(shared.next_start(&mut stopped).await, Some(Start::Overdue(shared.started)));
    assert_eq!(shared.next_start(&mut stopped).await, Some(Start::Waited));
    // A server that stalls for a second delays the next ten, which are due all the same.
    tokio::time::advance(Duration::from_secs(1)).await;
    let due = shared.started + Duration::from_millis(200);
    assert_eq!(shared.next_start(&mut stopped).await, Some(Start::Overdue(due)));
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_with_its_time() {
    let address = "127.0.0.1:1".parse().unwrap();
    let shared = Shared {
        plan: Plan { pace: Pace::PerSecond(2.0), duration: Some(Duration::from_secs(1)), ..plan(address) },
        source: Arc::new(Mutex::new(Counted(0))),
        progress: Arc::default(),
        tickets: AtomicU64::new(0),
        started: Instant::now(),
    };
    let (_stop, mut stopped) = watch::channel(false);
    let mut starts = 0;
    while shared.next_start(&mut stopped).await.is_some() {
        starts += 1;
    }
    assert_eq!(starts, 2);
}
