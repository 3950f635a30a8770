//! What the last minutes say before their cohorts mature: rule (d); and the odds it and rule (a) go by. Pure.
//!
//! Rejections come back before deliveries do, so failures ÷ receipts by arrival would ring at every
//! burst. Here failures are set against what the span will have held when all has been heard: what
//! has been seen of it, what such a span usually holds, or a least number, whichever is most. A share
//! made so is hardly too high while the traffic is the usual one; where there is clearly more than
//! usual nothing is said before maturity.

use super::rate::Tally;
use super::sums::{Sums, Window};

/// How far above the usual the traffic may be for the usual to say what is still to come, in
/// standard deviations of a steady traffic's counts.
const UNUSUAL: f64 = 2.0;

/// A span up to now, and the messages its failures are set against at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Five minutes, at least ten messages.
    Latest,
    /// A quarter of an hour, at least twenty.
    Quarter,
}

impl Span {
    /// Both, shorter first.
    pub const ALL: [Self; 2] = [Self::Latest, Self::Quarter];

    const fn share_of_an_hour(self) -> f64 {
        match self {
            Self::Latest => 1.0 / 12.0,
            Self::Quarter => 1.0 / 4.0,
        }
    }

    const fn least(self) -> f64 {
        match self {
            Self::Latest => 10.0,
            Self::Quarter => 20.0,
        }
    }
}

/// The last minutes, matured or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Early {
    /// Which.
    pub span: Span,
    /// Messages that have failed.
    pub failed: u64,
    /// Messages they are set against.
    pub of: u64,
}

impl Early {
    /// What can be said early of a span; nothing where it, or the shorter one, holds more than usual.
    pub fn of(sums: &Sums, span: Span) -> Option<Self> {
        let early = Self::unless_unusual(sums, span)?;
        Self::unless_unusual(sums, Span::Latest).map(|_| early)
    }

    fn unless_unusual(sums: &Sums, span: Span) -> Option<Self> {
        let Tally { failed, seen, .. } = Tally::of(match span {
            Span::Latest => &sums.latest,
            Span::Quarter => &sums.recent,
        });
        let hour = sums.tally(Window::Hour).seen as f64;
        let day = sums.tally(Window::Day).seen as f64 / 24.0;
        let usual = (hour.max(day) * span.share_of_an_hour()).max(span.least()).ceil();
        let told = seen as f64 <= usual + UNUSUAL * usual.sqrt();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of messages")]
        told.then(|| Self { span, failed, of: seen.max(usual as u64) })
    }

    /// The share of those messages that has not failed: what the rate is at most.
    pub fn at_most(self) -> f64 {
        1.0 - self.failed as f64 / self.of as f64
    }

    /// The odds against so many failures at a rate of `threshold`.
    pub fn odds(self, threshold: f64) -> f64 {
        odds(self.failed, self.of, threshold)
    }
}

/// How many to one the odds are, at least, against so many failures when the true rate is
/// `threshold`: Chernoff's bound of the binomial tail. Unlike Wilson's interval, which at rates near
/// one calls three failures of twenty surely below 95 %, it never claims more than is so.
pub fn odds(failed: u64, of: u64, threshold: f64) -> f64 {
    if of == 0 {
        return 1.0;
    }
    let (share, usual) = (failed as f64 / of as f64, 1.0 - threshold);
    if share <= usual {
        return 1.0;
    }
    let term = |part: f64, whole: f64| if part > 0.0 { part * (part / whole).ln() } else { 0.0 };
    (of as f64 * (term(share, usual) + term(1.0 - share, 1.0 - usual))).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FailureClass;
    use crate::tally::Counter;

    fn sums([seen, failed, latest]: [i64; 3], hour: i64) -> Sums {
        let mut sums = Sums::default();
        for (span, seen, failed) in [(&mut sums.recent, seen, failed), (&mut sums.latest, latest, latest)] {
            span.add(Counter::DELIVERED, seen - failed);
            span.add(Counter::failed(FailureClass::CarrierFiltered), failed);
        }
        sums.windows[Window::Hour as usize].add(Counter::DELIVERED, hour);
        sums
    }

    #[test]
    fn failures_are_set_against_what_is_seen_usual_or_twenty_whichever_is_most() {
        for (recent, hour, of) in [
            ([5, 5, 5], 0, Some(20)),
            ([5, 5, 5], 100, Some(25)),
            ([30, 5, 5], 100, Some(30)),
            ([36, 5, 5], 100, None),
            ([400, 12, 5], 0, None),
            ([400, 12, 130], 1600, Some(400)),
            // As usual over the quarter, but not over its end: a burst has begun.
            ([400, 12, 169], 1600, None),
        ] {
            let early = Early::of(&sums(recent, hour), Span::Quarter);
            assert_eq!(early.map(|early| early.of), of, "{recent:?}, {hour} in the hour");
        }
        let latest = Early::of(&sums([5, 5, 5], 144), Span::Latest);
        assert_eq!(latest, Some(Early { span: Span::Latest, failed: 5, of: 12 }));
    }

    #[test]
    fn the_odds_are_no_better_than_the_exact_tail() {
        // Exact: P(X ≥ 6), X ~ Bin(20, 0.05), is 1 in 3,040; Chernoff says 1 in 645.
        assert!((600.0..700.0).contains(&odds(6, 20, 0.95)), "{}", odds(6, 20, 0.95));
        assert!((odds(1, 20, 0.95) - 1.0).abs() < f64::EPSILON);
        assert!((odds(0, 0, 0.95) - 1.0).abs() < f64::EPSILON);
        assert!(odds(20, 20, 0.95) > 1e20);
    }
}
