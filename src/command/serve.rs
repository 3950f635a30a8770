//! `serve`: the configuration in, a daemon until it is told to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, Global};
use crate::admin::Extras;
use crate::app::{self, Daemon, StartError};
use crate::clock::Clock;
use crate::config::{Config, Role};
use crate::failpoint;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which parts run in this process
    #[arg(long, value_enum, default_value_t)]
    pub role: Role,
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let sentence = error.to_string();
        match error {
            StartError::Refused(_)
            | StartError::Tls(_)
            | StartError::Listen { .. }
            | StartError::Directory { .. } => Self::Usage(sentence),
            StartError::Stream(_) | StartError::Consume(_) | StartError::State(_) | StartError::Redis(_) => {
                Self::Unreachable(sentence)
            }
            StartError::Metrics(_) => Self::Internal(anyhow::anyhow!(sentence)),
        }
    }
}

/// Runs the daemon.
///
/// # Errors
/// When the configuration is wrong or cannot run in this role, a service it needs does not answer,
/// or a part of it ends unasked.
pub async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    let config = global.load_to_serve()?;
    if let Some(sentence) = config.refuse(args.role) {
        return Err(Failure::Usage(sentence));
    }
    global.start_log()?;
    failpoint::arm();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    complain_of_unreadable(&config);
    let signals = Signals::listen().map_err(|error| Failure::Internal(error.into()))?;
    let daemon = app::start(config, args.role, Clock::wall(), Extras::default()).await?;
    tracing::info!(
        role = args.role.name(),
        receive.address = daemon.receive_address().map(tracing::field::display),
        admin.address = %daemon.admin_address(),
        version = env!("CARGO_PKG_VERSION"),
        "sounder is ready"
    );
    attend(daemon, signals, global).await
}

/// Who sends what: a supervisor SIGTERM, a person at a terminal SIGINT, an operator SIGHUP.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// What a supervisor sends, which may have others look elsewhere first.
const TERMINATE: &str = "SIGTERM";

enum Event {
    Stop(&'static str),
    Reload,
    Failed(String),
}

async fn attend(mut daemon: Daemon, mut signals: Signals, global: &Global) -> Result<(), Failure> {
    loop {
        let event = tokio::select! {
            _ = signals.terminate.recv() => Event::Stop(TERMINATE),
            _ = signals.interrupt.recv() => Event::Stop("SIGINT"),
            _ = signals.hang_up.recv() => Event::Reload,
            reason = daemon.failed() => Event::Failed(reason),
        };
        match event {
            Event::Stop(signal) => {
                tracing::info!(signal, "draining");
                if signal == TERMINATE {
                    // A second signal, or an impatient person, does without the notice.
                    tokio::select! {
                        () = daemon.depart() => {}
                        _ = signals.terminate.recv() => {}
                        _ = signals.interrupt.recv() => {}
                    }
                }
                daemon.stop().await;
                tracing::info!("stopped");
                return Ok(());
            }
            Event::Reload => reload(&daemon, global),
            Event::Failed(reason) => {
                tracing::error!(%reason, "a part of the daemon ended; stopping the rest");
                daemon.stop().await;
                return Err(Failure::Internal(anyhow::anyhow!(reason)));
            }
        }
    }
}

/// What is wrong is not taken over; the daemon goes on with what it has.
fn reload(daemon: &Daemon, global: &Global) {
    match global.load_to_serve() {
        Ok(config) => {
            complain_of_unreadable(&config);
            daemon.reload(&config);
            tracing::info!("secrets, lists, numbers and thresholds are reloaded");
        }
        Err(failure) => tracing::error!("the configuration was not reloaded: {failure}"),
    }
}

fn complain_of_unreadable(config: &Config) {
    for mistake in &config.unreadable {
        let (key, what) = (&mistake.key, &mistake.what);
        tracing::error!(
            "{key} {what}: webhooks of this connection are answered 503 until SIGHUP finds it; {}",
            mistake.remedy
        );
    }
}
