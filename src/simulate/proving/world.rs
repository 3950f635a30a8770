//! Many numbers of two providers, and one trouble that strikes some of them: whom the whole policy
//! calls about what. Cells, report and policy are the real ones; time is simulated, chance is seeded.

use std::collections::BTreeMap;
use std::path::Path;

use super::score::Score;
use super::traffic::{Fall, Source, Traffic};
use super::{START, evaluated};
use crate::config::{Connection, Health, List, NumberEntry, NumberKind, NumberStatus, Purpose};
use crate::event::{ConnectionId, FailureClass, ListId, Number, Provider};
use crate::health::{Band, Case, Change, Kind, Orders, Report, Scope, decide, report};
use crate::registry::Registry;
use crate::simulate::scene;
use crate::tally::{CellId, CellKey, Cells, Contribution, Counter};

/// Minutes of traffic before the first evaluation.
const WARM_UP: u32 = 3 * 60;
/// Minutes of evaluations before the trouble.
const CALM: u32 = 10;

/// What is to be played: one number in eight is on the second provider.
#[derive(Clone, Debug)]
pub struct World {
    /// How many numbers.
    pub numbers: u32,
    /// The first provider: whom trouble strikes.
    pub struck: Provider,
    /// Messages an hour and number.
    pub per_hour: f64,
    /// What goes wrong.
    pub trouble: Trouble,
    /// Minutes it lasts.
    pub lasting: u32,
    /// Minutes that are played after it.
    pub after: u32,
    /// What chance is drawn from.
    pub seed: u64,
    /// The policy's settings.
    pub health: Health,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// Every number of the first provider falls to a rate, and one of them to another.
    Outage {
        /// Theirs.
        to: f64,
        /// The one's, if it differs.
        worst: Option<f64>,
    },
    /// Every number of the first provider falls to a rate, and one of them stays there.
    Lingering {
        /// The rate.
        to: f64,
    },
    /// The first provider's receipts do not come in any more; sends are registered.
    BrokenWebhook,
    /// Nothing, with sends registered.
    Registered,
    /// One number's messages fail with this class.
    Number {
        /// To which rate it falls.
        to: f64,
        /// How they fail.
        class: FailureClass,
    },
    /// A share of the first connection's messages fails because of the account.
    Account,
}

impl Trouble {
    /// How it is before and after.
    const fn before(self) -> Self {
        match self {
            Self::BrokenWebhook | Self::Registered => Self::Registered,
            // Falls have their own times, and late receipts are of the fall.
            Self::Number { .. } | Self::Outage { .. } | Self::Lingering { .. } => self,
            Self::None | Self::Account => Self::None,
        }
    }
}

/// A time people were called.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Minutes after the trouble began; negative before.
    pub minute: i64,
    /// About whom.
    pub scope: Scope,
    /// About what.
    pub kind: Kind,
    /// How bad it is.
    pub band: Band,
    /// Which step it was.
    pub change: Change,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Every call, in order.
    pub calls: Vec<Call>,
    /// Once people had been called: evaluations on which a number of the first provider was shown to
    /// be healthy while the trouble lasted.
    pub greens: u64,
}

