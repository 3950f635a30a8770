//! What CM says. In: a proved webhook: a status report in JSON, XML or query parameters, or a reply
//! in JSON. Out: its events. The answer is always exactly 200: CM takes everything else, 204 too,
//! for a failure, and tries again for a month.

use serde_json::Value;

use super::fields::{self, Fields};
use super::{reply, report};
use crate::event::Event;
use crate::provider::{Context, Normalized};
use crate::receive::Reply;

const NO_REFERENCE: &str = "a status report without a reference: CM names messages by nothing else";
const NOTHING: &str = "neither a body nor a query with a status report";
const NO_JSON: &str = "broken JSON: check the template of the webhook";
const NO_XML: &str = "XML that is no status report";
const NO_REPORT: &str = "not understood: a query or form without a status code";
const EMPTY: &str = "a document without reports";

/// Says in events what a webhook says.
pub fn normalize(context: &Context<'_>) -> Normalized {
    let body = context.body();
    let events = match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => json(context, body),
        Some(b'<') => xml(context, body),
        Some(_) => parameters(context, body),
        None => match context.webhook.query() {
            Some(query) => parameters(context, query.as_bytes()),
            None => vec![context.dead_letter(NOTHING, body)],
        },
    };
    Normalized { events, reply: Reply::Ok }
}

fn json(context: &Context<'_>, body: &[u8]) -> Vec<Event> {
    let Ok(document) = serde_json::from_slice::<Value>(body) else {
        return vec![context.dead_letter(NO_JSON, body)];
    };
    if let Some(found) = fields::of_json(&document) {
        return reports(context, &found);
    }
    let event = match reply::event(context, &document, body) {
        Ok(event) => event,
        Err(no) => match no.secret {
            Some(secret) => {
                let kept = String::from_utf8_lossy(body).replace(&secret, "(secret)");
                context.dead_letter(no.reason, kept.as_bytes())
            }
            None => context.dead_letter(no.reason, body),
        },
    };
    vec![event]
}

fn xml(context: &Context<'_>, body: &[u8]) -> Vec<Event> {
    match std::str::from_utf8(body).ok().and_then(fields::of_xml) {
        Some(found) => reports(context, &found),
        None => vec![context.dead_letter(NO_XML, body)],
    }
}

fn parameters(context: &Context<'_>, form: &[u8]) -> Vec<Event> {
    let found = Fields::of_query(form);
    if report::is_report(&found) {
        reports(context, &[found])
    } else {
        vec![context.dead_letter(NO_REPORT, form)]
    }
}

/// Report by report, so that one bad report costs no other. The URL may name the sender
/// (`?number=18005550100`), since CM's reports do not.
fn reports(context: &Context<'_>, found: &[Fields]) -> Vec<Event> {
    let url = Fields::of_query(context.webhook.query().unwrap_or_default().as_bytes());
    let sender = url.get(&["number"]);
    if found.is_empty() {
        return vec![context.dead_letter(EMPTY, context.body())];
    }
    let events = found.iter().flat_map(|fields| {
        report::events(context, fields, sender)
            .unwrap_or_else(|| vec![context.dead_letter(NO_REFERENCE, fields.to_string().as_bytes())])
    });
    events.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Provider;
    use crate::provider::vector;

    fn events(body: &str) -> Vec<Event> {
        vector::events(Provider::Cm, body)
    }

    fn id(body: &str) -> String {
        events(body)[0].id.as_str().to_owned()
    }

    #[test]
    fn a_retry_says_the_same_in_whichever_form_it_comes() {
        let json = r#"{"messages":{"msg":{"received":"r","to":"0031612345678","reference":"a","status":{"code":"3","errorCode":"28"}}}}"#;
        let xml = "<MESSAGES><MSG RECEIVED='r'><TO>+31612345678</TO><REFERENCE>a</REFERENCE><STATUS><CODE>3</CODE><ERRORCODE>28</ERRORCODE></STATUS></MSG></MESSAGES>";
        let form = "reference=a&received=r&to=31612345678&statuscode=3&errorcode=28";
        assert_eq!((id(json), id(json)), (id(xml), id(form)));
        for (from, to) in
            [("\"3\"", "\"2\""), ("28", "29"), ("\"r\"", "\"s\""), ("\"a\"", "\"b\""), ("678", "679")]
        {
            assert_ne!(id(json), id(&json.replace(from, to)), "{from}");
        }
    }

    #[test]
    fn a_recipient_leaves_only_as_privacy_allows() {
        let all = events("reference=a&to=31612345678&statuscode=1&errorcode=37");
        assert_eq!(all.len(), 2);
        for event in &all {
            assert!(!String::from_utf8_lossy(&event.record(None).value).contains("31612345678"));
        }
    }

    #[test]
    fn replies_are_told_apart_by_who_when_and_what() {
        let reply = |from: &str, time: &str, text: &str| {
            let message = format!(r#""message":{{"text":"{text}"}},"timeUtc":"{time}","channel":"SMS""#);
            id(&format!(r#"{{"from":{{"number":"{from}"}},"to":{{"number":"3669"}},{message}}}"#))
        };
        let first = reply("+31612345678", "2026-11-23T09:00:00", "STOP");
        assert_eq!(first, reply("0031612345678", "2026-11-23T09:00:00", "STOP"));
        assert_ne!(first, reply("+31612345679", "2026-11-23T09:00:00", "STOP"));
        assert_ne!(first, reply("+31612345678", "2026-11-23T09:00:01", "STOP"));
        assert_ne!(first, reply("+31612345678", "2026-11-23T09:00:00", "START"));
    }

    #[test]
    fn no_body_ends_in_nothing() {
        for body in ["", "{}", "[]", "<", "<a/>", "x", "{\"messages\":{\"msg\":[]}}", "\u{0}", "  "] {
            let events = events(body);
            assert!(
                matches!(events.as_slice(), [Event { body: crate::event::Body::DeadLetter(_), .. }]),
                "{body}"
            );
        }
    }
}
