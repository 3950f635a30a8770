//! Steps in the alert policy → incidents → Discord, through an outbox nothing falls out of.
//!
//! [`Desk`] evaluates and writes incidents and outbox entries in one atomic step; [`Dispatcher`]
//! delivers the entries. They share the store and nothing else.

mod documents;
mod cause;
mod runbook;
mod scene;
mod incident;
mod leg;
mod text;
mod card;
mod outbox;
mod desk;
mod discord;
mod dispatcher;
mod loss;
mod backup;

pub use backup::{Backup, LOOK_EVERY};
pub use card::{minimal, ping, proof, render, title};
pub use cause::{Cause, advice};
pub use desk::{Desk, Evaluation, Step};
pub use discord::{Answer, Call, Discord, Transport, Unfit};
pub use dispatcher::{Dispatcher, Status, Target};
pub use documents::{Documents, Fenced, incidents};
pub use incident::{
    Acknowledgement, Incident, LegLine, ListLine, NumberLine, Posted, SignalLine, TimelineEntry,
};
pub use loss::Standing as StateStanding;
pub use outbox::{Action, Entry};
