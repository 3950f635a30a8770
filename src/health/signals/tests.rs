//! Each signal by itself, through the whole policy: what raises it, what keeps it up, what ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::event::{ConnectionId, ListId, Provider};
use crate::health::case::Case;
use crate::health::orders::Orders;
use crate::health::round::decide;
use crate::health::scope::Scope;
use crate::health::story::{NOW, Story, number};
use crate::tally::{Counter, Entry, RollKey, RollKind, Subject};

const NUMBER: &str = "+18005550100";
const ON_LEG: (&str, Option<&str>) = ("ib", Some(NUMBER));
const WEEK: u64 = 7 * 24 * 60;
/// Evaluations that are played of each part; longer than `recover_after`.
const PLAYED: usize = 20;

fn failed(class: FailureClass) -> Counter {
    Counter::failed(class)
}

/// So many of `of` messages in the hour are of one kind, and the others delivered.
fn of_hour(story: &mut Story, counter: Counter, count: i64, of: i64) {
    story.tell(ON_LEG, 30, counter, count).tell(ON_LEG, 30, Counter::DELIVERED, of - count);
}

fn roll(story: &mut Story, kind: RollKind, names: u32) {
    let key = RollKey { kind, subject: Subject::Number(number(NUMBER)) };
    (0..names).for_each(|second| story.cells.rolls.roll(&key).put(None, NOW.seconds() - 3600 - second));
}

fn told(story: &mut Story, kind: FeedbackKind, severity: Severity) {
    let connection = ConnectionId::parse("ib").unwrap();
    let notice = Notice {
        at: NOW.minus(Duration::from_secs(3600)),
        kind,
        severity,
        provider: Provider::Infobip,
        connection: connection.clone(),
        number: Some(number(NUMBER)),
        subject: None,
        event: "event".into(),
        code: None,
        text: "The campaign was suspended.".into(),
    };
    let roll = RollKey { kind: RollKind::Notices(kind), subject: Subject::Connection(connection) };
    story.cells.rolls.put(&Entry { roll, name: [1; 8], at: notice.at, notice: Some(notice) }, None);
}

fn heard(story: &mut Story, minutes_ago: u64) {
    let at = NOW.minus(Duration::from_secs(60 * minutes_ago));
    story.cells.heard.insert(ConnectionId::parse("ib").unwrap(), at);
}

/// What is usual at this hour of the week, twice.
fn usual(story: &mut Story, an_hour: i64) {
    for weeks in 1..=3 {
        story.tell(ON_LEG, weeks * WEEK, Counter::DELIVERED, an_hour);
    }
}

/// One line of the table of signals.
struct Line {
    kind: Kind,
    scope: Scope,
    /// The band that is confirmed, and after how many evaluations.
    raised: (Band, usize),
    bad: fn(&mut Story),
    /// What keeps it up although nothing bad is seen any more; none where a fact is over when it is over.
    held: Option<fn(&mut Story)>,
    good: fn(&mut Story),
}

fn of_a_number(kind: Kind, raised: (Band, usize), bad: fn(&mut Story)) -> Line {
    let good = |story: &mut Story| of_hour(story, Counter::CANCELED, 0, 1_000);
    Line { kind, scope: Scope::from(number(NUMBER)), raised, bad, held: Some(|_| ()), good }
}

fn table() -> Vec<Line> {
    [of_numbers(), of_people(), of_lists(), of_connections()].into_iter().flatten().collect()
}

fn delivered_before(story: &mut Story) {
    story.tell(ON_LEG, 300, Counter::DELIVERED, 1_000);
}

fn a_list() -> Scope {
    Scope::List { list: ListId::parse("acme").unwrap() }
}

