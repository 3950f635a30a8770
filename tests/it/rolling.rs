//! Receivers are restarted one after the other, under load, behind something that looks at `/readyz`:
//! nothing is lost, and nothing is refused.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::harness::{Broker, CM_NUMBER, Child, Fate, Setting, cm, eventually, post, twilio};

/// Those who send at once, each a webhook after the other.
const SENDERS: usize = 6;

/// A load balancer of sorts: it knows which receivers are ready, and counts what they answer.
#[derive(Default)]
struct Balancer {
    receivers: Vec<(String, String, AtomicBool)>,
    taken: AtomicUsize,
    turned_away: AtomicUsize,
    turn: AtomicUsize,
    done: AtomicBool,
}

impl Balancer {
    fn before(settings: &[&Setting]) -> Arc<Self> {
        let receivers = settings
            .iter()
            .map(|setting| (setting.receive_url(), setting.admin_url(), AtomicBool::new(true)))
            .collect();
        Arc::new(Self { receivers, ..Self::default() })
    }

    /// Looks at the receivers, again and again.
    async fn look(self: Arc<Self>) {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
        let mut every = tokio::time::interval(Duration::from_millis(20));
        while !self.done.load(Relaxed) {
            every.tick().await;
            for (_, admin, ready) in &self.receivers {
                let answer = client.get(format!("{admin}/readyz")).send().await;
                ready.store(answer.is_ok_and(|answer| answer.status() == 200), Relaxed);
            }
        }
    }

    /// Sends messages nobody else sends until it is done.
    async fn send(self: Arc<Self>, sender: usize) {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        for message in 0.. {
            if self.done.load(Relaxed) {
                return;
            }
            let ready = self.receivers.iter().filter(|(.., ready)| ready.load(Relaxed));
            let ready: Vec<_> = ready.map(|(receive, ..)| receive).collect();
            let Some(receive) = ready.get(self.turn.fetch_add(1, Relaxed) % ready.len().max(1)) else {
                self.turned_away.fetch_add(1, Relaxed);
                continue;
            };
            let webhook = cm(&format!("{sender}x{message}"), Fate::Delivered);
            match post(&client, receive, &webhook).send().await {
                Ok(answer) if answer.status() == 200 => self.taken.fetch_add(1, Relaxed),
                _ => self.turned_away.fetch_add(1, Relaxed),
            };
        }
    }

    /// Waits until so many more are taken.
    async fn goes_on(&self) {
        let before = self.taken.load(Relaxed);
        eventually("webhooks are taken", async || (self.taken.load(Relaxed) > before + 100).then_some(()))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing_and_refuses_nothing() {
    let noticed = |setting: Setting| setting.set("[receive]", "drain_notice = \"3s\"");
    let one = noticed(Setting::kafka_and_redis());
    let settings = [&one, &noticed(one.sibling())];
    let watcher = one.sibling();
    let observer = watcher.serve_as("observe").await;
    let mut receivers = [settings[0].serve_as("receive").await, settings[1].serve_as("receive").await];
    let balancer = Balancer::before(&settings);
    let mut work = JoinSet::new();
    work.spawn(Arc::clone(&balancer).look());
    for sender in 0..SENDERS {
        work.spawn(Arc::clone(&balancer).send(sender));
    }
    for (receiver, setting) in receivers.iter_mut().zip(settings) {
        balancer.goes_on().await;
        receiver.signal("TERM");
        receiver.has_ended().await;
        balancer.goes_on().await;
        *receiver = setting.serve_as("receive").await;
    }
    balancer.goes_on().await;
    balancer.done.store(true, Relaxed);
    work.join_all().await;
    let taken = balancer.taken.load(Relaxed);
    assert_eq!(balancer.turned_away.load(Relaxed), 0, "of {taken}");
    observer.counts(CM_NUMBER, taken as u64, 0).await;
    let fleet = observer.read("/api/v1/ledger?scope=fleet").await;
    assert_eq!(fleet["balanced"], true, "{fleet}");
    for receiver in receivers {
        let ended = receiver.terminate().await.with(0);
        assert!(!ended.stderr.contains("ERROR"), "{}", ended.stderr);
    }
}

/// What a receiver answers, that closes.
async fn closing(daemon: &Child, message: &str) -> Option<(u16, bool)> {
    let request = daemon.request_of(&twilio(message, Fate::Delivered)).timeout(Duration::from_secs(3));
    let answer = request.send().await.ok()?;
    let header = |name| answer.headers().get(name).is_some();
    (answer.headers().get("connection")? == "close")
        .then(|| (answer.status().as_u16(), header("retry-after")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_is_answered_and_what_comes_late_is_told_when_to_come_again() {
    let Some(broker) = Broker::start() else { return };
    broker.answers().await;
    // Nothing is given up while the broker is paused, so what is sent stays in flight.
    let setting = Setting::on(Some(broker.address.clone()), None)
        .set("[receive]", "answer_deadline = \"200s\"")
        .set("[receive]", "drain_notice = \"4s\"")
        .set("[receive]", "shutdown_timeout = \"100s\"")
        .set("[stream.kafka]", "spool_after = \"100s\"")
        .set("[stream.kafka]", "properties = { \"message.timeout.ms\" = \"150000\", \"request.timeout.ms\" = \"100000\", \"socket.timeout.ms\" = \"120000\" }");
    let daemon = setting.serve_as("receive").await;
    assert_eq!(daemon.takes(&cm("0", Fate::Delivered)).await.status, 200);
    daemon.signal("TERM");
    eventually("it says that it goes", async || daemon.trouble_with("departure").await).await;
    assert!(!daemon.is_ready_now().await);
    assert_eq!(closing(&daemon, "1").await, Some((204, false)), "it serves all the same");
    broker.signal("-STOP");
    let begun = daemon.request_of(&twilio("2", Fate::Delivered)).timeout(Duration::from_secs(100));
    let begun = tokio::spawn(async move { begun.send().await.unwrap().status().as_u16() });
    let late = async || match closing(&daemon, "3").await {
        Some((503, true)) => Some(()),
        _ => None,
    };
    // While it still serves, the broker keeps the answer back.
    eventually("those who come late are told so", late).await;
    assert!(!begun.is_finished());
    broker.signal("-CONT");
    assert_eq!(begun.await.unwrap(), 204);
    daemon.ends().await.with(0);
}
