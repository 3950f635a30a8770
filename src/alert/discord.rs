//! A message → Discord's answer, sorted into what it means for the one who asks.
//!
//! The webhook's URL is a secret: no error, log or span carries any of it.

use std::future::Future;
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use serenity::http::{LightMethod, Request, Route};
use serenity::model::id::{MessageId, WebhookId};

use super::incident::Posted;
use crate::config::{self, Secret};

/// A request that has not been answered by then is lost.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Of an answer, in bytes: a message of ours is a tenth of it.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Longest wait Discord can ask for.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(3600);
/// “Maximum number of edits to messages older than 1 hour reached.”
const TOO_OLD_TO_EDIT: u64 = 30046;
/// “Unknown message”: somebody deleted the card.
const UNKNOWN_MESSAGE: u64 = 10008;
/// “Unknown webhook”, “invalid webhook token”: neither ever comes back, and Discord bans those who
/// keep calling.
const UNKNOWN_WEBHOOK: [u64; 2] = [10015, 50027];

/// What is asked of Discord.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Post a message.
    Post(Value),
    /// Replace the message with this id.
    Edit(String, Value),
}

/// What Discord's answer means.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is done; nothing more may be asked for this long.
    Done(Posted, Duration),
    /// 429: nothing may be asked for this long.
    Limited(Duration),
    /// 400: it will never take this body.
    Refused,
    /// The message to edit is gone, or too old to be edited.
    Gone,
    /// 401, 403, 404: it takes nothing from here, until somebody changes that.
    Broken(u16),
    /// The same, for good: the webhook is deleted.
    Deleted(u16),
    /// It failed, and says so: nothing was done.
    Failed(u16),
    /// The request never left.
    Unsent,
    /// The request left and nobody knows what became of it.
    Lost,
}

impl Answer {
    /// The `code` of `discord_requests_total`.
    pub fn code(&self) -> String {
        match self {
            Self::Done(..) => "200".into(),
            Self::Limited(_) => "429".into(),
            Self::Refused => "400".into(),
            Self::Gone => "gone".into(),
            Self::Broken(code) | Self::Deleted(code) | Self::Failed(code) => code.to_string(),
            Self::Unsent => "unsent".into(),
            Self::Lost => "lost".into(),
        }
    }
}

/// Takes calls to Discord, one at a time.
pub trait Transport: Send + Sync {
    /// Asks, and says what the answer means.
    fn send(&self, call: &Call) -> impl Future<Output = Answer> + Send;
}

/// Why Discord cannot be used as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The URL is not `…/webhooks/{id}/{token}`.
    #[error("alert.discord.webhook_url is no Discord webhook; copy it from the channel's settings")]
    NotAWebhook,
    /// The HTTP client could not be made.
    #[error("failed to prepare the HTTP client for Discord; check the machine's certificates")]
    NoClient,
}

/// A Discord webhook.
#[derive(Debug)]
pub struct Discord {
    client: reqwest::Client,
    base: String,
    webhook: WebhookId,
    token: Secret,
    deadline: Duration,
}

impl Discord {
    /// Prepares what is configured; asks nothing yet.
    ///
    /// # Errors
    /// When the URL is no webhook's, or no HTTP client can be made.
    pub fn new(settings: &config::Discord) -> Result<Self, Unfit> {
        let (webhook, token) = parts(settings.webhook_url.expose()).ok_or(Unfit::NotAWebhook)?;
        // serenity's routes begin with /api, which the configured address may end with.
        let base = settings.api_url.trim_end_matches('/');
        let base = base.strip_suffix("/api").unwrap_or(base).to_owned();
        // A redirect would carry the secret path elsewhere.
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let client = if is_loopback(&base) { client.no_proxy() } else { client };
        let client = client.build().map_err(|_| Unfit::NoClient)?;
        Ok(Self { client, base, webhook, token: Secret::new(token), deadline: ANSWER_DEADLINE })
    }

    /// Whether Discord knows this webhook; posts nothing.
    ///
    /// # Errors
    /// The sentence that says what is wrong and what to do.
    pub async fn probe(&self) -> Result<(), String> {
        let token = self.token.expose();
        let route = Route::WebhookWithToken { webhook_id: self.webhook, token };
        let quiet = tracing::subscriber::NoSubscriber::default();
        let request = tracing::subscriber::with_default(quiet, || {
            Request::new(route, LightMethod::Get).build(&self.client, "", Some(&self.base))
        });
        let Ok(request) = request else { return Err("the webhook's URL cannot be asked".into()) };
        match tokio::time::timeout(self.deadline, self.ask(request)).await.unwrap_or(Answer::Lost) {
            Answer::Done(..) | Answer::Limited(_) => Ok(()),
            Answer::Broken(code) | Answer::Deleted(code) => Err(format!(
                "Discord answers {code}: the webhook is gone; make a new one in the channel's settings"
            )),
            Answer::Failed(code) => Err(format!("Discord answers {code}; try again later")),
            Answer::Refused | Answer::Gone => Err("Discord does not understand the question".into()),
            Answer::Unsent | Answer::Lost => {
                Err("Discord does not answer; check the network and alert.discord.api_url".into())
            }
        }
    }

