//! The other listener: the status page, the API, `/metrics`, `/healthz`, `/readyz`. It reads what
//! the stages have; it must never be needed for a webhook to be answered or an alert to be sent.

mod account;
mod api;
mod consent;
mod directory;
mod explain;
mod feedback;
mod guard;
mod incidents;
mod openapi;
mod posted;
mod problem;
mod ready;
mod reconciliation;
mod sends;
mod silences;

use std::fmt;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::alert::Status as DiscordStatus;
use crate::clock::Clock;
use crate::consume::{Condition, Progress};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::publish::Booked;
use crate::receive::Departure;
use crate::registry::Registry;
use crate::tally::{Mirror, Store};

pub use posted::Posted;

/// What the listener shows. Every request shares one.
#[derive(Debug)]
pub struct View {
    /// What every process shows.
    pub rails: Arc<Rails>,
    /// The stream, where this process receives.
    pub publisher: Option<Booked>,
    /// The observer, where this process observes.
    pub observer: Option<Observer>,
    /// What the demo adds.
    pub extras: Extras,
}

/// What every process shows, whatever it does.
#[derive(Debug)]
pub struct Rails {
    /// Connections, lists and numbers.
    pub registry: Arc<ArcSwap<Registry>>,
    /// The account.
    pub ledger: Arc<Ledger>,
    /// The metrics.
    pub metrics: Metrics,
    /// Whether this process is about to go.
    pub departure: Departure,
    /// The daemon's clock.
    pub clock: Clock,
}

/// What an observing process can show.
#[derive(Debug)]
pub struct Observer {
    /// The state.
    pub store: Store,
    /// How far it is.
    pub progress: Progress,
    /// The cells in memory.
    pub mirror: Arc<Mirror>,
    /// Whether alerts get through.
    pub discord: watch::Receiver<DiscordStatus>,
}

/// Where the messages of a Discord stand-in come from.
type Messages = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What the demo adds to the page.
#[derive(Clone, Default)]
pub struct Extras {
    /// The messages a built-in Discord stand-in holds.
    pub discord_messages: Option<Messages>,
    /// How many times as fast as the wall's the clock runs, where it is not the wall's.
    pub clock_speed: Option<u32>,
}

impl fmt::Debug for Extras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extras")
            .field("discord_messages", &self.discord_messages.is_some())
            .field("clock_speed", &self.clock_speed)
            .finish()
    }
}

type Shared = Arc<View>;

/// The largest registration of sends, in bytes: as many as are taken at once, written generously.
const SENDS_BYTES_MAX: usize = sends::SENDS_MAX * 512;

/// Serves until `shutdown` turns true.
///
/// # Errors
/// What the listener fails with.
pub async fn serve(view: View, listener: TcpListener, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
    axum::serve(listener, router(Arc::new(view)))
        .with_graceful_shutdown(async move {
            // The sender going away means the same as its word.
            drop(shutdown.wait_for(|stop| *stop).await);
        })
        .await
}

fn router(view: Shared) -> Router {
    let guarded = Router::new()
        .route("/api/v1/health", get(api::health))
        .route("/api/v1/health/numbers/{number}", get(api::number))
        .route("/api/v1/health/lists/{list}", get(api::list))
        .route("/api/v1/health/providers/{provider}", get(api::provider))
        .route("/api/v1/explain/numbers/{number}", get(explain::number))
        .route("/api/v1/incidents", get(incidents::list))
        .route("/api/v1/incidents/{id}", get(incidents::one))
        .route("/api/v1/incidents/{id}/explain", get(explain::incident))
        .route("/api/v1/incidents/{id}/ack", post(incidents::acknowledge))
        .route("/api/v1/lists", get(directory::lists))
        .route("/api/v1/numbers", get(directory::numbers))
        .route("/api/v1/silences", get(silences::list).post(silences::post))
        .route("/api/v1/silences/{id}", delete(silences::delete))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/api/v1/consent/{number}/{recipient}", get(consent::get))
        .route("/api/v1/reconciliation", get(reconciliation::get))
        .route("/api/v1/ledger", get(api::ledger))
        .route("/api/v1/sends", post(sends::post).layer(DefaultBodyLimit::max(SENDS_BYTES_MAX)))
        .route("/api/v1/feedback", post(feedback::post))
        .route("/api/v1/discord/messages", get(api::discord_messages))
        .route_layer(from_fn_with_state(Arc::clone(&view), guard_request));
    Router::new()
        .route("/", get(|| page("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/page.css", get(|| page("text/css; charset=utf-8", include_str!("page/page.css"))))
        .route("/page.js", get(|| page("text/javascript; charset=utf-8", include_str!("page/page.js"))))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready::readyz))
        .route("/metrics", get(metrics))
        .merge(guarded)
        .fallback(|| async { problem::Problem::not_found("no such page; the API is under /api/v1/") })
        .with_state(view)
}

async fn guard_request(State(view): State<Shared>, mut request: Request, next: Next) -> Response {
    match guard::admit(&view.rails.registry.load().admin_tokens, request.method(), request.headers()) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

/// A part of the page, which may load nothing but its own parts and talk to nobody else.
async fn page(kind: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn metrics(State(view): State<Shared>) -> Response {
    let (metrics, whole) = (&view.rails.metrics, |n: u64| i64::try_from(n).unwrap_or(i64::MAX));
    let spool = view.publisher.as_ref().and_then(|stream| stream.publisher.spool()).unwrap_or_default();
    let ghosts = view.publisher.as_ref().map_or(0, |stream| stream.publisher.take_ghosts());
    metrics.ghosts.inc_by(ghosts as f64);
    metrics.spool_events.set(whole(spool.in_spool));
    metrics.spool_bytes.set(whole(spool.bytes));
    metrics.ledger_imbalance.set(whole(view.rails.ledger.statement().imbalance() + spool.imbalance()));
    if let Some(observer) = &view.observer {
        let (late_after, now) = (view.rails.registry.load().health.lag_max, view.rails.clock.now());
        let fleet = observer.progress.last().fleet;
        for condition in Condition::ALL {
            let are = fleet.receivers().filter(|receiver| receiver.condition(late_after, now) == condition);
            metrics.receivers.with_label_values(&[condition.name()]).set(whole(are.count() as u64));
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], view.rails.metrics.render())
        .into_response()
}
