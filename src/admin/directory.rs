//! `/api/v1/lists` and `/api/v1/numbers`: what is configured or was heard of, a page at a time.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Shared;
use super::api::{Answer, report_now};
use crate::config::{NumberKind, NumberStatus, Purpose};
use crate::event::{ConnectionId, ListId, Number};
use crate::health::Band;

/// Entries of a page, unless fewer are asked for.
const PAGE_MAX: usize = 500;

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The last key of the page before.
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct List {
    id: ListId,
    name: String,
    brand: Option<String>,
    purpose: Option<Purpose>,
    band: Band,
    rate: Option<f64>,
    numbers: Vec<Number>,
}

#[derive(Serialize)]
struct Entry {
    number: Number,
    kind: NumberKind,
    status: NumberStatus,
    registered: bool,
    band: Band,
    rate: Option<f64>,
    lists: Vec<ListId>,
    connections: Vec<ConnectionId>,
    incident: Option<String>,
}

/// `GET /api/v1/lists[?after=ID][&limit=N]`
pub(super) async fn lists(State(view): State<Shared>, Query(page): Query<Page>) -> Answer {
    let report = report_now(&view).await?;
    let lists = report.lists.into_values().map(|list| List {
        rate: list.view.counts().rate(),
        band: list.view.band,
        id: list.list,
        name: list.name,
        brand: list.brand,
        purpose: list.purpose,
        numbers: list.numbers,
    });
    Ok(Json(page.of("lists", lists.map(|list| (list.id.to_string(), list)))).into_response())
}

/// `GET /api/v1/numbers[?after=NUMBER][&limit=N]`
pub(super) async fn numbers(State(view): State<Shared>, Query(page): Query<Page>) -> Answer {
    let report = report_now(&view).await?;
    let numbers = report.numbers.into_values().map(|number| Entry {
        rate: number.view.counts().rate(),
        band: number.view.band,
        connections: number.legs.iter().map(|leg| leg.connection.clone()).collect(),
        number: number.number,
        kind: number.kind,
        status: number.status,
        registered: number.registered,
        lists: number.lists,
        incident: number.incident,
    });
    Ok(Json(page.of("numbers", numbers.map(|entry| (entry.number.to_string(), entry)))).into_response())
}

impl Page {
    /// The entries of the page under `name`, and `next`: what to ask for after it, or null.
    fn of<T: Serialize>(&self, name: &str, entries: impl Iterator<Item = (String, T)>) -> Value {
        let limit = self.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let rest = entries.filter(|(key, _)| self.after.as_ref().is_none_or(|after| key > after));
        let mut page: Vec<_> = rest.take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more).map(|(key, _)| key.clone());
        let entries: Vec<T> = page.into_iter().map(|(_, entry)| entry).collect();
        Value::Object(Map::from_iter([(name.to_owned(), json!(entries)), ("next".to_owned(), json!(next))]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let entries = || (1..=5).map(|n| (format!("k{n}"), n));
        let page = |after: Option<&str>| Page { after: after.map(str::to_owned), limit: Some(2) };
        let told = |page: Page| page.of("entries", entries());
        assert_eq!(told(page(None)), json!({"entries": [1, 2], "next": "k2"}));
        assert_eq!(told(page(Some("k2"))), json!({"entries": [3, 4], "next": "k4"}));
        assert_eq!(told(page(Some("k4"))), json!({"entries": [5], "next": null}));
    }
}
