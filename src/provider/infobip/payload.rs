//! What Infobip says. In: a proved webhook, a batch of up to 2000 items. Out: their events, item by
//! item, so that one bad item costs nobody else's report. It never drops an item in silence, and
//! never reads an opt-out from `cleanText`, from which the keyword has been cut.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::item::{Item, Text, read};
use super::{flat, notice, report};
use crate::event::{Action, Confidence, Event, Evidence};
use crate::provider::context::{Said, Will};
use crate::provider::keyword::classify;
use crate::provider::{Context, Normalized};
use crate::receive::Reply;

/// Most items Infobip puts into one request, by its documentation.
const ITEMS_MAX: usize = 2000;

const NOT_READ: &str = "neither JSON nor XML: have Infobip push with POST and content type application/json";
const EMPTY: &str = "a batch without items";
const TOO_MANY: &str = "items beyond the 2000th of a batch";
const NO_OBJECT: &str = "an item that is no JSON object";
const NO_MESSAGE_ID: &str = "a delivery report without messageId";
const NO_CONTENT: &str = "a registration event without content";
const NOT_SMS: &str = "not SMS";
const NOT_A_PERSON: &str = "a blocklist event whose destination is no telephone number";
const TRACKING: &str = "not understood: a click or other tracking event, which counts for nothing here";
const UNKNOWN: &str =
    "not understood: neither a delivery report, a reply, a blocklist nor a registration event";

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

/// Says in events what a webhook says.
pub fn normalize(context: &Context<'_>) -> Normalized {
    let mut events = Vec::new();
    match serde_json::from_slice::<Batch<'_>>(context.body()) {
        Ok(batch) => {
            let items: Vec<&str> = batch.results.iter().map(|raw| raw.get()).collect();
            each(context, &items, &mut events);
        }
        Err(_) => match serde_json::from_slice::<&RawValue>(context.body()) {
            Ok(single) => events.extend(item(context, single.get())),
            Err(_) => other(context, &mut events),
        },
    }
    Normalized { events, reply: Reply::Ok }
}

/// Says in events what a webhook says that is no JSON: XML, or a reply by GET.
fn other(context: &Context<'_>, events: &mut Vec<Event>) {
    let query = || context.webhook.query().filter(|_| context.body().is_empty()).and_then(flat::of_query);
    let document = std::str::from_utf8(context.body()).ok();
    if let Some(items) = document.and_then(flat::of_xml) {
        each(context, &items.iter().map(String::as_str).collect::<Vec<_>>(), events);
    } else if let Some(single) = query() {
        events.extend(item(context, &single));
    } else {
        events.push(context.dead_letter(NOT_READ, context.body()));
    }
}

fn each(context: &Context<'_>, items: &[&str], events: &mut Vec<Event>) {
    let (read, beyond) = items.split_at(items.len().min(ITEMS_MAX));
    events.reserve(read.len());
    for raw in read {
        events.extend(item(context, raw));
    }
    if items.is_empty() {
        events.push(context.dead_letter(EMPTY, context.body()));
    }
    if !beyond.is_empty() {
        let rest = beyond.join(",");
        events.push(context.dead_letter(TOO_MANY, rest.as_bytes()));
    }
}

/// Says in events what one item says, or keeps it as a dead letter.
fn item(context: &Context<'_>, json: &str) -> Vec<Event> {
    let told = match Item::read(json) {
        Some(item) => told(context, &item, json),
        None => Err(NO_OBJECT),
    };
    told.unwrap_or_else(|reason| vec![context.dead_letter(reason, json.as_bytes())])
}

