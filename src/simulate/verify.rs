//! Compares what a running Sounder counted with the oracle. Its admin API goes in, read leniently; a
//! table of differences comes out. It waits until everything is applied, but never without an end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::fate::State;
use super::oracle::{Expectation, Range};
use crate::config::Secret;

/// The first wait between two looks, doubled each time.
const LOOK_FIRST: Duration = Duration::from_millis(50);
/// The longest wait between two looks.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Time for one answer of the admin API.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// A running Sounder's admin API.
pub struct Admin {
    client: reqwest::Client,
    url: String,
    token: Option<Secret>,
}

/// What Sounder counts, by number and state.
pub type Totals = BTreeMap<(String, State), u64>;

/// What Sounder's account says of work that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Every line adds up.
    pub balanced: bool,
    /// Events not yet applied.
    pub lag: u64,
    /// Webhooks not yet answered.
    pub in_flight: u64,
}

/// Why the admin API said nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not reached, or not JSON.
    #[error("failed to read {path} from the admin API: is its address right, and is it up")]
    Unreachable {
        /// What was asked for.
        path: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It refuses.
    #[error(
        "failed to read {path} from the admin API: it answered {status}; a token is given with --admin-token"
    )]
    Refused {
        /// What was asked for.
        path: String,
        /// Its answer.
        status: u16,
    },
}

/// The comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// A line for each number and state that was expected or counted.
    pub rows: Vec<Row>,
    /// Messages in doubt: for those either value was accepted.
    pub uncertain: u64,
    /// Messages of no number, which were not compared.
    pub unattributed: u64,
    /// Events not yet applied when the wait ended.
    pub lag: u64,
    /// Whether Sounder's account balances.
    pub balanced: bool,
}

/// One number in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The number.
    pub number: String,
    /// The state, as in `totals`.
    pub state: &'static str,
    /// The least that must be counted.
    pub least: u64,
    /// The most that may be counted.
    pub most: u64,
    /// What was counted.
    pub counted: i64,
    /// How far that lies outside.
    pub difference: i64,
}

