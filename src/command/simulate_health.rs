//! `sounder simulate-health`: a plan from the command line → how well the policy would have told it.
//! Never touches a store, a provider or Discord.

use std::time::Duration;

use serde::Serialize;

use super::{Failure, Global, output};
use crate::config::{Gate, Health, parse_duration};
use crate::event::Provider;
use crate::simulate::proving::{
    Burst, Failures, Fall, Plan, Receipts, SEED, Score, Shape, Traffic, Trouble, World, median, play, table,
};

/// What to play.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The true share of messages that is delivered
    #[arg(long, default_value_t = 0.98, value_name = "R")]
    rate: f64,
    /// Messages an hour and number
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    per_hour: f64,
    /// Numbers, independent of each other
    #[arg(long, default_value_t = 50, value_name = "N")]
    numbers: u32,
    /// Days, beside the one before that is not scored
    #[arg(long, default_value_t = 30, value_name = "N")]
    days: u32,
    /// The rate each number falls to, for --lasting, up to an hour after --after
    #[arg(long, value_name = "R")]
    fall_to: Option<f64>,
    /// When it falls
    #[arg(long, default_value = "6h", value_parser = parse_duration, value_name = "D")]
    after: Duration,
    /// How long it stays there
    #[arg(long, default_value = "4h", value_parser = parse_duration, value_name = "D")]
    lasting: Duration,
    /// An outage of this provider over all numbers instead, for --lasting, to --fall-to [default: 0];
    /// one number in eight is on another
    #[arg(long, value_name = "PROVIDER", value_parser = provider)]
    outage_of: Option<Provider>,
    /// A campaign of so many messages within five minutes, at --after
    #[arg(long, value_name = "N")]
    burst: Option<u32>,
    /// Failures come together, by campaign and carrier
    #[arg(long)]
    clustered: bool,
    /// Traffic follows the day
    #[arg(long)]
    diurnal: bool,
    /// Deliveries are reported late, rejections at once
    #[arg(long)]
    slow_receipts: bool,
    /// How long a message may take before its absence is judged
    #[arg(long, default_value = "10m", value_parser = parse_duration, value_name = "D")]
    settle: Duration,
    /// What confirms a worse band
    #[arg(long, default_value = "confidence", value_parser = gate, value_name = "GATE")]
    gate: Gate,
    /// Odds to one that confirm a worse band [default: the policy's]
    #[arg(long, value_name = "N")]
    odds: Option<f64>,
    /// Odds to one that confirm it before messages mature [default: the policy's]
    #[arg(long, value_name = "N")]
    early_odds: Option<f64>,
    /// What chance is drawn from
    #[arg(long, default_value_t = SEED, value_name = "N")]
    seed: u64,
    /// Compare the policy with simpler ones instead: the table of docs/health.md
    #[arg(long)]
    table: bool,
}

/// Plays the plan, or all plans of the table.
///
/// # Errors
/// When the plan makes no sense, or nobody can be told.
pub fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    if args.table {
        let rows = table(args.seed, args.numbers, args.days);
        return match global.json {
            true => output::json(&rows),
            false => rows.iter().try_for_each(|row| output::line(&row.to_string())),
        };
    }
    let plan = args.plan()?;
    let score = match args.outage_of {
        Some(struck) => args.world(struck, plan).score(),
        None => play(&plan),
    };
    let told = Told::of(&score);
    if global.json { output::json(&told) } else { output::line(&told.text()) }
}

/// A score in the words of the contract.
#[derive(Serialize)]
struct Told<'a> {
    pings_per_number_day: f64,
    first_ping_minutes_median: Option<f64>,
    right_band_minutes_median: Option<f64>,
    recovery_minutes_median: Option<f64>,
    #[serde(flatten)]
    score: &'a Score,
}

impl<'a> Told<'a> {
    fn of(score: &'a Score) -> Self {
        Self {
            pings_per_number_day: score.pings_per_number_day(),
            first_ping_minutes_median: median(&score.first_ping),
            right_band_minutes_median: median(&score.right_band),
            recovery_minutes_median: median(&score.recovery),
            score,
        }
    }

