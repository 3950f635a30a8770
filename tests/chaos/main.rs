//! The fault suite: a fleet of real processes under load, on a real broker and a real Redis, in which
//! one thing after another breaks. `tests/faults` runs it; by itself it does nothing.
//!
//! Whatever breaks: every webhook that was answered 2xx is in the stream, every message is counted
//! once, the ledgers balance, nothing waits.

#![expect(clippy::unwrap_used, reason = "a suite that cannot go on should stop")]
#![expect(clippy::print_stdout, reason = "it tells what breaks, and what came of it")]

#[expect(dead_code, unused_imports, reason = "the integration tests use the rest of it")]
#[path = "../it/harness/mod.rs"]
mod harness;

mod fault;
mod fleet;
mod oracle;
mod outage;
mod providers;
mod redis;
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tokio::time::Instant;

use fault::{Fault, Part};
use world::World;

/// Faults between two looks whether all is whole.
const FAULTS_A_ROUND: usize = 8;

#[derive(Parser)]
struct Args {
    /// Which faults, in which order and company [default: another each time]
    #[arg(long)]
    seed: Option<u64>,
    /// How long to go on, in whole cycles of every fault; without it, one cycle
    #[arg(long = "for", value_parser = sounder::config::parse_duration)]
    span: Option<Duration>,
    /// Messages a second; of an outage, requests
    #[arg(long, default_value_t = 40)]
    rate: u32,
    /// Measures an outage of Kafka of this length instead
    #[arg(long, value_parser = sounder::config::parse_duration)]
    outage: Option<Duration>,
    /// Only faults whose names begin so
    #[arg(long)]
    only: Option<String>,
}

/// What came of it so far.
#[derive(Default)]
struct Tally {
    faults: BTreeMap<String, u32>,
    acknowledged: u64,
    repeated: u64,
    found: u64,
    messages: u64,
    incidents: usize,
}

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "cargo runs every test target, this one on request only")]
    if std::env::var_os("SOUNDER_TEST_FAULTS").is_none() {
        println!("run by tests/faults");
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let done = match args.outage {
        Some(length) => runtime.block_on(outage::measure(length, args.rate)),
        None => runtime.block_on(run(&args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            println!("FAILED: {wrong}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), String> {
    let begun = Instant::now();
    let mut seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let mut tally = Tally::default();
    loop {
        println!("seed {seed}");
        let Some(world) = World::start(args.rate, seed).await else {
            return Err("there is no broker to break".into());
        };
        let done = cycle(&world, args, seed, &mut tally).await;
        tally.take(&world);
        if let Err(wrong) = done {
            for member in world.members.iter().chain([&world.guest]) {
                println!(
                    "--- the end of what {} printed:\n{}",
                    member.setting.admin_url(),
                    member.last_words()
                );
            }
            if let Err(lost) = world.audit().await {
                println!("{lost}");
            }
            tally.tell(begun.elapsed());
            return Err(format!("{wrong}\nagain with: tests/faults --seed {seed}"));
        }
        if args.span.is_none_or(|span| begun.elapsed() > span) {
            tally.tell(begun.elapsed());
            return Ok(());
        }
        seed += 1;
    }
}

/// Every fault once, in an order and a company of the seed's.
async fn cycle(world: &World, args: &Args, seed: u64, tally: &mut Tally) -> Result<(), String> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let is_asked = |fault: &Fault| args.only.as_ref().is_none_or(|only| fault.to_string().starts_with(only));
    let mut faults: Vec<_> = Fault::all().into_iter().filter(is_asked).collect();
    faults.shuffle(&mut random);
    let mut since = 0;
    while !faults.is_empty() {
        let together = company(&mut faults, random.random_range(1..=3));
        since += together.len();
        happen(world, &together, &mut random, tally).await?;
        if since >= FAULTS_A_ROUND {
            since = 0;
            world.is_whole().await?;
            world.providers.resume();
        }
    }
    world.is_whole().await?;
    world.audit().await?;
    for fault in Fault::LAST.into_iter().filter(is_asked) {
        // Nobody pushes since the audit: what the stream loses has been counted, and was there.
        happen(world, &[fault], &mut random, tally).await?;
        world.providers.resume();
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.is_whole().await?;
        world.audit().await?;
    }
    tally.incidents += world.is_told().await?;
    Ok(())
}

/// Takes up to so many faults that can happen at once.
fn company(faults: &mut Vec<Fault>, size: usize) -> Vec<Fault> {
    let mut taken: Vec<Fault> = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    faults.retain(|fault| {
        let fits = taken.len() < size && !fault.parts().iter().any(|part| parts.contains(part));
        if fits {
            taken.push(*fault);
            parts.extend(fault.parts());
        }
        !fits
    });
    taken
}

async fn happen(
    world: &World,
    faults: &[Fault],
    random: &mut Pcg64Mcg,
    tally: &mut Tally,
) -> Result<(), String> {
    let names: Vec<_> = faults.iter().map(Fault::to_string).collect();
    println!("{} ms: {}", world.providers.elapsed().as_millis(), names.join(" + "));
    let one = async |fault: &Fault, late: Duration, random| {
        tokio::time::sleep(late).await;
        fault.happens(world, random).await
    };
    let mut lot =
        || (Duration::from_millis(random.random_range(0..1500)), Pcg64Mcg::seed_from_u64(random.random()));
    let (a, b, c) = (lot(), lot(), lot());
    let (first, second, third) = (faults.first(), faults.get(1), faults.get(2));
    let maybe = async |fault: Option<&Fault>, (late, random): (Duration, Pcg64Mcg)| match fault {
        Some(fault) => one(fault, late, random).await,
        None => Ok(()),
    };
    let (x, y, z) = tokio::join!(maybe(first, a), maybe(second, b), maybe(third, c));
    for (name, came) in names.iter().zip([x, y, z]) {
        came.map_err(|wrong| format!("{name}: {wrong}"))?;
        *tally.faults.entry(name.clone()).or_default() += 1;
    }
    Ok(())
}

impl Tally {
    fn take(&mut self, world: &World) {
        world.providers.book(|book| {
            self.acknowledged += book.acknowledged;
            self.repeated += book.repeated;
            self.found += book.found;
            self.messages += book.counts.values().map(|(delivered, failed)| delivered + failed).sum::<u64>();
        });
    }

    fn tell(&self, took: Duration) {
        println!(
            "{} faults of {} kinds in {} s; {} webhooks acknowledged, {} attempts repeated; {} events found in the \
             stream; {} messages counted; {} incidents told",
            self.faults.values().sum::<u32>(),
            self.faults.len(),
            took.as_secs(),
            self.acknowledged,
            self.repeated,
            self.found,
            self.messages,
            self.incidents,
        );
    }
}
