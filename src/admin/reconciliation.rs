//! `GET /api/v1/reconciliation`: registered sends against receipts, by number, connection and list.
//! What is missing is a send that nobody reported on within its provider's settling time; an orphan
//! is a receipt of a message whose send nobody registered. And how long providers take to deliver.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::Shared;
use super::api::{Answer, report_now};
use crate::clock::Timestamp;
use crate::config::Health;
use crate::event::{ConnectionId, ListId, Number, Provider};
use crate::health::{Coverage, Delays, Report, Sums, Window, seen_before};

/// The windows that are told.
const WINDOWS: [Window; 3] = [Window::Hour, Window::Day, Window::Week];
/// The least `settle` that is suggested.
const SETTLE_MIN: Duration = Duration::from_secs(60);
/// The longest `settle` there can be.
const SETTLE_MAX: Duration = Duration::from_secs(3600);

#[derive(Serialize)]
struct Reconciliation {
    at: Timestamp,
    /// Numbers of which sends were registered in the last seven days.
    numbers: BTreeMap<Number, Covered>,
    connections: BTreeMap<ConnectionId, Covered>,
    /// Lists of which sends were registered in the last seven days.
    lists: BTreeMap<ListId, Covered>,
    providers: BTreeMap<Provider, Pace>,
}

#[derive(Serialize)]
struct Covered(BTreeMap<Window, Line>);

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    coverage: Coverage,
    /// Receipts ÷ sends.
    share: Option<f64>,
    /// The share of delivered messages that were known before their outcome.
    seen_before: Option<f64>,
}

/// How long a provider took to deliver, in the last seven days, where both ends are known.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Pace {
    delivered: u64,
    p50_seconds: Option<u64>,
    p95_seconds: Option<u64>,
    settle_seconds: u64,
    /// The `settle` that would wait for 95 % of them.
    settle_suggested_seconds: Option<u64>,
}

/// `GET /api/v1/reconciliation`
pub(super) async fn get(State(view): State<Shared>) -> Answer {
    let report = report_now(&view).await?;
    let settings = &view.rails.registry.load().health;
    Ok(Json(reconciliation(&report, settings)).into_response())
}

fn reconciliation(report: &Report, settings: &Health) -> Reconciliation {
    let registered = |sums: &Sums| Coverage::of(&sums.windows[Window::Week as usize]).sends > 0;
    let numbers = report.numbers.iter().filter(|(_, number)| registered(&number.view.sums));
    let lists = report.lists.iter().filter(|(_, list)| registered(&list.view.sums));
    let connections = report.connections.iter();
    let pace = |provider: Provider, sums: &Sums| Pace::of(sums, settings.settle_of(provider));
    Reconciliation {
        at: report.at,
        numbers: numbers.map(|(number, view)| (number.clone(), Covered::of(&view.view.sums))).collect(),
        connections: connections.map(|(id, view)| (id.clone(), Covered::of(&view.view.sums))).collect(),
        lists: lists.map(|(id, view)| (id.clone(), Covered::of(&view.view.sums))).collect(),
        providers: report.providers.iter().map(|(p, view)| (*p, pace(*p, &view.view.sums))).collect(),
    }
}

impl Covered {
    fn of(sums: &Sums) -> Self {
        let line = |window: Window| {
            let counters = &sums.windows[window as usize];
            let coverage = Coverage::of(counters);
            (window, Line { coverage, share: coverage.share(), seen_before: seen_before(counters) })
        };
        Self(WINDOWS.map(line).into())
    }
}

impl Pace {
    fn of(sums: &Sums, settle: Duration) -> Self {
        let delays = Delays::of(&sums.windows[Window::Week as usize]);
        let within = |share| delays.within(share).map(|limit| limit.as_secs());
        let most = delays.within(0.95).unwrap_or(SETTLE_MAX).clamp(SETTLE_MIN, SETTLE_MAX);
        Self {
            delivered: delays.known(),
            p50_seconds: within(0.5),
            p95_seconds: within(0.95),
            settle_seconds: settle.as_secs(),
            settle_suggested_seconds: (delays.known() > 0).then_some(most.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Counter;

    fn sums(counts: &[(Counter, i64)]) -> Sums {
        let mut sums = Sums::default();
        counts.iter().for_each(|(counter, n)| sums.windows[Window::Week as usize].add(*counter, *n));
        sums
    }

    #[test]
    fn a_line_says_what_is_missing_and_what_nobody_registered() {
        let sums = sums(&[
            (Counter::DELIVERED, 9),
            (Counter::UNKNOWN, 2),
            (Counter::REGISTERED, 8),
            (Counter::ANSWERED, 6),
            (Counter::SEEN, 6),
        ]);
        let json = serde_json::to_value(Covered::of(&sums)).unwrap();
        let week = serde_json::json!({
            "sends": 8, "answered": 6, "missing": 2, "orphans": 3, "share": 0.75, "seen_before": 6.0 / 9.0
        });
        assert_eq!(json["7d"], week);
        assert_eq!(json["1h"]["share"], serde_json::Value::Null);
    }

    #[test]
    fn the_settle_that_is_suggested_waits_for_most() {
        let settle = Duration::from_secs(600);
        let pace = |counts: &[(Counter, i64)]| Pace::of(&sums(counts), settle);
        let fast = pace(&[(Counter::delay(5), 90), (Counter::delay(100), 10)]);
        assert_eq!(
            (fast.p50_seconds, fast.p95_seconds, fast.settle_suggested_seconds),
            (Some(10), Some(120), Some(120))
        );
        assert_eq!(pace(&[(Counter::delay(5), 9)]).settle_suggested_seconds, Some(60));
        assert_eq!(pace(&[(Counter::delay(9_000), 9)]).settle_suggested_seconds, Some(3600));
        assert_eq!(pace(&[]).settle_suggested_seconds, None);
    }
}
