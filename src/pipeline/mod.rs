//! The two loops, which meet only at the stream.
//!
//! [`Ingestion`] answers providers: verify, normalise, publish, answer. [`Observation`] counts what
//! was published, and [`Watch`] judges the counts and tells: refresh, evaluate, tell, forget.

mod ingestion;
mod observation;
mod watch;

pub use ingestion::Ingestion;
pub use observation::Observation;
pub use watch::Watch;
