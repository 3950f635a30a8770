//! The command line: one file a subcommand, each with its `Args` and its `run`. What a command
//! cannot do ends in a [`Failure`], and every failure has its exit code.

pub mod account;
pub mod check;
pub mod client;
pub mod demo;
pub mod directory;
pub mod explain;
pub mod explain_code;
pub mod feedback;
pub mod incidents;
pub mod output;
pub mod replay;
pub mod schema;
pub mod secret;
pub mod serve;
pub mod silence;
pub mod simulate;
pub mod simulate_health;
pub mod url;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{self, Config, Mistakes, PrivacyKey, Source};
use crate::telemetry::{self, LogFormat};

/// Tells the team when a sending number's delivery rate falls.
#[derive(Debug, Parser)]
#[command(name = "sounder", version, propagate_version = true)]
pub struct Cli {
    /// What holds for every subcommand.
    #[command(flatten)]
    pub global: Global,
    /// What to do; nothing prints help.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What holds for every subcommand.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Configuration file [default: sounder.toml if it exists, else built-in defaults]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write JSON where a program would read it
    #[arg(long, global = true)]
    pub json: bool,
    /// How to write the log, which goes to standard error
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What to log.
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        help = "What to log: a level, or a filter such as info,sounder::publish=debug [default: SOUNDER_LOG, else info]"
    )]
    pub log_level: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon until SIGTERM or SIGINT, then finish what is under way
    Serve(serve::Args),
    /// Show the whole of it with simulated traffic; needs nothing else
    Demo(demo::Args),
    /// Send signed traffic at a running Sounder, and compare its counts with one's own
    Simulate(simulate::Args),
    /// Play the alert policy in simulated time, and say how often and how soon it calls
    SimulateHealth(simulate_health::Args),
    /// Count what is in the stream once more, and say how the live cells differ
    Replay(replay::Args),
    /// Report every mistake in the configuration, with its line and the remedy
    Check(check::Args),
    /// Print the URL to give a connection's provider, with its path secret
    Url(url::Args),
    /// Say why a number or an incident alerts, or why it does not
    Explain(explain::Args),
    /// List what is wrong
    Incidents(incidents::Args),
    /// Acknowledge an incident: nobody is reminded of it any more
    Ack(incidents::Ack),
    /// Keep people from being called about something
    Silence(silence::Args),
    /// Report a complaint or a carrier's notice that came by e-mail or ticket
    Feedback(feedback::Args),
    /// List the sending lists, with their bands
    Lists(directory::Args),
    /// List the sending numbers, with their bands
    Numbers(directory::Args),
    /// Say what a provider's status or error code means
    ExplainCode(explain_code::Args),
    /// Print the JSON Schema of the events
    Schema(schema::Args),
    /// Make a secret
    Secret(secret::Args),
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It did, and what it compared differs: exit 1.
    #[error("{0}")]
    Differs(String),
    /// The command line or the configuration is wrong: exit 64.
    #[error("{0}")]
    Usage(String),
    /// A service that is needed does not answer: exit 69.
    #[error("{0}")]
    Unreachable(String),
    /// Something else: exit 70.
    #[error("{0:#}")]
    Internal(anyhow::Error),
}

impl Failure {
    /// The exit code, as `sysexits.h` has them.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Differs(_) => 1,
            Self::Usage(_) => 64,
            Self::Unreachable(_) => 69,
            Self::Internal(_) => 70,
        }
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::Usage(mistakes.to_string())
    }
}

impl Global {
    /// The configuration in which a command runs.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(&self, key: PrivacyKey) -> Result<Config, Failure> {
        Ok(config::load(&Source::find(self.config.as_deref(), key)?)?)
    }

    /// The configuration in which the daemon runs: a connection whose secrets cannot be read is closed.
    ///
    /// # Errors
    /// Every other mistake in it.
    pub fn load_to_serve(&self) -> Result<Config, Failure> {
        Ok(config::load_to_serve(&Source::find(self.config.as_deref(), PrivacyKey::Keep)?)?)
    }

    /// Starts the log of a command whose own output is what matters: only what is wrong.
    ///
    /// # Errors
    /// As [`Global::start_log`].
    pub fn start_quiet_log(&self) -> Result<(), Failure> {
        let filter = self.log_level.as_deref().unwrap_or("warn");
        telemetry::start(self.log_format, filter).map_err(Failure::Usage)
    }

    /// Starts the log.
    ///
    /// # Errors
    /// When the filter cannot be read, or a log runs already.
    pub fn start_log(&self) -> Result<(), Failure> {
        let environment = config::environment();
        let told = self.log_level.as_ref().or_else(|| environment.get("SOUNDER_LOG"));
        telemetry::start(self.log_format, told.map_or("info", String::as_str)).map_err(Failure::Usage)
    }
}

/// Runs a command line to its exit code, and says what went wrong.
pub async fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match Cli::try_parse_from(arguments) {
        Ok(cli) => run(cli).await,
        // Help and the version come this way too, and are no failure.
        Err(error) if error.use_stderr() => {
            Err(Failure::Usage(error.render().to_string().trim_end().to_owned()))
        }
        Err(error) => output::line(error.render().to_string().trim_end()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let global = &cli.global;
    match cli.command {
        None => output::line(Cli::command().render_help().to_string().trim_end()),
        Some(Command::Serve(args)) => serve::run(args, global).await,
        Some(Command::Demo(args)) => demo::run(args, global).await,
        Some(Command::Simulate(args)) => simulate::run(args, global).await,
        Some(Command::SimulateHealth(args)) => simulate_health::run(&args, global),
        Some(Command::Replay(args)) => replay::run(args, global).await,
        Some(Command::Check(args)) => check::run(args, global).await,
        Some(Command::Url(args)) => url::run(args, global),
        Some(Command::Explain(args)) => explain::run(&args, global).await,
        Some(Command::Incidents(args)) => incidents::run(&args, global).await,
        Some(Command::Ack(args)) => incidents::acknowledge(&args, global).await,
        Some(Command::Silence(args)) => silence::run(&args, global).await,
        Some(Command::Feedback(args)) => feedback::run(&args, global).await,
        Some(Command::Lists(args)) => directory::lists(&args, global).await,
        Some(Command::Numbers(args)) => directory::numbers(&args, global).await,
        Some(Command::ExplainCode(args)) => explain_code::run(&args, global),
        Some(Command::Schema(args)) => schema::run(args, global),
        Some(Command::Secret(args)) => secret::run(args, global),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[tokio::test]
    async fn a_wrong_command_line_exits_64_and_help_exits_0() {
        let exit = async |arguments: &[&str]| {
            let arguments = ["sounder"].iter().chain(arguments).map(OsString::from);
            format!("{:?}", main(arguments).await)
        };
        let (usage, fine) = (format!("{:?}", ExitCode::from(64)), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(exit(&["sevre"]).await, usage);
        assert_eq!(exit(&["serve", "--role", "boss"]).await, usage);
        assert_eq!(exit(&["check", "--config", "/nonexistent/sounder.toml"]).await, usage);
        assert_eq!(exit(&["schema", "receit"]).await, usage);
        assert_eq!(exit(&["--help"]).await, fine);
        assert_eq!(exit(&["--version"]).await, fine);
        assert_eq!(exit(&[]).await, fine);
    }
}
