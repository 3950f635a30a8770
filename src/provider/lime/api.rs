//! Lime's API: its lists, a message. In: a user and an API id. Out: requests, and what their answers
//! mean. Credentials travel in the query where Lime takes them nowhere else: no URL is ever shown.

use http::Method;
use serde_json::{Value, json};

use crate::config::Secret;
use crate::provider::api::{Call, Finding, JSON, TestMessage, form, header};

/// `GET /limeApi?ev=optInLists`: it reads, and costs nothing.
pub fn probe(url: &str, user: &str, api_id: &Secret) -> Call {
    let query = form(&[("ev", "optInLists"), ("all", "true"), ("user", user), ("api_id", api_id.expose())]);
    Call {
        method: Method::GET,
        url: format!("{url}/limeApi?{query}"),
        headers: Vec::new(),
        body: String::new(),
    }
}

/// 200 with the lists; 400, 403 or 500 with a text for wrong credentials.
pub fn read_probe(status: u16, body: &str) -> Finding {
    match status {
        200 if body.contains("<lists") => Finding::Works(String::new()),
        400 | 401 | 403 | 500 => Finding::WrongCredentials,
        status => Finding::Unexpected(status),
    }
}

/// `POST /sendsmsapi?format=json`.
pub fn test_message(url: &str, (user, api_id): (&str, &Secret), message: &TestMessage<'_>) -> Call {
    let mobile = message.to.trim_start_matches('+');
    let body =
        json!({ "user": user, "apiId": api_id.expose(), "message": message.text, "mobiles": [mobile] });
    Call {
        method: Method::POST,
        url: format!("{url}/sendsmsapi?format=json"),
        headers: vec![header(JSON)],
        body: body.to_string(),
    }
}

/// Lime answers no id. The key of its errors is misspelt in its documentation, so neither is read.
pub fn read_sent(status: u16, body: &str) -> Finding {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    match (status, answer["Status"].as_str(), answer["ErrorId"].as_str()) {
        (200, Some("OK"), _) => Finding::Sent("none".to_owned()),
        (_, Some("Error"), Some(id)) if id.len() <= 8 => {
            Finding::Inactive(format!("Lime refused the message with error {id}"))
        }
        (401 | 403, ..) => Finding::WrongCredentials,
        _ => Finding::Unexpected(status),
    }
}
