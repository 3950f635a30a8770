//! `/api/v1/silences`: whom not to call, for how long, and why. They are documents in the state; whoever
//! evaluates reads them, and publishes each change on `numbers.v1`.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;
use ulid::Ulid;

use super::Shared;
use super::api::{Answer, observer};
use super::guard::Who;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::config::parse_duration;
use crate::event::{ListId, Number, Provider};
use crate::health::{Silence, Silenced};
use crate::registry::Registry;
use crate::tally::{HOURS_KEPT, Put, Store, Table};

/// Silences that are kept at once.
const SILENCES_MAX: usize = 1000;
/// The longest silence.
const LASTING_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Longest reason that is kept, in characters.
const WHY_MAX: usize = 500;

/// A silence as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    number: Option<String>,
    list: Option<String>,
    brand: Option<String>,
    provider: Option<Provider>,
    until: Option<Timestamp>,
    r#for: Option<String>,
    why: String,
    by: Option<String>,
}

/// Which silences are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    ended: Option<bool>,
}

/// Every silence that is kept, oldest first.
pub(super) async fn silences(store: &Store) -> Result<Vec<Silence>, Problem> {
    let kept = store.load(Table::Silences).await?;
    Ok(kept.values().filter_map(|bytes| serde_json::from_slice(bytes).ok()).collect())
}

/// `GET /api/v1/silences[?ended=true]`: those in force, or all that are kept.
pub(super) async fn list(State(view): State<Shared>, Query(which): Query<Which>) -> Answer {
    let now = view.rails.clock.now();
    let mut silences = silences(&observer(&view)?.store).await?;
    silences.retain(|silence| which.ended == Some(true) || silence.holds(now));
    Ok(Json(json!({ "silences": silences })).into_response())
}

/// `POST /api/v1/silences`
pub(super) async fn post(State(view): State<Shared>, Extension(who): Extension<Who>, body: Bytes) -> Answer {
    let silence = told(&view.rails.registry.load(), &body, &who, view.rails.clock.now())?;
    let (store, now) = (&observer(&view)?.store, view.rails.clock.now());
    let kept = silences(store).await?;
    let over = |silence: &&Silence| now.since(silence.until) > HOURS_KEPT;
    let forgotten: Vec<Put> = kept.iter().filter(over).map(|silence| forget(&silence.id)).collect();
    if kept.len() - forgotten.len() >= SILENCES_MAX {
        return Err(Problem::unprocessable(format!("at most {SILENCES_MAX} silences are kept; end some")));
    }
    let document = serde_json::to_vec(&silence).map_err(|error| Problem::unavailable(error.to_string()))?;
    let put = Put { table: Table::Silences, key: silence.id.clone(), value: Some(document.into()) };
    store.save([forgotten, vec![put]].concat()).await?;
    tracing::info!(silence = silence.id, by = silence.by, "audit.silence begun: {}", silence.sentence());
    Ok((StatusCode::CREATED, Json(silence)).into_response())
}

/// `DELETE /api/v1/silences/{id}`
pub(super) async fn delete(
    State(view): State<Shared>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
) -> Answer {
    let store = &observer(&view)?.store;
    if !silences(store).await?.iter().any(|silence| silence.id == id) {
        return Err(Problem::not_found("no silence has this id"));
    }
    store.save(vec![forget(&id)]).await?;
    tracing::info!(silence = id, by = who.name(), "audit.silence ended");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn forget(id: &str) -> Put {
    Put { table: Table::Silences, key: id.to_owned(), value: None }
}

/// The silence that a body asks for.
pub(super) fn told(registry: &Registry, body: &[u8], who: &Who, now: Timestamp) -> Result<Silence, Problem> {
    let asked: Asked = serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!(
            "send {{number, list, brand or provider, until or for, why, by}}: line {}, column {} is not that",
            error.line(),
            error.column()
        ))
    })?;
    silence(registry, asked, who, now).map_err(Problem::unprocessable)
}

