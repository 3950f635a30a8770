//! The integration tests: one binary, real parts. `tests/run` brings up what they need.

mod harness;
mod accounts;
mod admin;
mod cli;
mod clock;
mod codes;
mod consent;
mod faults;
mod fleet;
mod hostile;
mod fuzz;
mod loss;
mod replay;
mod story;
mod sends;
mod shell;
mod stream;
mod outage;
mod overload;
mod rolling;
mod spool;
mod tally;
mod tls;
mod upgrade;
mod verify;
