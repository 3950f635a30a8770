//! Infobip's API: a balance, a message. In: an API key. Out: requests, and what their answers mean.

use http::Method;
use serde_json::{Value, json};

use crate::config::Secret;
use crate::provider::api::{Call, Finding, JSON, TestMessage, header};

fn app(api_key: &Secret) -> (&'static str, String) {
    ("authorization", format!("App {}", api_key.expose()))
}

/// `GET /account/1/balance`.
pub fn probe(url: &str, api_key: &Secret) -> Call {
    Call {
        method: Method::GET,
        url: format!("{url}/account/1/balance"),
        headers: vec![app(api_key)],
        body: String::new(),
    }
}

/// A key that may only send is told 403: it is right all the same.
pub fn read_probe(status: u16, body: &str) -> Finding {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    match (status, answer["balance"].as_f64(), answer["currency"].as_str()) {
        (200, Some(balance), Some(currency)) if balance <= 0.0 => {
            Finding::Inactive(format!("its balance is {balance} {currency}"))
        }
        (200, Some(balance), Some(currency)) => Finding::Works(format!("balance {balance} {currency}")),
        (401, ..) => Finding::WrongCredentials,
        (403, ..) => Finding::NoScope,
        _ => Finding::Unexpected(status),
    }
}

/// `POST /sms/3/messages`.
pub fn test_message(url: &str, api_key: &Secret, message: &TestMessage<'_>) -> Call {
    let body = json!({ "messages": [{
        "sender": message.from,
        "destinations": [{ "to": message.to.trim_start_matches('+') }],
        "content": { "text": message.text },
        "webhooks": { "delivery": { "url": message.callback }, "contentType": "application/json" },
    }] });
    Call {
        method: Method::POST,
        url: format!("{url}/sms/3/messages"),
        headers: vec![app(api_key), header(JSON)],
        body: body.to_string(),
    }
}

/// The message's id; a status of group 5 is a refusal.
pub fn read_sent(status: u16, body: &str) -> Finding {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let sent = &answer["messages"][0];
    match (status, sent["messageId"].as_str(), sent["status"]["groupId"].as_u64()) {
        (200, _, Some(5)) => {
            let code = format!("status:{}", sent["status"]["id"].as_u64().unwrap_or_default());
            let explained = super::codes::explain(&code).and_then(|explained| explained.failure);
            Finding::Inactive(explained.map_or_else(|| "Infobip rejected it".to_owned(), |why| why.text))
        }
        (200, Some(id), _) => Finding::Sent(id.to_owned()),
        (401, ..) => Finding::WrongCredentials,
        (403, ..) => Finding::NoScope,
        _ => Finding::Unexpected(status),
    }
}
