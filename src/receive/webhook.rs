//! A webhook before and after it is proved. The body of an unproved one cannot be reached: the
//! only way to it is [`RawWebhook::prove`], and only `provider/` calls that.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AsHeaderName;
use http::{HeaderMap, Method};

use super::tls::Fingerprint;
use crate::clock::Timestamp;
use crate::config::Connection;

/// What surrounds a webhook's body: everything that may be looked at before it is proved.
#[derive(Debug)]
pub struct Envelope {
    /// The connection its URL names, when there is one of that name.
    pub connection: Option<Arc<Connection>>,
    /// `GET` or `POST`.
    pub method: Method,
    /// Path and query exactly as on the request line, never re-serialised.
    pub target: String,
    /// The path's last segment, when the URL has one after the connection: percent-encoded as it came.
    pub path_secret: Option<String>,
    /// Headers.
    pub headers: HeaderMap,
    /// Who connected, or what a trusted proxy says of them.
    pub remote: IpAddr,
    /// The certificate whose key its sender has shown to hold, where Sounder ends TLS.
    pub client_certificate: Option<Fingerprint>,
    /// When the last byte was read.
    pub received_at: Timestamp,
}

/// How much the receiver has to do when it has read a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// No more than it is meant to.
    Bearable,
    /// `in_flight_max` webhooks are being worked on: only what cannot wait is to be taken.
    Overload,
}

/// One HTTP request a provider pushed, read whole and not yet believed.
#[derive(Debug)]
pub struct RawWebhook {
    envelope: Envelope,
    body: Bytes,
    load: Load,
}

impl Deref for RawWebhook {
    type Target = Envelope;

    fn deref(&self) -> &Envelope {
        &self.envelope
    }
}

impl Envelope {
    /// The query as it came, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// A header's value when it stands there exactly once.
    pub fn only_header(&self, name: impl AsHeaderName) -> Option<&[u8]> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        values.next().is_none().then(|| value.as_bytes())
    }
}

impl RawWebhook {
    /// Puts a request together with its body.
    pub const fn new(envelope: Envelope, body: Bytes) -> Self {
        Self { envelope, body, load: Load::Bearable }
    }

    /// The same, read while there was so much to do.
    #[must_use]
    pub fn under(self, load: Load) -> Self {
        Self { load, ..self }
    }

    /// Shows the body to `check`; a webhook that passes becomes [`Verified`].
    ///
    /// # Errors
    /// Whatever `check` objects.
    pub fn prove<E>(
        mut self,
        check: impl FnOnce(&Self, &Connection, &[u8]) -> Result<(), E>,
        unknown: impl FnOnce(&Self, &[u8]) -> E,
    ) -> Result<Verified, E> {
        match self.envelope.connection.take() {
            Some(connection) => {
                check(&self, &connection, &self.body)?;
                Ok(Verified { connection, raw: self })
            }
            None => Err(unknown(&self, &self.body)),
        }
    }
}

/// A webhook whose sender is proved. Only this hands out the body.
#[derive(Debug)]
pub struct Verified {
    connection: Arc<Connection>,
    raw: RawWebhook,
}

impl Verified {
    /// The connection whose secrets it was proved with.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The same, of a webhook that has been read and is needed no more.
    pub fn into_connection(self) -> Arc<Connection> {
        self.connection
    }

    /// `GET` or `POST`.
    pub fn method(&self) -> &Method {
        &self.raw.method
    }

    /// The query as it came, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.raw.query()
    }

    /// A header's value as text, the first one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.raw.headers.get(name)?.to_str().ok()
    }

    /// The body's bytes.
    pub fn body(&self) -> &Bytes {
        &self.raw.body
    }

    /// How much there was to do when it had been read.
    pub const fn load(&self) -> Load {
        self.raw.load
    }

    /// When the last byte was read.
    pub fn received_at(&self) -> Timestamp {
        self.raw.received_at
    }
}
