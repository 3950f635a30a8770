//! A model of traffic → messages and when their receipts arrive. Seeded, else pure.
//!
//! No receipt but the last one of a message is modelled, which is the hardest case: a message is not
//! seen before its fate is known, and rejections are known first.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::campaign::{Campaign, exponential};
use crate::event::FailureClass;
use crate::tally::Counter;

/// What a number sends, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Messages an hour, on average.
    pub per_hour: f64,
    /// The true share that is delivered.
    pub rate: f64,
    /// How failures are spread.
    pub failures: Failures,
    /// How soon receipts come.
    pub receipts: Receipts,
    /// How the day goes.
    pub shape: Shape,
    /// A time at which the rate is another one.
    pub fall: Option<Fall>,
    /// A campaign sent at once.
    pub burst: Option<Burst>,
}

/// How failures are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failures {
    /// Each by itself.
    Independent,
    /// By campaign and carrier: some campaigns do worse, and worse on some carriers.
    Clustered,
}

/// How soon receipts come, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipts {
    /// Deliveries within seconds, one in twenty within minutes.
    Usual,
    /// Deliveries within minutes, while rejections still come at once.
    Slow,
}

/// How the day goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Every hour alike.
    Flat,
    /// Nearly nothing at night, nearly twice the average in the afternoon.
    Diurnal,
}

/// A time at which the rate is another one.
#[derive(Clone, Copy, Debug)]
pub struct Fall {
    /// The rate.
    pub to: f64,
    /// Minutes after scoring begins; up to an hour later, by number.
    pub after: u32,
    /// Minutes it lasts.
    pub lasting: u32,
}

/// A campaign sent at once.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// Messages.
    pub messages: u32,
    /// Minutes after scoring begins.
    pub after: u32,
    /// Minutes it takes.
    pub lasting: u32,
}

/// One number's messages.
pub(super) struct Source {
    traffic: Traffic,
    scored: u32,
    fall: Option<(f64, f64)>,
    campaign: Campaign,
    random: Pcg64Mcg,
    arrivals: VecDeque<Vec<(u32, Counter)>>,
    sent: u32,
}

impl Source {
    /// A number that has sent nothing yet, scored from a minute on.
    pub(super) fn new(traffic: &Traffic, seed: u64, index: u32, scored: u32) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed ^ (u64::from(index) << 32));
        let fall = traffic.fall.map(|fall| {
            let begins = f64::from(scored + fall.after) + 60.0 * random.random::<f64>();
            (begins, begins + f64::from(fall.lasting))
        });
        let (campaign, arrivals) = (Campaign::default(), VecDeque::new());
        Self { traffic: traffic.clone(), scored, fall, campaign, random, arrivals, sent: 0 }
    }

    /// The same, falling at this minute rather than within an hour.
    pub(super) fn falling_at(mut self, begins: u32) -> Self {
        let ends = |fall: Fall| (f64::from(begins), f64::from(begins + fall.lasting));
        self.fall = self.traffic.fall.map(ends);
        self
    }

    /// When the rate falls and rises again, in minutes, and to which rate it falls.
    pub(super) fn fall(&self) -> Option<(f64, f64, f64)> {
        self.fall.zip(self.traffic.fall).map(|((begins, ends), fall)| (begins, ends, fall.to))
    }

    /// Sends what is sent within a minute.
    pub(super) fn send(&mut self, minute: u32) {
        self.sent = minute;
        let mut messages = self.poisson(self.traffic.per_hour / 60.0 * self.traffic.shape.factor(minute));
        if let Some(burst) = self.traffic.burst {
            let begins = self.scored + burst.after;
            if (begins..begins + burst.lasting).contains(&minute) {
                messages += burst.messages / burst.lasting.max(1);
            }
        }
        for _ in 0..messages {
            let at = f64::from(minute) + self.random.random::<f64>();
            let failed = self.random.random::<f64>() < self.failing(at);
            let (counter, delay) = if failed {
                (Counter::failed(FailureClass::CarrierFiltered), self.rejection())
            } else {
                (Counter::DELIVERED, self.delivery())
            };
            // An evaluation falls into the middle of its minute.
            let place = (at + delay - 0.5 - f64::from(minute)).ceil().max(0.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes of a day")]
            let place = place.min(1440.0) as usize;
            if self.arrivals.len() <= place {
                self.arrivals.resize_with(place + 1, Vec::new);
            }
            self.arrivals[place].push((minute, counter));
        }
    }

    /// The receipts that arrived before this minute's evaluation, and after the one before.
    pub(super) fn arrived(&mut self, minute: u32) -> Vec<(u32, Counter)> {
        debug_assert_eq!(minute, self.sent, "a minute is sent and then read");
        self.arrivals.pop_front().unwrap_or_default()
    }

    /// The share of messages that fail at a moment.
    fn failing(&mut self, at: f64) -> f64 {
        let share = match (self.fall, self.traffic.fall) {
            (Some((begins, ends)), Some(fall)) if (begins..ends).contains(&at) => return 1.0 - fall.to,
            _ => 1.0 - self.traffic.rate,
        };
        match self.traffic.failures {
            Failures::Independent => share,
            Failures::Clustered => share * self.campaign.factor(at, &mut self.random),
        }
    }

    /// Minutes until a failure is known: most at once, some after tries, a few when they expire.
    fn rejection(&mut self) -> f64 {
        let mean = match self.random.random::<f64>() {
            ..0.70 => 2.0 / 60.0,
            ..0.95 => 1.5,
            _ => 30.0,
        };
        exponential(mean, &mut self.random)
    }

    /// Minutes until a delivery is known.
    fn delivery(&mut self) -> f64 {
        let mean = match (self.traffic.receipts, self.random.random::<f64>()) {
            (Receipts::Usual, ..0.95) => 8.0 / 60.0,
            (Receipts::Usual, _) => 1.5,
            (Receipts::Slow, _) => 3.0,
        };
        exponential(mean, &mut self.random)
    }

    /// A Poisson count, by multiplying (Knuth) in steps small enough for an f64.
    fn poisson(&mut self, mean: f64) -> u32 {
        let (mut count, mut left) = (0, mean);
        while left > 0.0 {
            let step = left.min(30.0);
            left -= step;
            let (limit, mut product) = ((-step).exp(), self.random.random::<f64>());
            while product > limit {
                count += 1;
                product *= self.random.random::<f64>();
            }
        }
        count
    }
}

impl Shape {
    /// This minute's traffic over the average one's.
    fn factor(self, minute: u32) -> f64 {
        match self {
            Self::Flat => 1.0,
            // Least at 3 in the morning, most at 3 in the afternoon.
            Self::Diurnal => {
                let turn = f64::from(minute % 1440) / 1440.0 - 0.125;
                1.0 - 0.9 * (turn * std::f64::consts::TAU).cos()
            }
        }
    }
}

impl Traffic {
    /// Steady traffic with independent failures and usual receipts.
    pub const fn plain(rate: f64, per_hour: f64) -> Self {
        Self {
            per_hour,
            rate,
            failures: Failures::Independent,
            receipts: Receipts::Usual,
            shape: Shape::Flat,
            fall: None,
            burst: None,
        }
    }
}
