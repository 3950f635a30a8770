//! The receiver's HTTP server: hyper, with a bound on everything a stranger can make us hold.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::limit::remote;
use super::patience::Patience;
use super::room::{Room, Share};
use super::route::hook;
use super::tls::{self, Fingerprint};
use super::work::Work;
use super::{Answer, Departure, Envelope, Ingest, Load, RawWebhook, Reply, Unavailable};
use crate::clock::Clock;
use crate::config::{Connection, Receive};
use crate::failpoint::{self, Point};
use crate::ledger::{Ledger, Open};
use crate::metrics::Metrics;
use crate::registry::Registry;

/// Largest request line and headers, in bytes; above it hyper answers 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Wait after an accept that failed for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How long those who came too late may take to read that they did.
const LATE_WAIT_MAX: Duration = Duration::from_secs(1);

/// The answer when twice `in_flight_max` is reached.
const OVERLOADED: Answer = Answer::Unavailable(Unavailable::Overloaded);

/// What a receiver needs. One is shared by all its connections.
#[derive(Debug)]
pub struct Server<I> {
    settings: Receive,
    registry: Arc<ArcSwap<Registry>>,
    ledger: Arc<Ledger>,
    metrics: Metrics,
    clock: Clock,
    /// How to end TLS, where no proxy does; swapped when certificates are renewed.
    terms: Option<Arc<ArcSwap<ServerConfig>>>,
    /// Whether clients are to go elsewhere.
    departure: Departure,
    /// Webhooks that may be worked on at once, whatever they say.
    places: Arc<Semaphore>,
    /// What their bodies may take up.
    room: Room,
    ingest: Arc<I>,
}

impl<I: Ingest> Server<I> {
    /// A receiver that hands its webhooks to `ingest`.
    pub fn new(
        settings: Receive,
        registry: Arc<ArcSwap<Registry>>,
        (ledger, metrics): (Arc<Ledger>, Metrics),
        clock: Clock,
        ingest: I,
    ) -> Self {
        let places = Arc::new(Semaphore::new(settings.in_flight_max));
        let room = Room::new(settings.in_flight_bytes_max);
        let (ingest, departure) = (Arc::new(ingest), Departure::default());
        Self { settings, registry, ledger, metrics, clock, terms: None, departure, places, room, ingest }
    }

    /// The same, which ends TLS itself.
    #[must_use]
    pub fn ending_tls(self, terms: Option<Arc<ArcSwap<ServerConfig>>>) -> Self {
        Self { terms, ..self }
    }

    /// The same, which asks its clients to go elsewhere once this says that it is about to go.
    #[must_use]
    pub fn departing(self, departure: Departure) -> Self {
        Self { departure, ..self }
    }

    fn count(&self, connection: Option<&Connection>, answer: &Answer, taken: Duration) {
        match connection {
            Some(found) => self.metrics.of(&found.id, found.provider).answered(answer.outcome(), taken),
            None => {
                self.metrics.webhooks.with_label_values(&["", "", answer.outcome()]).inc();
                self.metrics.webhook_duration.with_label_values(&[""]).observe(taken.as_secs_f64());
            }
        }
    }
}

/// Serves until `shutdown` turns true, then finishes what is under way within the budget. Whoever
/// comes meanwhile is told to come again.
pub async fn serve<I: Ingest>(server: Server<I>, listener: TcpListener, mut shutdown: watch::Receiver<bool>) {
    let (budget, most) = (server.settings.shutdown_timeout, server.settings.connections_max);
    let room = Arc::new(Semaphore::new(most));
    let door = Door { server: Arc::new(server), room: Arc::clone(&room), listener };
    let (served, late) = (GracefulShutdown::new(), GracefulShutdown::new());
    loop {
        tokio::select! {
            () = door.admit(&served, Turn::InTime) => {}
            _ = shutdown.wait_for(|stop| *stop) => break,
        }
    }
    let mut drained = pin!(timeout(budget, served.shutdown()));
    let is_drained = loop {
        tokio::select! {
            biased;
            drained = &mut drained => break drained.is_ok(),
            () = door.admit(&late, Turn::TooLate) => {}
        }
    };
    if !is_drained {
        tracing::warn!("requests were still under way when the time to drain was over");
    }
    // Those whom the system has taken in already would be cut off without a word.
    for _ in 0..most {
        if timeout(Duration::ZERO, door.admit(&late, Turn::TooLate)).await.is_err() {
            break;
        }
    }
    drop(door);
    let all = u32::try_from(most).unwrap_or(u32::MAX);
    drop(timeout(LATE_WAIT_MAX, room.acquire_many(all)).await);
}

