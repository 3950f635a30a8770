//! What Lime says. In: a proved webhook: a list push (GET or POST), or a delivery receipt whose field
//! names the configuration gives, since Lime documents none. Out: its events. It never keeps what a
//! push says of a person beyond the list, the keyword and the number: not even in a dead letter.

use serde_json::Value;

use super::codes;
use crate::event::{Action, Body, Confidence, Event, Evidence, Inbound, Number, Recipient, Scope};
use crate::provider::context::{Reported, Will};
use crate::provider::{Context, Normalized};
use crate::receive::Reply;

/// Most parameters that are read of one webhook.
const PARAMETERS_MAX: usize = 200;
/// Longest id, keyword or word that is kept.
const WORD_MAX: usize = 64;
const REFERENCE_MAX: usize = 128;

const NO_PERSON: &str = "a list push without a telephone number in mobile_number";
const NO_ACTION: &str = "a list push whose action is none of optin, optout, optout-all, update";
const NO_ID: &str = "a delivery receipt without a message id: check mapping.message_id";
const UNKNOWN: &str =
    "not understood: neither a list push (action) nor a delivery receipt (check mapping.status)";

/// Says in events what a webhook says.
pub fn normalize(context: &Context<'_>) -> Normalized {
    let parameters = Parameters::of(context);
    let mapping = &context.connection().mapping;
    let told = if let Some(action) = parameters.get("action") {
        pushed(context, &parameters, action)
    } else if let Some(status) = parameters.get(&mapping.status) {
        receipt(context, &parameters, status)
    } else {
        Err(UNKNOWN)
    };
    let event =
        told.unwrap_or_else(|reason| context.dead_letter(reason, parameters.impersonal(context).as_bytes()));
    Normalized { events: vec![event], reply: Reply::Ok }
}

/// Names and texts of the body, then of the query; the first of a name counts.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(context: &Context<'_>) -> Self {
        let body = context.body();
        let query = context.webhook.query().unwrap_or_default();
        let mut all = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(fields)) => {
                fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
            }
            _ => pairs(body),
        };
        all.extend(pairs(query.as_bytes()));
        all.truncate(PARAMETERS_MAX);
        Self(all)
    }

    /// The text of a name, which is case-sensitive, when there is any.
    fn get(&self, name: &str) -> Option<&str> {
        let (_, text) = self.0.iter().find(|(key, text)| key == name && !text.trim().is_empty())?;
        Some(text.trim())
    }

    /// What of a webhook may be kept that could not be read: names of parameters, and the texts of
    /// those that say nothing of a person.
    fn impersonal(&self, context: &Context<'_>) -> String {
        let mapping = &context.connection().mapping;
        let kept = ["action", "list_id", "mobile_number", "keyword", &mapping.message_id, &mapping.recipient];
        let more = [mapping.sender.as_str(), &mapping.status, &mapping.error, "number"];
        let shown = |name: &str| kept.contains(&name) || more.contains(&name);
        let pairs = self.0.iter().map(|(name, text)| (name, if shown(name) { text.as_str() } else { "" }));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    /// The sending number: the receipt's, else the URL's (`?number=18005550100`).
    fn sender(&self, context: &Context<'_>) -> Option<Number> {
        context.sender(self.named(context))
    }

    fn named(&self, context: &Context<'_>) -> Option<&str> {
        self.get(&context.connection().mapping.sender).or_else(|| self.get("number"))
    }
}

