//! Sounder proves, normalises and counts what SMS providers push, and tells a team when a sending
//! number's delivery rate falls.
//!
//! # The path of a webhook
//!
//! ```text
//!  receive → provider → publish  |  consume → tally → health → alert
//!  (a request, answered 2xx      |  (from the stream, at its own pace:
//!   once its events are durable) |   counted once, judged, told)
//! ```
//!
//! The modules below are listed in that order. A stage may use the stages before it and the rails
//! (`failpoint`, `clock`, `event`, `config`, `registry`, `ledger`, `metrics`), never a later one.

pub mod failpoint;
pub mod clock;
pub mod event;
pub mod config;
pub mod registry;
pub mod ledger;
pub mod metrics;
pub mod telemetry;

pub mod receive;
pub mod provider;
pub mod publish;
pub mod consume;
pub mod tally;
pub mod health;
pub mod alert;
pub mod admin;
pub mod simulate;

pub mod pipeline;
pub mod app;
pub mod command;
