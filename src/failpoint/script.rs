//! The text of `FAILPOINTS` → what is to happen where. Pure but for the number of times that an
//! action still has, which every hit that is taken lowers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::Point;

/// What is to happen where.
#[derive(Debug, Default)]
pub(super) struct Script {
    actions: BTreeMap<&'static str, Action>,
    /// By how many milliseconds the clock is wrong.
    pub(super) clock: i64,
}

#[derive(Debug)]
struct Action {
    verb: Verb,
    /// Of a hundred hits, how many are taken.
    percent: u32,
    /// How many more are taken.
    times: AtomicU32,
}

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Kill,
    Panic,
    Delay(Duration),
    Fail,
}

impl Script {
    /// Reads a script, or says what in it cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for line in text.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
            let wrong = || format!("{line:?} is no failpoint");
            let (name, action) = line.split_once('=').ok_or_else(wrong)?;
            if name == "clock" {
                script.clock = action.parse().map_err(|_| wrong())?;
                continue;
            }
            let point = Point::ALL.into_iter().find(|point| point.name() == name).ok_or_else(wrong)?;
            script.actions.insert(point.name(), Action::parse(action).ok_or_else(wrong)?);
        }
        Ok(script)
    }

    /// What happens at this hit of a place; `chance` is anything from 0 to 99.
    pub(super) fn hit(&self, point: Point, chance: u32) -> Option<Verb> {
        let action = self.actions.get(point.name())?;
        if chance >= action.percent {
            return None;
        }
        let one_less = |times: u32| times.checked_sub(1);
        action.times.fetch_update(Relaxed, Relaxed, one_less).ok().map(|_| action.verb)
    }
}

impl Action {
    fn parse(mut text: &str) -> Option<Self> {
        let (mut percent, mut times) = (100, u32::MAX);
        if let Some((number, rest)) = text.split_once('%') {
            (percent, text) = (number.parse().ok()?, rest);
        }
        if let Some((number, rest)) = text.split_once('*') {
            (times, text) = (number.parse().ok()?, rest);
        }
        let verb = match text.split_once('(') {
            None if text == "kill" => Verb::Kill,
            None if text == "panic" => Verb::Panic,
            None if text == "fail" => Verb::Fail,
            Some(("delay", millis)) => {
                Verb::Delay(Duration::from_millis(millis.strip_suffix(')')?.parse().ok()?))
            }
            _ => return None,
        };
        Some(Self { verb, percent, times: AtomicU32::new(times) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_what_happens_where_and_how_often() {
        let script = Script::parse("batch.applied=kill; log.sync=20%2*delay(300)\nclock=-5000").unwrap();
        assert_eq!(script.hit(Point::BatchApplied, 99), Some(Verb::Kill));
        assert_eq!(script.hit(Point::BatchTaken, 0), None);
        assert_eq!(script.clock, -5000);
        let delay = Some(Verb::Delay(Duration::from_millis(300)));
        let hits = [19, 20, 0, 0].map(|chance| script.hit(Point::LogSync, chance));
        assert_eq!(hits, [delay, None, delay, None], "one in five, and twice at most");
    }

    #[test]
    fn what_cannot_be_read_is_quoted() {
        for wrong in
            ["batch.applied", "nowhere=kill", "log.sync=sleep(1)", "log.sync=delay(x)", "clock=later"]
        {
            assert!(Script::parse(wrong).unwrap_err().contains(wrong));
        }
        assert!(Script::parse(" ;\n").unwrap().actions.is_empty());
    }
}