/// What an item is follows from what it carries, since one URL takes everything.
fn told(context: &Context<'_>, item: &Item<'_>, json: &str) -> Result<Vec<Event>, &'static str> {
    if !is_sms(&item.channel) {
        return Err(NOT_SMS);
    }
    let one = |event| vec![event];
    match item.event.some() {
        Some("BLOCK") => return blocklist(context, item, Action::OptOut).map(one),
        Some("UNBLOCK") => return blocklist(context, item, Action::OptIn).map(one),
        Some(event) if notice::is_registration(event) => {
            return notice::event(context, item).map(one).ok_or(NO_CONTENT);
        }
        Some(_) | None => {}
    }
    if let Some(status) = item.status() {
        return report::events(context, item, status).ok_or(NO_MESSAGE_ID);
    }
    if item.notification_type.some().is_some() {
        return Err(TRACKING);
    }
    let replied = item.content.is_some() || item.message.is_some();
    let replied = replied || item.received_at.some().is_some() || item.text.some().is_some();
    if replied && !item.from().is_empty() { Ok(one(reply(context, item, json))) } else { Err(UNKNOWN) }
}

/// A reply. The keyword Infobip found in it wins where it is one that withdraws or returns; then the
/// whole text counts.
fn reply(context: &Context<'_>, item: &Item<'_>, json: &str) -> Event {
    let parts = Parts::of(item);
    let keyword =
        item.keyword.some().or_else(|| parts.keyword()).and_then(|word| Some((word, flag(context, word)?)));
    let text = parts.text(item);
    let (heard, flag) = match keyword {
        Some((word, action)) => (word, Some(action)),
        None => (text.as_str(), None),
    };
    let from = context.recipient(item.from()).map(|(recipient, _)| recipient);
    let from = from.as_ref().map(crate::event::Recipient::as_str).unwrap_or_default();
    let with_id = ["reply", item.message_id.as_str()];
    let without_id = ["reply", "", from, item.to(), item.received_at.as_str(), text.as_str()];
    context.said(&Said {
        id: if item.message_id.some().is_some() { &with_id } else { &without_id },
        message_id: item.message_id.some(),
        from: item.from(),
        to: Some(item.to()),
        text: heard,
        flag,
        scope: None,
        occurred_at: item.received_at.moment(),
        item: json.as_bytes(),
    })
}

/// What a keyword configured at Infobip wants, where it is exactly one of the listed words.
fn flag(context: &Context<'_>, keyword: &str) -> Option<Action> {
    let (action, heard) = classify(keyword, &context.registry.keywords).asks()?;
    (action != Action::Help && heard.evidence == Evidence::Keyword).then_some(action)
}

/// A part of a reply: of `content[]` in the newer form, of `message[]` in an MMS.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    content_type: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    value: Text<'a>,
    #[serde(borrow, default)]
    keyword: Text<'a>,
}

struct Parts<'a>(Vec<Part<'a>>);

impl<'a> Parts<'a> {
    fn of(item: &Item<'a>) -> Self {
        let list = |raw: &'a RawValue| read(raw).or_else(|| read(raw).map(|only| vec![only]));
        Self(item.content.or(item.message).and_then(list).unwrap_or_default())
    }

    fn keyword(&self) -> Option<&str> {
        self.0.iter().find_map(|part| part.keyword.some())
    }

    /// The text of a reply: its own field, else its textual parts.
    fn text(&self, item: &Item<'_>) -> String {
        if let Some(text) = item.text.some() {
            return text.to_owned();
        }
        let textual =
            |part: &&Part<'_>| part.content_type.some().is_none_or(|kind| kind.starts_with("text/"));
        let texts =
            self.0.iter().filter(textual).filter_map(|part| part.text.some().or_else(|| part.value.some()));
        texts.collect::<Vec<_>>().join(" ")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    #[serde(borrow, default)]
    sender: Text<'a>,
    #[serde(borrow, default)]
    destination: Text<'a>,
    #[serde(borrow, default)]
    channel: Text<'a>,
}

/// A change of Infobip's own blocklist: `destination` is the person, `sender` our number.
fn blocklist(context: &Context<'_>, item: &Item<'_>, action: Action) -> Result<Event, &'static str> {
    let listing: Listing<'_> = item.content.and_then(read).ok_or(NOT_A_PERSON)?;
    if !is_sms(&listing.channel) {
        return Err(NOT_SMS);
    }
    let person = listing.destination.some().unwrap_or_default();
    let (recipient, _) = context.recipient(person).ok_or(NOT_A_PERSON)?;
    let id = [
        "blocklist",
        item.event.as_str(),
        item.message_id.as_str(),
        recipient.as_str(),
        listing.sender.as_str(),
        item.received_at.as_str(),
    ];
    Ok(context.consent(Will {
        id: &id,
        action,
        evidence: Evidence::Blocklist,
        confidence: Confidence::Certain,
        keyword: None,
        scope: None,
        number: context.sender(listing.sender.some()),
        recipient: recipient.clone(),
        message_id: item.message_id.some(),
        occurred_at: item.received_at.moment(),
    }))
}

