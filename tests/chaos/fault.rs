//! The faults: each breaks one thing, waits, and mends it. Nothing is waited for to recover but what
//! was broken; the others go on.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use sounder::failpoint::Point;
use sounder::simulate::discord::Fault as Refusal;

use crate::fleet::Member;
use crate::world::{World, until};

/// Bytes of a frame before its record, of which half a frame is made.
const TORN: [u8; 13] = [0, 0, 1, 0, 9, 9, 9, 9, 0, 0, 0, 0, 7];

/// What can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    DaemonKilled,
    DaemonDies(Point),
    DaemonPanics(Point),
    DaemonDawdles(Point),
    DaemonTerminated,
    DaemonPaused,
    FleetKilled,
    FleetUpgraded,
    ObserverJoins,
    ClockAhead,
    ClockBehind,
    BrokerPaused,
    BrokerPausedLong,
    BrokerKilled,
    BrokerRestarted,
    BrokerLosesDisk,
    BrokerForgets,
    TopicDeleted,
    RedisPaused,
    RedisKilled,
    RedisRestarted,
    RedisEmptied,
    RedisFull,
    RedisFailsOver,
    DiskFull,
    DiskSlow,
    DiskFails,
    SpoolTorn,
    SpoolFlipped,
    DiscordFails,
    DiscordHangs,
    DiscordForgets,
    ProviderRepeats,
}

/// What a fault takes for itself while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Member,
    Fleet,
    Broker,
    Redis,
    Discord,
    Providers,
    Everything,
}