impl World {
    /// Plays it.
    pub fn play(&self) -> Seen {
        let registry = self.registry();
        let mut cells = Cells::default();
        let (begins, mut sources) = (START + WARM_UP + CALM, self.sources(&mut cells));
        let (mut cases, mut seen) = (BTreeMap::<String, Case>::new(), Seen::default());
        for minute in START..begins + self.lasting + self.after {
            let now = evaluated(minute);
            let during = (begins..begins + self.lasting).contains(&minute);
            let trouble = if during { self.trouble } else { self.trouble.before() };
            for (index, (source, cell, connection)) in (0..).zip(&mut sources) {
                source.send(minute);
                for (cohort, counter) in source.arrived(minute) {
                    let counters = counted(trouble, index, counter);
                    if !counters.contains(&Counter::UNKNOWN) {
                        cells.heard.insert(connection.clone(), now);
                    }
                    for counter in counters {
                        cells.count(Contribution { cell: *cell, minute: cohort, counter }, 1, now);
                    }
                }
            }
            if minute < START + WARM_UP {
                continue;
            }
            let mut found = report(&cells, &registry, &self.health, now);
            let mut decision = decide(&found, &self.health, &cases, &Orders::default(), now);
            for step in &decision.steps {
                // As the desk does: an incident has a name from its first step on.
                if let Some(case) = decision.cases.get_mut(&step.scope.key()).filter(|case| case.is_open()) {
                    case.rate.incident.get_or_insert_with(|| step.scope.key());
                }
            }
            cases.append(&mut decision.cases);
            let calls = decision.steps.into_iter().filter(|step| step.transition.pings);
            seen.calls.extend(calls.map(|step| Call {
                minute: i64::from(minute) - i64::from(begins),
                scope: step.scope,
                kind: step.kind,
                band: step.transition.to,
                change: step.transition.change,
            }));
            found.stand(&cases);
            if during && !seen.calls.is_empty() {
                seen.greens += greens(&found);
            }
        }
        seen
    }

    /// The same, as a score: what is not about the struck provider is a false ping.
    pub fn score(&self) -> Score {
        let calls = self.play().calls;
        let scope = Scope::Provider { provider: self.struck };
        let of_provider = |call: &&Call| call.scope == scope && call.minute >= 0;
        let first = calls.iter().find(of_provider);
        let right = match self.trouble {
            Trouble::Outage { to, .. } | Trouble::Lingering { to } => {
                Band::of(Some(to), &self.health.thresholds)
            }
            _ => Band::Watch,
        };
        let in_band = calls.iter().filter(of_provider).find(|call| call.band >= right);
        let minutes = |call: &Call| f64::from(i32::try_from(call.minute).unwrap_or(i32::MAX)) + 0.5;
        Score {
            pings: calls.len() as u64,
            false_pings: calls.iter().filter(|call| call.scope != scope).count() as u64,
            missed: u64::from(first.is_none()),
            days: f64::from(self.numbers) * f64::from(CALM + self.lasting + self.after) / 1440.0,
            first_ping: first.map(minutes).into_iter().collect(),
            right_band: in_band.map(minutes).into_iter().collect(),
            recovery: Vec::new(),
        }
    }

    fn falls_to(&self, index: u32) -> Option<f64> {
        match self.trouble {
            Trouble::Outage { worst: Some(worst), .. } if index == 0 => Some(worst),
            Trouble::Outage { to, .. } | Trouble::Lingering { to } if is_on_first(index) => Some(to),
            Trouble::Number { to, .. } if index == 0 => Some(to),
            Trouble::None
            | Trouble::Outage { .. }
            | Trouble::Lingering { .. }
            | Trouble::Number { .. }
            | Trouble::BrokenWebhook
            | Trouble::Registered
            | Trouble::Account => None,
        }
    }

    /// A number's messages, the cell they are counted in, and the connection they come in on.
    fn sources(&self, cells: &mut Cells) -> Vec<(Source, CellId, ConnectionId)> {
        let begins = START + WARM_UP + CALM;
        let source = |index| {
            let connection = connection(index)?;
            let lingers = index == 0 && matches!(self.trouble, Trouble::Lingering { .. });
            let lasting = if lingers { self.lasting + self.after } else { self.lasting };
            let fall = self.falls_to(index).map(|to| Fall { to, after: 0, lasting });
            let traffic = Traffic { fall, ..Traffic::plain(0.985, self.per_hour) };
            let source = Source::new(&traffic, self.seed, index, START).falling_at(begins);
            let key =
                CellKey { number: Some(number(index)?), connection: connection.clone(), list: list_id() };
            Some((source, cells.register(&key), connection))
        };
        (0..self.numbers).filter_map(source).collect()
    }

