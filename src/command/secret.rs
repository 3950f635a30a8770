//! `secret new`: nothing in, a fresh secret out. It is written nowhere else.

use super::{Failure, Global, output};
use crate::config::Secret;

/// Arguments of `secret`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with secrets.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Print a fresh secret: 32 random bytes in base64url, fit for a URL's path
    New,
}

/// Prints a fresh secret.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(args: Args, global: &Global) -> Result<(), Failure> {
    let Action::New = args.action;
    let secret = Secret::random();
    match global.json {
        true => output::json(&serde_json::json!({ "secret": secret.expose() })),
        false => output::line(secret.expose()),
    }
}