    fn text(&self) -> String {
        let minutes =
            |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.1} min"));
        [
            format!("pings a number and day   {:.3}", self.pings_per_number_day),
            format!("first ping, median       {}", minutes(self.first_ping_minutes_median)),
            format!("right band, median       {}", minutes(self.right_band_minutes_median)),
            format!("recovery, median         {}", minutes(self.recovery_minutes_median)),
            format!("false pings              {}", self.score.false_pings),
            format!("missed                   {}", self.score.missed),
        ]
        .join("\n")
    }
}

impl Args {
    fn plan(&self) -> Result<Plan, Failure> {
        let share = |rate: f64| (0.0..=1.0).contains(&rate);
        let fall_fits = self.after + self.lasting <= Duration::from_secs(u64::from(self.days) * 86_400);
        let wrong = [
            (!share(self.rate), "--rate is a share: write a number from 0 to 1"),
            (
                self.fall_to.is_some_and(|rate| !share(rate)),
                "--fall-to is a share: write a number from 0 to 1",
            ),
            (!(0.0..=1e6).contains(&self.per_hour), "--per-hour must be from 0 to 1000000"),
            (!(1..=366).contains(&self.days), "--days must be from 1 to 366"),
            (!(1..=10_000).contains(&self.numbers), "--numbers must be from 1 to 10000"),
            (
                self.settle < Duration::from_secs(60) || self.settle > Duration::from_secs(3600),
                "--settle must be from 1m to 1h",
            ),
            (!fall_fits && self.fall_to.is_some(), "the fall ends after the last day: raise --days"),
        ];
        if let Some((_, remedy)) = wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
            return Err(Failure::Usage(remedy.into()));
        }
        Ok(Plan {
            numbers: self.numbers,
            days: self.days,
            seed: self.seed,
            traffic: self.traffic(),
            health: self.health(),
        })
    }

    fn world(&self, struck: Provider, plan: Plan) -> World {
        World {
            numbers: plan.numbers,
            struck,
            per_hour: self.per_hour,
            trouble: Trouble::Outage { to: self.fall_to.unwrap_or(0.0), worst: None },
            lasting: minutes(self.lasting),
            after: 60,
            seed: plan.seed,
            health: plan.health,
        }
    }

    fn health(&self) -> Health {
        let default = Health::default();
        Health {
            settle: self.settle,
            gate: self.gate,
            odds: self.odds.unwrap_or(default.odds),
            early_odds: self.early_odds.unwrap_or(default.early_odds),
            ..default
        }
    }

    fn traffic(&self) -> Traffic {
        let after = minutes(self.after);
        Traffic {
            failures: if self.clustered { Failures::Clustered } else { Failures::Independent },
            receipts: if self.slow_receipts { Receipts::Slow } else { Receipts::Usual },
            shape: if self.diurnal { Shape::Diurnal } else { Shape::Flat },
            fall: self.fall_to.map(|to| Fall { to, after, lasting: minutes(self.lasting) }),
            burst: self.burst.map(|messages| Burst { messages, after, lasting: 5 }),
            ..Traffic::plain(self.rate, self.per_hour)
        }
    }
}

fn minutes(span: Duration) -> u32 {
    u32::try_from(span.as_secs() / 60).unwrap_or(u32::MAX / 2)
}

fn provider(text: &str) -> Result<Provider, String> {
    let known = Provider::ALL.into_iter().find(|provider| provider.name() == text);
    known.ok_or_else(|| format!("write {}", Provider::ALL.map(Provider::name).join(", ")))
}

fn gate(text: &str) -> Result<Gate, String> {
    match text {
        "confidence" => Ok(Gate::Confidence),
        "wilson" => Ok(Gate::Wilson),
        "volume" => Ok(Gate::Volume),
        _ => Err("write confidence, wilson or volume".into()),
    }
}