/// Where connections come in.
struct Door<I> {
    server: Arc<Server<I>>,
    room: Arc<Semaphore>,
    listener: TcpListener,
}

impl<I: Ingest> Door<I> {
    /// Waits for a connection and attends to it. Dropping the future turns nobody away.
    async fn admit(&self, graceful: &GracefulShutdown, turn: Turn) {
        match self.listener.accept().await {
            Ok((stream, peer)) => {
                // A connection above the bound is closed unread: it costs us one accept.
                let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else { return };
                attend(&self.server, stream, (peer.ip(), turn), (permit, graceful.watcher()));
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Whether somebody came while this receiver was serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// They are served.
    InTime,
    /// They are told to come again.
    TooLate,
}

async fn pause_after(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => {
            tracing::warn!(%error, "failed to accept a connection; raise the limit of open files if this goes on");
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
}

fn attend<I: Ingest>(
    server: &Arc<Server<I>>,
    stream: TcpStream,
    (peer, turn): (IpAddr, Turn),
    (permit, watcher): (OwnedSemaphorePermit, Watcher),
) {
    // Answers are small and awaited: waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    let (server, terms) = (Arc::clone(server), server.terms.as_ref().map(|terms| terms.load_full()));
    let Some(terms) = terms else {
        let caller = Caller { address: peer, certificate: None, turn, patience: Patience::default() };
        let connection = converse(server, stream, caller);
        tokio::spawn(attended(watcher.watch(connection), permit));
        return;
    };
    tokio::spawn(async move {
        // A handshake takes no longer than headers may: it holds a connection too.
        let handshake = TlsAcceptor::from(terms).accept(stream);
        match timeout(server.settings.header_timeout, handshake).await {
            Ok(Ok(stream)) => {
                let (certificate, patience) = (tls::shown(&stream), Patience::default());
                let caller = Caller { address: peer, certificate, turn, patience };
                attended(watcher.watch(converse(server, stream, caller)), permit).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    });
}

/// Who is at the other end of a connection.
#[derive(Debug)]
struct Caller {
    address: IpAddr,
    certificate: Option<Fingerprint>,
    turn: Turn,
    /// For what is still to come.
    patience: Patience,
}

async fn attended(connection: impl Future<Output = hyper::Result<()>>, permit: OwnedSemaphorePermit) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection broke off");
    }
    drop(permit);
}

/// Requests and answers on one connection, until either end has had enough.
fn converse<I: Ingest, S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    server: Arc<Server<I>>,
    stream: S,
    caller: Caller,
) -> impl GracefulConnection<Error = hyper::Error> + Send {
    let (header_timeout, patience) = (server.settings.header_timeout, caller.patience.clone());
    let caller = Arc::new(caller);
    let service = service_fn(move |request| {
        let (server, caller) = (Arc::clone(&server), Arc::clone(&caller));
        async move {
            let mut response = respond(&answer(&server, request, &caller).await);
            if caller.turn == Turn::TooLate || server.departure.is_announced() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    http1::Builder::new()
        .timer(patience)
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .pipeline_flush(true)
        // Without it hyper reads once more while a webhook is being made durable, to notice a client
        // that hangs up: two system calls a request, to learn what would change nothing.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
}

/// From a request to its answer: booked in, limited, read, ingested, booked out.
async fn answer<I: Ingest>(server: &Arc<Server<I>>, request: Request<Incoming>, caller: &Caller) -> Answer {
    let mut entry = server.ledger.open();
    let (webhook, share) = match read(server, request, caller, &mut entry).await {
        Ok(read) => read,
        Err(refused) => {
            entry.close(&refused, server.clock.now());
            server.metrics.webhooks.with_label_values(&["", "", refused.outcome()]).inc();
            return refused;
        }
    };
    // Without a place it is taken only if it cannot wait, which is known once it is understood.
    let place = Arc::clone(&server.places).try_acquire_owned().ok();
    let webhook = webhook.under(if place.is_some() { Load::Bearable } else { Load::Overload });
    let started = server.clock.ticks();
    let server = Arc::clone(server);
    let work = Work::new(async move {
        let connection = webhook.connection.clone();
        let received_at = webhook.received_at;
        failpoint::reach(Point::RequestRead).await;
        let answer = server.ingest.ingest(webhook).await;
        failpoint::reach(Point::WebhookAnswered).await;
        entry.close(&answer, received_at);
        let taken = server.clock.ticks().saturating_sub(started);
        server.count(connection.as_deref(), &answer, taken);
        drop((place, share));
        answer
    });
    work.await
}

async fn read<I>(
    server: &Server<I>,
    request: Request<Incoming>,
    caller: &Caller,
    entry: &mut Open,
) -> Result<(RawWebhook, Share), Answer> {
    let (head, body) = request.into_parts();
    let hook = hook(head.uri.path()).ok_or(Answer::NotFound)?;
    if caller.turn == Turn::TooLate {
        return Err(Answer::Unavailable(Unavailable::Draining));
    }
    if head.method != Method::GET && head.method != Method::POST {
        return Err(Answer::MethodNotAllowed);
    }
    if head.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Answer::EncodedBody);
    }
    let settings = &server.settings;
    let connection = server.registry.load().connection(hook.connection).cloned();
    let in_flight = entry.belongs_to(connection.as_ref().map(|found| &found.id));
    // Opt-outs find a place up to here, and slow senders do not take the places of those whose
    // webhooks are here.
    if in_flight > 2 * settings.in_flight_max as u64 {
        return Err(OVERLOADED);
    }
    let path_secret = hook.path_secret.map(str::to_owned);
    let target = head.uri.path_and_query().map_or("", PathAndQuery::as_str).to_owned();
    let remote = remote(caller.address, &head.headers, &settings.trusted_proxies);
    let whole = server.room.read(body, settings.body_bytes_max);
    let (body, share) =
        caller.patience.within(settings.body_timeout, whole).await.unwrap_or(Err(Answer::TimedOut))?;
    let envelope = Envelope {
        connection,
        method: head.method,
        target,
        path_secret,
        headers: head.headers,
        remote,
        client_certificate: caller.certificate,
        received_at: server.clock.now(),
    };
    Ok((RawWebhook::new(envelope, body), share))
}

fn respond(answer: &Answer) -> Response<Full<Bytes>> {
    let body = match answer {
        Answer::Accepted(accepted) if accepted.reply() == Reply::EmptyTwiml => TWIML,
        Answer::Accepted(_) => "",
        refused => refusal(refused),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    match answer {
        Answer::Accepted(accepted) if accepted.reply() == Reply::EmptyTwiml => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
        }
        Answer::Accepted(accepted) if accepted.reply() == Reply::NoContent => {
            headers.remove(CONTENT_LENGTH);
        }
        Answer::MethodNotAllowed => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
        }
        _ => {}
    }
    if let Some(wait) = answer.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}

const TWIML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";

/// What a refused sender reads: enough to know whose turn it is, nothing about which check failed.
const fn refusal(answer: &Answer) -> &'static str {
    match answer {
        Answer::Accepted(_) => "",
        Answer::Unauthorized => "not verified\n",
        Answer::NotFound => "not found\n",
        Answer::MethodNotAllowed => "use GET or POST\n",
        Answer::TimedOut => "the request took too long\n",
        Answer::TooLarge => "the body is too large\n",
        Answer::EncodedBody => "send the body without a content encoding\n",
        Answer::BadRequest => "the request broke off\n",
        Answer::RateLimited => "too many requests; try again later\n",
        Answer::Unavailable(_) => "not accepted; try again later\n",
    }
}
