//! The two loops, which meet only at the stream.
//!
//! [`Ingestion`] answers providers: verify, normalise, publish, answer. [`Observation`] counts what
//! was published, and [`Watch`] judges the counts and tells: refresh, evaluate, tell, forget.

mod comparison;
mod ingestion;
mod observation;
mod replay;
mod watch;

pub use comparison::{Comparison, Difference, compare};
pub use ingestion::Ingestion;
pub use observation::{Observation, marks};
pub use replay::{Replay, ReplayError, Replayed};
pub use watch::Watch;
