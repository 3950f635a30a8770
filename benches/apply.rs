//! How many receipts a second each store applies, and what a message costs Redis in memory.
//!
//! `cargo bench --bench apply`; with `SOUNDER_TEST_REDIS` set, Redis is measured too (its own
//! database should be empty, or the memory figure is of something else).

#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss, reason = "it prints")]

use sounder::clock::{Clock, Timestamp};
use sounder::config::{self, Secret, Source};
use sounder::consume::{Batch, Partition, Taken};
use sounder::event::{Body, ConnectionId, Event, EventId, Number, Provider, Receipt, State};
use sounder::registry::Registry;
use sounder::tally::{
    Apply, CellKey, Cohort, CohortSource, Heard, Mirror, Outcome, Placement, PlacementSource, Store, Touch,
};

const MESSAGES: u64 = 400_000;
/// Receipts that are read from their JSON.
const READ: u64 = 100_000;
const CELLS: u64 = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for batch in [500, 2000] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::embedded(dir.path()).unwrap();
            println!("embedded, {MESSAGES} messages, {batch} a batch");
            measure(&store, batch, None).await;
            store.close().await;
        }
        let Some(url) = redis_url() else { return println!("redis: SOUNDER_TEST_REDIS is not set") };
        for batch in [500, 2000] {
            let prefix = format!("bench-{}", ulid::Ulid::generate());
            let before = info(&url, "memory", &["used_memory"]).await;
            let store = Store::redis(&redis(&url, &prefix), 1).await.unwrap();
            println!("redis, {MESSAGES} messages, {batch} a batch");
            measure(&store, batch, Some(&url)).await;
            let grown = info(&url, "memory", &["used_memory"]).await - before;
            println!("  {:.1} bytes a message with its share of cells", grown / MESSAGES as f64);
        }
    });
}

fn redis(url: &str, prefix: &str) -> config::Redis {
    let rewind = std::time::Duration::from_secs(600);
    config::Redis { url: Secret::new(url.into()), key_prefix: prefix.into(), rewind }
}

/// First every message sent, then every message delivered, then all of that told again, as the store
/// is handed it; then other messages' receipts as the stream holds them, their JSON read as well. On
/// a busy machine the CPU time says more than the rate.
async fn measure(store: &Store, size: u64, redis: Option<&str>) {
    let batches = |state| (0..MESSAGES / size).map(move |n| batch(n * size..(n + 1) * size, state));
    for (what, state) in
        [("new", State::Sent), ("delivered", State::Delivered), ("told again", State::Delivered)]
    {
        let batches: Vec<Apply> = batches(state).collect();
        let meter = Meter::start(what, MESSAGES, redis).await;
        for batch in &batches {
            store.apply(batch).await.unwrap();
        }
        meter.stop().await;
    }
    let registry = Registry::new(&config::load(&Source::of("")).unwrap());
    let taken: Vec<Batch> = (0..READ / size).map(|n| receipts(n * size..(n + 1) * size)).collect();
    let meter = Meter::start("from JSON", READ, redis).await;
    for batch in &taken {
        store.apply(&Apply::of(batch, at(READ), &registry)).await.unwrap();
    }
    meter.stop().await;
    let clock = Clock::wall();
    let start = clock.ticks();
    store.refresh(&Mirror::default()).await.unwrap();
    println!("  a whole mirror: {:?}", clock.ticks().saturating_sub(start));
}

/// What it takes to apply some receipts.
struct Meter<'a> {
    what: &'static str,
    receipts: u64,
    redis: Option<&'a str>,
    clock: Clock,
    cpu: (f64, f64),
}

impl<'a> Meter<'a> {
    async fn start(what: &'static str, receipts: u64, redis: Option<&'a str>) -> Self {
        let cpu = (own_cpu(), redis_cpu(redis).await);
        Self { what, receipts, redis, clock: Clock::wall(), cpu }
    }

    async fn stop(self) {
        let took = self.clock.ticks().as_secs_f64();
        let (own, server) = (own_cpu() - self.cpu.0, redis_cpu(self.redis).await - self.cpu.1);
        let count = self.receipts as f64;
        println!(
            "  {:<10} {:>8.0} receipts/s; CPU µs a receipt: {:.1} here, {:.1} in Redis",
            self.what,
            count / took,
            own * 1e6 / count,
            server * 1e6 / count
        );
    }
}

/// Seconds of CPU this process has used, by Linux' account (hundredths).
fn own_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

async fn redis_cpu(url: Option<&str>) -> f64 {
    match url {
        Some(url) => info(url, "cpu", &["used_cpu_user", "used_cpu_sys"]).await,
        None => 0.0,
    }
}

fn batch(messages: std::ops::Range<u64>, state: State) -> Apply {
    let mut apply = Apply { clock: at(messages.start), ..Apply::default() };
    apply.cells = (0..CELLS).map(cell).collect();
    let ids: Vec<_> = apply.cells.iter().map(CellKey::id).collect();
    for message in messages {
        let heard = Heard::new(
            Outcome::new(state, None, Some(at(message))),
            Cohort::new(CohortSource::ProviderSent, at(message)),
            Placement::new(PlacementSource::Receipt, ids[usize::try_from(message % CELLS).unwrap()]),
        );
        // Odd multipliers spread the numbers over all bits, as a digest would.
        let identity =
            (u128::from(message).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)).to_be_bytes();
        apply.touches.push((Partition::EMBEDDED, Touch { identity, heard, received_at: at(message) }));
    }
    apply.positions.insert(Partition::EMBEDDED, 1);
    apply
}

/// Receipts of messages no other part of this tells of, as a consumer takes them from the stream.
fn receipts(messages: std::ops::Range<u64>) -> Batch {
    let connection = ConnectionId::parse("bench").unwrap();
    let taken = messages.map(|message| {
        let sid = format!("SM{message:032x}");
        let receipt = Receipt {
            provider: Provider::Twilio,
            connection: connection.clone(),
            message_id: Some(sid.clone()),
            reference: None,
            number: Number::parse(&format!("+1800555{:04}", message % CELLS)),
            list: None,
            recipient: None,
            country: Some("US".into()),
            network: None,
            state: State::Delivered,
            is_final: true,
            failure: None,
            provider_status: "delivered".into(),
            segments: Some(1),
            price: None,
            sent_at: None,
            occurred_at: None,
            received_at: at(message),
        };
        let id = EventId::of(&connection, &["status", &sid, "delivered"]);
        let record = Event { id, body: Body::Receipt(receipt) }.record(None);
        Taken { partition: Partition::EMBEDDED, offset: message, record: Some(record) }
    });
    Batch { records: taken.collect(), caught_up: false }
}

/// 500 messages a second.
fn at(message: u64) -> Timestamp {
    Timestamp::from_seconds(1_764_000_000 + i64::try_from(message / 500).unwrap())
}

fn cell(n: u64) -> CellKey {
    CellKey {
        number: Number::parse(&format!("+1800555{n:04}")),
        connection: ConnectionId::parse("bench").unwrap(),
        list: None,
    }
}

/// The sum of some lines of Redis' `INFO`.
async fn info(url: &str, section: &str, lines: &[&str]) -> f64 {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let info: String = redis::cmd("INFO").arg(section).query_async(&mut connection).await.unwrap();
    let value = |name: &&str| info.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(':'));
    lines.iter().filter_map(value).filter_map(|text| text.trim().parse::<f64>().ok()).sum()
}

#[expect(clippy::disallowed_methods, reason = "the bench is told where the Redis is")]
fn redis_url() -> Option<String> {
    std::env::var("SOUNDER_TEST_REDIS").ok()
}
