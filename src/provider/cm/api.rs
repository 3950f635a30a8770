//! CM's API: a message, and a request that sends none. In: a product token. Out: requests, and what
//! their answers mean. CM documents no free request to test a token with: an empty list of messages
//! is told apart by its error code.

use http::Method;
use serde_json::{Value, json};

use crate::config::Secret;
use crate::provider::api::{Call, Finding, JSON, TestMessage, header};

fn post(url: &str, product_token: &Secret, messages: &Value) -> Call {
    let authentication = json!({ "productToken": product_token.expose() });
    Call {
        method: Method::POST,
        url: format!("{url}/v1.0/message"),
        headers: vec![header(JSON)],
        body: json!({ "messages": { "authentication": authentication, "msg": messages } }).to_string(),
    }
}

/// `POST /v1.0/message` without a message.
pub fn probe(url: &str, product_token: &Secret) -> Call {
    post(url, product_token, &json!([]))
}

/// 101 and 103 are a wrong token; what CM says of the empty list means that it is right.
pub fn read_probe(status: u16, body: &str) -> Finding {
    match (status, error_code(body)) {
        (_, Some(101 | 103)) | (401, _) => Finding::WrongCredentials,
        (_, Some(102)) => Finding::Inactive("its balance does not cover a message".to_owned()),
        (200 | 400, Some(0 | 201..=305)) => Finding::Works(String::new()),
        _ => Finding::Unexpected(status),
    }
}

/// `POST /v1.0/message`.
pub fn test_message(url: &str, product_token: &Secret, message: &TestMessage<'_>) -> Call {
    let number = message.to.trim_start_matches('+');
    let one = json!({
        "from": message.from,
        "to": [{ "number": format!("00{number}") }],
        "body": { "type": "auto", "content": message.text },
        "reference": message.reference,
        "allowedChannels": ["SMS"],
    });
    post(url, product_token, &json!([one]))
}

/// CM's receipts carry the reference that was given.
pub fn read_sent(status: u16, body: &str, reference: &str) -> Finding {
    match (status, error_code(body)) {
        (200, Some(0)) => Finding::Sent(reference.to_owned()),
        (_, Some(101 | 103)) | (401, _) => Finding::WrongCredentials,
        (_, Some(102)) => Finding::Inactive("its balance does not cover a message".to_owned()),
        (_, Some(401)) => Finding::Inactive("CM filtered the message as spam".to_owned()),
        (_, Some(402)) => Finding::Inactive("the recipient is on a blacklist".to_owned()),
        (_, Some(code)) => Finding::Inactive(format!("CM refused the message with error {code}")),
        _ => Finding::Unexpected(status),
    }
}

fn error_code(body: &str) -> Option<u64> {
    serde_json::from_str::<Value>(body).ok()?.get("errorCode")?.as_u64()
}
