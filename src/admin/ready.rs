//! Whether the daemon can accept webhooks and make them durable, and what else is wrong.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Shared;
use crate::alert::Status;
use crate::publish::{Publisher, SpoolAccount};
use crate::registry::Registry;

/// One thing the daemon needs, and whether it has it.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

impl Check {
    fn of(name: &'static str, result: Result<(), String>) -> Self {
        let detail = result.err();
        Self { name, ok: detail.is_none(), detail }
    }
}

fn discord(status: &Status) -> Result<(), String> {
    match status {
        Status::NotConfigured | Status::Working => Ok(()),
        Status::Retrying { code } => Err(format!("Discord answers {code}; alerts wait and are tried again")),
        Status::Broken { reason } => Err(reason.clone()),
    }
}

/// Connections that are closed because a secret of theirs could not be read. The others go on.
fn connections(registry: &Registry) -> Result<(), String> {
    let all = registry.connections();
    let closed: Vec<&str> =
        all.filter(|found| found.auth.is_unreadable).map(|found| found.id.as_str()).collect();
    match closed.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "secrets of {} could not be read: its webhooks are answered 503; see `sounder check`, then send SIGHUP",
            closed.join(", ")
        )),
    }
}

/// Whether the spool is empty, as it is while the stream takes events, and takes more.
fn spool(publisher: &Publisher, account: &SpoolAccount) -> Result<(), String> {
    publisher.accepts()?;
    match account.in_spool {
        0 => Ok(()),
        events => Err(format!("{events} events ({} bytes) wait in the spool for Kafka", account.bytes)),
    }
}

/// `GET /readyz`: 200 or 503. A receiver is ready when its stream or its spool takes events: an outage of the
/// state or of Discord is told in the checks and must not turn webhooks away.
pub(super) async fn readyz(State(view): State<Shared>) -> Response {
    let mut checks = Vec::new();
    if let Some(stream) = &view.publisher {
        let publisher = &stream.publisher;
        let departs = view.rails.departure.is_announced();
        let departs = departs.then(|| "the daemon is about to stop; send webhooks elsewhere".to_owned());
        checks.push(Check::of("departure", departs.map_or(Ok(()), Err)));
        checks.push(Check::of("stream", publisher.ready()));
        if let Some(account) = publisher.spool() {
            checks.push(Check::of("spool", spool(publisher, &account)));
        }
    }
    checks.push(Check::of("connections", connections(&view.rails.registry.load())));
    if let Some(observer) = &view.observer {
        checks.push(Check::of("state", observer.store.ready().await));
        let reading = observer.progress.last();
        if view.publisher.is_none() {
            checks.push(Check::of("stream", reading.waits.map_or(Ok(()), Err)));
        }
        let late = reading.fleet.held(view.rails.registry.load().health.lag_max, view.rails.clock.now());
        checks.push(Check::of("receivers", late.map_or(Ok(()), Err)));
        checks.push(Check::of("observer", reading.fault.map_or(Ok(()), Err)));
        checks.push(Check::of("rebuild", reading.rebuilding.map_or(Ok(()), Err)));
        checks.push(Check::of("discord", discord(&observer.discord.borrow())));
    }
    let essential = if let Some(stream) = &view.publisher {
        stream.publisher.accepts().is_ok() && !view.rails.departure.is_announced()
    } else {
        checks
            .iter()
            .filter(|check| !["discord", "connections", "rebuild", "receivers"].contains(&check.name))
            .all(|check| check.ok)
    };
    let status = if essential { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: essential, checks })).into_response()
}