/// What becomes of a number's messages.
fn of_numbers() -> Vec<Line> {
    vec![
        of_a_number(Kind::CarrierFiltered, (Band::Watch, 3), |story| {
            of_hour(story, failed(FailureClass::CarrierFiltered), 80, 1_000);
        }),
        of_a_number(Kind::CarrierFiltered, (Band::Critical, 3), |story| {
            of_hour(story, failed(FailureClass::CarrierFiltered), 140, 1_000);
        }),
        // 4.5 % is within the limit, and three times the week's share.
        of_a_number(Kind::CarrierFiltered, (Band::Watch, 3), |story| {
            of_hour(story, failed(FailureClass::CarrierFiltered), 45, 1_000);
            story.tell(ON_LEG, 3_000, failed(FailureClass::CarrierFiltered), 15);
            story.tell(ON_LEG, 3_000, Counter::DELIVERED, 985);
        }),
        Line {
            good: |story| {
                of_hour(story, Counter::SENT, 0, 200);
                story.tell(ON_LEG, 300, Counter::DELIVERED, 1_000);
            },
            ..of_a_number(Kind::Unreported, (Band::Watch, 3), |story| {
                of_hour(story, Counter::SENT, 30, 200);
                story.tell(ON_LEG, 300, Counter::DELIVERED, 1_000);
            })
        },
        Line {
            good: |story| {
                of_hour(story, Counter::SENT, 0, 200);
                story.tell(ON_LEG, 300, Counter::DELIVERED, 1_000);
            },
            ..of_a_number(Kind::Unreported, (Band::Critical, 3), |story| {
                of_hour(story, Counter::SENT, 80, 200);
                story.tell(ON_LEG, 300, Counter::DELIVERED, 1_000);
            })
        },
    ]
}

/// What people and carriers say of what they were sent.
fn of_people() -> Vec<Line> {
    vec![
        Line {
            good: delivered_before,
            ..of_a_number(Kind::OptOuts, (Band::Watch, 3), |story| {
                story.tell(ON_LEG, 300, Counter::DELIVERED, 1_000);
                roll(story, RollKind::OptOuts, 35);
            })
        },
        Line {
            scope: a_list(),
            good: delivered_before,
            ..of_a_number(Kind::OptOuts, (Band::Critical, 3), |story| {
                story.tell(ON_LEG, 300, Counter::DELIVERED, 1_000);
                roll(story, RollKind::OptOuts, 80);
            })
        },
        // Over a month 1 % is the limit.
        Line {
            good: delivered_before,
            ..of_a_number(Kind::OptOuts, (Band::Watch, 3), |story| {
                story.tell(ON_LEG, 10 * 24 * 60, Counter::DELIVERED, 2_000);
                roll(story, RollKind::OptOuts, 40);
            })
        },
        Line {
            held: None,
            ..of_a_number(Kind::Complaints, (Band::Watch, 1), |story| roll(story, RollKind::Complaints, 1))
        },
        Line {
            held: None,
            ..of_a_number(Kind::Complaints, (Band::Critical, 1), |story| {
                story.tell(ON_LEG, 300, Counter::DELIVERED, 900);
                roll(story, RollKind::Complaints, 3);
            })
        },
        Line {
            held: None,
            ..of_a_number(Kind::Complaints, (Band::Critical, 1), |story| {
                roll(story, RollKind::Complaints, 1);
                told(story, FeedbackKind::Complaint, Severity::Violation);
            })
        },
        Line {
            held: None,
            ..of_a_number(Kind::Registry, (Band::Watch, 1), |story| {
                told(story, FeedbackKind::CarrierWarning, Severity::Warning);
            })
        },
        Line {
            held: None,
            ..of_a_number(Kind::Registry, (Band::Critical, 1), |story| {
                told(story, FeedbackKind::Suspension, Severity::Suspension);
            })
        },
    ]
}

/// What a list's messages meet.
fn of_lists() -> Vec<Line> {
    let of_a_list = |kind, raised, bad| Line { scope: a_list(), ..of_a_number(kind, raised, bad) };
    let on_time: fn(&mut Story) = |story| of_hour(story, Counter::delay(5), 200, 200);
    vec![
        of_a_list(Kind::BadContacts, (Band::Watch, 3), |story| {
            of_hour(story, failed(FailureClass::Unreachable), 80, 1_000);
        }),
        of_a_list(Kind::BadContacts, (Band::Critical, 3), |story| {
            of_hour(story, failed(FailureClass::InvalidRecipient), 140, 1_000);
        }),
        Line {
            good: on_time,
            ..of_a_list(Kind::SlowDelivery, (Band::Watch, 10), |story| {
                of_hour(story, Counter::delay(9_000), 130, 130);
                of_hour(story, Counter::delay(5), 870, 870);
            })
        },
        Line {
            good: on_time,
            ..of_a_list(Kind::SlowDelivery, (Band::Critical, 10), |story| {
                of_hour(story, Counter::delay(9_000), 60, 60);
                of_hour(story, Counter::delay(5), 140, 140);
            })
        },
    ]
}