    fn registry(&self) -> Registry {
        let mut config = scene::config(Path::new("unused"), self.seed);
        let known = std::mem::take(&mut config.connections);
        let other = Provider::ALL.into_iter().find(|one| *one != self.struck).unwrap_or(self.struck);
        let of = |provider: Provider| known.iter().find(|one| one.provider == provider);
        let named = |index, provider| Some(Connection { id: connection(index)?, ..of(provider)?.clone() });
        config.connections = [named(0, self.struck), named(7, other)].into_iter().flatten().collect();
        let entry = |index| {
            let (number, leg) = (number(index)?, connection(index)?);
            let (kind, status) = (NumberKind::of(&number), NumberStatus::Active);
            Some(NumberEntry { kind, status, legs: vec![leg], number })
        };
        config.numbers = (0..self.numbers).filter_map(entry).collect();
        let numbers = config.numbers.iter().map(|entry| entry.number.clone()).collect();
        let list = list_id().map(|id| List {
            name: id.to_string(),
            brand: String::new(),
            purpose: Purpose::Marketing,
            numbers,
            id,
        });
        config.lists = list.into_iter().collect();
        Registry::new(&config)
    }
}

/// What a message counts as, in this trouble.
fn counted(trouble: Trouble, index: u32, counter: Counter) -> Vec<Counter> {
    let on_first = is_on_first(index);
    let failed = counter == Counter::failed(FailureClass::CarrierFiltered);
    match trouble {
        Trouble::BrokenWebhook if on_first => vec![Counter::UNKNOWN, Counter::REGISTERED],
        Trouble::BrokenWebhook | Trouble::Registered => vec![counter, Counter::REGISTERED, Counter::ANSWERED],
        Trouble::Number { class, .. } if index == 0 && failed => vec![Counter::failed(class)],
        Trouble::Account if on_first => vec![Counter::failed(FailureClass::Account)],
        Trouble::Outage { .. } | Trouble::Lingering { .. } if failed => {
            vec![Counter::failed(FailureClass::ProviderError)]
        }
        // Everyday failures are of a kind that is nobody's signal.
        _ if failed => vec![Counter::failed(FailureClass::Expired)],
        _ => vec![counter],
    }
}

/// Numbers of the first provider that are shown to be healthy.
fn greens(found: &Report) -> u64 {
    let first = |connection: &ConnectionId| Some(connection) == self::connection(0).as_ref();
    let numbers =
        found.numbers.values().filter(|number| number.legs.iter().any(|leg| first(&leg.connection)));
    numbers.filter(|number| number.view.band == Band::Healthy).count() as u64
}

fn number(index: u32) -> Option<Number> {
    Number::parse(&format!("+1800555{:04}", index % 10_000))
}

const fn is_on_first(index: u32) -> bool {
    index % 8 != 7
}

fn connection(index: u32) -> Option<ConnectionId> {
    ConnectionId::parse(if is_on_first(index) { "first" } else { "second" })
}

fn list_id() -> Option<ListId> {
    ListId::parse("list")
}

#[cfg(test)]
mod tests {
    use super::super::SEED;
    use super::*;

    fn play(numbers: u32, per_hour: f64, trouble: Trouble, minutes: [u32; 2]) -> Seen {
        let [lasting, after] = minutes;
        let (struck, health) = (Provider::Infobip, Health::default());
        World { numbers, struck, per_hour, trouble, lasting, after, seed: SEED, health }.play()
    }

    fn first() -> Scope {
        Scope::Provider { provider: Provider::Infobip }
    }

    /// Who was called about, each once.
    fn scopes(seen: &Seen) -> Vec<Scope> {
        let mut scopes: Vec<_> = seen.calls.iter().map(|call| call.scope.clone()).collect();
        scopes.dedup();
        scopes
    }

