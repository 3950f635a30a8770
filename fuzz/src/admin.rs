//! Whatever is posted to the API. In: a byte that picks the address, then a body. Out: nothing; it
//! panics when what is taken is no whole event, is taken otherwise the second time, or names anybody.

use std::sync::LazyLock;

use sounder::admin::Posted;
use sounder::clock::Timestamp;
use sounder::config::{Source, load};
use sounder::event::{Body, Record};
use sounder::registry::Registry;

/// When everything is posted.
const NOW: Timestamp = Timestamp::from_millis(1_795_428_000_412);
/// Longest answer: twenty mistakes of a sentence each.
const DETAIL_MAX: usize = 4_096;
/// The recipient that seeds name; no answer may.
const RECIPIENT: &str = "14155550101";

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let text = r#"
        [privacy]
        recipients = "hash"
        key = "0123456789abcdef0123456789abcdef"
        [[connection]]
        id = "t"
        provider = "twilio"
        auth_tokens = ["0123456789abcdef0123456789abcdef"]
        [[connection]]
        id = "c"
        provider = "cm"
        path_secrets = ["0123456789abcdef"]
        [[list]]
        id = "promo"
        brand = "Acme"
        numbers = ["+18005550100"]
    "#;
    Registry::new(&load(&Source::of(text.to_owned())).expect("the configuration is right"))
});

/// Posts a body twice.
pub fn holds(data: &[u8]) {
    let Some((which, body)) = data.split_first() else { return };
    let posted = Posted::ALL[usize::from(*which) % Posted::ALL.len()];
    let taken = posted.read(body, &REGISTRY, NOW);
    match &taken {
        Ok(events) => {
            for event in events {
                let record = event.record(None);
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                assert_eq!(Record::decode(bytes.into()), Some(record.clone()), "{posted:?}");
                if let Body::Send(send) = &event.body {
                    let shown = send.recipient.as_ref().map_or("h:", |recipient| recipient.as_str());
                    assert!(shown.starts_with("h:"), "{posted:?} names somebody: {shown}");
                }
            }
        }
        Err(detail) => {
            assert!(!detail.is_empty() && detail.len() <= DETAIL_MAX, "{posted:?}: {} bytes", detail.len());
            assert!(!detail.contains(RECIPIENT), "{posted:?} names somebody: {detail}");
        }
    }
    assert_eq!(taken, posted.read(body, &REGISTRY, NOW), "{posted:?} is taken otherwise the second time");
}

/// Bodies to begin with: each kind whole, with every field, with mistakes, and nested deeply.
pub fn seeds() -> Vec<Vec<u8>> {
    let send = |id: &str| {
        format!(
            r#"{{"connection":"t","message_id":"{id}","number":"+18005550100","recipient":"+{RECIPIENT}"}}"#
        )
    };
    let full = format!(
        r#"{{"provider":"cm","connection":"c","reference":"r","number":"71441","list":"promo","recipient":"+{RECIPIENT}","sent_at":"2026-11-23T09:00:00Z"}}"#
    );
    let many = (0..40).map(|index| send(&format!("SM{index}"))).collect::<Vec<_>>().join(",");
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let deeper = format!(r#"[{{"connection":{}1{}}}]"#, r#"{"a":"#.repeat(200), "}".repeat(200));
    let bodies: [(u8, String); 16] = [
        (0, format!("[{}]", send("SM1"))),
        (0, format!("[{},{full}]", send("SM1"))),
        (0, format!("[{many}]")),
        (0, "[]".into()),
        (0, full.replace("+14155550101", "4155")),
        (0, deep.clone()),
        (0, deeper),
        (1, r#"{"connection":"t","kind":"complaint","text":"spam"}"#.into()),
        (
            1,
            r#"{"connection":"c","kind":"suspension","severity":"warning","number":"71441","subject":"s","code":"1","text":"t","occurred_at":"2026-11-23T09:00:00Z"}"#.into(),
        ),
        (1, r#"{"connection":"t","kind":"registration","text":""}"#.into()),
        (1, deep),
        (2, r#"{"number":"+18005550100","for":"2h","why":"a test","by":"me"}"#.into()),
        (2, r#"{"list":"promo","until":"2026-11-24T09:00:00Z","why":"a test"}"#.into()),
        (2, r#"{"provider":"twilio","brand":"Acme","for":"400d","why":"x"}"#.into()),
        (3, r#"{"by":"me"}"#.into()),
        (3, String::new()),
    ];
    bodies.into_iter().map(|(which, body)| [&[which], body.as_bytes()].concat()).collect()
}
