//! `/api/v1/incidents`: what is wrong and was, and that somebody has taken it on. An acknowledgement is
//! noted in the state; whoever evaluates takes it up, and the incident's card says so.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api::{Answer, observer};
use super::guard::Who;
use super::problem::Problem;
use super::{Observer, Shared};
use crate::alert::{Acknowledgement, Incident, title};
use crate::tally::{Put, Table};

/// Incidents of a page, unless fewer are asked for.
const PAGE_MAX: usize = 500;

/// Which incidents are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    open: Option<bool>,
    limit: Option<usize>,
    /// The last id of the page before.
    before: Option<String>,
}

/// An incident and what it is called.
#[derive(Serialize)]
pub(super) struct Titled {
    title: String,
    #[serde(flatten)]
    incident: Incident,
}

impl Titled {
    /// Gives it its title.
    pub(super) fn of(incident: Incident) -> Self {
        Self { title: title(&incident), incident }
    }
}

/// Every incident that is kept, by id, with what was acknowledged a moment ago.
pub(super) async fn incidents_shown(observer: &Observer) -> Result<BTreeMap<String, Incident>, Problem> {
    let stored = observer.store.load(Table::Incidents).await?;
    let read = |bytes: &Bytes| serde_json::from_slice::<Incident>(bytes).ok();
    let mut shown: BTreeMap<String, Incident> =
        stored.into_iter().filter_map(|(id, bytes)| Some((id, read(&bytes)?))).collect();
    for (id, bytes) in observer.store.load(Table::Acknowledged).await? {
        if let Some(incident) = shown.get_mut(&id).filter(|incident| incident.is_open()) {
            incident.acknowledged = serde_json::from_slice(&bytes).ok();
        }
    }
    Ok(shown)
}

/// `GET /api/v1/incidents[?open=true][&limit=100][&before=ID]`, newest first; `next` is the id to ask
/// before for the next page, or null.
pub(super) async fn list(State(view): State<Shared>, Query(which): Query<Which>) -> Answer {
    let limit = which.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let shown = incidents_shown(observer(&view)?).await?;
    // Ids are ULIDs: their order is the order of opening.
    let wanted = shown.into_values().rev().filter(|incident| {
        which.open.is_none_or(|open| incident.is_open() == open)
            && which.before.as_ref().is_none_or(|before| incident.id < *before)
    });
    let mut page: Vec<Incident> = wanted.take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|incident| incident.id.clone());
    let incidents: Vec<Titled> = page.into_iter().map(Titled::of).collect();
    Ok(Json(json!({ "incidents": incidents, "next": next })).into_response())
}

/// `GET /api/v1/incidents/{id}`
pub(super) async fn one(State(view): State<Shared>, Path(id): Path<String>) -> Answer {
    let found = incidents_shown(observer(&view)?).await?.remove(&id);
    let found = found.ok_or_else(|| Problem::not_found("no incident has this id"))?;
    Ok(Json(Titled::of(found)).into_response())
}

/// Who acknowledges, where no token says so.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct By {
    by: Option<String>,
}

/// Who a body says acknowledges; none where there is no body.
pub(super) fn told(body: &[u8]) -> Result<Option<String>, Problem> {
    let by: By = match body.is_empty() {
        true => By::default(),
        false => serde_json::from_slice(body)
            .map_err(|_| Problem::bad_request("send {\"by\": \"your name\"}, or nothing"))?,
    };
    Ok(by.by)
}

/// `POST /api/v1/incidents/{id}/ack`: the incident as it is then. The first to acknowledge it has done so.
pub(super) async fn acknowledge(
    State(view): State<Shared>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let by = told(&body)?;
    let observer = observer(&view)?;
    let mut shown = incidents_shown(observer).await?;
    let mut incident = shown.remove(&id).ok_or_else(|| Problem::not_found("no incident has this id"))?;
    if !incident.is_open() {
        return Err(Problem::unprocessable("the incident is resolved: there is nothing to acknowledge"));
    }
    if incident.acknowledged.is_none() {
        let acknowledged = Acknowledgement { by: who.or(by), at: view.rails.clock.now() };
        let document =
            serde_json::to_vec(&acknowledged).map_err(|error| Problem::unavailable(error.to_string()))?;
        let put = Put { table: Table::Acknowledged, key: id.clone(), value: Some(document.into()) };
        observer.store.save(vec![put]).await?;
        tracing::info!(incident = id, by = acknowledged.by, "audit.incident acknowledged");
        incident.acknowledged = Some(acknowledged);
    }
    Ok(Json(Titled::of(incident)).into_response())
}
