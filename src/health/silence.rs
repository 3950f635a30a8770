//! Who is not to be called about what, and until when. Pure; kept as JSON, written by the admin API.
//!
//! A silence keeps people from being called. It never keeps an incident from being opened or shown.

use serde::{Deserialize, Serialize};

use super::view::NumberView;
use crate::clock::Timestamp;
use crate::event::{ListId, Number, Provider};
use crate::registry::Registry;

/// What a silence is about. As JSON its field stands beside `"scope": "number"` and the like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub enum Silenced {
    /// A sending number.
    Number { number: Number },
    /// A list: its own incidents, and those of its numbers.
    List { list: ListId },
    /// A brand: the same of each of its lists.
    Brand { brand: String },
    /// A provider: its own incidents, and those of numbers that send over nobody else.
    Provider { provider: Provider },
}

/// One silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its id, a ULID.
    pub id: String,
    /// What it is about.
    #[serde(flatten)]
    pub of: Silenced,
    /// It ends then.
    pub until: Timestamp,
    /// Whose it is.
    pub by: String,
    /// Why.
    pub why: String,
    /// When it was begun.
    pub at: Timestamp,
}

/// Whom an alert would be about: what a silence could cover.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concern {
    /// The number.
    pub number: Option<Number>,
    /// Its lists.
    pub lists: Vec<ListId>,
    /// Their brands.
    pub brands: Vec<String>,
    /// Every provider it sends over.
    pub providers: Vec<Provider>,
}

impl Concern {
    /// What an alert of a number would be about.
    pub fn of(number: &NumberView, registry: &Registry) -> Self {
        let mut providers: Vec<_> = number.legs.iter().filter_map(|leg| leg.provider).collect();
        providers.sort_unstable();
        providers.dedup();
        let brands = number.lists.iter().filter_map(|id| registry.list(id));
        Self {
            number: Some(number.number.clone()),
            lists: number.lists.clone(),
            brands: brands.map(|list| list.brand.clone()).collect(),
            providers,
        }
    }
}

impl Silence {
    /// Whether it is still in force.
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Whether it keeps people from being called about this.
    pub fn covers(&self, concern: &Concern) -> bool {
        match &self.of {
            Silenced::Number { number } => concern.number.as_ref() == Some(number),
            Silenced::List { list } => concern.lists.contains(list),
            Silenced::Brand { brand } => concern.brands.contains(brand),
            Silenced::Provider { provider } => concern.providers == [*provider],
        }
    }

    /// It in a sentence.
    pub fn sentence(&self) -> String {
        let of = match &self.of {
            Silenced::Number { number } => number.to_string(),
            Silenced::List { list } => format!("list {list}"),
            Silenced::Brand { brand } => format!("brand {brand}"),
            Silenced::Provider { provider } => provider.title().to_owned(),
        };
        format!("Nobody is called: {} silenced {of} until {} ({}).", self.by, self.until, self.why)
    }
}

/// The one of those in force that lasts longest and covers this.
pub fn silenced<'s>(
    silences: impl IntoIterator<Item = &'s Silence>,
    concern: &Concern,
    now: Timestamp,
) -> Option<&'s Silence> {
    let covering = silences.into_iter().filter(|silence| silence.holds(now) && silence.covers(concern));
    covering.max_by_key(|silence| silence.until)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::story::{NOW, Story, number};

    fn silence(of: Silenced, minutes: u64) -> Silence {
        let until = NOW.plus(Duration::from_secs(60 * minutes));
        Silence { id: format!("{minutes}"), of, until, by: "ada".into(), why: "maintenance".into(), at: NOW }
    }

    #[test]
    fn a_silence_covers_its_own_and_what_is_under_it() {
        let mut story = Story::new();
        story.send("ib", Some("+18005550100"), 10, 0).send("ib", Some("+18005550101"), 10, 0);
        story.send("tw", Some("+18005550101"), 10, 0);
        let report = story.report();
        let concern = |text| Concern::of(&report.numbers[&number(text)], &story.registry);
        let (one_leg, two_legs) = (concern("+18005550100"), concern("+18005550101"));
        let list = ListId::parse("acme").unwrap();
        for (of, first, second) in [
            (Silenced::Number { number: number("+18005550100") }, true, false),
            (Silenced::List { list }, true, true),
            (Silenced::Brand { brand: "Acme".into() }, true, true),
            (Silenced::Brand { brand: "Other".into() }, false, false),
            (Silenced::Provider { provider: Provider::Infobip }, true, false),
            (Silenced::Provider { provider: Provider::Cm }, false, false),
        ] {
            let silence = silence(of, 1);
            assert_eq!((silence.covers(&one_leg), silence.covers(&two_legs)), (first, second), "{silence:?}");
        }
    }

    #[test]
    fn a_silence_ends_and_the_longest_is_told() {
        let of = || Silenced::Number { number: number("+18005550100") };
        let concern = Concern { number: Some(number("+18005550100")), ..Concern::default() };
        let all = [silence(of(), 5), silence(of(), 9), silence(of(), 7)];
        let found = |minutes: u64| silenced(&all, &concern, NOW.plus(Duration::from_secs(60 * minutes)));
        assert_eq!(found(0).map(|silence| silence.id.as_str()), Some("9"));
        assert_eq!(found(9), None);
        assert_eq!(
            all[1].sentence(),
            "Nobody is called: ada silenced +18005550100 until 2026-11-23T10:09:00.000Z (maintenance)."
        );
    }

    #[test]
    fn a_silence_survives_being_written_down() {
        let silence = silence(Silenced::Provider { provider: Provider::Cm }, 5);
        let text = serde_json::to_value(&silence).unwrap();
        assert_eq!((&text["scope"], &text["provider"]), (&"provider".into(), &"cm".into()));
        assert_eq!(serde_json::from_value::<Silence>(text).unwrap(), silence);
    }
}
