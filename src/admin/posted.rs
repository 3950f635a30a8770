//! What is posted to the API, read by itself. In: a body. Out: what it would make durable, or the
//! detail of the problem it would be answered with. The handlers read with the same functions; this is
//! for whoever throws bodies at them without a server.

use super::guard::Who;
use super::{feedback, incidents, sends, silences};
use crate::clock::Timestamp;
use crate::event::Event;
use crate::registry::Registry;

/// Where a body may be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// `POST /api/v1/sends`
    Sends,
    /// `POST /api/v1/feedback`
    Feedback,
    /// `POST /api/v1/silences`
    Silence,
    /// `POST /api/v1/incidents/{id}/ack`
    Acknowledgement,
}

impl Posted {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Sends, Self::Feedback, Self::Silence, Self::Acknowledgement];

    /// What the body makes: its events, or none where it makes a document of the observer's own.
    ///
    /// # Errors
    /// The problem's detail, as whoever posted it reads it.
    pub fn read(self, body: &[u8], registry: &Registry, now: Timestamp) -> Result<Vec<Event>, String> {
        let who = Who::local();
        let events = match self {
            Self::Sends => sends::told(registry, body, now),
            Self::Feedback => feedback::told(registry, body, now).map(|event| vec![event]),
            Self::Silence => silences::told(registry, body, &who, now).map(|_silence| Vec::new()),
            Self::Acknowledgement => incidents::told(body).map(|_by| Vec::new()),
        };
        events.map_err(|problem| problem.to_string())
    }
}
