//! A stand-in for Discord's webhooks: it takes what is posted and edited, keeps it with its history,
//! tells whoever listens, and fails in whatever way a test asks for. It must never keep more than
//! the last [`MESSAGES_MAX`] messages and [`EDITS_MAX`] edits of each.

mod frame;
mod message;
mod serve;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::clock::Clock;
pub use frame::{Colour, Shown, shown};
pub use message::{Message, Version};

/// Messages kept; older ones are forgotten.
pub const MESSAGES_MAX: usize = 200;
/// Versions kept of each message.
pub const EDITS_MAX: usize = 50;
/// Faults and news waiting at most.
const WAITING_MAX: usize = 1024;
/// The webhook's id and token.
const WEBHOOK: &str = "1100000000000000001/stand-in-token-stand-in-token";

/// A stand-in, serving until it is dropped.
pub struct Standin {
    address: SocketAddr,
    channel: Arc<Channel>,
    serving: JoinHandle<()>,
}

/// How a request goes wrong. Each fault takes one request, in the order they were asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// 429 with this `retry_after` in seconds.
    TooManyRequests(f64),
    /// 500.
    ServerError,
    /// 404 Unknown Webhook.
    NotFound,
    /// No answer, as long as the client waits.
    Hang,
    /// The connection ends before anything is done.
    Drop,
    /// The request is carried out and the connection ends without an answer.
    LoseAnswer,
}

/// What happened in the channel.
#[derive(Clone, Debug)]
pub struct News {
    /// Whether the message is new.
    pub kind: NewsKind,
    /// The message as it now is.
    pub message: Message,
}

/// What happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewsKind {
    /// It was posted.
    Posted,
    /// It was edited.
    Edited,
}

/// The one channel there is.
struct Channel {
    clock: Clock,
    news: broadcast::Sender<News>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    made: u64,
    faults: VecDeque<Fault>,
    requests: u64,
}

impl Standin {
    /// Starts one at `address`, port 0 for any, on the clock of the wall.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        Self::start_with(address, Clock::wall()).await
    }

    /// Starts one whose messages bear `clock`'s times.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start_with(address: SocketAddr, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let news = broadcast::Sender::new(WAITING_MAX);
        let channel = Arc::new(Channel { clock, news, state: Mutex::default() });
        let serving = tokio::spawn(serve::serve(listener, Arc::clone(&channel)));
        Ok(Self { address, channel, serving })
    }

    /// What to configure as `api_url`.
    pub fn api_url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// What to configure as `webhook_url`.
    pub fn webhook_url(&self) -> String {
        format!("{}/webhooks/{WEBHOOK}", self.api_url())
    }

    /// Everything posted or edited from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<News> {
        self.channel.news.subscribe()
    }

    /// Makes a coming request fail; the ones asked for first come first.
    pub fn fail_next(&self, fault: Fault) {
        let mut state = self.channel.state();
        if state.faults.len() < WAITING_MAX {
            state.faults.push_back(fault);
        }
    }

    /// Requests seen, failed ones included.
    pub fn requests(&self) -> u64 {
        self.channel.state().requests
    }

    /// The messages, oldest first.
    pub fn posted(&self) -> Vec<Message> {
        self.channel.state().messages.iter().cloned().collect()
    }

    /// The messages with their histories as JSON, newest first, for a page.
    pub fn messages(&self) -> serde_json::Value {
        self.channel.messages()
    }

    /// The same, for whoever outlives this value.
    pub fn reader(&self) -> impl Fn() -> serde_json::Value + Send + Sync + 'static {
        let channel = Arc::clone(&self.channel);
        move || channel.messages()
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Channel {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn messages(&self) -> serde_json::Value {
        self.state().messages.iter().rev().map(Message::with_history).collect()
    }

    /// Counts a request and says how it is to fail.
    fn next_fault(&self) -> Option<Fault> {
        let mut state = self.state();
        state.requests += 1;
        state.faults.pop_front()
    }

    fn post(&self, version: Version) -> Message {
        let mut state = self.state();
        state.made += 1;
        let message = Message::new(state.made, version);
        if state.messages.len() == MESSAGES_MAX {
            state.messages.pop_front();
        }
        state.messages.push_back(message.clone());
        drop(state);
        self.tell(NewsKind::Posted, message)
    }

    fn edit(&self, id: &str, version: Version) -> Option<Message> {
        let mut state = self.state();
        let message = state.messages.iter_mut().find(|message| message.id == id)?;
        message.edit(version);
        let message = message.clone();
        drop(state);
        Some(self.tell(NewsKind::Edited, message))
    }

    fn find(&self, id: &str) -> Option<Message> {
        self.state().messages.iter().find(|message| message.id == id).cloned()
    }

    fn tell(&self, kind: NewsKind, message: Message) -> Message {
        // That nobody listens is not a fault.
        let _listeners = self.news.send(News { kind, message: message.clone() });
        message
    }
}

#[cfg(test)]
mod tests;
