//! Why the daemon does not start: one sentence each, with what to do. Never a secret.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::{consume, publish, tally};

/// Why the daemon did not start: what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot work in this role.
    #[error("{0}")]
    Refused(String),
    /// An address cannot be listened on.
    #[error(
        "failed to listen on {address} ({setting}): {source}; stop what uses it or choose another address"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The key that set it.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error(
        "failed to use the data directory {directory}: {source}; make it writable for this user or set stream.dir"
    )]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The stream cannot be opened or reached.
    #[error(transparent)]
    Stream(#[from] publish::Error),
    /// The stream cannot be read.
    #[error(transparent)]
    Consume(#[from] consume::Error),
    /// The state cannot be opened or reached.
    #[error(transparent)]
    State(#[from] tally::Error),
    /// Redis does not answer.
    #[error("{0}; check that Redis runs and that state.url is right")]
    Redis(tally::Error),
    /// TLS cannot be ended.
    #[error("{0}")]
    Tls(String),
    /// Something that a test excludes.
    #[error("failed to register a metric: {0}")]
    Metrics(#[from] prometheus::Error),
}
