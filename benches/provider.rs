//! What it costs to prove and to understand a webhook, without HTTP and without a stream: verify and
//! normalize of one Twilio status callback, of Infobip's reports in batches of a hundred, of one report
//! of CM's and one of Lime's; and to hear what a reply means.
//!
//! `cargo bench --bench provider -- [--rounds 20]`
//!
//! Printed per kind, from the round that took the least: nanoseconds a callback, report or reply. One
//! SHA-256 of 64 bytes is measured beside them: quote ratios to that, the machine's speed is in both.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures the wall")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should stop")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use sounder::clock::Timestamp;
use sounder::config::{Keywords, Source, load};
use sounder::provider::{keyword, normalize, verify};
use sounder::receive::{Envelope, RawWebhook};
use sounder::registry::Registry;

/// Operations timed at a time.
const LAP: usize = 2_000;
const REPORTS: usize = 100;
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == "--rounds");
    let rounds = at.and_then(|at| args.get(at + 1)).and_then(|text| text.parse().ok()).unwrap_or(20);
    let registry = registry();
    let (twilio, infobip, cm, lime) = (twilio(), infobip(), cm(), lime());
    let understood = |webhook: &Webhook| {
        let proved = verify(webhook.arrives(&registry)).unwrap();
        black_box(normalize(&proved.webhook, &registry).events.len())
    };
    assert_eq!(
        (understood(&twilio), understood(&infobip), understood(&cm), understood(&lime)),
        (1, REPORTS, 1, 1)
    );
    let keywords = Keywords::default();
    let replies =
        ["STOP", "stpo", "Please take me off your list", "Yes, I'll stop by at 5 tomorrow, thanks!"];
    let block = [7_u8; 64];
    let rows: [(&str, usize, &dyn Fn()); 6] = [
        ("one SHA-256 of 64 bytes", 1, &|| _ = black_box(Sha256::digest(black_box(block)))),
        ("twilio status callback", 1, &|| _ = understood(&twilio)),
        ("infobip report, of 100", REPORTS, &|| _ = understood(&infobip)),
        ("cm status report", 1, &|| _ = understood(&cm)),
        ("lime receipt", 1, &|| _ = understood(&lime)),
        ("a reply", replies.len(), &|| {
            for reply in replies {
                black_box(keyword::classify(black_box(reply), &keywords));
            }
        }),
    ];
    println!("{:<26} {:>10} {:>14}", "", "ns", "x SHA-256");
    let mut unit = None;
    for (name, of, operation) in rows {
        let lap = (LAP / of).max(20);
        let best = (0..rounds).map(|_| timed(lap, operation) / of as f64).fold(f64::MAX, f64::min);
        let unit = *unit.get_or_insert(best);
        println!("{name:<26} {best:>10.0} {:>14.1}", best / unit);
    }
}

/// Nanoseconds an operation, over so many.
fn timed(lap: usize, operation: &dyn Fn()) -> f64 {
    let started = Instant::now();
    for _ in 0..lap {
        operation();
    }
    started.elapsed().as_secs_f64() * 1e9 / lap as f64
}

fn registry() -> Registry {
    let text = format!(
        "[receive]\npublic_url = \"https://hooks.example.com\"\n[privacy]\nrecipients = \"hash\"\nkey = \"{KEY}\"\n\
         [[connection]]\nid = \"t\"\nprovider = \"twilio\"\nauth_tokens = [\"{KEY}\"]\n\
         [[connection]]\nid = \"i\"\nprovider = \"infobip\"\nhmac = {{ secrets = [\"{KEY}\"] }}\n\
         [[connection]]\nid = \"c\"\nprovider = \"cm\"\npath_secrets = [\"{KEY}\"]\nnumber = \"+18005550100\"\n\
         [[connection]]\nid = \"l\"\nprovider = \"lime\"\npath_secrets = [\"{KEY}\"]\nnumber = \"+18005550100\"\n\
         [[list]]\nid = \"promo\"\nnumbers = [\"+18005550100\"]\n"
    );
    Registry::new(&load(&Source::of(text)).unwrap())
}

/// A webhook that arrives again and again.
struct Webhook {
    connection: &'static str,
    secret: Option<&'static str>,
    headers: HeaderMap,
    body: Bytes,
}

impl Webhook {
    fn new(connection: &'static str, headers: &[(&'static str, String)], body: String) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let secret = ["c", "l"].contains(&connection).then_some(KEY);
        Self { connection, secret, headers, body: body.into() }
    }

    fn arrives(&self, registry: &Registry) -> RawWebhook {
        let secret = self.secret.map_or_else(String::new, |secret| format!("/{secret}"));
        let envelope = Envelope {
            connection: registry.connection(self.connection).map(Arc::clone),
            method: Method::POST,
            target: format!("/hooks/{}{secret}", self.connection),
            path_secret: self.secret.map(str::to_owned),
            headers: self.headers.clone(),
            remote: [127, 0, 0, 1].into(),
            client_certificate: None,
            received_at: Timestamp::from_millis(1_795_428_000_412),
        };
        RawWebhook::new(envelope, self.body.clone())
    }
}

fn twilio() -> Webhook {
    let sid = "SM0123456789abcdef0123456789abcdef";
    let sorted = [
        ("AccountSid", "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("ApiVersion", "2010-04-01"),
        ("From", "+18005550100"),
        ("MessageSid", sid),
        ("MessageStatus", "delivered"),
        ("RawDlrDoneDate", "2602031005"),
        ("SmsSid", sid),
        ("SmsStatus", "delivered"),
        ("To", "+14155550101"),
    ];
    let mut mac = Hmac::<Sha1>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(b"https://hooks.example.com/hooks/t");
    sorted.iter().for_each(|(name, value)| {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    });
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let body = sorted.map(|(name, value)| format!("{name}={}", value.replace('+', "%2B"))).join("&");
    let form = "application/x-www-form-urlencoded; charset=UTF-8".to_owned();
    Webhook::new("t", &[("content-type", form), ("x-twilio-signature", signature)], body)
}

fn infobip() -> Webhook {
    let report = |n: usize| {
        format!(
            r#"{{"bulkId":"BULK-1","price":{{"pricePerMessage":0.01,"currency":"EUR"}},"status":{{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET","description":"Message delivered to handset"}},"error":{{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No Error","permanent":false}},"messageId":"s-{n}","to":"1415555{n:04}","sender":"18005550100","sentAt":"2026-11-23T10:00:00.000+0100","doneAt":"2026-11-23T10:00:07.000+0100","messageCount":1,"mccMnc":"310260"}}"#
        )
    };
    let reports: Vec<String> = (0..REPORTS).map(report).collect();
    let body = format!(r#"{{"results":[{}]}}"#, reports.join(","));
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature = format!("SHA256={}", hex::encode(mac.finalize().into_bytes()));
    Webhook::new("i", &[("content-type", "application/json".into()), ("x-hub-signature", signature)], body)
}

fn cm() -> Webhook {
    let body = r#"{"messages":{"msg":{"received":"2026-11-23T11:00:00","to":"0031612345678","reference":"ref-1","status":{"code":"2","errorCode":"","errorDescription":"Delivered"},"operator":"20408"}}}"#;
    Webhook::new("c", &[("content-type", "application/json".into())], body.to_owned())
}

fn lime() -> Webhook {
    let body = "message_id=abc-123&mobile=14155550101&sender=18005550100&status=DELIVRD&error=000";
    Webhook::new("l", &[("content-type", "application/x-www-form-urlencoded".into())], body.to_owned())
}