fn pairs(form: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(form)
        .take(PARAMETERS_MAX)
        .map(|(name, text)| (name.into_owned(), text.into_owned()))
        .collect()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A keyword that was texted to a list, or a change of somebody's standing on it.
fn pushed(context: &Context<'_>, parameters: &Parameters, action: &str) -> Result<Event, &'static str> {
    let person = parameters.get("mobile_number").and_then(|text| context.recipient(text));
    let (recipient, _) = person.ok_or(NO_PERSON)?;
    let minute = context.received_at().minute().to_string();
    let [list, keyword] = ["list_id", "keyword"].map(|name| parameters.get(name).unwrap_or_default());
    // Lime gives neither an id nor a time: the minute stands for both. The recipient stands here as it
    // is published, since an id must not let its number be guessed.
    let id = ["push", action, list, recipient.as_str(), keyword, &minute];
    let on_list = (!list.is_empty()).then(|| (Scope::List, bounded(list)));
    let everywhere = Some((Scope::Account, context.connection().id.to_string()));
    let (action, scope) = match action {
        "optin" => (Action::OptIn, on_list),
        "optout" => (Action::OptOut, on_list),
        "optout-all" => (Action::OptOut, everywhere),
        "update" => return Ok(updated(context, parameters, (&id, recipient.clone()))),
        _ => return Err(NO_ACTION),
    };
    let keyword = parameters.get("keyword").filter(|word| word.len() <= WORD_MAX);
    Ok(context.consent(Will {
        id: &id,
        action,
        evidence: Evidence::ListPush,
        confidence: Confidence::Certain,
        keyword,
        scope,
        number: parameters.sender(context),
        recipient: recipient.clone(),
        message_id: None,
        occurred_at: None,
    }))
}

/// Somebody on the list texted again: a reply, whose text and profile are nobody's business here.
fn updated(context: &Context<'_>, parameters: &Parameters, who: (&[&str], Recipient)) -> Event {
    let (id, recipient) = who;
    let number = parameters.sender(context);
    let inbound = Inbound {
        provider: context.connection().provider,
        connection: context.connection().id.clone(),
        message_id: None,
        list: context.list_of(&number),
        number,
        recipient: Some(recipient),
        text: None,
        occurred_at: None,
        received_at: context.received_at(),
    };
    context.event(id, Body::Inbound(inbound))
}

/// A delivery receipt. Its id is the sender's reference, as registered sends name it for Lime.
fn receipt(context: &Context<'_>, parameters: &Parameters, status: &str) -> Result<Event, &'static str> {
    let mapping = &context.connection().mapping;
    let short = |text: &&str| text.len() <= REFERENCE_MAX;
    let reference = parameters.get(&mapping.message_id).filter(short).ok_or(NO_ID)?;
    let error = parameters.get(&mapping.error).unwrap_or_default();
    let receipt = context.receipt(Reported {
        message_id: None,
        reference: Some(reference.to_owned()),
        number: context.sender_by(parameters.named(context), reference),
        to: parameters.get(&mapping.recipient),
        network: None,
        outcome: codes::outcome(status, error),
        provider_status: bounded(status),
        segments: None,
        price: None,
        sent_at: None,
        occurred_at: None,
    });
    let person = receipt.recipient.as_ref().map(Recipient::as_str).unwrap_or_default().to_owned();
    let id = ["receipt", reference, &person, status, error];
    Ok(context.event(&id, Body::Receipt(receipt)))
}

fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORD_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::event::Provider;
    use crate::provider::vector::{self, Request, connection, privacy, registry, webhook};
    use crate::provider::verify;

    fn events(body: &str) -> Vec<Event> {
        vector::events(Provider::Lime, body)
    }

    fn id(body: &str) -> String {
        events(body)[0].id.as_str().to_owned()
    }

    #[test]
    fn a_push_is_the_same_one_within_its_minute_whatever_else_it_says() {
        let push = "action=optout&list_id=1&mobile_number=15555555555&keyword=STOP";
        assert_eq!(id(push), id(&format!("{push}&firstName=Jane")));
        for (from, to) in
            [("optout", "optin"), ("list_id=1", "list_id=2"), ("5555&", "5556&"), ("STOP", "pizza")]
        {
            assert_ne!(id(push), id(&push.replace(from, to)), "{from}");
        }
    }

    #[test]
    fn nothing_of_a_person_is_kept() {
        let profile = "firstName=Jane&lastName=Doe&dob=01%2F01%2F1991&zipcode=98765&email=jane%40example.com&data=hello";
        for start in [
            "action=optin&mobile_number=15555555555",
            "action=update&mobile_number=15555555555",
            "action=optin",
            "x=y",
        ] {
            for event in events(&format!("{start}&{profile}")) {
                let value = String::from_utf8_lossy(&event.record(None).value).into_owned();
                for said in ["Jane", "Doe", "1991", "98765", "example.com", "hello", "5555555555"] {
                    assert!(!value.contains(said), "{start}: {said}");
                }
            }
        }
    }

    #[test]
    fn names_of_parameters_are_case_sensitive() {
        assert!(matches!(events("Action=optout&mobile_number=15555555555")[0].body, Body::DeadLetter(_)));
    }

    #[test]
    fn the_mapping_says_which_field_holds_what() {
        let mut connection = connection(Provider::Lime);
        connection.auth.path_secrets.push(Secret::new("s".into()));
        connection.mapping.status = "dlr".into();
        connection.mapping.message_id = "ref".into();
        let registry = registry(&connection, privacy());
        let body = "ref=r-1&mobile=15555555555&dlr=DELIVRD&status=ignored";
        let request = Request { method: "POST", target: "/", segment: Some("s"), body, ..Request::default() };
        let proved = verify(webhook(Some(connection), &request)).unwrap();
        let events = normalize(&Context::new(&proved.webhook, &registry)).events;
        let Body::Receipt(receipt) = &events[0].body else { panic!("a receipt") };
        assert_eq!((receipt.reference.as_deref(), receipt.state.name()), (Some("r-1"), "delivered"));
    }
}