impl Admin {
    /// The admin API at `url` (`http://host:port`).
    pub fn new(url: &str, token: Option<Secret>) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { client: reqwest::Client::new(), url, token }
    }

    /// What is counted for `numbers`; a number never heard of counts nothing.
    ///
    /// # Errors
    /// The API is not reached or refuses.
    pub async fn totals(&self, numbers: &BTreeSet<String>) -> Result<Totals, Error> {
        #[derive(Deserialize)]
        struct Health {
            #[serde(default)]
            totals: BTreeMap<String, u64>,
        }
        let mut totals = Totals::new();
        for number in numbers {
            let path = format!("/api/v1/health/numbers/{}", encode(number));
            let Some(health) = self.get::<Health>(&path).await? else { continue };
            for state in State::ALL {
                let count = health.totals.get(state.name()).copied().unwrap_or(0);
                totals.insert((number.clone(), state), count);
            }
        }
        Ok(totals)
    }

    /// The account.
    ///
    /// # Errors
    /// The API is not reached or refuses.
    pub async fn ledger(&self) -> Result<Ledger, Error> {
        #[derive(Default, Deserialize)]
        struct Account {
            #[serde(default)]
            balanced: bool,
            #[serde(default)]
            lag: u64,
            #[serde(default)]
            webhooks: Webhooks,
        }
        #[derive(Default, Deserialize)]
        struct Webhooks {
            #[serde(default)]
            in_flight: u64,
        }
        let account = self.get::<Account>("/api/v1/ledger").await?.unwrap_or_default();
        Ok(Ledger { balanced: account.balanced, lag: account.lag, in_flight: account.webhooks.in_flight })
    }

    /// Waits for everything to be applied and compares, again and again until it agrees or `patience`
    /// has run out: what is shown may be a moment older than what is applied.
    ///
    /// # Errors
    /// The API is not reached or refuses.
    pub async fn verify(
        &self,
        expected: &Expectation,
        numbers: &BTreeSet<String>,
        baseline: &Totals,
        patience: Duration,
    ) -> Result<Verdict, Error> {
        let until = Instant::now() + patience;
        let mut wait = LOOK_FIRST;
        loop {
            let ledger = self.ledger().await?;
            let settled = ledger.lag == 0 && ledger.in_flight == 0;
            let over = Instant::now() + wait > until;
            if settled || over {
                let verdict = compare(expected, &self.totals(numbers).await?, baseline, ledger);
                if verdict.agrees() || over {
                    return Ok(verdict);
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK_MAX);
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        let unreachable = |source| Error::Unreachable { path: path.into(), source };
        let mut request = self.client.get(format!("{}{path}", self.url)).timeout(ANSWER_WAIT_MAX);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let response = request.send().await.map_err(unreachable)?;
        match response.status().as_u16() {
            200..=299 => response.json().await.map(Some).map_err(unreachable),
            404 => Ok(None),
            status => Err(Error::Refused { path: path.into(), status }),
        }
    }
}

/// What was counted since `baseline`, beside what was expected.
pub fn compare(expected: &Expectation, counted: &Totals, baseline: &Totals, ledger: Ledger) -> Verdict {
    let keys: BTreeSet<_> = expected.counts.keys().chain(counted.keys()).cloned().collect();
    let rows = keys.into_iter().map(|key| {
        let range = expected.counts.get(&key).copied().unwrap_or_default();
        let of = |totals: &Totals| signed(totals.get(&key).copied().unwrap_or(0));
        row(key.0.clone(), key.1, range, of(counted) - of(baseline))
    });
    Verdict {
        rows: rows.filter(|row| row.most > 0 || row.counted != 0).collect(),
        uncertain: expected.uncertain,
        unattributed: expected.unattributed,
        lag: ledger.lag + ledger.in_flight,
        balanced: ledger.balanced,
    }
}

impl Verdict {
    /// Whether there is nothing to complain of.
    pub fn agrees(&self) -> bool {
        self.balanced && self.lag == 0 && self.differences() == 0
    }

    /// Messages counted wrongly, too many and too few.
    pub fn differences(&self) -> u64 {
        self.rows.iter().map(|row| row.difference.unsigned_abs()).sum()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18}{:<11}{:>17}{:>12}{:>12}",
            "number", "state", "expected", "counted", "difference"
        )?;
        for row in &self.rows {
            let mut expected = row.least.to_string();
            if row.most != row.least {
                write!(expected, "–{}", row.most)?;
            }
            let Row { number, state, counted, difference, .. } = row;
            writeln!(f, "{number:<18}{state:<11}{expected:>17}{counted:>12}{difference:>12}")?;
        }
        if self.uncertain > 0 {
            writeln!(f, "{} messages without a final answer: either count was accepted", self.uncertain)?;
        }
        if self.unattributed > 0 {
            writeln!(f, "{} messages of no number were not compared", self.unattributed)?;
        }
        if self.lag > 0 {
            writeln!(
                f,
                "{} events or webhooks were still under way: try a longer --verify-timeout",
                self.lag
            )?;
        }
        if !self.balanced {
            writeln!(f, "the ledger does not balance")?;
        }
        write!(f, "{} differences", self.differences())
    }
}

