//! What a webhook is answered. Status, metric label and whose fault it is are three tables over one enum.

use std::time::Duration;

/// How a webhook ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything it said is durable; see [`Answer::accepted`].
    Accepted(Acceptance),
    /// Not proved, or for nobody we know.
    Unauthorized,
    /// No such path.
    NotFound,
    /// Neither GET nor POST.
    MethodNotAllowed,
    /// Slow headers or body.
    TimedOut,
    /// Body over `body_bytes_max`.
    TooLarge,
    /// A body in a content encoding: no provider sends one, and a small one may unpack to anything.
    EncodedBody,
    /// The request cannot be read as HTTP promises (a body that breaks off, say).
    BadRequest,
    /// The connection's own rate limit.
    RateLimited,
    /// Not durable in time, or no room; the provider should try again.
    Unavailable(Unavailable),
}

/// Why a webhook could not be taken just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The stream did not acknowledge in time.
    NotDurable,
    /// `in_flight_max` requests are being worked on.
    Overloaded,
    /// The daemon is stopping.
    Draining,
    /// The connection's secrets could not be read.
    SecretsUnreadable,
}

/// The 2xx. It can only be made from a proof that the webhook's events are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptance(Reply);

impl Acceptance {
    /// The reply its provider needs.
    pub const fn reply(self) -> Reply {
        self.0
    }
}

/// Proof that events are durable. `publish::Durable` alone implements it.
pub trait DurableProof {}

/// The body of a 2xx, as the provider needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 200 with an empty body.
    Ok,
    /// 204.
    NoContent,
    /// 200 `text/xml` `<Response/>`: an empty TwiML document.
    EmptyTwiml,
}

impl Answer {
    /// The 2xx, for which the proof is the price.
    pub fn accepted(reply: Reply, _proof: &impl DurableProof) -> Self {
        Self::Accepted(Acceptance(reply))
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Accepted(Acceptance(Reply::Ok | Reply::EmptyTwiml)) => 200,
            Self::Accepted(Acceptance(Reply::NoContent)) => 204,
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TimedOut => 408,
            Self::TooLarge => 413,
            Self::EncodedBody => 415,
            Self::RateLimited => 429,
            Self::Unavailable(_) => 503,
        }
    }

    /// The ledger's and the metrics' name for it.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::EncodedBody => "encoded_body",
            Self::BadRequest => "client_gone",
            Self::RateLimited => "rate_limited",
            Self::Unavailable(Unavailable::NotDurable) => "not_durable",
            Self::Unavailable(Unavailable::Overloaded) => "overloaded",
            Self::Unavailable(Unavailable::Draining) => "draining",
            Self::Unavailable(Unavailable::SecretsUnreadable) => "secrets_unreadable",
        }
    }

    /// Whose doing it is: the line of the account it is booked on.
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Accepted(_) => Verdict::Accepted,
            Self::Unauthorized | Self::NotFound | Self::MethodNotAllowed | Self::EncodedBody => {
                Verdict::Rejected
            }
            Self::TimedOut | Self::TooLarge | Self::BadRequest | Self::RateLimited | Self::Unavailable(_) => {
                Verdict::Refused
            }
        }
    }

    /// When to come back.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited => Some(Duration::from_secs(1)),
            Self::Unavailable(_) => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

/// The line of the account an answer is booked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Taken; durable.
    Accepted,
    /// Not for us.
    Rejected,
    /// For us, but not taken.
    Refused,
}
