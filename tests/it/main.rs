//! The integration tests: one binary, real parts. `tests/run` brings up what they need.

mod harness;
mod admin;
mod cli;
mod faults;
mod story;
mod stream;
mod outage;
mod spool;
mod tally;
mod verify;