    fn request(&self, call: &Call) -> Option<reqwest::RequestBuilder> {
        let token = self.token.expose();
        let (route, method, body) = match call {
            Call::Post(body) => {
                (Route::WebhookWithToken { webhook_id: self.webhook, token }, LightMethod::Post, body)
            }
            Call::Edit(message, body) => {
                let message_id = message.parse().ok().filter(|id: &u64| *id > 0).map(MessageId::new)?;
                let route = Route::WebhookMessage { webhook_id: self.webhook, token, message_id };
                (route, LightMethod::Patch, body)
            }
        };
        let mut request = Request::new(route, method).body(serde_json::to_vec(body).ok());
        if matches!(call, Call::Post(_)) {
            // Without it Discord answers nothing, and the message's id is lost.
            request = request.params(Some(vec![("wait", "true".into())]));
        }
        // `build` opens a span that shows the route, and with it the webhook's token.
        let quiet = tracing::subscriber::NoSubscriber::default();
        tracing::subscriber::with_default(quiet, || request.build(&self.client, "", Some(&self.base))).ok()
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Answer {
        let mut response = match request.send().await {
            Ok(response) => response,
            // A connection that was never made carried nothing.
            Err(error) if error.is_connect() || error.is_builder() => return Answer::Unsent,
            Err(_) => return Answer::Lost,
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => body.extend(chunk),
                Ok(None) => break,
                // The head has arrived, but without the body the message's id is not known.
                Ok(Some(_)) | Err(_) => {
                    return if status < 300 { Answer::Lost } else { sort(status, &headers, b"") };
                }
            }
        }
        sort(status, &headers, &body)
    }
}

impl Transport for Discord {
    async fn send(&self, call: &Call) -> Answer {
        let Some(request) = self.request(call) else {
            // An id that is none of Discord's: there is no such message.
            return Answer::Gone;
        };
        tokio::time::timeout(self.deadline, self.ask(request)).await.unwrap_or(Answer::Lost)
    }
}

/// What of Discord's JSON matters.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    id: Option<String>,
    channel_id: Option<String>,
    code: u64,
    retry_after: Option<f64>,
}

/// Sorts an answer, once and for all callers.
fn sort(status: u16, headers: &HeaderMap, body: &[u8]) -> Answer {
    let said: Said = serde_json::from_slice(body).unwrap_or_default();
    match status {
        _ if status >= 400 && [TOO_OLD_TO_EDIT, UNKNOWN_MESSAGE].contains(&said.code) => Answer::Gone,
        200..=299 => match said.id {
            Some(message) => {
                let posted = Posted { message, channel: said.channel_id };
                Answer::Done(posted, exhausted(headers).unwrap_or_default())
            }
            None => Answer::Lost,
        },
        // The body's value has fractions, the header's none; a proxy's answer has the header only.
        429 => Answer::Limited(
            said.retry_after
                .and_then(seconds)
                .or_else(|| number(headers, "retry-after"))
                .unwrap_or(Duration::from_secs(5)),
        ),
        401 | 403 | 404 if UNKNOWN_WEBHOOK.contains(&said.code) => Answer::Deleted(status),
        401 | 403 | 404 => Answer::Broken(status),
        400 | 405..=428 => Answer::Refused,
        _ => Answer::Failed(status),
    }
}

/// How long the route is used up for, when this was its last request.
fn exhausted(headers: &HeaderMap) -> Option<Duration> {
    let left = headers.get("x-ratelimit-remaining")?.to_str().ok()?;
    (left.trim() == "0").then(|| number(headers, "x-ratelimit-reset-after")).flatten()
}

fn number(headers: &HeaderMap, name: &str) -> Option<Duration> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok().and_then(seconds)
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(RETRY_WAIT_MAX))
}

/// The id and the token of a webhook's URL.
fn parts(url: &str) -> Option<(WebhookId, String)> {
    let (_, tail) = url.split_once("/webhooks/")?;
    let tail = tail.split(['?', '#']).next()?;
    let (id, token) = tail.split_once('/')?;
    let token = token.trim_end_matches('/');
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let id: u64 = id.parse().ok().filter(|id| *id > 0)?;
    (!token.is_empty() && token.chars().all(safe)).then(|| (WebhookId::new(id), token.to_owned()))
}

