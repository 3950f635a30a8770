//! librdkafka's statistics → whether a client is connected, and whether it ever will be again.
//!
//! A broker that was stopped for longer than its lease answers first that the cluster has no
//! brokers. librdkafka believes it, lets go of all it knows, those it was configured with too, and
//! does not always take them up again (librdkafka's issue 5301). Only another client can then.

use rdkafka::statistics::{Broker, Statistics};

/// What so many statistics in a row say is so; one alone may have been made in between.
pub(crate) const TICKS: u32 = 4;
/// A broker that is down for so long (µs) without a new attempt is not going to be tried again:
/// attempts are `reconnect.backoff.max.ms` apart.
const FORSAKEN_STATE_AGE: i64 = 6_000_000;

/// What is heard of a client's brokers, over [`TICKS`] statistics.
#[derive(Debug, Default)]
pub(crate) struct Brokers {
    /// Statistics in a row without a connected broker.
    down: u32,
    /// Statistics in a row without a broker that is tried.
    untried: u32,
}

/// What the latest statistics mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A broker is connected.
    Up,
    /// None is, as it may be for a moment.
    Down,
    /// None has been for a while; they are being tried.
    Away,
    /// None is and none will be: this client has to be replaced.
    Forsaken,
}

impl Brokers {
    /// Judges statistics, where a broker in state UP counts as connected if `counts` says so.
    pub(crate) fn hear(&mut self, statistics: &Statistics, counts: fn(&Broker) -> bool) -> Heard {
        let mut brokers = statistics.brokers.values();
        let untried = statistics.brokers.values().all(is_untried);
        let up = brokers.any(|broker| broker.state == "UP" && counts(broker));
        self.untried = if untried { self.untried.saturating_add(1) } else { 0 };
        self.down = if up { 0 } else { self.down.saturating_add(1) };
        match (self.untried >= TICKS, self.down) {
            (true, _) => Heard::Forsaken,
            (false, 0) => Heard::Up,
            (false, down) if down < TICKS => Heard::Down,
            (false, _) => Heard::Away,
        }
    }
}

/// True for a broker that is tried no more, and for the coordinators' stand-ins, which are no
/// brokers.
fn is_untried(broker: &Broker) -> bool {
    let real = broker.source == "configured" || broker.source == "learned";
    !real || (broker.state == "DOWN" && broker.stateage > FORSAKEN_STATE_AGE)
}

/// Statistics of brokers, each with its source, its state and the age of that state.
#[cfg(test)]
pub(crate) fn statistics(brokers: &[(&str, &str, i64)]) -> Statistics {
    let broker = |(source, state, stateage): &(&str, &str, i64)| Broker {
        source: (*source).into(),
        state: (*state).into(),
        stateage: *stateage,
        ..Broker::default()
    };
    let brokers = brokers.iter().map(|b| (b.0.to_owned(), broker(b))).collect();
    Statistics { brokers, ..Statistics::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_a_broker_to_try_is_forsaken() {
        let group = ("logical", "DOWN", 9_000_000);
        let judged = |told: &[(&str, &str, i64)]| {
            let mut brokers = Brokers::default();
            let mut hear = || brokers.hear(&statistics(&[&[group], told].concat()), |_| true);
            (0..TICKS).map(|_| hear()).last().unwrap()
        };
        assert_eq!(judged(&[]), Heard::Forsaken);
        assert_eq!(judged(&[("learned", "DOWN", 7_000_000)]), Heard::Forsaken, "nobody tries it");
        assert_eq!(judged(&[("learned", "DOWN", 2_000_000)]), Heard::Away, "it is tried again");
        assert_eq!(judged(&[("configured", "CONNECT", 7_000_000)]), Heard::Away);
        assert_eq!(judged(&[("learned", "INIT", 7_000_000)]), Heard::Away, "it waits to be needed");
        assert_eq!(judged(&[("learned", "UP", 7_000_000)]), Heard::Up);
    }

    #[test]
    fn a_moment_without_a_broker_is_waited_out() {
        let mut brokers = Brokers::default();
        for tick in 0..TICKS * 4 {
            let up = tick % TICKS == 0;
            let seen: &[_] = if up { &[("learned", "UP", 1)] } else { &[] };
            let heard = brokers.hear(&statistics(seen), |_| true);
            assert_eq!(heard, if up { Heard::Up } else { Heard::Down });
        }
    }
}
