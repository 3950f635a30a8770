//! `GET /api/v1/consent/{number}/{recipient}`: may this number write to this person? By what they
//! said last in each scope that covers the number, on whichever leg they said it.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde::Serialize;

use super::Shared;
use super::api::{Answer, observer};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::event::{Action, Confidence, ConnectionId, Evidence, Number, Provider, Recipient, Scope, e164};
use crate::registry::Registry;
use crate::tally::Held;

/// Whether a recipient has opted out of a number.
#[derive(Debug, PartialEq, Serialize)]
struct Consented {
    number: Number,
    recipient: Recipient,
    opted_out: bool,
    /// Since when; none where nobody has said anything.
    since: Option<Timestamp>,
    /// By what: the word that decides first, then the others that cover the number, newest first.
    evidence: Vec<Shown>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Shown {
    action: Action,
    at: Timestamp,
    evidence: Evidence,
    confidence: Confidence,
    keyword: Option<String>,
    scope: Scope,
    scope_id: String,
    provider: Provider,
    connection: ConnectionId,
    number: Option<Number>,
}

/// `GET /api/v1/consent/{number}/{recipient}`
pub(super) async fn get(
    State(view): State<Shared>,
    Path((number, person)): Path<(String, String)>,
) -> Answer {
    let number = Number::parse(&number)
        .ok_or_else(|| Problem::bad_request("give the number as E.164 (+18005550100) or a short code"))?;
    let registry = view.rails.registry.load_full();
    let recipient = recipient(&registry, &person).ok_or_else(|| {
        Problem::bad_request("give the recipient as E.164 (+15005550001) or as events carry it (h:…)")
    })?;
    let held = observer(&view)?.store.held(&recipient).await?;
    Ok(Json(consented(&registry, number, recipient, held)).into_response())
}

/// What is not a telephone number may be what stands in an event.
fn recipient(registry: &Registry, text: &str) -> Option<Recipient> {
    match text.strip_prefix("h:") {
        Some(hash) => {
            let known = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            known.then(|| Recipient::published(text.to_owned()))
        }
        None => e164(text).map(|number| registry.privacy.publish(&number)),
    }
}

fn consented(registry: &Registry, number: Number, recipient: Recipient, held: Vec<Held>) -> Consented {
    let mut held: Vec<_> = held.into_iter().filter(|held| covers(registry, &number, held)).collect();
    // An opt-out that stands decides, whatever was said later in another scope.
    held.sort_by_key(|held| (held.consent.action != Action::OptOut, std::cmp::Reverse(held.at)));
    let first = held.first();
    Consented {
        opted_out: first.is_some_and(|held| held.consent.action == Action::OptOut),
        since: first.map(|held| held.at),
        evidence: held.into_iter().map(Shown::of).collect(),
        number,
        recipient,
    }
}

/// Whether what was said holds for a number. A service's numbers are known by what was said to them.
fn covers(registry: &Registry, number: &Number, held: &Held) -> bool {
    let said = &held.consent;
    let leg = |connection: &ConnectionId| {
        registry.number(number).is_some_and(|entry| entry.legs.contains(connection))
    };
    match said.scope {
        Scope::Number => Number::parse(&said.scope_id).as_ref() == Some(number),
        Scope::Service => said.number.as_ref() == Some(number),
        Scope::List => registry.list_of(number).is_some_and(|list| list.as_str() == said.scope_id),
        Scope::Account => said.number.as_ref() == Some(number) || leg(&said.connection),
    }
}

impl Shown {
    fn of(held: Held) -> Self {
        let said = held.consent;
        Self {
            action: said.action,
            at: held.at,
            evidence: said.evidence,
            confidence: said.confidence,
            keyword: said.keyword,
            scope: said.scope,
            scope_id: said.scope_id,
            provider: said.provider,
            connection: said.connection,
            number: said.number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};
    use crate::event::{Consent, ListId};

    fn held(action: Action, scope: Scope, scope_id: &str, second: i64) -> Held {
        let at = Timestamp::from_seconds(second);
        let consent = Consent {
            provider: Provider::Twilio,
            connection: ConnectionId::parse("t").unwrap(),
            action,
            evidence: Evidence::Keyword,
            confidence: Confidence::Certain,
            keyword: None,
            scope,
            scope_id: scope_id.into(),
            number: Number::parse("+18005550101"),
            list: ListId::parse("promo"),
            recipient: Recipient::published("h:1".into()),
            message_id: None,
            occurred_at: None,
            received_at: at,
        };
        Held { consent, at }
    }

    fn asked(number: &str, held: Vec<Held>) -> Consented {
        let text = "[privacy]\nrecipients = \"clear\"\n[[connection]]\nid = \"t\"\nprovider = \"twilio\"\n\
                    auth_tokens = [\"t\"]\n[[list]]\nid = \"promo\"\nnumbers = [\"+18005550100\"]\n\
                    [[number]]\nnumber = \"+18005550102\"\nlegs = [\"t\"]";
        let registry = Registry::new(&load(&Source::of(text)).unwrap());
        consented(&registry, Number::parse(number).unwrap(), Recipient::published("h:1".into()), held)
    }

    #[test]
    fn a_word_holds_for_the_numbers_of_its_scope() {
        for (scope, scope_id, numbers) in [
            (Scope::Number, "+18005550100", &["+18005550100"][..]),
            (Scope::Service, "MG1", &["+18005550101"]),
            (Scope::List, "promo", &["+18005550100"]),
            (Scope::Account, "t", &["+18005550101", "+18005550102"]),
        ] {
            for number in ["+18005550100", "+18005550101", "+18005550102"] {
                let answer = asked(number, vec![held(Action::OptOut, scope, scope_id, 5)]);
                assert_eq!(answer.opted_out, numbers.contains(&number), "{scope:?} and {number}");
            }
        }
    }

    #[test]
    fn an_opt_out_that_stands_decides() {
        let number = "+18005550100";
        let out = held(Action::OptOut, Scope::List, "promo", 5);
        let back = held(Action::OptIn, Scope::Number, number, 9);
        let answer = asked(number, vec![back.clone(), out]);
        assert_eq!((answer.opted_out, answer.since), (true, Some(Timestamp::from_seconds(5))));
        let answer = asked(number, vec![back]);
        assert_eq!((answer.opted_out, answer.since), (false, Some(Timestamp::from_seconds(9))));
        assert_eq!(asked(number, Vec::new()).since, None);
    }
}