/// Webhooks and accounts.
fn of_connections() -> Vec<Line> {
    let connection = || Scope::Connection { connection: ConnectionId::parse("ib").unwrap() };
    let of_a_connection =
        |kind, raised, bad, good| Line { scope: connection(), good, ..of_a_number(kind, raised, bad) };
    let answered: fn(&mut Story) = |story| {
        // Of the last of these evaluations, which are later than the story.
        story.cells.heard.insert(ConnectionId::parse("ib").unwrap(), NOW.plus(Duration::from_secs(3600)));
    };
    let delivered: fn(&mut Story) = |story| {
        story.tell(ON_LEG, 5, Counter::DELIVERED, 50);
    };
    vec![
        of_a_connection(
            Kind::Silence,
            (Band::Critical, 1),
            |story| {
                story.tell(ON_LEG, 15, Counter::UNKNOWN, 20).tell(ON_LEG, 15, Counter::REGISTERED, 20);
                heard(story, 15);
            },
            answered,
        ),
        of_a_connection(
            Kind::Silence,
            (Band::Critical, 1),
            |story| {
                usual(story, 80);
                heard(story, 15);
            },
            answered,
        ),
        of_a_connection(
            Kind::Account,
            (Band::Critical, 1),
            |story| {
                story.tell(ON_LEG, 5, failed(FailureClass::Account), 3);
            },
            delivered,
        ),
    ]
}

/// Everything a signal goes through, minute by minute, each part in a world of its own.
struct Life {
    cases: BTreeMap<String, Case>,
    key: String,
    kind: Kind,
    minute: u64,
}

impl Life {
    /// The confirmed band after each of so many evaluations of the same.
    fn live(&mut self, write: fn(&mut Story), evaluations: usize) -> Vec<Band> {
        let mut story = Story::new();
        write(&mut story);
        let report = story.report();
        let mut see = || {
            self.minute += 1;
            let now = NOW.plus(Duration::from_secs(60 * self.minute));
            let mut decision = decide(&report, &story.settings, &self.cases, &Orders::default(), now);
            self.cases.append(&mut decision.cases);
            let flag = self.cases.get(&self.key).and_then(|case| case.flags.get(&self.kind));
            flag.map_or(Band::Healthy, |flag| flag.band).max(Band::Healthy)
        };
        (0..evaluations).map(|_| see()).collect()
    }
}

#[test]
fn each_signal_by_itself_is_raised_held_and_ended() {
    for (place, line) in table().into_iter().enumerate() {
        let Line { kind, scope, raised: (band, after), bad, held, good } = line;
        let what = format!("line {place}, {}", kind.name());
        let mut life = Life { cases: BTreeMap::new(), key: scope.key(), kind, minute: 0 };
        let raised = life.live(bad, after);
        let first = raised.iter().position(|seen| *seen > Band::Healthy);
        let expected = after - 1;
        assert_eq!((first, raised[expected]), (Some(expected), band), "{what}: {raised:?}");
        if let Some(held) = held {
            assert_eq!(life.live(held, PLAYED), vec![band; PLAYED], "{what} is held");
        }
        let ended = life.live(good, PLAYED);
        assert_eq!((ended[0], ended[PLAYED - 1]), (band, Band::Healthy), "{what}: {ended:?}");
    }
}

#[test]
fn silence_is_judged_by_what_this_hour_of_the_week_usually_brings() {
    let ib = ConnectionId::parse("ib").unwrap();
    for (an_hour, minutes_ago, band) in [
        (80, 15, Band::Critical),
        (80, 14, Band::Healthy),
        // Less than twenty in a quarter of an hour: its silence may be chance.
        (79, 600, Band::Unknown),
        (0, 600, Band::Unknown),
    ] {
        let mut story = Story::new();
        usual(&mut story, an_hour);
        heard(&mut story, minutes_ago);
        let report = story.report();
        let signal = silence(&report.connections[&ib], &story.settings, NOW);
        assert_eq!(signal.band, band, "{an_hour}/h, {minutes_ago} min: {}", signal.sentence);
    }
    // The hour beside it was busy in those weeks; this one never is.
    let mut story = Story::new();
    for weeks in 1..=3 {
        story.tell(ON_LEG, weeks * WEEK + 120, Counter::DELIVERED, 4_000);
    }
    heard(&mut story, 60);
    assert_eq!(silence(&story.report().connections[&ib], &story.settings, NOW).band, Band::Unknown);
    // What is usual over the hour is told in the sentence.
    usual(&mut story, 120);
    let told = silence(&story.report().connections[&ib], &story.settings, NOW).sentence;
    assert!(told.contains("for 60 min") && told.contains("usually brings 30 in 15 min"), "{told}");
}