fn row(number: String, state: State, range: Range, counted: i64) -> Row {
    let (least, most) = (signed(range.least), signed(range.most));
    let difference = if counted < least { counted - least } else { (counted - most).max(0) };
    Row { number, state: state.name(), least: range.least, most: range.most, counted, difference }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn encode(number: &str) -> String {
    percent_encoding::utf8_percent_encode(number, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Ledger = Ledger { balanced: true, lag: 0, in_flight: 0 };

    fn totals(rows: &[(&str, State, u64)]) -> Totals {
        rows.iter().map(|(number, state, count)| (((*number).to_owned(), *state), *count)).collect()
    }

    fn expected(rows: &[(&str, State, u64, u64)]) -> Expectation {
        let ranges = rows.iter().map(|(number, state, least, most)| {
            (((*number).to_owned(), *state), Range { least: *least, most: *most })
        });
        Expectation { counts: ranges.collect(), ..Expectation::default() }
    }

    #[test]
    fn the_change_since_the_baseline_is_compared() {
        let expected = expected(&[("+1", State::Delivered, 10, 10)]);
        let verdict = compare(
            &expected,
            &totals(&[("+1", State::Delivered, 15), ("+1", State::Failed, 2)]),
            &totals(&[("+1", State::Delivered, 5), ("+1", State::Failed, 2)]),
            QUIET,
        );
        assert!(verdict.agrees(), "{verdict}");
    }

    #[test]
    fn too_many_too_few_and_unexpected_are_differences() {
        let expected = expected(&[("+1", State::Delivered, 10, 10), ("+1", State::Failed, 3, 3)]);
        let counted =
            totals(&[("+1", State::Delivered, 9), ("+1", State::Failed, 4), ("+2", State::Sent, 1)]);
        let verdict = compare(&expected, &counted, &Totals::new(), QUIET);
        let differences: Vec<_> = verdict.rows.iter().map(|row| row.difference).collect();
        assert_eq!((differences, verdict.differences()), (vec![-1, 1, 1], 3));
        assert!(verdict.to_string().ends_with("3 differences"));
    }

    #[test]
    fn doubt_is_a_range() {
        let expected = expected(&[("+1", State::Delivered, 8, 10)]);
        for (counted, agrees) in [(7, false), (8, true), (10, true), (11, false)] {
            let counted = totals(&[("+1", State::Delivered, counted)]);
            assert_eq!(compare(&expected, &counted, &Totals::new(), QUIET).agrees(), agrees);
        }
    }

    #[test]
    fn a_ledger_that_does_not_balance_is_no_agreement() {
        let nothing = Expectation::default();
        for ledger in [Ledger { balanced: false, ..QUIET }, Ledger { lag: 1, ..QUIET }] {
            assert!(!compare(&nothing, &Totals::new(), &Totals::new(), ledger).agrees());
        }
    }

    /// An admin API that lags at first and counts ten delivered.
    async fn admin() -> Admin {
        use std::sync::atomic::{AtomicU64, Ordering};
        let lag = std::sync::Arc::new(AtomicU64::new(2));
        let router = axum::Router::new()
            .route(
                "/api/v1/ledger",
                axum::routing::get(async move || {
                    let lag = lag.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lag| lag.checked_sub(1));
                    let lag = lag.unwrap_or(0);
                    axum::Json(serde_json::json!({"balanced": true, "lag": lag, "webhooks": {"in_flight": 0, "x": 1}}))
                }),
            )
            .route(
                "/api/v1/health/numbers/{number}",
                axum::routing::get(async |axum::extract::Path(number): axum::extract::Path<String>| {
                    match number.as_str() {
                        "+1" => Ok(axum::Json(serde_json::json!({"band": "healthy", "totals": {"delivered": 10}}))),
                        _ => Err(http::StatusCode::NOT_FOUND),
                    }
                }),
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Admin::new(&url, None)
    }

    #[tokio::test]
    async fn a_running_sounder_is_waited_for_and_compared() {
        let admin = admin().await;
        let numbers = BTreeSet::from(["+1".to_owned(), "+2".to_owned()]);
        let right = expected(&[("+1", State::Delivered, 10, 10)]);
        let patience = Duration::from_secs(30);
        let verdict = admin.verify(&right, &numbers, &Totals::new(), patience).await.unwrap();
        assert!(verdict.agrees(), "{verdict}");
        let wrong = expected(&[("+2", State::Delivered, 1, 1)]);
        let verdict = admin.verify(&wrong, &numbers, &Totals::new(), Duration::ZERO).await.unwrap();
        assert_eq!(verdict.differences(), 11);
    }

    #[tokio::test]
    async fn an_admin_api_that_is_not_there_is_said_to_be() {
        let error = Admin::new("http://127.0.0.1:1", None).ledger().await.unwrap_err();
        assert!(error.to_string().starts_with("failed to read /api/v1/ledger"), "{error}");
    }
}
