//! The log: what happens, to standard error, for people or as JSON.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log of this process, once.
///
/// # Errors
/// A sentence when the filter cannot be read, or a log runs already.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let levels = EnvFilter::builder().parse(filter).map_err(|error| {
        format!("failed to read the log filter {filter:?} ({error}): write a level, as in info, or info,sounder::publish=debug")
    })?;
    let registry = tracing_subscriber::registry().with(levels);
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let started = match format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => {
            registry.with(layer.with_ansi(io::IsTerminal::is_terminal(&io::stderr()))).try_init()
        }
    };
    started.map_err(|error| format!("failed to start the log: {error}"))
}
