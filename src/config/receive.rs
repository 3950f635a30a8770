//! `[receive]`: the receiver's address and bounds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::section::Section;
use super::value::{address, byte_size, duration, network, text, url, whole};

/// The largest body that can be configured: every request in flight may hold one.
const BODY_BYTES_LIMIT: usize = 64 << 20;

/// The receiver: `[receive]`.
#[derive(Clone, Debug)]
pub struct Receive {
    /// Address the receiver listens on.
    pub listen: SocketAddr,
    /// What providers call, without a trailing slash; Twilio signs it.
    pub public_url: String,
    /// Largest body accepted, in bytes.
    pub body_bytes_max: usize,
    /// Time for a request's headers.
    pub header_timeout: Duration,
    /// Time for a request's body.
    pub body_timeout: Duration,
    /// Open connections; more are closed at accept.
    pub connections_max: usize,
    /// Webhooks being worked on; above it only opt-outs are taken, above twice that nothing.
    pub in_flight_max: usize,
    /// Bytes of bodies held at once; a body that finds no room is answered 503.
    pub in_flight_bytes_max: usize,
    /// Time from the last body byte to the answer.
    pub answer_deadline: Duration,
    /// Time between saying that it is about to go (not ready, connections closed after their answer)
    /// and taking nothing more, after SIGTERM.
    pub drain_notice: Duration,
    /// Time to finish what is under way then.
    pub shutdown_timeout: Duration,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The certificate to show, where no proxy in front ends TLS.
    pub tls: Option<Tls>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file: the certificate, its chain after it.
    pub cert: PathBuf,
    /// A PEM file: its private key.
    pub key: PathBuf,
}

impl Default for Receive {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: "http://127.0.0.1:8080".to_owned(),
            body_bytes_max: 2_097_152,
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            connections_max: 10_000,
            in_flight_max: 2048,
            in_flight_bytes_max: 268_435_456,
            answer_deadline: Duration::from_secs(4),
            drain_notice: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
            tls: None,
        }
    }
}

pub(super) fn read(mut section: Section<'_>) -> Receive {
    let default = Receive::default();
    let bytes = section.or("body_bytes_max", byte_size, 2_097_152);
    let in_flight_bytes = section.or("in_flight_bytes_max", byte_size, 268_435_456);
    let receive = Receive {
        listen: section.or("listen", address, default.listen),
        public_url: section.or("public_url", url, default.public_url),
        body_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
        header_timeout: section.or("header_timeout", duration, default.header_timeout),
        body_timeout: section.or("body_timeout", duration, default.body_timeout),
        connections_max: section.or("connections_max", whole(1..=1_000_000), default.connections_max),
        in_flight_max: section.or("in_flight_max", whole(1..=1_000_000), default.in_flight_max),
        in_flight_bytes_max: usize::try_from(in_flight_bytes).unwrap_or(usize::MAX),
        answer_deadline: section.or("answer_deadline", duration, default.answer_deadline),
        drain_notice: section.or("drain_notice", duration, default.drain_notice),
        shutdown_timeout: section.or("shutdown_timeout", duration, default.shutdown_timeout),
        trusted_proxies: section.each("trusted_proxies", network),
        tls: section.optional("tls").and_then(read_tls),
    };
    if receive.body_bytes_max > BODY_BYTES_LIMIT {
        section.wrong("body_bytes_max", "is more than any provider sends", "write at most \"64MiB\"");
    }
    if receive.in_flight_bytes_max < receive.body_bytes_max {
        section.wrong("in_flight_bytes_max", "has no room for one body", "write at least body_bytes_max");
    }
    warn_of_plain_http(&section, &receive.public_url);
    receive
}

fn read_tls(mut section: Section<'_>) -> Option<Tls> {
    let remedy = "write tls = { cert = \"cert.pem\", key = \"key.pem\" }";
    let cert = section.required("cert", text, remedy);
    let key = section.required("key", text, remedy);
    Some(Tls { cert: cert?.into(), key: key?.into() })
}

/// Path secrets and basic credentials travel in the clear without TLS.
pub(super) fn warn_of_plain_http(section: &Section<'_>, public_url: &str) {
    let host = public_url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    let is_near = host.is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    });
    if public_url.starts_with("http://") && !is_near {
        section
            .warn("public_url", "is plain http: webhooks and their secrets cross the network in the clear");
    }
}
