//! How long a provider's receipts take → how long its cohorts should wait before they are judged. Pure.

use std::time::Duration;

use serde::Serialize;

use super::delay::Delays;
use super::sums::{Sums, Window};
use crate::config::Health;
use crate::event::Provider;

/// The share of receipts that should have arrived by then.
const MOST: f64 = 0.95;
/// Messages whose delay must be known before anything is suggested.
const KNOWN_MIN: u64 = 200;
/// Suggestions lie within these.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);

/// A provider's `settle`, and a better one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settle {
    /// How long its cohorts wait.
    pub seconds: u64,
    /// Messages of the last seven days whose delay is known.
    pub known: u64,
    /// Within this 95 % of them were reported, rounded up to a step; none when that is not known, or
    /// took longer than the last step.
    pub p95_seconds: Option<u64>,
    /// A better one; none when this one fits, or too little is known.
    pub suggested_seconds: Option<u64>,
    /// What to set, and why.
    pub sentence: Option<String>,
}

impl Settle {
    /// Looks at the delays of a provider's last seven days.
    pub fn of(sums: &Sums, provider: Provider, settings: &Health) -> Self {
        let delays = Delays::of(&sums.windows[Window::Week as usize]);
        let (settle, known) = (settings.settle_of(provider), delays.known());
        let p95 = delays.within(MOST);
        let better = p95.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
        // One that is somewhat too long only costs minutes; one that is too short costs the truth.
        let fits = better <= settle && settle < better * 3;
        let suggested = (known >= KNOWN_MIN && !fits).then_some(better);
        let sentence = suggested.map(|better| sentence(provider, (settle, better), p95, known));
        Self {
            seconds: settle.as_secs(),
            known,
            p95_seconds: p95.map(|p95| p95.as_secs()),
            suggested_seconds: suggested.map(|better| better.as_secs()),
            sentence,
        }
    }
}

fn sentence(
    provider: Provider,
    (settle, better): (Duration, Duration),
    p95: Option<Duration>,
    known: u64,
) -> String {
    let heard = p95.map_or_else(
        || "less than 95 % were reported within two hours".to_owned(),
        |p95| format!("95 % were reported within {}", told(p95)),
    );
    let why = match better > settle {
        true => "until then they look unreported",
        false => "alerts would come sooner",
    };
    format!(
        "Set settle = \"{}\" in [health.provider.{}] (now {}): of {known} messages of the last seven days {heard}; {why}.",
        told(better),
        provider.name(),
        told(settle)
    )
}

/// As the configuration writes it.
fn told(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Counter;

    fn settle(delays: &[(u32, i64)]) -> Settle {
        let mut sums = Sums::default();
        for (seconds, count) in delays {
            sums.windows[Window::Week as usize].add(Counter::delay(*seconds), *count);
        }
        Settle::of(&sums, Provider::Cm, &Health::default())
    }

    #[test]
    fn a_better_settle_is_what_95_percent_take_within_a_minute_and_an_hour() {
        for (delays, p95, suggested) in [
            (&[(5, 199)][..], Some(10), None),
            (&[(5, 200)], Some(10), Some(60)),
            (&[(5, 100), (250, 100)], Some(300), None),
            (&[(5, 100), (1_500, 100)], Some(1_800), Some(1_800)),
            (&[(5, 100), (7_000, 100)], Some(7_200), Some(3_600)),
            (&[(5, 100), (9_000, 100)], None, Some(3_600)),
        ] {
            let found = settle(delays);
            assert_eq!((found.p95_seconds, found.suggested_seconds), (p95, suggested), "{delays:?}");
            assert_eq!(found.sentence.is_some(), suggested.is_some());
        }
    }

    #[test]
    fn the_sentence_says_what_to_set_and_why() {
        assert_eq!(
            settle(&[(5, 100), (1_500, 100)]).sentence.unwrap(),
            "Set settle = \"30m\" in [health.provider.cm] (now 10m): of 200 messages of the last seven days 95 % were \
             reported within 30m; until then they look unreported."
        );
    }
}