fn silence(registry: &Registry, asked: Asked, who: &Who, now: Timestamp) -> Result<Silence, String> {
    let until = match (asked.until, &asked.r#for) {
        (Some(until), None) => until,
        (None, Some(lasting)) => now.plus(parse_duration(lasting).map_err(|error| format!("for: {error}"))?),
        (None, None) | (Some(_), Some(_)) => {
            return Err("say until when, or for how long: one of both".into());
        }
    };
    if until <= now || until > now.plus(LASTING_MAX) {
        return Err("until must lie in the future, by a year at most".into());
    }
    let why = asked.why.trim();
    if !(1..=WHY_MAX).contains(&why.chars().count()) {
        return Err(format!("why must hold 1 to {WHY_MAX} characters"));
    }
    let of = silenced(registry, &asked)?;
    let random = Ulid::from_parts(u64::try_from(now.millis()).unwrap_or(0), rand::random());
    Ok(Silence { id: random.to_string(), of, until, by: who.or(asked.by), why: why.to_owned(), at: now })
}

/// What is to be silenced; a list, a brand or a provider must be known, or the silence would be nobody's.
fn silenced(registry: &Registry, asked: &Asked) -> Result<Silenced, String> {
    match (&asked.number, &asked.list, &asked.brand, asked.provider) {
        (Some(number), None, None, None) => {
            let number =
                Number::parse(number).ok_or("number is no sending number: give it as +18005550100")?;
            Ok(Silenced::Number { number })
        }
        (None, Some(list), None, None) => {
            let known = ListId::parse(list).filter(|id| registry.list(id).is_some());
            Ok(Silenced::List { list: known.ok_or("list is none that is configured")? })
        }
        (None, None, Some(brand), None) => match registry.lists().any(|list| list.brand == *brand) {
            true => Ok(Silenced::Brand { brand: brand.clone() }),
            false => Err("brand is that of no configured list".into()),
        },
        (None, None, None, Some(provider)) => {
            match registry.connections().any(|connection| connection.provider == provider) {
                true => Ok(Silenced::Provider { provider }),
                false => Err("provider is that of no configured connection".into()),
            }
        }
        _ => Err("name one of number, list, brand and provider".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    fn asked(json: &str) -> Result<Silence, String> {
        let text = r#"
            [privacy]
            recipients = "clear"
            [[connection]]
            id = "t"
            provider = "twilio"
            auth_tokens = ["t"]
            [[list]]
            id = "promo"
            brand = "Acme"
            numbers = ["+18005550100"]
        "#;
        let registry = Registry::new(&load(&Source::of(text)).unwrap());
        let now = Timestamp::from_seconds(1_000_000);
        silence(&registry, serde_json::from_str(json).unwrap(), &Who::local(), now)
    }

    #[test]
    fn a_silence_names_one_thing_that_is_known_an_end_and_a_reason() {
        let silence =
            asked(r#"{"number":"18005550100","for":"2h","why":" carrier tests ","by":"ada"}"#).unwrap();
        assert_eq!((silence.by.as_str(), silence.why.as_str()), ("ada", "carrier tests"));
        assert_eq!(silence.until.seconds(), 1_007_200);
        for what in [r#""list":"promo""#, r#""brand":"Acme""#, r#""provider":"twilio""#] {
            assert!(
                asked(&format!(r#"{{{what},"until":"1970-01-13T00:00:00Z","why":"w"}}"#)).is_ok(),
                "{what}"
            );
        }
    }

    #[test]
    fn what_cannot_be_silenced_is_told_in_a_sentence() {
        for (json, said) in [
            (r#"{"for":"2h","why":"w"}"#, "name one of"),
            (r#"{"list":"promo","brand":"Acme","for":"2h","why":"w"}"#, "name one of"),
            (r#"{"list":"nope","for":"2h","why":"w"}"#, "none that is configured"),
            (r#"{"brand":"Nope","for":"2h","why":"w"}"#, "no configured list"),
            (r#"{"provider":"lime","for":"2h","why":"w"}"#, "no configured connection"),
            (r#"{"number":"+1","for":"2h","why":"w"}"#, "no sending number"),
            (r#"{"list":"promo","why":"w"}"#, "until when, or for how long"),
            (r#"{"list":"promo","for":"2","why":"w"}"#, "for: write a number and its unit"),
            (r#"{"list":"promo","until":"1970-01-01T00:00:00Z","why":"w"}"#, "in the future"),
            (r#"{"list":"promo","for":"2h","why":" "}"#, "why must hold"),
        ] {
            let mistake = asked(json).unwrap_err();
            assert!(mistake.contains(said), "{json}: {mistake}");
        }
    }
}