/// True of what came by SMS or MMS, or does not say.
fn is_sms(channel: &Text<'_>) -> bool {
    channel.some().is_none_or(|name| name.eq_ignore_ascii_case("SMS") || name.eq_ignore_ascii_case("MMS"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Provider};
    use crate::provider::vector;

    fn events(body: &str) -> Vec<Event> {
        vector::events(Provider::Infobip, body)
    }

    fn report(id: usize, status: u32, done: &str) -> String {
        format!(
            r#"{{"messageId":"m{id}","to":"41793026727","sender":"15005550006","doneAt":"{done}","status":{{"groupId":3,"id":{status}}}}}"#
        )
    }

    fn batch(items: &[String]) -> String {
        format!(r#"{{"results":[{}]}}"#, items.join(","))
    }

    #[test]
    fn a_retry_says_the_same_and_news_says_another_thing() {
        let id = |text: String| events(&batch(&[text]))[0].id.clone();
        let first = report(1, 5, "2026-11-23T09:00:00.000+0000");
        assert_eq!(id(first.clone()), id(first.replace(r#""to""#, r#""bulkId":"another","to""#)));
        for other in [
            report(2, 5, "2026-11-23T09:00:00.000+0000"),
            report(1, 2, "2026-11-23T09:00:00.000+0000"),
            report(1, 5, "2026-11-23T09:00:01.000+0000"),
        ] {
            assert_ne!(id(first.clone()), id(other));
        }
    }

    #[test]
    fn a_whole_batch_is_read_and_what_is_beyond_it_is_kept() {
        let items: Vec<String> = (0..ITEMS_MAX + 3).map(|id| report(id, 5, "")).collect();
        assert_eq!(events(&batch(&items[..ITEMS_MAX])).len(), ITEMS_MAX);
        let all = events(&batch(&items));
        assert_eq!(all.len(), ITEMS_MAX + 1);
        assert!(matches!(&all[ITEMS_MAX].body, Body::DeadLetter(letter) if letter.reason == TOO_MANY));
    }

    #[test]
    fn no_body_ends_in_nothing() {
        for body in
            ["", "{}", "[]", "null", "5", "{\"results\":[]}", "{\"results\":7}", "{\"results\":[", "\u{0}"]
        {
            let events = events(body);
            assert!(
                matches!(events.as_slice(), [Event { body: Body::DeadLetter(_), .. }]),
                "{body}: {events:?}"
            );
        }
    }

    #[test]
    fn a_recipient_leaves_only_as_privacy_allows() {
        let [event] = <[Event; 1]>::try_from(events(&batch(&[report(1, 5, "")]))).unwrap();
        assert!(!String::from_utf8_lossy(&event.record(None).value).contains("41793026727"));
    }

    #[test]
    fn a_reply_without_an_id_is_known_by_what_it_says() {
        let reply = |text: &str| {
            let item = format!(
                r#"{{"from":"15005550002","to":"15005550006","text":"{text}","receivedAt":"2026-11-23T09:00:00.000+0000"}}"#
            );
            events(&batch(&[item]))[0].id.clone()
        };
        assert_eq!(reply("STOP"), reply("STOP"));
        assert_ne!(reply("STOP"), reply("START"));
    }
}