fn is_loopback(base: &str) -> bool {
    let host = base.split_once("://").map_or(base, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"].iter().any(|loopback| host.starts_with(loopback))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use hyper::body::Incoming;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::*;

    const URL: &str = "https://discord.com/api/webhooks/42/se-cr_et";

    /// Status, headers and body.
    type Told = (u16, Vec<(&'static str, &'static str)>, &'static str);
    type Seen = Arc<Mutex<Vec<(String, Value)>>>;

    /// A stand-in for Discord that gives one answer; none hangs.
    async fn stand_in(answer: Option<Told>) -> (String, Seen) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/api", listener.local_addr().unwrap());
        let seen = Seen::default();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, log) = (answer.clone(), Arc::clone(&log));
                let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
                    let (answer, log) = (answer.clone(), Arc::clone(&log));
                    async move {
                        let line = format!("{} {}", request.method(), request.uri());
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        log.lock().unwrap().push((line, serde_json::from_slice(&body).unwrap()));
                        let Some((status, headers, body)) = answer else {
                            return std::future::pending().await;
                        };
                        let mut response = http::Response::builder().status(status);
                        for (name, value) in headers {
                            response = response.header(name, value);
                        }
                        Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
                    }
                });
                let io = TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
            }
        });
        (address, seen)
    }

    fn discord(api_url: &str) -> Discord {
        let webhook_url = Secret::new(URL.into());
        Discord::new(&config::Discord { webhook_url, api_url: api_url.into(), roles: Default::default() })
            .unwrap()
    }

    fn hello() -> Value {
        serde_json::json!({"content": "hello"})
    }

    #[tokio::test]
    async fn a_post_waits_for_its_message_and_an_edit_names_it() {
        let body = r#"{"id":"77","channel_id":"5","content":"hello"}"#;
        let headers = vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "1.5")];
        let (address, seen) = stand_in(Some((200, headers, body))).await;
        let discord = discord(&address);
        let posted = Posted { message: "77".into(), channel: Some("5".into()) };
        let done = Answer::Done(posted, Duration::from_millis(1500));
        assert_eq!(discord.send(&Call::Post(hello())).await, done);
        assert_eq!(discord.send(&Call::Edit("77".into(), hello())).await, done);
        let seen = seen.lock().unwrap().clone();
        let lines: Vec<_> = seen.iter().map(|(line, _)| line.replace("?&", "?")).collect();
        assert_eq!(
            lines,
            [
                "POST /api/v10/webhooks/42/se-cr_et?wait=true",
                "PATCH /api/v10/webhooks/42/se-cr_et/messages/77"
            ]
        );
        assert_eq!(seen[0].1, hello());
    }

    #[tokio::test]
    async fn a_hanging_discord_is_a_lost_answer_and_a_closed_port_is_none() {
        let (address, _) = stand_in(None).await;
        let hasty = Discord { deadline: Duration::from_millis(50), ..discord(&address) };
        assert_eq!(hasty.send(&Call::Post(hello())).await, Answer::Lost);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert_eq!(discord(&closed).send(&Call::Post(hello())).await, Answer::Unsent);
    }

    #[test]
    fn every_answer_is_sorted() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect::<HeaderMap>()
        };
        let limited = |millis| Answer::Limited(Duration::from_millis(millis));
        let after = [("retry-after", "7")];
        for (status, pairs, body, expected) in [
            (429, &after[..], r#"{"message":"slow","retry_after":6.457,"global":true}"#, limited(6457)),
            (429, &after[..], "<html>", limited(7000)),
            (429, &[], "", limited(5000)),
            (429, &[], r#"{"retry_after":1e9}"#, limited(3_600_000)),
            (429, &[], r#"{"retry_after":-1}"#, limited(5000)),
            (429, &[], r#"{"code":30046,"message":"too old"}"#, Answer::Gone),
            (404, &[], r#"{"code":10008}"#, Answer::Gone),
            (404, &[], r#"{"code":10015}"#, Answer::Deleted(404)),
            (401, &[], r#"{"code":50027}"#, Answer::Deleted(401)),
            (404, &[], "<html>", Answer::Broken(404)),
            (401, &[], "", Answer::Broken(401)),
            (403, &[], "{}", Answer::Broken(403)),
            (400, &[], r#"{"code":50035}"#, Answer::Refused),
            (413, &[], "", Answer::Refused),
            (500, &[], "", Answer::Failed(500)),
            (502, &[], "<html>", Answer::Failed(502)),
            (302, &[], "", Answer::Failed(302)),
            (200, &[], "", Answer::Lost),
            (204, &[], "", Answer::Lost),
        ] {
            assert_eq!(sort(status, &headers(pairs), body.as_bytes()), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_webhook_url_is_read_and_never_shown() {
        for (url, id) in [
            (URL, Some(42)),
            ("http://127.0.0.1:1/api/v10/webhooks/42/t?wait=true", Some(42)),
            ("https://discord.com/api/webhooks/42", None),
            ("https://discord.com/api/webhooks/0/t", None),
            ("https://discord.com/api/webhooks/x/t", None),
            ("https://discord.com/api/webhooks/42/a/b", None),
            ("https://example.org/", None),
        ] {
            assert_eq!(parts(url).map(|(id, _)| id.get()), id, "{url}");
        }
        let shown = format!("{:?} {}", discord("https://discord.com/api"), Unfit::NotAWebhook);
        assert!(!shown.contains("se-cr_et"), "{shown}");
    }
}
