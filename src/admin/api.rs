//! The API: JSON for programs and for the status page, computed from what has been applied by the
//! time of the question.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::problem::Problem;
use super::{Observer, Shared, account};
use crate::event::{ListId, Number, Provider};
use crate::health::{Case, Report, report};
use crate::ledger::Sink;
use crate::tally::{Cells, Table};

pub(super) type Answer = Result<Response, Problem>;

pub(super) fn observer(view: &Shared) -> Result<&Observer, Problem> {
    view.observer.as_ref().ok_or_else(|| {
        Problem::unavailable("this process only receives; ask one that runs with --role observe or all")
    })
}

/// The report of this moment, with everything applied before it.
pub(super) async fn report_now(view: &Shared) -> Result<Report, Problem> {
    let observer = observer(view)?;
    observer.store.refresh(&observer.mirror).await?;
    let (registry, now) = (view.rails.registry.load_full(), view.rails.clock.now());
    let lag_max = registry.health.lag_max;
    let make = move |cells: &Cells| report(cells, &registry, &registry.health, now);
    let mut made = observer.mirror.study(make).await?;
    made.held = observer.progress.last().held(lag_max, now);
    let standings = observer.store.load(Table::Standings).await?;
    let read = |bytes: &Bytes| serde_json::from_slice::<Case>(bytes).ok();
    made.stand(
        &standings.iter().filter_map(|(number, bytes)| Some((number.clone(), read(bytes)?))).collect(),
    );
    Ok(made)
}

/// Health, and what somebody needs to draw it.
#[derive(Serialize)]
struct Health {
    #[serde(flatten)]
    report: Report,
    /// Where the bands begin, best first: healthy, degraded, critical.
    thresholds: [f64; 3],
    /// How many times as fast as the wall's the daemon's clock runs.
    clock_speed: u32,
    /// Whether alerts go to a built-in stand-in, whose messages can be looked at.
    discord_stand_in: bool,
}

/// `GET /api/v1/health`
pub(super) async fn health(State(view): State<Shared>) -> Answer {
    let report = report_now(&view).await?;
    let bands = view.rails.registry.load().health.thresholds;
    let thresholds = [bands.healthy, bands.degraded, bands.critical];
    let clock_speed = view.extras.clock_speed.unwrap_or(1);
    let discord_stand_in = view.extras.discord_messages.is_some();
    Ok(Json(Health { report, thresholds, clock_speed, discord_stand_in }).into_response())
}

/// `GET /api/v1/health/numbers/{number}`
pub(super) async fn number(State(view): State<Shared>, Path(text): Path<String>) -> Answer {
    let number = Number::parse(&text)
        .ok_or_else(|| Problem::bad_request("give the number as E.164 (+18005550100) or a short code"))?;
    let mut made = report_now(&view).await?;
    let health = made.numbers.remove(&number);
    let health = health.ok_or_else(|| Problem::not_found("no such number is configured or was heard of"))?;
    Ok(Json(health).into_response())
}

/// `GET /api/v1/health/lists/{id}`
pub(super) async fn list(State(view): State<Shared>, Path(text): Path<String>) -> Answer {
    let mut made = report_now(&view).await?;
    let health = ListId::parse(&text).and_then(|id| made.lists.remove(&id));
    Ok(Json(health.ok_or_else(|| Problem::not_found("no such list is configured"))?).into_response())
}

/// `GET /api/v1/health/providers/{name}`
pub(super) async fn provider(State(view): State<Shared>, Path(text): Path<String>) -> Answer {
    let mut made = report_now(&view).await?;
    let named = Provider::ALL.into_iter().find(|provider| provider.name() == text);
    let health = named.and_then(|provider| made.providers.remove(&provider));
    let missing = || Problem::not_found("no connection of such a provider (twilio, infobip, cm, lime)");
    Ok(Json(health.ok_or_else(missing)?).into_response())
}

/// Whose account is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    #[serde(default)]
    scope: Scope,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// This process'.
    #[default]
    Process,
    /// All receivers', as they tell of themselves.
    Fleet,
}

/// `GET /api/v1/ledger[?scope=fleet]`
pub(super) async fn ledger(State(view): State<Shared>, Query(whose): Query<Whose>) -> Answer {
    let (reading, accounts) = match &view.observer {
        Some(observer) => (Some(observer.progress.fresh().await), observer.store.account().await?),
        None => (None, Default::default()),
    };
    let spool = view.publisher.as_ref().and_then(|stream| stream.publisher.spool());
    let drawn = account::ledger(view.rails.ledger.statement(), spool, reading.as_ref(), &accounts);
    if whose.scope == Scope::Process {
        return Ok(Json(drawn).into_response());
    }
    // Without a stream that others read, this process is all there is.
    let fleet = &observer(&view)?.progress.last().fleet;
    let (late_after, now) = (view.rails.registry.load().health.lag_max, view.rails.clock.now());
    let embedded = view.publisher.as_ref().is_some_and(|stream| stream.publisher.sink() == Sink::Embedded);
    Ok(Json(if embedded { drawn } else { drawn.of_fleet(fleet, late_after, now) }).into_response())
}

/// `GET /api/v1/discord/messages`: what a built-in stand-in for Discord holds; 404 where there is none.
pub(super) async fn discord_messages(State(view): State<Shared>) -> Answer {
    let messages = view.extras.discord_messages.as_ref();
    let messages =
        messages.ok_or_else(|| Problem::not_found("alerts go to Discord itself, not to a stand-in"))?;
    Ok(Json(json!({ "messages": messages() })).into_response())
}
