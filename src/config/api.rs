//! How an account uses its provider's API: for `check --online`, and whoever sends a test message.

use super::Secret;
use super::section::Section;
use super::value::{long_secret, secret, text, url};
use crate::event::Provider;

/// A provider's API, and the account that uses it.
#[derive(Clone, Debug)]
pub struct Api {
    /// Where it is, without a trailing slash.
    pub url: String,
    /// Who uses it.
    pub credentials: Credentials,
}

/// What an API knows an account by.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the providers' own names")]
pub enum Credentials {
    Twilio { account_sid: String, auth_token: Secret },
    Infobip { api_key: Secret },
    Cm { product_token: Secret },
    Lime { user: String, api_id: Secret },
}

/// Where a provider's API is unless `api_url` says otherwise.
const fn default_url(provider: Provider) -> &'static str {
    match provider {
        Provider::Twilio => "https://api.twilio.com",
        Provider::Infobip => "https://api.infobip.com",
        Provider::Cm => "https://gw.messaging.cm.com",
        Provider::Lime => "https://mcpn.us",
    }
}

/// The keys of a provider's credentials.
const fn keys(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Twilio => &["account_sid"],
        Provider::Infobip => &["api_key"],
        Provider::Cm => &["product_token"],
        Provider::Lime => &["user", "api_id"],
    }
}

/// Every key of any provider's.
const KEYS: [&str; 5] = ["account_sid", "api_key", "product_token", "user", "api_id"];

pub(super) fn read(table: &mut Section<'_>, whose: Option<Provider>, auth_tokens: &[Secret]) -> Option<Api> {
    let written: Vec<&str> = KEYS.into_iter().filter(|key| table.is_written(key)).collect();
    let account_sid = table.get("account_sid", text);
    let api_key = table.get("api_key", long_secret);
    let product_token = table.get("product_token", long_secret);
    let (user, api_id) = (table.get("user", text), table.get("api_id", secret));
    let own_url = table.get("api_url", url);
    let provider = whose?;
    for foreign in written.iter().filter(|key| !keys(provider).contains(key)) {
        let remedy = format!("remove it; {provider}'s API takes {}", keys(provider).join(" and "));
        table.wrong(foreign, &format!("is nothing {provider}'s API asks for"), &remedy);
    }
    if written.is_empty() && own_url.is_some() {
        let remedy = format!("add {}, or remove it", keys(provider).join(" and "));
        table.wrong("api_url", "says where an API is that nobody has credentials for", &remedy);
    }
    if provider == Provider::Twilio && account_sid.is_some() && auth_tokens.is_empty() {
        table.wrong("account_sid", "needs an auth token beside it", "add auth_tokens");
    }
    if provider == Provider::Lime && user.is_some() != api_id.is_some() {
        let there = if user.is_some() { "user" } else { "api_id" };
        table.wrong(there, "is one of two: Lime's API asks for user and api_id", "add the other");
    }
    let credentials = match provider {
        Provider::Twilio => {
            Credentials::Twilio { account_sid: account_sid?, auth_token: auth_tokens.first()?.clone() }
        }
        Provider::Infobip => Credentials::Infobip { api_key: api_key? },
        Provider::Cm => Credentials::Cm { product_token: product_token? },
        Provider::Lime => Credentials::Lime { user: user?, api_id: api_id? },
    };
    Some(Api { url: own_url.unwrap_or_else(|| default_url(provider).to_owned()), credentials })
}
