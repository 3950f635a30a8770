//! What happens in the demo: who sends how much, and how it fares, at every moment. A time since the
//! start goes in, a phase comes out. Pure; its moments are real seconds, each of which the demo's
//! daemon takes for a minute.

use std::time::Duration;

use super::scene::{AILING, SICK};
use super::traffic::{Outlook, Sender};
use crate::event::Provider;

/// A stretch of the story.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// What a person is told of it.
    pub headline: &'static str,
    /// What comes of it, and when.
    pub next: &'static str,
    /// Whom it strikes.
    pub struck: Struck,
    /// How their messages fare.
    pub outlook: Outlook,
    seconds: u64,
}

/// Whom a phase strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Struck {
    /// A number.
    Number(&'static str),
    /// Every number of a provider.
    Provider(Provider),
}

/// How everybody fares who is not in the story.
const WELL: Outlook = Outlook { delivery_rate: 0.988, filtered: 0.1, of_provider: 0.0 };

/// So many messages arrive, and of the others so many are filtered by carriers.
const fn filtered(delivery_rate: f64, filtered: f64) -> Outlook {
    Outlook { delivery_rate, filtered, of_provider: 0.0 }
}

const fn phase(told: [&'static str; 2], struck: Struck, outlook: Outlook, seconds: u64) -> Phase {
    let [headline, next] = told;
    Phase { headline, next, struck, outlook, seconds }
}

/// The story everyone sees once: down through every threshold, and back.
const FIRST: [Phase; 5] = [
    phase(
        [
            "all six numbers are healthy: messages go out and arrive",
            "at 0:20 carriers begin to filter one of them; Sounder waits 10 minutes (10 s here) for receipts",
        ],
        Struck::Number(SICK),
        filtered(0.988, 0.1),
        20,
    ),
    phase(
        [
            "+1 800 555 0100 starts to fail: one message in twelve is lost",
            "a card on Discord (watch, below 95 %) at about 0:45, when the numbers prove it",
        ],
        Struck::Number(SICK),
        filtered(0.915, 0.6),
        20,
    ),
    phase(
        [
            "+1 800 555 0100 gets worse: one message in six is lost",
            "the card gets worse (degraded, below 90 %) at about 1:00",
        ],
        Struck::Number(SICK),
        filtered(0.83, 0.75),
        18,
    ),
    phase(
        [
            "+1 800 555 0100 collapses: carriers filter almost half of it",
            "critical, below 80 %, at about 1:15",
        ],
        Struck::Number(SICK),
        filtered(0.55, 0.9),
        17,
    ),
    phase(
        [
            "the content was changed: +1 800 555 0100 is delivered again",
            "better band by band, each of which must hold for 15 minutes (15 s here); resolved at about 2:45",
        ],
        Struck::Number(SICK),
        filtered(0.995, 0.1),
        105,
    ),
];

/// What goes on afterwards, over and over.
const THEN: [Phase; 4] = [
    phase(
        [
            "Twilio has an outage: hardly a message of its three numbers arrives",
            "one card for Twilio, which names its numbers, within a few seconds; none of them calls by itself",
        ],
        Struck::Provider(Provider::Twilio),
        Outlook { delivery_rate: 0.02, filtered: 0.0, of_provider: 1.0 },
        25,
    ),
    phase(
        ["Twilio delivers again", "its card gets better band by band; resolved in about a minute and a half"],
        Struck::Provider(Provider::Twilio),
        filtered(0.993, 0.1),
        125,
    ),
    phase(
        [
            "+1 202 555 0142 is sent to an old list: one message in eight meets nobody",
            "a card of its own (watch) in about 25 s, with another cause and other advice",
        ],
        Struck::Number(AILING),
        filtered(0.87, 0.05),
        25,
    ),
    phase(
        ["the list was cleaned: +1 202 555 0142 recovers", "resolved in a little more than a minute"],
        Struck::Number(AILING),
        filtered(0.993, 0.1),
        120,
    ),
];

/// The phase `elapsed` after the start, and which one it is, counted from 0.
pub fn at(elapsed: Duration) -> (usize, Phase) {
    let mut left = elapsed.as_secs();
    for (index, phase) in FIRST.iter().chain(THEN.iter().cycle()).enumerate() {
        if left < phase.seconds {
            return (index, *phase);
        }
        left -= phase.seconds;
    }
    (0, FIRST[0])
}

/// Sets how much each of `senders` sends, in messages a real second, and how it fares. `provider_of`
/// tells whose a route is.
pub fn direct(senders: &mut [Sender], phase: &Phase, provider_of: impl Fn(usize) -> Provider) {
    for sender in senders {
        let number = sender.number.as_ref().map_or("", |number| number.as_str());
        sender.weight = volume(number, provider_of(sender.route));
        let is_struck = match phase.struck {
            Struck::Number(struck) => number == struck,
            Struck::Provider(provider) => provider_of(sender.route) == provider,
        };
        sender.outlook = if is_struck { phase.outlook } else { WELL };
    }
}

/// Webhooks a real second that the senders' messages make: each message is told of twice, and
/// Infobip puts `batch` reports into one webhook.
pub fn webhooks_per_second(senders: &[Sender], provider_of: impl Fn(usize) -> Provider, batch: usize) -> f64 {
    let batch = f64::from(u32::try_from(batch.max(1)).unwrap_or(1));
    let webhooks = |sender: &Sender| match provider_of(sender.route) {
        Provider::Infobip => 2.0 * sender.weight / batch,
        Provider::Twilio | Provider::Cm | Provider::Lime => 2.0 * sender.weight,
    };
    senders.iter().map(webhooks).sum()
}

/// Messages a real second. The number the story is about needs enough of them that a quarter of an
/// hour, fifteen real seconds, proves 91.5 % to lie below 95.
fn volume(number: &str, provider: Provider) -> f64 {
    match (number, provider) {
        (SICK, Provider::Infobip) => 90.0,
        (SICK, _) => 30.0,
        (AILING, _) => 45.0,
        (_, Provider::Infobip) => 40.0,
        (_, Provider::Lime) => 10.0,
        _ => 15.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> (usize, f64) {
        let (index, phase) = at(Duration::from_secs(seconds));
        (index, phase.outlook.delivery_rate)
    }

    #[test]
    fn the_story_falls_through_every_threshold_and_recovers_in_time() {
        let told: Vec<_> = [0, 19, 20, 40, 58, 74, 75].map(seconds).to_vec();
        let falls = [(0, 0.988), (0, 0.988), (1, 0.915), (2, 0.83), (3, 0.55), (3, 0.55), (4, 0.995)];
        assert_eq!(told, falls);
        assert_eq!(seconds(180).0, 5);
        // It goes on for as long as the demo may run.
        assert!(seconds(86_400).0 > 100);
    }

    #[test]
    fn a_quarter_of_an_hour_proves_the_first_fall() {
        let (n, rate, z) = (15.0 * 120.0, 0.915, 2.326_f64);
        let centre = (rate + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (rate * (1.0 - rate) / n + z * z / (4.0 * n * n)).sqrt();
        assert!(centre + half < 0.95, "{}", centre + half);
    }
}
