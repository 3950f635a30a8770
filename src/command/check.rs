//! `check`: a configuration in, every mistake in it out, or what it means. It leaves no trace, and
//! shows no secret.

use std::future::Future;
use std::pin::Pin;

use super::client::{AdminArgs, Client};
use super::url::{TWILIO_RETRIES, callback, placeholder};
use super::{Failure, Global, account, output};
use crate::alert::Discord;
use crate::config::{
    self, AdminRole, Config, Connection, Mistakes, PrivacyKey, Source, StateKind, StreamKind,
};
use crate::publish;
use crate::receive;
use crate::tally::Store;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also contact the services that are configured
    #[arg(long)]
    pub online: bool,
}

/// A service that `--online` contacts.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// What it is called: `Kafka`.
    pub name: &'static str,
    /// Contacts it.
    pub contact: for<'c> fn(&'c Config) -> Contact<'c>,
}

/// What a contact comes to: nothing where the service is not configured, else a sentence that says
/// what was found, or what is wrong and what to do.
pub type Contact<'c> = Pin<Box<dyn Future<Output = Option<Result<String, String>>> + Send + 'c>>;

/// Every service that `--online` contacts.
const PROBES: &[Probe] = &[
    Probe { name: "Kafka", contact: |config| Box::pin(kafka(config)) },
    Probe { name: "Redis", contact: |config| Box::pin(redis(config)) },
    Probe { name: "Discord", contact: |config| Box::pin(discord(config)) },
];

async fn kafka(config: &Config) -> Option<Result<String, String>> {
    let StreamKind::Kafka(kafka) = &config.stream.kind else { return None };
    Some(publish::probe(kafka).await.map_err(|error| error.to_string()))
}

async fn redis(config: &Config) -> Option<Result<String, String>> {
    let StateKind::Redis(config::Redis { url, .. }) = &config.state.kind else { return None };
    Some(Store::probe_redis(url).await.map_err(|error| error.to_string()))
}

async fn discord(config: &Config) -> Option<Result<String, String>> {
    let discord = match Discord::new(config.alert.discord.as_ref()?) {
        Ok(discord) => discord,
        Err(unfit) => return Some(Err(unfit.to_string())),
    };
    Some(discord.probe().await.map(|()| "knows the webhook".to_owned()))
}

/// Checks the configuration.
///
/// # Errors
/// Every mistake, or every service that does not answer.
pub async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    let loaded = Source::find(global.config.as_deref(), PrivacyKey::LeaveAlone)
        .and_then(|source| Ok((config::load(&source)?, source.name)));
    let (config, name) = match loaded {
        Ok(loaded) => loaded,
        Err(mistakes) => return refuse(mistakes, global),
    };
    receive::terms_of(&config).map_err(Failure::Usage)?;
    let urls = urls(&config);
    match global.json {
        true => output::json(&serde_json::json!({
            "mistakes": [],
            "warnings": config.warnings,
            "urls": urls.iter().map(|(id, url)| serde_json::json!({ "connection": id, "url": url })).collect::<Vec<_>>(),
        }))?,
        false => output::line(&summary(&config, &name, &urls))?,
    }
    match args.online {
        true => {
            for advice in settles(global).await {
                output::complain(&advice);
            }
            let accounts = accounts(&config).await;
            contact(&config, PROBES, accounts).await
        }
        false => Ok(()),
    }
}

/// For a program the mistakes go where it reads; the exit code is the same.
fn refuse(mistakes: Mistakes, global: &Global) -> Result<(), Failure> {
    if global.json {
        output::json(&mistakes)?;
    }
    Err(mistakes.into())
}

/// What the daemon of this configuration, if it runs, has seen of how long receipts take.
async fn settles(global: &Global) -> Vec<String> {
    let Ok(client) = Client::new(&AdminArgs::default(), global, AdminRole::Read) else { return Vec::new() };
    let Ok(health) = client.get("/api/v1/health").await else { return Vec::new() };
    let providers = health["providers"].as_object().into_iter().flatten();
    providers.filter_map(|(_, provider)| Some(provider["settle"]["sentence"].as_str()?.to_owned())).collect()
}

/// What the APIs of the providers say of each account that has credentials.
async fn accounts(config: &Config) -> Found {
    let mut found = Vec::new();
    for connection in &config.connections {
        if let Some(api) = &connection.api {
            found.push((connection.id.to_string(), account::probe(api).await));
        }
    }
    found
}

type Found = Vec<(String, Result<String, String>)>;

