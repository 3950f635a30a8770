//! HTTP in: connections and limits, then a [`RawWebhook`] for whoever ingests it, then its answer.
//! It must never look into a body, nor answer 2xx on its own.

mod answer;
mod webhook;
mod route;
mod departure;
mod limit;
mod room;
mod work;
mod patience;
mod tls;
mod server;

use std::future::Future;

pub use answer::{Acceptance, Answer, DurableProof, Reply, Unavailable, Verdict};
pub use departure::Departure;
pub use limit::RateLimits;
pub use server::{Server, serve};
pub use tls::{Fingerprint, Terms, terms_of};
pub use webhook::{Envelope, Load, RawWebhook, Verified};

/// Takes webhooks to their end: proved, normalised, durable.
pub trait Ingest: Send + Sync + 'static {
    /// Works on one webhook and says what it is to be answered.
    fn ingest(&self, webhook: RawWebhook) -> impl Future<Output = Answer> + Send;
}
