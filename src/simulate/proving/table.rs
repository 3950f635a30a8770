//! The policy beside simpler ones, over the same traffic: the table of `docs/health.md`.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::score::median;
use super::traffic::{Failures, Fall, Traffic};
use super::{Plan, play};
use crate::config::{Gate, Health};

/// The seed of everything that is published.
pub const SEED: u64 = 20_261_123;
/// Messages an hour at which policies are compared.
const VOLUMES: [f64; 4] = [5.0, 20.0, 100.0, 1000.0];
/// Days of which a fall takes part: it lasts four hours.
const FALL_DAYS: u32 = 1;

/// One policy's line.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The policy.
    pub policy: &'static str,
    /// What was measured, in the order of the columns.
    pub figures: Vec<Figure>,
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was played.
    pub scenario: String,
    /// Pings a number and day, or minutes to the first ping; none when there was none.
    pub value: Option<f64>,
    /// Falls that nobody was called for.
    pub missed: u64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.policy)?;
        for figure in &self.figures {
            let value = figure.value.map_or_else(|| "–".into(), |value| format!("{value:.2}"));
            write!(f, "  {:<44} {value:>8}", figure.scenario)?;
            match figure.missed {
                0 => writeln!(f)?,
                missed => writeln!(f, "  {missed} missed")?,
            }
        }
        Ok(())
    }
}

/// Plays every scenario under every policy.
pub fn table(seed: u64, numbers: u32, days: u32) -> Vec<Row> {
    let plan = |health: &Health, traffic, days| Plan { numbers, days, seed, traffic, health: health.clone() };
    let row = |(policy, health): (&'static str, Health)| {
        let mut figures = Vec::new();
        for (name, traffic) in quiet() {
            let score = play(&plan(&health, traffic, days));
            let value = Some(score.pings_per_number_day());
            figures.push(Figure { scenario: format!("pings a number-day, {name}"), value, missed: 0 });
        }
        for (name, traffic) in falls() {
            let score = play(&plan(&health, traffic, FALL_DAYS));
            let value = median(&score.first_ping);
            let scenario = format!("minutes to the first ping, {name}");
            figures.push(Figure { scenario, value, missed: score.missed });
        }
        Row { policy, figures }
    };
    policies().into_iter().map(row).collect()
}

/// The policies that are compared, simplest first.
fn policies() -> [(&'static str, Health); 4] {
    let bare = Health {
        gate: Gate::Volume,
        min_volume: 1,
        elastic_min: 1,
        confirm_evaluations: 1,
        ..Health::default()
    };
    let volume = Health { gate: Gate::Volume, ..Health::default() };
    let never = Duration::from_secs(1000 * 86_400);
    let wilson = Health { gate: Gate::Wilson, persist_after: never, ..Health::default() };
    [("bare threshold", bare), ("minimum volume", volume), ("Wilson", wilson), ("ours", Health::default())]
}

/// Traffic in which nothing is wrong.
fn quiet() -> Vec<(String, Traffic)> {
    let plain = [0.98, 0.97].into_iter().flat_map(|rate| {
        VOLUMES.map(|volume| (format!("{:.0} % at {volume}/h", rate * 100.0), Traffic::plain(rate, volume)))
    });
    let clustered = VOLUMES.map(|volume| {
        let traffic = Traffic { failures: Failures::Clustered, ..Traffic::plain(0.97, volume) };
        (format!("97 % clustered at {volume}/h"), traffic)
    });
    plain.chain(clustered).collect()
}

/// Traffic that falls.
fn falls() -> Vec<(String, Traffic)> {
    let fall = |to| Some(Fall { to, after: 360, lasting: 240 });
    let falls = [(0.70, "70 %"), (0.0, "nothing")].into_iter().flat_map(|(to, name)| {
        VOLUMES.map(|volume| {
            let traffic = Traffic { fall: fall(to), ..Traffic::plain(0.98, volume) };
            (format!("98 % to {name} at {volume}/h"), traffic)
        })
    });
    falls.collect()
}
