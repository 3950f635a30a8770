//! What can be asked of a provider's API. In: an account. Out: requests, and what their answers
//! mean. It sends nothing, and a request has no `Debug`: it holds credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use super::{cm, infobip, lime, twilio};
use crate::config::{Api, Credentials};

/// A request to a provider's API.
pub struct Call {
    /// `GET` or `POST`.
    pub method: Method,
    /// Where to, with its query.
    pub url: String,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body, empty for none.
    pub body: String,
}

/// What the answer to a [`probe`] or a [`test_message`] means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The account works, and what the answer says of it: its status, its balance.
    Works(String),
    /// The message is on its way, under this id.
    Sent(String),
    /// The credentials are wrong.
    WrongCredentials,
    /// The credentials are right and may not do this.
    NoScope,
    /// The account is there and may not send, and why.
    Inactive(String),
    /// An answer that is not documented, by its status.
    Unexpected(u16),
}

impl Finding {
    /// The sentence for a person, as good news or bad.
    ///
    /// # Errors
    /// The sentence, where somebody has to act.
    pub fn sentence(&self) -> Result<String, String> {
        match self {
            Self::Works(said) if said.is_empty() => Ok("the account works".to_owned()),
            Self::Works(said) => Ok(format!("the account works: {said}")),
            Self::Sent(id) => Ok(format!("the test message is on its way, its id is {id}")),
            Self::NoScope => Ok("the credentials are right, but may not read the balance".to_owned()),
            Self::WrongCredentials => {
                Err("the credentials are wrong: copy them from the provider's console again".to_owned())
            }
            Self::Inactive(why) => Err(format!("the account may not send: {why}; ask the provider")),
            Self::Unexpected(status) => {
                Err(format!("the answer {status} is not documented: is api_url right? try again later"))
            }
        }
    }
}

/// A test message.
#[derive(Clone, Debug)]
pub struct TestMessage<'m> {
    /// The sending number.
    pub from: &'m str,
    /// Who gets it, as E.164.
    pub to: &'m str,
    /// What it says.
    pub text: &'m str,
    /// Where its receipts go, where a provider takes that per message.
    pub callback: &'m str,
    /// What its receipts are to be known by, where the sender chooses that.
    pub reference: &'m str,
}

/// An authenticated request that costs and changes nothing.
pub fn probe(api: &Api) -> Call {
    match &api.credentials {
        Credentials::Twilio { account_sid, auth_token } => {
            twilio::api::probe(&api.url, account_sid, auth_token)
        }
        Credentials::Infobip { api_key } => infobip::api::probe(&api.url, api_key),
        Credentials::Cm { product_token } => cm::api::probe(&api.url, product_token),
        Credentials::Lime { user, api_id } => lime::api::probe(&api.url, user, api_id),
    }
}

/// What the answer to a [`probe`] means.
pub fn read_probe(api: &Api, status: u16, body: &str) -> Finding {
    match &api.credentials {
        Credentials::Twilio { .. } => twilio::api::read_probe(status, body),
        Credentials::Infobip { .. } => infobip::api::read_probe(status, body),
        Credentials::Cm { .. } => cm::api::read_probe(status, body),
        Credentials::Lime { .. } => lime::api::read_probe(status, body),
    }
}

/// The request that sends one message.
pub fn test_message(api: &Api, message: &TestMessage<'_>) -> Call {
    match &api.credentials {
        Credentials::Twilio { account_sid, auth_token } => {
            twilio::api::test_message(&api.url, (account_sid, auth_token), message)
        }
        Credentials::Infobip { api_key } => infobip::api::test_message(&api.url, api_key, message),
        Credentials::Cm { product_token } => cm::api::test_message(&api.url, product_token, message),
        Credentials::Lime { user, api_id } => lime::api::test_message(&api.url, (user, api_id), message),
    }
}

/// What the answer to a [`test_message`] means. Its id is what the receipts will carry.
pub fn read_sent(api: &Api, (status, body): (u16, &str), message: &TestMessage<'_>) -> Finding {
    match &api.credentials {
        Credentials::Twilio { .. } => twilio::api::read_sent(status, body),
        Credentials::Infobip { .. } => infobip::api::read_sent(status, body),
        Credentials::Cm { .. } => cm::api::read_sent(status, body, message.reference),
        Credentials::Lime { .. } => lime::api::read_sent(status, body),
    }
}

pub(super) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(super) const JSON: (&str, &str) = ("content-type", "application/json");

pub(super) fn header((name, value): (&'static str, &str)) -> (&'static str, String) {
    (name, value.to_owned())
}

pub(super) fn basic(user: &str, password: &str) -> (&'static str, String) {
    ("authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
