//! The providers: they push what happens to messages, twice and out of order as they do, and push it
//! again until it is answered 2xx. Every 2xx goes into the oracle's book.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::harness::{
    CM_NUMBER, Fate, INFOBIP_NUMBER, LIME_NUMBER, TWILIO_NUMBER, Webhook, cm, infobip_body, lime, twilio,
    twilio_form,
};
use crate::oracle::{Book, Obligation};

/// Webhooks that may wait for a 2xx at once.
const OUTSTANDING_MAX: usize = 4000;
/// Webhooks that are remembered, to be pushed once more.
const RECENT_MAX: usize = 5000;
/// How long a provider waits for an answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// All four of them.
pub(crate) struct Providers(Arc<Inner>);

struct Inner {
    client: reqwest::Client,
    receivers: Vec<String>,
    places: Arc<Semaphore>,
    paused: AtomicBool,
    over: AtomicBool,
    /// Which provider's messages fail more often than not; none above 3.
    sick: AtomicUsize,
    book: Mutex<Book>,
    begun: Instant,
    recent: Mutex<VecDeque<Push>>,
}

/// A webhook, what it obliges to, and what it is counted as when it comes first.
#[derive(Clone)]
struct Push {
    webhook: Webhook,
    owed: Vec<Obligation>,
    counted: Vec<(&'static str, Fate)>,
}

impl Providers {
    /// Pushes about `rate` messages' receipts a second at these receivers.
    pub(crate) fn start(receivers: Vec<String>, rate: u32, seed: u64) -> Self {
        let inner = Arc::new(Inner {
            client: reqwest::Client::builder().timeout(ANSWER_WAIT_MAX).build().unwrap(),
            receivers,
            places: Arc::new(Semaphore::new(OUTSTANDING_MAX)),
            paused: AtomicBool::new(false),
            over: AtomicBool::new(false),
            sick: AtomicUsize::new(usize::MAX),
            book: Mutex::default(),
            begun: Instant::now(),
            recent: Mutex::default(),
        });
        tokio::spawn(push(Arc::clone(&inner), rate, Pcg64Mcg::seed_from_u64(seed)));
        Self(inner)
    }

    pub(crate) fn book<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.0.book.lock().unwrap())
    }

    /// Pushes nothing new until [`Providers::resume`]; what was begun goes on.
    pub(crate) fn pause(&self) {
        self.0.paused.store(true, Relaxed);
    }

    pub(crate) fn resume(&self) {
        self.0.paused.store(false, Relaxed);
    }

    /// How long it has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.begun.elapsed()
    }

    /// Webhooks that wait for a 2xx.
    pub(crate) fn outstanding(&self) -> usize {
        OUTSTANDING_MAX - self.0.places.available_permits()
    }

    /// Has one provider's messages fail, and the others' no longer.
    pub(crate) fn sicken(&self, provider: usize) {
        self.0.sick.store(provider, Relaxed);
    }

    /// Pushes the latest webhooks again, each so many times.
    pub(crate) async fn repeat(&self, webhooks: usize, times: usize) {
        let recent: Vec<_> = self.0.recent.lock().unwrap().iter().rev().take(webhooks).cloned().collect();
        for push in recent.iter().flat_map(|push| std::iter::repeat_n(push, times)) {
            self.0.deliver(Push { counted: Vec::new(), ..push.clone() }, Duration::ZERO).await;
        }
    }

    /// Pushes again what told of a message, wherever it went before.
    pub(crate) async fn repeat_message(&self, id: &str) {
        let tells = |push: &&Push| push.owed.iter().any(|owed| owed.id == id);
        let recent: Vec<_> = self.0.recent.lock().unwrap().iter().filter(tells).cloned().collect();
        for push in recent {
            self.0.deliver(Push { counted: Vec::new(), ..push }, Duration::ZERO).await;
        }
    }

    pub(crate) fn end(&self) {
        self.0.over.store(true, Relaxed);
    }
}

async fn push(inner: Arc<Inner>, rate: u32, mut random: Pcg64Mcg) {
    let mut every = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut made = 0_u64;
    while !inner.over.load(Relaxed) {
        every.tick().await;
        if inner.paused.load(Relaxed) {
            continue;
        }
        let sick = inner.sick.load(Relaxed);
        for push in message(&mut made, sick, &mut random) {
            let late = Duration::from_millis(random.random_range(0..500));
            let again = random.random_bool(0.2).then(|| Push { counted: Vec::new(), ..push.clone() });
            inner.deliver(push, late).await;
            if let Some(again) = again {
                inner.deliver(again, late * 3).await;
            }
        }
    }
}

