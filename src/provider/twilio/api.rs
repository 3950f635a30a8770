//! Twilio's API: an account, a message. In: an account. Out: requests, and what their answers mean.
//! The account's own answer holds its auth token, so no answer is ever quoted.

use http::Method;
use serde_json::Value;

use crate::config::Secret;
use crate::provider::api::{Call, FORM, Finding, TestMessage, basic, form, header};

/// `GET /2010-04-01/Accounts/{Sid}.json`.
pub fn probe(url: &str, account_sid: &str, auth_token: &Secret) -> Call {
    Call {
        method: Method::GET,
        url: format!("{url}/2010-04-01/Accounts/{account_sid}.json"),
        headers: vec![basic(account_sid, auth_token.expose())],
        body: String::new(),
    }
}

/// Active, suspended or closed.
pub fn read_probe(status: u16, body: &str) -> Finding {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    match (status, answer["status"].as_str()) {
        (200, Some("active")) => Finding::Works("active".to_owned()),
        (200, Some("suspended")) => Finding::Inactive("it is suspended".to_owned()),
        (200, Some("closed")) => Finding::Inactive("it is closed".to_owned()),
        (401, _) => Finding::WrongCredentials,
        (403, _) => Finding::NoScope,
        (status, _) => Finding::Unexpected(status),
    }
}

/// `POST /2010-04-01/Accounts/{Sid}/Messages.json`.
pub fn test_message(url: &str, (sid, token): (&str, &Secret), message: &TestMessage<'_>) -> Call {
    let TestMessage { from, to, text, callback, reference: _ } = message;
    Call {
        method: Method::POST,
        url: format!("{url}/2010-04-01/Accounts/{sid}/Messages.json"),
        headers: vec![basic(sid, token.expose()), header(FORM)],
        body: form(&[("To", to), ("From", from), ("Body", text), ("StatusCallback", callback)]),
    }
}

/// The message's SID, or the code of what was wrong.
pub fn read_sent(status: u16, body: &str) -> Finding {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    match (status, answer["sid"].as_str(), answer["code"].as_u64()) {
        (201, Some(sid), _) => Finding::Sent(sid.to_owned()),
        (401, ..) => Finding::WrongCredentials,
        (_, _, Some(code)) => Finding::Inactive(super::codes::failure(Some(&code.to_string()), None).text),
        _ => Finding::Unexpected(status),
    }
}
