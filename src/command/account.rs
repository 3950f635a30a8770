//! Asks providers' APIs about accounts. In: an account. Out: a sentence, never an answer's own
//! text, nor a URL: either may hold credentials.

use std::time::Duration;

use reqwest::redirect::Policy;

use crate::config::Api;
use crate::provider::api::{self, Call, Finding};

/// The longest anybody waits for an answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// Whether the account works.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub async fn probe(account: &Api) -> Result<String, String> {
    let (status, body) = ask(api::probe(account)).await?;
    api::read_probe(account, status, &body).sentence()
}

/// Sends a message, and says under which id.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub async fn send(account: &Api, message: &api::TestMessage<'_>) -> Result<Finding, String> {
    let (status, body) = ask(api::test_message(account, message)).await?;
    let finding = api::read_sent(account, (status, &body), message);
    finding.sentence().map(|_| finding)
}

async fn ask(call: Call) -> Result<(u16, String), String> {
    // A redirection would carry credentials to whoever is named.
    let client = reqwest::Client::builder().timeout(ANSWER_WAIT_MAX).redirect(Policy::none()).build();
    let client = client.map_err(|error| format!("failed to set up HTTP: {}", error.without_url()))?;
    let mut request = client.request(call.method, call.url).body(call.body);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let unreachable = |error: reqwest::Error| {
        format!("does not answer ({}): is api_url right, and the network open?", error.without_url())
    };
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await.map_err(unreachable)?))
}
