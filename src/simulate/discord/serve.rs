//! The stand-in's HTTP: Discord's webhook routes, and its faults. Requests go in, the API's answers
//! come out.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Channel, Fault, Version};

/// Largest body taken, in bytes.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Connections open at most.
const CONNECTIONS_MAX: usize = 256;

type Answer = Response<Full<Bytes>>;

/// The connection is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped on purpose")]
struct Dropped;

/// Takes connections until the task is aborted.
pub(super) async fn serve(listener: TcpListener, channel: Arc<Channel>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if connections.len() < CONNECTIONS_MAX {
            connections.spawn(connection(stream, Arc::clone(&channel)));
        }
    }
}

async fn connection(stream: TcpStream, channel: Arc<Channel>) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| {
        let channel = Arc::clone(&channel);
        async move { answer(request, &channel).await }
    });
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
}

async fn answer(request: Request<Incoming>, channel: &Channel) -> Result<Answer, Dropped> {
    match channel.next_fault() {
        None => Ok(work(request, channel).await),
        Some(Fault::TooManyRequests(after)) => Ok(too_many(after)),
        Some(Fault::ServerError) => {
            Ok(status(StatusCode::INTERNAL_SERVER_ERROR, 0, "500: Internal Server Error"))
        }
        Some(Fault::NotFound) => Ok(status(StatusCode::NOT_FOUND, 10015, "Unknown Webhook")),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Drop) => Err(Dropped),
        Some(Fault::LoseAnswer) => {
            work(request, channel).await;
            Err(Dropped)
        }
    }
}

/// Does what is asked for.
async fn work(request: Request<Incoming>, channel: &Channel) -> Answer {
    let path = request.uri().path().to_owned();
    let wait = request.uri().query().is_some_and(|query| query.contains("wait=true"));
    let Some(target) = target(&path) else {
        return status(StatusCode::NOT_FOUND, 0, "404: Not Found");
    };
    let method = request.method().clone();
    match (method, target) {
        (Method::GET, Target::Webhook) => ok(&webhook()),
        (Method::GET, Target::Message(id)) => found(channel.find(id)),
        (Method::POST, Target::Webhook) => match version(request, channel).await {
            Ok(version) => {
                let message = channel.post(version);
                if wait { ok(&message.api()) } else { empty(StatusCode::NO_CONTENT) }
            }
            Err(why) => status(StatusCode::BAD_REQUEST, 50109, why),
        },
        (Method::PATCH, Target::Message(id)) => match version(request, channel).await {
            Ok(version) => found(channel.edit(id, version)),
            Err(why) => status(StatusCode::BAD_REQUEST, 50109, why),
        },
        _ => status(StatusCode::METHOD_NOT_ALLOWED, 0, "405: Method Not Allowed"),
    }
}

enum Target<'a> {
    Webhook,
    Message(&'a str),
}

/// What `/api[/v10]/webhooks/{id}/{token}[/messages/{id}]` is about.
fn target(path: &str) -> Option<Target<'_>> {
    let mut segments = path.trim_matches('/').split('/').peekable();
    segments.next_if_eq(&"api")?;
    segments.next_if(|segment| segment.strip_prefix('v').is_some_and(|v| v.parse::<u8>().is_ok()));
    let rest: Vec<&str> = segments.collect();
    match rest.as_slice() {
        ["webhooks", _id, _token] => Some(Target::Webhook),
        ["webhooks", _id, _token, "messages", id] => Some(Target::Message(id)),
        _ => None,
    }
}

/// What a request wants a message to say.
async fn version(request: Request<Incoming>, channel: &Channel) -> Result<Version, &'static str> {
    let (head, body) = request.into_parts();
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = content_type.and_then(boundary).map(str::to_owned);
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let bytes = body.map_err(|_oversize| "Request entity too large")?.to_bytes();
    let (payload, files) = match boundary {
        Some(boundary) => multipart(&bytes, &boundary).ok_or("The form holds no payload_json")?,
        None => (bytes, Vec::new()),
    };
    let body: Map<String, Value> =
        serde_json::from_slice(&payload).map_err(|_invalid| "The request body contains invalid JSON.")?;
    Ok(Version { at: channel.clock.now(), body, files })
}

fn boundary(content_type: &str) -> Option<&str> {
    let (_, boundary) = content_type.strip_prefix("multipart/form-data")?.split_once("boundary=")?;
    Some(boundary.trim_matches('"'))
}

/// The `payload_json` of a form and the names of its files (RFC 7578).
fn multipart(bytes: &Bytes, boundary: &str) -> Option<(Bytes, Vec<String>)> {
    let delimiter = format!("--{boundary}");
    let mut payload = None;
    let mut files = Vec::new();
    let mut rest = 0;
    while let Some(start) = find(&bytes[rest..], delimiter.as_bytes()) {
        let part = rest + start + delimiter.len();
        let end = find(&bytes[part..], delimiter.as_bytes()).map_or(bytes.len(), |end| part + end);
        if let Some(head) = find(&bytes[part..end], b"\r\n\r\n") {
            let headers = String::from_utf8_lossy(&bytes[part..part + head]).into_owned();
            if let Some(name) = quoted(&headers, "filename=\"") {
                files.push(name);
            } else if quoted(&headers, " name=\"").as_deref() == Some("payload_json") {
                let content = bytes.slice(part + head + 4..end);
                let length = content.strip_suffix(b"\r\n").map_or(content.len(), <[u8]>::len);
                payload = Some(content.slice(..length));
            }
        }
        rest = part;
    }
    payload.map(|payload| (payload, files))
}

fn quoted(headers: &str, before: &str) -> Option<String> {
    let (_, after) = headers.split_once(before)?;
    after.split_once('"').map(|(name, _)| name.to_owned())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn webhook() -> Value {
    json!({
        "id": "1100000000000000001", "type": 1, "token": "stand-in-token-stand-in-token", "name": "Sounder",
        "avatar": null, "channel_id": "1100000000000000002", "guild_id": "1100000000000000003", "application_id": null,
    })
}

fn found(message: Option<super::Message>) -> Answer {
    match message {
        Some(message) => ok(&message.api()),
        None => status(StatusCode::NOT_FOUND, 10008, "Unknown Message"),
    }
}

fn too_many(after: f64) -> Answer {
    let body = json!({"message": "You are being rate limited.", "retry_after": after, "global": false});
    let mut answer = answered(StatusCode::TOO_MANY_REQUESTS, &body);
    // The header holds whole seconds, rounded up, unlike the body.
    if let Ok(seconds) = header::HeaderValue::from_str(&format!("{:.0}", after.ceil())) {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    answer
}

fn status(status: StatusCode, code: u32, message: &str) -> Answer {
    answered(status, &json!({"code": code, "message": message}))
}

fn ok(body: &Value) -> Answer {
    answered(StatusCode::OK, body)
}

fn answered(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer
}
