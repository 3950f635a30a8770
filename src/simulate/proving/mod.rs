//! The proving ground: a plan of traffic goes in; out comes how often, how soon and how rightly the
//! policy would have called. Time is simulated, chance is seeded, the policy is the real one.
//!
//! It must never judge by itself: what it scores is what [`judge`]
//! says of the same sums that the daemon judges.

mod campaign;
mod ring;
mod score;
mod table;
mod traffic;
mod world;

pub use score::{Score, median};
pub use table::{Row, SEED, table};
pub use traffic::{Burst, Failures, Fall, Receipts, Shape, Traffic};
pub use world::{Call, Seen, Trouble, World};

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::{Health, NumberKind, NumberStatus};
use crate::event::Number;
use crate::health::policy::judge;
use crate::health::{Complaints, NumberView, OptOuts, Standing, Sums, View};

use ring::Ring;
use score::Watcher;
use traffic::Source;

/// Minutes a number sends before anything is scored, so that windows are full and incidents settled.
const WARM_UP: u32 = 24 * 60;
/// 2026-11-23T00:00:00Z in minutes: a Monday, and a whole hour.
const START: u32 = 29_923_200;

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many numbers, independent of each other.
    pub numbers: u32,
    /// For how many days, beside the one before that is not scored.
    pub days: u32,
    /// What chance is drawn from: the same seed, the same result.
    pub seed: u64,
    /// What each number sends and what becomes of it.
    pub traffic: Traffic,
    /// The policy's settings.
    pub health: Health,
}

/// Plays a plan.
pub fn play(plan: &Plan) -> Score {
    let mut score = Score::default();
    for number in 0..plan.numbers {
        score.add(live(plan, number));
    }
    score.days = f64::from(plan.numbers) * f64::from(plan.days);
    score
}

/// One number's days, minute by minute.
fn live(plan: &Plan, index: u32) -> Watcher {
    let end = START + WARM_UP + plan.days * 24 * 60;
    let mut source = Source::new(&plan.traffic, plan.seed, index, START + WARM_UP);
    let mut ring = Ring::new(START, &plan.health);
    let mut watcher = Watcher::new(START + WARM_UP, source.fall(), &plan.health);
    let mut number = view(index);
    let mut standing = Standing::default();
    for minute in START..end {
        ring.advance(minute, Arc::make_mut(&mut number.view.sums));
        source.send(minute);
        for (cohort, counter) in source.arrived(minute) {
            ring.count(cohort, counter, Arc::make_mut(&mut number.view.sums));
        }
        number.view.rejudge(&plan.health);
        let (next, transition) =
            judge(&number.view, number.status, &plan.health, &standing, evaluated(minute));
        standing = next;
        watcher.see(minute, standing.band, transition.as_ref());
    }
    watcher
}

/// An evaluation falls into the middle of its minute.
fn evaluated(minute: u32) -> Timestamp {
    Timestamp::from_seconds(i64::from(minute) * 60 + 30)
}

fn view(index: u32) -> NumberView {
    // Every number of this form can be read.
    let number = Number::parse(&format!("+1800555{:04}", index % 10_000));
    let number = number.unwrap_or_else(|| unreachable!("a number of eleven digits"));
    NumberView {
        kind: NumberKind::of(&number),
        status: NumberStatus::Active,
        registered: true,
        since: None,
        view: View { sums: Arc::<Sums>::default(), band: crate::health::Band::Unknown, judged_on: None },
        legs: Vec::new(),
        lists: Vec::new(),
        optouts: OptOuts::default(),
        complaints: Complaints::default(),
        incident: None,
        number,
    }
}

#[cfg(test)]
mod tests;