impl Fault {
    /// Every fault, each step of a webhook's way included.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::DaemonKilled,
            Self::DaemonTerminated,
            Self::DaemonPaused,
            Self::FleetKilled,
            Self::FleetUpgraded,
            Self::ObserverJoins,
            Self::ClockAhead,
            Self::ClockBehind,
            Self::BrokerPaused,
            Self::BrokerPausedLong,
            Self::BrokerKilled,
            Self::BrokerRestarted,
            Self::BrokerLosesDisk,
            Self::RedisPaused,
            Self::RedisKilled,
            Self::RedisRestarted,
            Self::RedisEmptied,
            Self::RedisFull,
            Self::RedisFailsOver,
            Self::DiskFull,
            Self::DiskSlow,
            Self::DiskFails,
            Self::SpoolTorn,
            Self::SpoolFlipped,
            Self::DiscordFails,
            Self::DiscordHangs,
            Self::DiscordForgets,
            Self::ProviderRepeats,
        ];
        all.extend(Point::ALL.map(Self::DaemonDies));
        all.extend(
            [Point::RequestRead, Point::WebhookNormalized, Point::BatchApplied].map(Self::DaemonPanics),
        );
        all.extend([Point::WebhookProved, Point::EventsDurable, Point::BatchTaken].map(Self::DaemonDawdles));
        all
    }

    /// What makes the stream forget, once everything in it has been counted: the end of a world.
    pub(crate) const LAST: [Self; 2] = [Self::TopicDeleted, Self::BrokerForgets];

    /// What it takes for itself: two faults that share a part do not happen at once.
    pub(crate) fn parts(self) -> &'static [Part] {
        match self {
            Self::DaemonDies(point) if in_spool(point) => &[Part::Member, Part::Broker],
            Self::DaemonKilled
            | Self::DaemonTerminated
            | Self::DaemonPaused
            | Self::DaemonDies(_)
            | Self::DaemonPanics(_)
            | Self::DaemonDawdles(_)
            | Self::ClockAhead
            | Self::ClockBehind => &[Part::Member],
            Self::FleetKilled | Self::FleetUpgraded => &[Part::Member, Part::Fleet],
            Self::ObserverJoins => &[Part::Fleet],
            Self::BrokerPaused
            | Self::BrokerPausedLong
            | Self::BrokerKilled
            | Self::BrokerRestarted
            | Self::BrokerLosesDisk => &[Part::Broker],
            Self::RedisPaused
            | Self::RedisKilled
            | Self::RedisRestarted
            | Self::RedisEmptied
            | Self::RedisFull
            | Self::RedisFailsOver => &[Part::Redis],
            Self::DiskFull | Self::DiskSlow | Self::DiskFails | Self::SpoolTorn | Self::SpoolFlipped => {
                &[Part::Member, Part::Broker]
            }
            Self::DiscordFails | Self::DiscordHangs => &[Part::Discord],
            Self::DiscordForgets => &[Part::Discord, Part::Member, Part::Fleet],
            Self::ProviderRepeats => &[Part::Providers],
            Self::BrokerForgets | Self::TopicDeleted => &[Part::Everything],
        }
    }

    /// Breaks it, waits and mends it.
    pub(crate) async fn happens(self, world: &World, mut random: Pcg64Mcg) -> Result<(), String> {
        let which = random.random_range(0..world.members.len());
        let member = &world.members[which];
        let short = Duration::from_millis(random.random_range(300..4000));
        match self {
            Self::DaemonKilled => member.signal("-KILL"),
            Self::DaemonDies(point) => dies(world, member, point, &mut random).await?,
            Self::DaemonPanics(point) => {
                // A panic is on the books, as a webhook lost; the process' books end with it.
                member.excuses.fetch_add(1, Relaxed);
                member.arm(&format!("{}=3*panic", point.name()));
                tokio::time::sleep(short).await;
                member.arm("");
                member.signal("-TERM");
                until("the daemon has ended", async || !member.is_running()).await?;
                member.excuses.fetch_sub(1, Relaxed);
            }
            Self::DaemonDawdles(point) => {
                member.arm(&format!("{}=30%delay({})", point.name(), random.random_range(50..3000)));
                tokio::time::sleep(short).await;
                member.arm("");
            }
            Self::DaemonTerminated => member.signal("-TERM"),
            Self::DaemonPaused => {
                member.signal("-STOP");
                // Long enough to be put out of the group.
                tokio::time::sleep(Duration::from_secs(8)).await;
                member.signal("-CONT");
            }
            Self::FleetKilled => world.members.iter().for_each(|member| member.signal("-KILL")),
            Self::FleetUpgraded => {
                for member in &world.members {
                    member.signal("-TERM");
                    until("the daemon is replaced", async || !member.is_running()).await?;
                    until("the next one is ready", async || member.is_ready().await).await?;
                }
            }
            Self::ObserverJoins => {
                world.guest.release();
                tokio::time::sleep(Duration::from_secs(6) + short).await;
                world.guest.hold();
                world.guest.signal(if random.random() { "-TERM" } else { "-KILL" });
                until("the guest has gone", async || !world.guest.is_running()).await?;
            }
            Self::ClockAhead | Self::ClockBehind => {
                let by = if self == Self::ClockAhead { 120_000 } else { -3_600_000 };
                member.arm(&format!("clock={by}"));
                tokio::time::sleep(short).await;
                member.arm("");
            }
            Self::DiskFull | Self::DiskSlow | Self::DiskFails => disk(self, world, member).await?,
            Self::SpoolTorn | Self::SpoolFlipped => spool(self, world, member).await?,
            Self::DiscordFails | Self::DiscordHangs | Self::DiscordForgets => self.discord(world).await?,
            Self::ProviderRepeats => world.providers.repeat(20, 30).await,
            Self::RedisPaused
            | Self::RedisKilled
            | Self::RedisRestarted
            | Self::RedisEmptied
            | Self::RedisFull
            | Self::RedisFailsOver => self.redis(world, short).await,
            _ => self.broker(world, short).await?,
        }
        Ok(())
    }

    async fn broker(self, world: &World, short: Duration) -> Result<(), String> {
        let mut broker = world.broker.lock().await;
        match self {
            Self::BrokerPaused | Self::BrokerPausedLong => {
                broker.signal("-STOP");
                // Longer than its lease, after which it answers first that it has no brokers.
                let long = Duration::from_secs(if self == Self::BrokerPausedLong { 17 } else { 0 });
                tokio::time::sleep(long + short).await;
                broker.signal("-CONT");
            }
            Self::BrokerKilled => {
                broker.kill();
                tokio::time::sleep(short).await;
                broker.restart();
                broker.answers().await;
            }
            Self::BrokerRestarted => {
                broker.signal("-TERM");
                tokio::time::sleep(Duration::from_secs(3) + short).await;
                broker.kill();
                broker.restart();
                broker.answers().await;
            }
            Self::BrokerLosesDisk => {
                broker.loses_a_disk();
                tokio::time::sleep(Duration::from_secs(8) + short).await;
                broker.gets_its_disk_back();
                broker.answers().await;
            }
            Self::BrokerForgets => {
                broker.kill();
                broker.forget();
                broker.restart();
                broker.answers().await;
            }
            _ => {
                broker.deletes(&format!("{}receipts.v1", world.prefix)).await;
            }
        }
        Ok(())
    }

    async fn redis(self, world: &World, short: Duration) {
        let mut redis = world.redis.lock().await;
        match self {
            Self::RedisPaused => {
                redis.behind.signal("-STOP");
                tokio::time::sleep(short * 2).await;
                redis.behind.signal("-CONT");
            }
            Self::RedisKilled => {
                redis.behind.goes_away();
                tokio::time::sleep(short).await;
                redis.behind.comes_back().await;
            }
            Self::RedisRestarted => {
                redis.behind.signal("-TERM");
                tokio::time::sleep(short).await;
                redis.behind.goes_away();
                redis.behind.comes_back().await;
            }
            Self::RedisFull => {
                redis.behind.ask::<String>(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
                tokio::time::sleep(short).await;
                redis.behind.ask::<String>(&["CONFIG", "SET", "maxmemory", "0"]).await;
            }
            Self::RedisFailsOver => redis.fails_over().await,
            _ => redis.is_emptied().await,
        }
    }

    async fn discord(self, world: &World) -> Result<(), String> {
        let refusals: &[Refusal] = match self {
            Self::DiscordFails => {
                &[Refusal::ServerError, Refusal::TooManyRequests(0.7), Refusal::Drop, Refusal::LoseAnswer]
            }
            Self::DiscordHangs => &[Refusal::Hang],
            _ => &[Refusal::NotFound],
        };
        let before = world.discord.requests();
        refusals.iter().for_each(|refusal| world.discord.fail_next(*refusal));
        // Something to tell of: a provider's messages begin to fail, and another's no longer.
        let mut looks = 0;
        until("Discord is told of something", async || {
            if looks % 60 == 0 {
                world.providers.sicken(looks / 60 % 5);
            }
            looks += 1;
            world.discord.requests() >= before + refusals.len() as u64
        })
        .await?;
        if self == Self::DiscordForgets {
            // No alert gets through until a person has seen to it, and started the observers again.
            for member in &world.members {
                member.signal("-TERM");
                until("the daemon has ended", async || !member.is_running()).await?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DaemonDies(point) => write!(f, "DaemonDies({})", point.name()),
            Self::DaemonPanics(point) => write!(f, "DaemonPanics({})", point.name()),
            Self::DaemonDawdles(point) => write!(f, "DaemonDawdles({})", point.name()),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Steps that only events on their way through the spool come to.
const fn in_spool(point: Point) -> bool {
    matches!(
        point,
        Point::EventsSpooling
            | Point::LogWrite
            | Point::LogTorn
            | Point::LogSync
            | Point::LogSynced
            | Point::DrainTaken
            | Point::DrainHanded
            | Point::DrainMarked
    )
}

/// Arms a step and waits until the daemon has died of it.
async fn dies(world: &World, member: &Member, point: Point, random: &mut Pcg64Mcg) -> Result<(), String> {
    until("the daemon is ready to die", async || member.is_ready().await).await?;
    member.hold();
    let verb = if point == Point::LogTorn { "fail" } else { "kill" };
    let chance = if in_spool(point) { 100 } else { [100, 20, 3][random.random_range(0..3)] };
    member.arm(&format!("{}={chance}%{verb}", point.name()));
    if in_spool(point) {
        let broker = world.broker.lock().await;
        broker.signal("-STOP");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        broker.signal("-CONT");
    }
    let died = until(&format!("a daemon dies at {}", point.name()), async || !member.is_running()).await;
    member.arm("");
    member.release();
    died
}

/// A disk that has no room, takes its time or fails, while the broker is away.
async fn disk(fault: Fault, world: &World, member: &Arc<Member>) -> Result<(), String> {
    let filler = member.setting.data().join("filler");
    let broker = world.broker.lock().await;
    match fault {
        Fault::DiskFull if member.has_disk => {
            broker.signal("-STOP");
            fill(&filler);
        }
        Fault::DiskFull => {
            println!("SKIPPED: DiskFull; a small disk cannot be mounted here");
            return Ok(());
        }
        Fault::DiskSlow => member.arm("log.sync=delay(400)"),
        _ => member.arm("log.write=30%fail;log.sync=30%fail;log.synced=30%fail"),
    }
    broker.signal("-STOP");
    tokio::time::sleep(Duration::from_secs(3)).await;
    fs::remove_file(filler).ok();
    member.arm("");
    broker.signal("-CONT");
    Ok(())
}

/// Writes until nothing more fits.
fn fill(filler: &PathBuf) {
    let mut file = fs::File::create(filler).unwrap();
    let bytes = vec![0; 1 << 16];
    while file.write_all(&bytes).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
}

/// Damages the spool of a daemon that was killed with a full one.
async fn spool(fault: Fault, world: &World, member: &Arc<Member>) -> Result<(), String> {
    until("the daemon is ready", async || member.is_ready().await).await?;
    let mut damaged = None;
    {
        let broker = world.broker.lock().await;
        broker.signal("-STOP");
        let spooled = until("events are in the spool", async || {
            let ledger = member.read("/api/v1/ledger").await.unwrap_or_default();
            ledger["spool"]["in_spool"].as_u64() > Some(20)
        });
        let spooled = spooled.await;
        member.hold();
        member.signal("-KILL");
        let ended = until("the daemon has ended", async || !member.is_running()).await;
        if spooled.is_ok() && ended.is_ok() {
            let segment = last_segment(&member.setting.data().join("spool").join("other"));
            match fault {
                Fault::SpoolTorn => {
                    fs::File::options().append(true).open(segment).unwrap().write_all(&TORN).unwrap()
                }
                _ => damaged = flip(&segment),
            }
        }
        member.release();
        broker.signal("-CONT");
        spooled.and(ended)?;
    }
    if let Some(id) = damaged {
        // The provider of that one is unlucky, and pushes it again.
        until("the daemon is ready again", async || member.is_ready().await).await?;
        world.providers.repeat_message(&id).await;
    }
    Ok(())
}

fn last_segment(lane: &PathBuf) -> PathBuf {
    let segments = fs::read_dir(lane).unwrap().map(|entry| entry.unwrap().path());
    segments.filter(|path| path.extension().is_some_and(|end| end == "log")).max().unwrap()
}

/// Flips a bit in one of the last records and says which message it was about.
fn flip(segment: &PathBuf) -> Option<String> {
    const NAMES: [&[u8]; 2] = [b"\"message_id\":\"", b"\"reference\":\""];
    let mut bytes = fs::read(segment).unwrap();
    let starts = |name: &'static [u8]| {
        let found: Vec<_> = bytes
            .windows(name.len())
            .enumerate()
            .filter(|(_, at)| *at == name)
            .map(|(at, _)| at + name.len())
            .collect();
        found
    };
    let mut places: Vec<_> = NAMES.into_iter().flat_map(starts).collect();
    places.sort_unstable();
    let at = *places.iter().rev().nth(4)?;
    let length = bytes[at..].iter().position(|byte| *byte == b'"')?;
    let id = String::from_utf8(bytes[at..at + length].to_vec()).ok()?;
    bytes[at] ^= 4;
    fs::write(segment, bytes).unwrap();
    Some(id)
}
