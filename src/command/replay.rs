//! `replay`: the stream in, cells counted from it once more and how they differ from the live ones out.
//!
//! Unless it is a dry run, the replayed state is left where the daemon can go on with it: in the place
//! of the live one, which is kept beside it, or in Redis under a key prefix of its own. Incidents and
//! what is still to be said of them are taken along.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Failure, Global, output};
use crate::app::{self, StartError};
use crate::clock::Timestamp;
use crate::config::{self, Config, PrivacyKey, StateKind};
use crate::pipeline::{Comparison, Replay, ReplayError, Replayed, compare};
use crate::registry::Registry;
use crate::tally::{Mirror, Put, Store, Table};

/// Records between two words on progress.
const PROGRESS_EVERY: u64 = 200_000;
/// The documents that a replayed state takes over; cells, messages and consent it counts itself.
const DOCUMENTS: [Table; 7] = [
    Table::Incidents,
    Table::Outbox,
    Table::Standings,
    Table::Silences,
    Table::Preferences,
    Table::Announced,
    Table::Acknowledged,
];

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Count what was received since [default: all there is], as in 2026-11-23T10:00:00Z
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// Count what was received until then; messages heard of later too differ from the live ones
    #[arg(long, value_name = "TIME")]
    pub to: Option<Timestamp>,
    /// Only print how the live cells differ; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What is printed with `--json`.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    account: crate::tally::Account,
    until: Timestamp,
    #[serde(flatten)]
    comparison: Comparison,
    /// Where the replayed state is.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Replays.
///
/// # Errors
/// When the stream or the state cannot be used, or the live cells differ in a dry run.
pub async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    let config = global.load(PrivacyKey::Keep)?;
    global.start_quiet_log()?;
    let archive = app::open_stream(&config).await?.archive();
    let live = app::open_store(&config).await?;
    let place = Place::of(&config, &args)?;
    let fresh = place.open(&config).await?;
    let registry = Registry::new(&config);
    let replay =
        Replay { archive: &archive, store: &fresh, registry: &registry, from: args.from, to: args.to };
    let done = replay.run(progress()).await?;
    let comparison = compare(&mirror(&live).await?, &mirror(&fresh).await?, args.from);
    let mut outcome = Outcome { account: done.account, until: done.clock, comparison, state: None };
    if !args.dry_run {
        take_over(&live, &fresh).await?;
    }
    live.close().await;
    fresh.close().await;
    if !args.dry_run {
        outcome.state = Some(place.install(&config)?);
    }
    tell(&outcome, &args, global)
}

fn progress() -> impl FnMut(&Replayed) {
    let mut told = 0;
    move |done| {
        let records = done.account.total();
        if records / PROGRESS_EVERY > told {
            told = records / PROGRESS_EVERY;
            output::complain(&format!("{records} records, up to {}", done.clock));
        }
    }
}

async fn mirror(store: &Store) -> Result<Mirror, Failure> {
    let mirror = Mirror::default();
    store.refresh(&mirror).await.map_err(StartError::State)?;
    Ok(mirror)
}

/// Copies incidents, and what belongs to them, into the replayed state.
async fn take_over(live: &Store, fresh: &Store) -> Result<(), Failure> {
    let mut puts = Vec::new();
    for table in DOCUMENTS {
        let documents = live.load(table).await.map_err(StartError::State)?;
        puts.extend(documents.into_iter().map(|(key, value)| Put { table, key, value: Some(value) }));
    }
    Ok(fresh.save(puts).await.map_err(StartError::State)?)
}

/// Where the replayed state is made.
enum Place {
    /// In a directory that is deleted afterwards.
    Passing(tempfile::TempDir),
    /// Beside the live one's directory.
    Beside(PathBuf),
    /// In Redis, under this prefix.
    Prefix(String),
}

impl Place {
    fn of(config: &Config, args: &Args) -> Result<Self, Failure> {
        let broken = |error: std::io::Error| Failure::Internal(error.into());
        std::fs::create_dir_all(&config.stream.dir).map_err(broken)?;
        if args.dry_run {
            return Ok(Self::Passing(tempfile::tempdir_in(&config.stream.dir).map_err(broken)?));
        }
        match &config.state.kind {
            StateKind::Embedded => {
                let beside = config.stream.dir.join("state.replayed");
                // What an earlier replay left unfinished is of no use.
                match std::fs::remove_dir_all(&beside) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(broken(error)),
                    Ok(()) | Err(_) => Ok(Self::Beside(beside)),
                }
            }
            StateKind::Redis(redis) => {
                let unique = ulid::Ulid::generate().to_string().to_lowercase();
                Ok(Self::Prefix(format!("{}-replayed-{unique}", redis.key_prefix)))
            }
        }
    }

    async fn open(&self, config: &Config) -> Result<Store, Failure> {
        let opened = match (self, &config.state.kind) {
            (Self::Passing(dir), _) => Store::embedded(&dir.path().join("state")),
            (Self::Prefix(prefix), StateKind::Redis(redis)) => {
                let place = config::Redis { key_prefix: prefix.clone(), ..redis.clone() };
                Store::redis(&place, config.state.slots).await
            }
            (Self::Beside(dir), _) => Store::embedded(dir),
            (Self::Prefix(_), StateKind::Embedded) => Store::embedded(&config.stream.dir.join("state")),
        };
        Ok(opened.map_err(StartError::State)?)
    }

    /// Puts the replayed state where it will be used, or says how to.
    fn install(&self, config: &Config) -> Result<String, Failure> {
        match self {
            Self::Passing(_) => Ok(String::new()),
            Self::Prefix(prefix) => Ok(format!(
                "it is in Redis: write state.key_prefix = \"{prefix}\" for every observer and restart them"
            )),
            Self::Beside(fresh) => {
                let live = config.stream.dir.join("state");
                let kept = free_name(&config.stream.dir)?;
                std::fs::rename(&live, &kept)
                    .and_then(|()| std::fs::rename(fresh, &live))
                    .map_err(|error| Failure::Internal(error.into()))?;
                Ok(format!("it is in {}; the one before is kept in {}", live.display(), kept.display()))
            }
        }
    }
}

fn free_name(dir: &Path) -> Result<PathBuf, Failure> {
    let free = (1..=1000_u32).map(|n| dir.join(format!("state.before-{n}"))).find(|name| !name.exists());
    free.ok_or_else(|| Failure::Usage(format!("remove some of {}/state.before-*", dir.display())))
}

fn tell(outcome: &Outcome, args: &Args, global: &Global) -> Result<(), Failure> {
    let differences = outcome.comparison.differences.len();
    if global.json {
        output::json(outcome)?;
    } else {
        let account = &outcome.account;
        output::line(&format!(
            "replayed {} records up to {}: {} applied, {} duplicates, {} late",
            account.total(),
            outcome.until,
            account.applied,
            account.duplicate,
            account.late
        ))?;
        for difference in &outcome.comparison.differences {
            output::line(&difference.to_string())?;
        }
        let cells = outcome.comparison.cells;
        output::line(&format!(
            "{differences} differences in {cells} cells; digest {}",
            outcome.comparison.digest
        ))?;
        if let Some(state) = &outcome.state {
            output::line(state)?;
        }
    }
    match (args.dry_run, differences) {
        (true, 1..) => {
            Err(Failure::Differs(format!("{differences} counts differ between live and replayed cells")))
        }
        _ => Ok(()),
    }
}
