//! What people have said: whom not to call about, and what somebody has seen to. Pure; an argument
//! of the policy, which never keeps it.

use std::collections::BTreeSet;

use super::report::Report;
use super::scope::Scope;
use super::silence::{Concern, Silence, silenced};
use crate::clock::Timestamp;
use crate::event::{ListId, Number};

/// What people have said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// What is not to be called about.
    pub silences: Vec<Silence>,
    /// Incidents somebody has acknowledged: nobody is reminded of them.
    pub acknowledged: BTreeSet<String>,
}

impl Orders {
    /// The silence that keeps people from being called about a scope, if there is one.
    pub fn silence(&self, scope: &Scope, report: &Report, now: Timestamp) -> Option<&Silence> {
        if self.silences.is_empty() {
            return None;
        }
        silenced(&self.silences, &concern(scope, report), now)
    }
}

/// What an alert of a scope would be about.
fn concern(scope: &Scope, report: &Report) -> Concern {
    let brand = |list: &ListId| report.lists.get(list).and_then(|list| list.brand.clone());
    let lists_of =
        |number: &Number| report.numbers.get(number).map_or_else(Vec::new, |view| view.lists.clone());
    let (lists, mut providers) = match scope {
        Scope::Provider { provider } => (Vec::new(), vec![*provider]),
        Scope::Connection { connection } => (
            Vec::new(),
            report.connections.get(connection).and_then(|view| view.provider).into_iter().collect(),
        ),
        Scope::List { list } => (vec![list.clone()], Vec::new()),
        Scope::State {} => (Vec::new(), Vec::new()),
        Scope::Leg { number, connection } => {
            let provider = report.connections.get(connection).and_then(|view| view.provider);
            (lists_of(number), provider.into_iter().collect())
        }
        Scope::Number { number } => {
            let legs = report.numbers.get(number).map_or(&[][..], |view| &view.legs);
            (lists_of(number), legs.iter().filter_map(|leg| leg.provider).collect::<Vec<_>>())
        }
    };
    providers.sort_unstable();
    providers.dedup();
    Concern {
        number: scope.number().cloned(),
        brands: lists.iter().filter_map(brand).collect(),
        lists,
        providers,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{ConnectionId, Provider};
    use crate::health::Silenced;
    use crate::health::story::{NOW, Story, number};

    #[test]
    fn a_silence_covers_every_scope_that_belongs_to_what_it_names() {
        let mut story = Story::new();
        story.send("ib", Some("+18005550100"), 1, 0);
        let report = story.report();
        let (number, list) = (number("+18005550100"), ListId::parse("acme").unwrap());
        let scopes = [
            Scope::from(number.clone()),
            Scope::List { list: list.clone() },
            Scope::Provider { provider: Provider::Infobip },
            Scope::Connection { connection: ConnectionId::parse("ib").unwrap() },
        ];
        for (of, covered) in [
            (Silenced::Number { number }, [true, false, false, false]),
            (Silenced::List { list }, [true, true, false, false]),
            (Silenced::Brand { brand: "Acme".into() }, [true, true, false, false]),
            (Silenced::Provider { provider: Provider::Infobip }, [true, false, true, true]),
            (Silenced::Provider { provider: Provider::Cm }, [false; 4]),
        ] {
            let until = NOW.plus(Duration::from_secs(60));
            let silence =
                Silence { id: "1".into(), of, until, by: "ada".into(), why: String::new(), at: NOW };
            let orders = Orders { silences: vec![silence], ..Orders::default() };
            let is_silent = |scope: &Scope, now| orders.silence(scope, &report, now).is_some();
            assert_eq!(scopes.clone().map(|scope| is_silent(&scope, NOW)), covered, "{orders:?}");
            assert!(!scopes.iter().any(|scope| is_silent(scope, until)), "{orders:?}");
        }
    }
}