async fn contact(config: &Config, probes: &[Probe], accounts: Found) -> Result<(), Failure> {
    let mut silent = Vec::new();
    for (connection, found) in accounts {
        match found {
            Ok(found) => output::complain(&format!("{connection}: {found}")),
            Err(wrong) => silent.push(format!("{connection}: {wrong}")),
        }
    }
    for probe in probes {
        match (probe.contact)(config).await {
            None => {}
            Some(Ok(found)) => output::complain(&format!("{}: {found}", probe.name)),
            Some(Err(wrong)) => silent.push(format!("{}: {wrong}", probe.name)),
        }
    }
    match silent.is_empty() {
        true => Ok(()),
        false => Err(Failure::Unreachable(silent.join("\n"))),
    }
}

/// The URL to give the provider, for each connection.
fn urls(config: &Config) -> Vec<(String, String)> {
    let of = |connection: &Connection| {
        let secret = placeholder(&connection.auth.path_secrets);
        (connection.id.to_string(), callback(connection, secret))
    };
    config.connections.iter().map(of).collect()
}

fn summary(config: &Config, name: &str, urls: &[(String, String)]) -> String {
    let mut text = format!("{name}: configuration is fine\n");
    let stream = match &config.stream.kind {
        StreamKind::Embedded => format!("embedded in {}", config.stream.dir.display()),
        StreamKind::Kafka(kafka) => format!("Kafka at {}", kafka.brokers),
    };
    let state = match &config.state.kind {
        StateKind::Embedded => format!("embedded in {}", config.stream.dir.display()),
        StateKind::Redis(_) => "Redis".to_owned(),
    };
    let alerts = if config.alert.discord.is_some() { "Discord" } else { "log and status page only" };
    let rows = [
        ("receives on", config.receive.listen.to_string()),
        ("status page", format!("http://{}/", config.admin.listen)),
        ("stream", stream),
        ("state", state),
        ("alerts", alerts.to_owned()),
        ("lists", config.lists.len().to_string()),
        ("numbers", config.numbers.len().to_string()),
        ("connections", config.connections.len().to_string()),
    ];
    for (label, value) in rows {
        text += &format!("  {label:<12} {value}\n");
    }
    if !urls.is_empty() {
        text.push_str("\npaste these where the provider asks for a webhook or callback URL\n");
    }
    for (id, url) in urls {
        text += &format!("  {id:<20} {url}\n");
    }
    for (mark, meaning) in [
        (TWILIO_RETRIES, "what follows # is for Twilio: try a failed status callback again, five times"),
        ("{secret}", "{secret} is a path secret of the connection; `sounder url` writes it out"),
    ] {
        if urls.iter().any(|(_, url)| url.contains(mark)) {
            text += &format!("  {meaning}\n");
        }
    }
    if !config.warnings.is_empty() {
        text.push_str("\nwarnings\n");
    }
    for warning in &config.warnings {
        text += &format!("  {warning}\n");
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [receive]
        public_url = "https://hooks.example.com/"
        [[connection]]
        id = "acme-cm"
        provider = "cm"
        path_secrets = ["0123456789abcdef-new", "0123456789abcdef-old"]
    "#;

    #[test]
    fn a_summary_names_the_urls_to_paste_and_no_secret() {
        let config = config::load(&Source::of(TEXT)).unwrap();
        let text = summary(&config, "sounder.toml", &urls(&config));
        assert!(text.contains("https://hooks.example.com/hooks/acme-cm/{secret}"), "{text}");
        assert!(!text.contains("0123456789abcdef"), "{text}");
    }

    #[test]
    fn twilios_url_asks_for_retries_and_the_summary_says_what_that_is() {
        let twilio = TEXT.replace("path_secrets", "auth_tokens").replace("\"cm\"", "\"twilio\"");
        let config = config::load(&Source::of(&twilio)).unwrap();
        let text = summary(&config, "sounder.toml", &urls(&config));
        assert!(text.contains("/hooks/acme-cm#rc=5&rp=all\n  what follows #"), "{text}");
    }

    #[tokio::test]
    async fn a_silent_service_is_reported_and_an_unconfigured_one_is_not() {
        let config = config::load(&Source::of("")).unwrap();
        let probes = [
            Probe { name: "Kafka", contact: |_| Box::pin(async { None }) },
            Probe { name: "Redis", contact: |_| Box::pin(async { Some(Err("does not answer".to_owned())) }) },
        ];
        let failure = contact(&config, &probes, Vec::new()).await.unwrap_err();
        assert_eq!((failure.code(), failure.to_string().as_str()), (69, "Redis: does not answer"));
    }
}