/// The webhooks that tell of a message, or of a handful.
fn message(made: &mut u64, sick: usize, random: &mut Pcg64Mcg) -> Vec<Push> {
    *made += 1;
    let id = format!("{made:x}");
    let provider = random.random_range(0..4);
    let mut fate = || {
        let failing = if provider == sick { 0.6 } else { 0.03 };
        if random.random_bool(failing) { Fate::Filtered } else { Fate::Delivered }
    };
    let receipt =
        |id: &str, says: &str| Obligation { topic: "receipts.v1", id: id.into(), says: says.into() };
    let one = |webhook, id: &str, number, fate| Push {
        webhook,
        owed: vec![receipt(id, word(fate))],
        counted: vec![(number, fate)],
    };
    match provider {
        0 => {
            let fate = fate();
            let sid = format!("SM{id:0>32}");
            let mut all = vec![one(twilio(&id, fate), &sid, TWILIO_NUMBER, fate)];
            if random.random_bool(0.3) {
                let sent =
                    [("From", TWILIO_NUMBER), ("MessageSid", &sid), ("MessageStatus", "sent"), ("To", TO)];
                all.push(Push {
                    webhook: twilio_form(&sent),
                    owed: vec![receipt(&sid, "sent")],
                    counted: vec![],
                });
            }
            if random.random_bool(0.05) {
                all.push(opt_out(&id));
            }
            all
        }
        1 => {
            let ids: Vec<_> = (0..random.random_range(1..6)).map(|nth| format!("{id}-{nth}")).collect();
            let fate = if random.random_bool(if sick == 1 { 0.6 } else { 0.03 }) {
                Fate::Filtered
            } else {
                Fate::Delivered
            };
            vec![Push {
                webhook: infobip_body(reports(&ids, fate)),
                owed: ids.iter().map(|id| receipt(id, word(fate))).collect(),
                counted: ids.iter().map(|_| (INFOBIP_NUMBER, fate)).collect(),
            }]
        }
        2 => {
            let fate = fate();
            vec![one(cm(&id, fate), &id, CM_NUMBER, fate)]
        }
        _ => {
            let fate = fate();
            vec![one(lime(&id, fate), &id, LIME_NUMBER, fate)]
        }
    }
}

const TO: &str = "+12025559876";

const fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Delivered => "delivered",
        Fate::Filtered => "failed",
    }
}

fn opt_out(id: &str) -> Push {
    let sid = format!("SM{id:f>32}");
    // Another person each time: of one person's opt-outs compaction keeps the last.
    let from = format!("+1202555{:04}", u64::from_str_radix(id, 16).unwrap_or(0) % 10_000);
    let form = [
        ("Body", "STOP"),
        ("From", from.as_str()),
        ("MessageSid", &sid),
        ("OptOutType", "STOP"),
        ("To", TWILIO_NUMBER),
    ];
    let owed = vec![Obligation { topic: "consent.v1", id: sid.clone(), says: "opt_out".into() }];
    Push { webhook: twilio_form(&form), owed, counted: Vec::new() }
}

/// A batch as Infobip sends it.
fn reports(ids: &[String], fate: Fate) -> String {
    let (status, error) = match fate {
        Fate::Delivered => (
            json!({"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET", "description": ""}),
            json!({"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "description": ""}),
        ),
        Fate::Filtered => (
            json!({"groupId": 2, "groupName": "UNDELIVERABLE", "id": 9, "name": "UNDELIVERABLE_NOT_DELIVERED", "description": ""}),
            json!({"groupId": 2, "groupName": "USER_ERRORS", "id": 607, "name": "EC_REJECTED_SPAM_BY_OPERATOR", "description": ""}),
        ),
    };
    let report = |id: &String| json!({"messageId": id, "to": &TO[1..], "sender": INFOBIP_NUMBER.trim_start_matches('+'), "status": status, "error": error, "messageCount": 1});
    json!({ "results": ids.iter().map(report).collect::<Vec<_>>() }).to_string()
}

impl Inner {
    /// Begins to push a webhook, once there is a place for it.
    async fn deliver(self: &Arc<Self>, push: Push, late: Duration) {
        let place = Arc::clone(&self.places).acquire_owned().await.unwrap();
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            while !inner.over.load(Relaxed) && !inner.attempt(&push).await {
                tokio::time::sleep(Duration::from_millis(rand::random_range(100..1000))).await;
            }
            drop(place);
        });
    }

    /// Whether a webhook is answered 2xx.
    async fn attempt(&self, push: &Push) -> bool {
        let receiver = &self.receivers[rand::random_range(0..self.receivers.len())];
        let answer = push.webhook.request(&self.client, receiver).send().await;
        let mut book = self.book.lock().unwrap();
        match answer.map(|answer| answer.status().as_u16()) {
            Ok(200..=299) => {
                book.acknowledged += 1;
                book.owes(&push.owed, &format!("{receiver} at {} ms", self.begun.elapsed().as_millis()));
                for (number, fate) in &push.counted {
                    let counts = book.counts.entry(number).or_default();
                    match fate {
                        Fate::Delivered => counts.0 += 1,
                        Fate::Filtered => counts.1 += 1,
                    }
                }
                drop(book);
                let mut recent = self.recent.lock().unwrap();
                recent.push_back(push.clone());
                if recent.len() > RECENT_MAX {
                    recent.pop_front();
                }
                true
            }
            Ok(503) | Err(_) => {
                book.repeated += 1;
                false
            }
            Ok(status) => {
                book.wrong.push(format!("{status} to {}", push.webhook.path));
                false
            }
        }
    }
}