    #[test]
    fn where_nothing_is_wrong_nobody_is_called() {
        let seen = play(40, 60.0, Trouble::None, [60, 0]);
        assert_eq!(seen.calls, []);
    }

    #[test]
    fn a_provider_s_total_outage_over_two_hundred_numbers_is_one_ping() {
        let seen = play(228, 30.0, Trouble::Outage { to: 0.0, worst: None }, [20, 0]);
        assert_eq!(seen.calls.len(), 1, "{:?}", seen.calls);
        assert_eq!((&seen.calls[0].scope, seen.calls[0].band), (&first(), Band::Critical));
        assert!((0..=5).contains(&seen.calls[0].minute), "{:?}", seen.calls);
    }

    #[test]
    fn no_number_calls_before_its_provider_however_slowly_it_is_proved() {
        let health = Health { early_odds: 0.0, ..Health::default() };
        let trouble = Trouble::Outage { to: 0.4, worst: None };
        let (numbers, struck) = (4, Provider::Infobip);
        let world =
            World { numbers, struck, per_hour: 900.0, trouble, lasting: 40, after: 60, seed: SEED, health };
        let seen = world.play();
        assert_eq!(scopes(&seen), [first()], "{:?}", seen.calls);
    }

    #[test]
    fn a_sick_number_that_an_outage_does_not_explain_is_its_own_ping() {
        let seen = play(40, 120.0, Trouble::Outage { to: 0.7, worst: Some(0.1) }, [60, 90]);
        let sick = Scope::from(number(0).unwrap());
        let others: Vec<_> =
            seen.calls.iter().filter(|call| ![first(), sick.clone()].contains(&call.scope)).collect();
        assert!(others.is_empty(), "{others:?}");
        let scopes = scopes(&seen);
        assert!(scopes.contains(&first()) && scopes.contains(&sick), "{:?}", seen.calls);
    }

    #[test]
    fn a_number_that_stays_sick_when_its_provider_is_well_again_is_its_own_ping_then() {
        let seen = play(24, 120.0, Trouble::Lingering { to: 0.5 }, [60, 240]);
        let sick = Scope::from(number(0).unwrap());
        assert_eq!(scopes(&seen), [first(), sick.clone()], "{:?}", seen.calls);
        let own: Vec<_> = seen.calls.iter().filter(|call| call.scope == sick).collect();
        assert!(own.iter().all(|call| call.minute > 60), "{own:?}");
        assert_eq!(own.last().map(|call| call.band), Some(Band::Critical), "{own:?}");
    }

    #[test]
    fn a_broken_webhook_is_one_ping_and_nothing_is_green() {
        let seen = play(16, 120.0, Trouble::BrokenWebhook, [60, 90]);
        assert_eq!(seen.calls.len(), 1, "{:?}", seen.calls);
        assert_eq!((seen.calls[0].kind, seen.greens), (Kind::Silence, 0));
        assert_eq!(seen.calls[0].scope, Scope::Connection { connection: connection(0).unwrap() });
        assert!((14..=25).contains(&seen.calls[0].minute), "{:?}", seen.calls);
    }

    #[test]
    fn one_number_that_carriers_filter_is_one_incident_of_that_number() {
        let filtered = Trouble::Number { to: 0.75, class: FailureClass::CarrierFiltered };
        let seen = play(12, 200.0, filtered, [120, 60]);
        assert_eq!(scopes(&seen), [Scope::from(number(0).unwrap())], "{:?}", seen.calls);
        assert!(seen.calls.len() <= 3 && seen.calls[0].minute <= 20, "{:?}", seen.calls);
    }

    #[test]
    fn an_account_s_problem_is_its_connection_s_and_no_number_s() {
        let seen = play(12, 60.0, Trouble::Account, [60, 30]);
        assert_eq!(seen.calls.len(), 1, "{:?}", seen.calls);
        assert_eq!((seen.calls[0].kind, seen.calls[0].scope.name()), (Kind::Account, "connection"));
    }
}
