//! `url`: a connection in, out comes the URL to paste where its provider asks for one, whole, with
//! its path secret: that is what the command is for. No other command writes a secret out.

use super::{Failure, Global, output};
use crate::config::{Config, Connection, PrivacyKey, Secret};
use crate::event::Provider;

/// Arguments of `url`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The connection's id; every connection when left out
    pub connection: Option<String>,
}

/// What makes Twilio try a status callback again five times, on whatever went wrong: without it one
/// that fails is lost. A fragment is for Twilio alone and is not sent.
pub(super) const TWILIO_RETRIES: &str = "#rc=5&rp=all";

/// Prints URLs, and what to do with them.
///
/// # Errors
/// When the configuration is wrong or has no such connection.
pub fn run(args: Args, global: &Global) -> Result<(), Failure> {
    let config = global.load(PrivacyKey::LeaveAlone)?;
    let chosen = choose(&config, args.connection.as_deref()).map_err(Failure::Usage)?;
    if global.json {
        let described = chosen.iter().map(|connection| {
            serde_json::json!({
                "connection": connection.id.as_str(),
                "provider": connection.provider.name(),
                "urls": callbacks(connection),
            })
        });
        return output::json(&described.collect::<Vec<_>>());
    }
    let texts: Vec<String> = chosen.into_iter().map(describe).collect();
    output::line(&texts.join("\n\n"))
}

fn choose<'c>(config: &'c Config, wanted: Option<&str>) -> Result<Vec<&'c Connection>, String> {
    let all = &config.connections;
    let chosen: Vec<_> =
        all.iter().filter(|found| wanted.is_none_or(|wanted| found.id.as_str() == wanted)).collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let known: Vec<&str> = all.iter().map(|connection| connection.id.as_str()).collect();
    Err(match (wanted, known.as_slice()) {
        (Some(wanted), [_, ..]) => {
            format!("no connection is called {wanted:?}; there are {}", known.join(", "))
        }
        _ => "no connection is configured; add [[connection]] to the configuration".to_owned(),
    })
}

/// The URLs of a connection as its provider is to call them, the newest path secret's last.
fn callbacks(connection: &Connection) -> Vec<String> {
    match connection.auth.path_secrets.as_slice() {
        [] => vec![callback(connection, None)],
        secrets => secrets.iter().map(|secret| callback(connection, Some(secret.expose()))).collect(),
    }
}

/// A connection's URL with a secret, or what stands for one, as its last segment.
pub(super) fn callback(connection: &Connection, secret: Option<&str>) -> String {
    let retries = match connection.provider {
        Provider::Twilio => TWILIO_RETRIES,
        Provider::Infobip | Provider::Cm | Provider::Lime => "",
    };
    let secret = secret.map_or_else(String::new, |secret| format!("/{secret}"));
    format!("{}/hooks/{}{secret}{retries}", connection.public_url, connection.id)
}

fn describe(connection: &Connection) -> String {
    let mut text = format!("{} ({})\n", connection.id, connection.provider);
    for url in callbacks(connection) {
        text += &format!("  {url}\n");
    }
    for step in steps(connection.provider).iter().copied().chain(proofs(connection)) {
        text += &format!("  - {step}\n");
    }
    text.trim_end().to_owned()
}

/// Where the URL goes.
const fn steps(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Twilio => &[
            "status callback: of each message, or of the Messaging Service",
            "incoming messages: the number's or the Messaging Service's “a message comes in”, HTTP POST",
            "what follows # makes Twilio try again, five times, when a callback fails; it is not sent to you",
            "Event Streams (registration events, real times): a webhook sink, without what follows #",
        ],
        Provider::Infobip => &[
            "delivery reports: a subscription for channel SMS, event DELIVERY, as JSON",
            "incoming messages: the number's action, forward to HTTP or to subscription, POST and JSON",
            "opt-outs and registration: subscriptions for BLOCKLIST and REGISTRATION",
        ],
        Provider::Cm => &[
            "status reports: Channels app, SMS, webhooks, POST as JSON with CM's template",
            "incoming messages: the same page; CM tries again for a month unless it is answered exactly 200",
            "a report names no sender: append ?number=18005550100 for one URL a number, or set number",
        ],
        Provider::Lime => &[
            "opt-ins and opt-outs: each list's Response URL, GET or POST",
            "delivery receipts: ask Lime's support to push them to it",
            "a push names no sender: append ?number=18005550100 for one URL a number, or set number",
        ],
    }
}

/// What must be set at the provider beside the URL, so that its webhooks verify.
fn proofs(connection: &Connection) -> impl Iterator<Item = &'static str> {
    let auth = &connection.auth;
    let in_userinfo = "basic credentials go before the host: https://user:password@…";
    [
        (!auth.auth_tokens.is_empty()).then_some("signed with the account's auth token; nothing to set"),
        (!auth.shared_keys.is_empty())
            .then_some("signed with the shared key; assign it to the webhook in Twilio"),
        auth.basic.is_some().then_some(in_userinfo),
        auth.hmac
            .is_some()
            .then_some("set the HMAC's secret and algorithm in the notification profile's security"),
        auth.header_token.is_some().then_some("set the token as a header of the notification profile"),
        auth.body_token.is_some().then_some("write the token into the template, as a field beside reference"),
        auth.svix.is_some().then_some("signed by CM with the webhook's secret; nothing to set"),
    ]
    .into_iter()
    .flatten()
}

/// What stands for the path secrets where they are not to be shown.
pub(super) fn placeholder(secrets: &[Secret]) -> Option<&'static str> {
    (!secrets.is_empty()).then_some("{secret}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    const TEXT: &str = r#"
        [receive]
        public_url = "https://hooks.example.com/"
        [[connection]]
        id = "acme-cm"
        provider = "cm"
        path_secrets = ["0123456789abcdef-old", "0123456789abcdef-new"]
        body_token = { secrets = ["0123456789abcdef"] }
        [[connection]]
        id = "acme-twilio"
        provider = "twilio"
        auth_tokens = ["t"]
    "#;

    #[test]
    fn a_connection_is_described_by_all_its_urls_and_what_to_do_with_them() {
        let config = load(&Source::of(TEXT)).unwrap();
        let [cm] = choose(&config, Some("acme-cm")).unwrap()[..] else { panic!("one") };
        let text = describe(cm);
        assert!(text.contains("https://hooks.example.com/hooks/acme-cm/0123456789abcdef-new\n"), "{text}");
        assert!(
            text.contains("template") && text.contains("exactly 200") && !text.contains("Twilio"),
            "{text}"
        );
        let all = choose(&config, None).unwrap();
        assert!(describe(all[1]).contains("/hooks/acme-twilio#rc=5&rp=all\n"));
    }

    #[test]
    fn a_connection_that_is_not_there_is_named_with_those_that_are() {
        let config = load(&Source::of(TEXT)).unwrap();
        assert_eq!(
            choose(&config, Some("acme")).unwrap_err(),
            "no connection is called \"acme\"; there are acme-cm, acme-twilio"
        );
        assert!(choose(&load(&Source::of("")).unwrap(), None).unwrap_err().contains("[[connection]]"));
    }
}
