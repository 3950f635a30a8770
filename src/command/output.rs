//! What a command says, to standard output. A reader that has gone away (`| head`) is no failure.

use std::io::{self, Write};

use super::Failure;

/// Writes text and a line end.
///
/// # Errors
/// When standard output cannot be written to, unless nobody reads it any more.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    forgive(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Writes a value as JSON, indented, and a line end.
///
/// # Errors
/// As [`line()`].
pub fn json<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Internal(error.into()))?;
    line(&text)
}

/// Writes to standard error, where nothing can be done about a failure to.
pub fn complain(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

fn forgive(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Internal(anyhow::Error::new(error).context("failed to write to standard output")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
