//! Signed provider traffic and what it must add up to, for the demo, load and tests. A configuration
//! goes in; webhooks come out, as the providers would send them, and afterwards the counts that they
//! must have led to. It must never use `provider`, `tally` or `health`: it is the independent
//! opinion those are compared with. [`proving`] is the one exception: the policy is what it is there to try.

pub mod discord;
pub mod load;
pub mod oracle;
pub mod proving;
pub mod scene;
pub mod story;
pub mod traffic;
pub mod verify;

mod fate;
mod route;
mod signer;
mod voice;

pub use fate::{Fact, Fate, State};
pub use route::{Prepared, Route};
