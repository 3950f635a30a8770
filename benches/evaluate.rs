//! What one evaluation of everything costs: cells that are at work, summed into a report, and the
//! policy's decision on it, on one core; and the memory the cells take.
//!
//! `cargo bench --bench evaluate -- [--cells 100000] [--laps 5]`. A cell here has sent in 60 minutes of
//! the last day and in 120 hours of the last month, a number, a connection and a list each, as far as
//! sending numbers are; 97 % were delivered. Printed: CPU seconds of this process, of the lap that took
//! least, for the report and for the decision; bytes a cell, from the process' resident memory.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should stop")]

use std::collections::BTreeMap;
use std::time::Duration;

use sounder::clock::Timestamp;
use sounder::config::{Source, load};
use sounder::event::{ConnectionId, FailureClass, ListId, Number};
use sounder::health::{Case, Orders, decide, report};
use sounder::registry::Registry;
use sounder::tally::{Bucket, CellKey, Cells, Counter, Counters};

/// The daemon's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Some day; minutes and hours before it are filled.
const NOW: Timestamp = Timestamp::from_seconds(60 * 29_000_000);
const MINUTES: u32 = 60;
const HOURS: u32 = 120;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: u32| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)).and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (count, laps) = (option("--cells", 100_000), option("--laps", 5));
    let registry = registry();
    let before = resident();
    let cells = cells(count);
    let grown = resident() - before;
    println!("{count} cells, {} buckets each: {:.0} bytes a cell", MINUTES + HOURS, grown / f64::from(count));
    let mut cases = BTreeMap::<String, Case>::new();
    let (mut reporting, mut deciding) = (Duration::MAX, Duration::MAX);
    for lap in 0..laps {
        let now = NOW.plus(Duration::from_secs(30) * lap);
        let started = cpu();
        let found = report(&cells, &registry, &registry.health, now);
        let reported = cpu();
        let decision = decide(&found, &registry.health, &cases, &Orders::default(), now);
        let decided = cpu();
        (reporting, deciding) = (reporting.min(reported - started), deciding.min(decided - reported));
        println!(
            "lap {lap}: report {:.2} s, decision {:.2} s CPU; {} numbers, {} steps; resident {:.0} MiB",
            (reported - started).as_secs_f64(),
            (decided - reported).as_secs_f64(),
            found.numbers.len(),
            decision.steps.len(),
            resident() / f64::from(1 << 20),
        );
        cases.extend(decision.cases);
    }
    println!(
        "an evaluation: {:.2} s of CPU ({:.2} the report, {:.2} the decision)",
        (reporting + deciding).as_secs_f64(),
        reporting.as_secs_f64(),
        deciding.as_secs_f64(),
    );
}

fn registry() -> Registry {
    let connection = |n: u32| {
        format!(
            "[[connection]]\nid = \"c{n}\"\nprovider = \"twilio\"\nauth_tokens = [\"0123456789abcdef0123\"]\n"
        )
    };
    let text: String = (0..4).map(connection).collect();
    let key = "[privacy]\nkey = \"0123456789abcdef0123456789abcdef\"\n";
    Registry::new(&load(&Source::of(format!("{key}{text}"))).unwrap())
}

fn cells(count: u32) -> Cells {
    let mut cells = Cells::default();
    for n in 0..count {
        let key = CellKey {
            number: Number::parse(&format!("+1800{n:07}")),
            connection: ConnectionId::parse(&format!("c{}", n % 4)).unwrap(),
            list: ListId::parse(&format!("list-{}", n % 100)),
        };
        let cell = cells.register(&key);
        for minute in 0..MINUTES {
            let at = NOW.minute() - 5 - minute * 20 - n % 20;
            cells.set(cell, Bucket::Minute(at), bucket(n + minute, 4));
        }
        for hour in 0..HOURS {
            cells.set(cell, Bucket::Hour(NOW.minute() / 60 - hour * 6 - n % 6), bucket(n + hour, 40));
        }
    }
    cells
}

/// So many messages, as they are counted: in their state, as seen before, and by their delay.
fn bucket(nth: u32, messages: i64) -> Counters {
    let failed = i64::from(nth.is_multiple_of(10)) * messages / 4;
    let mut counters = Counters::default();
    counters.add(Counter::DELIVERED, messages - failed);
    counters.add(Counter::SEEN, messages - failed);
    counters.add(Counter::delay(5), messages - failed);
    counters.add(Counter::failed(FailureClass::Unreachable), failed);
    counters
}

/// The processor time this process has used.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 on every Linux this runs on.
    Duration::from_millis(ticks * 10)
}

/// Bytes of memory in use.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}
