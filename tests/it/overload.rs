//! More than the receiver is meant to bear: what can wait is refused at once, opt-outs are not, memory
//! stays flat, and everything goes on as soon as it is over.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use tokio::task::JoinSet;

use crate::harness::{Broker, Child, Fate, Setting, Webhook, cm, eventually, twilio, twilio_form};

/// A reply that takes a recipient out, as Twilio pushes it.
fn stop(message: &str) -> Webhook {
    let sid = format!("SM{message:0>32}");
    let form = [
        ("AccountSid", "AC0123456789abcdef0123456789abcdef"),
        ("Body", "STOP"),
        ("From", "+12025559876"),
        ("MessageSid", &sid),
        ("OptOutType", "STOP"),
        ("SmsMessageSid", &sid),
        ("SmsStatus", "received"),
        ("To", crate::harness::TWILIO_NUMBER),
    ];
    twilio_form(&form)
}

async fn in_flight(daemon: &Child) -> u64 {
    daemon.read("/api/v1/ledger").await["webhooks"]["in_flight"].as_u64().unwrap()
}

/// Sends webhooks without waiting for their answers, which come together in the end.
struct Senders(JoinSet<u16>);

impl Senders {
    /// Sends one, and waits until so many are in flight.
    async fn send(&mut self, daemon: &Child, webhook: &Webhook, in_flight_then: u64) {
        let request = daemon.request_of(webhook);
        self.0.spawn(async move { request.send().await.unwrap().status().as_u16() });
        eventually("the webhook is in flight", async || {
            (in_flight(daemon).await == in_flight_then).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_are_refused_before_opt_outs_and_all_goes_on_when_it_is_over() {
    let Some(broker) = Broker::start() else { return };
    broker.answers().await;
    // Nothing is given up while the broker is paused, so what is sent stays in flight.
    let setting = Setting::on(Some(broker.address.clone()), None)
        .set("[receive]", "in_flight_max = 3")
        .set("[receive]", "answer_deadline = \"200s\"")
        .set("[stream.kafka]", "spool_after = \"100s\"")
        .set("[stream.kafka]", "properties = { \"message.timeout.ms\" = \"150000\", \"request.timeout.ms\" = \"100000\", \"socket.timeout.ms\" = \"120000\" }");
    let daemon = setting.serve_as("receive").await;
    assert_eq!(daemon.takes(&cm("0", Fate::Delivered)).await.status, 200);
    broker.signal("-STOP");
    let mut senders = Senders(JoinSet::new());
    for n in 1..=3 {
        senders.send(&daemon, &twilio(&n.to_string(), Fate::Delivered), n).await;
    }
    let refused = daemon.takes(&twilio("4", Fate::Delivered)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    let stranger = twilio("4", Fate::Delivered).with("x-twilio-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert_eq!(daemon.takes(&stranger).await.status, 401, "it is verified all the same");
    for n in 4..=6 {
        senders.send(&daemon, &stop(&n.to_string()), n).await;
    }
    // Twice as many as it is meant to bear: not even looked at.
    for unread in [stop("7"), stranger] {
        let refused = daemon.takes(&unread).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    }
    let before = daemon.resident_kib();
    for n in 0..3000 {
        assert_eq!(daemon.takes(&twilio(&n.to_string(), Fate::Delivered)).await.status, 503);
    }
    let after = daemon.resident_kib();
    assert!(after < before + 16 * 1024, "memory grew from {before} to {after} KiB");
    broker.signal("-CONT");
    let mut answers = senders.0.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers, [200, 200, 200, 204, 204, 204], "what was taken is answered");
    assert_eq!(daemon.takes(&twilio("4", Fate::Delivered)).await.status, 204, "all goes on at once");
    let ledger = daemon.read("/api/v1/ledger").await;
    assert_eq!((&ledger["balanced"], &ledger["webhooks"]["lost"]), (&true.into(), &0.into()), "{ledger}");
    assert_eq!(ledger["webhooks"]["refused"]["overloaded"], 3003, "{ledger}");
    daemon.terminate().await.with(0);
}
