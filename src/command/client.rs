//! The admin API from the shell: a path in, JSON out. Where the API is and with which token comes from
//! the command line, or else from the configuration the daemon runs with.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{Failure, Global};
use crate::config::{self, AdminRole, Config, PrivacyKey, Secret, Source};

/// Time for one answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Where the admin API is.
#[derive(Debug, Default, clap::Args)]
pub struct AdminArgs {
    /// The admin API [default: admin.listen of the configuration]
    #[arg(long, global = true, value_name = "URL")]
    pub admin: Option<String>,
    /// Its bearer token.
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        help = "Its bearer token: env:NAME, file:PATH, or written out [default: one of admin.tokens]"
    )]
    pub admin_token: Option<String>,
}

/// A running daemon's admin API.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<Secret>,
}

impl Client {
    /// A client that may do what `role` may.
    ///
    /// # Errors
    /// When the configuration is needed and wrong, or a token cannot be read.
    pub fn new(args: &AdminArgs, global: &Global, role: AdminRole) -> Result<Self, Failure> {
        let config = match (&args.admin, &args.admin_token) {
            (Some(_), Some(_)) => None,
            _ => {
                let source = Source::find(global.config.as_deref(), PrivacyKey::LeaveAlone)?;
                Some(config::load_to_serve(&source)?)
            }
        };
        let token = match &args.admin_token {
            Some(written) => Some(secret(written).map_err(Failure::Usage)?),
            None => config.as_ref().and_then(|config| token_of(config, role)),
        };
        let configured = config.map(|config| format!("http://{}", config.admin.listen));
        let url = args.admin.clone().or(configured).unwrap_or_default();
        let http = reqwest::Client::builder().timeout(ANSWER_WAIT_MAX).build();
        let http = http.map_err(|error| Failure::Internal(error.into()))?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), token })
    }

    /// Reads what is at a path.
    ///
    /// # Errors
    /// When the API is not reached, or refuses.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    /// Sends something to a path.
    ///
    /// # Errors
    /// When the API is not reached, or refuses.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Deletes what is at a path.
    ///
    /// # Errors
    /// When the API is not reached, or refuses.
    pub async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::DELETE, path, None).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        // Without tokens the API takes changes as JSON only.
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        request = request.header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let unreachable = |error: reqwest::Error| Failure::Unreachable(self.unreachable(&error));
        let mut answer = request.send().await.map_err(unreachable)?;
        let (status, mut bytes) = (answer.status(), Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(Failure::Unreachable(format!("{} answers without an end", self.url)));
            }
        }
        let answer = if bytes.is_empty() { Value::Null } else { read(&self.url, &bytes)? };
        if status.is_success() { Ok(answer) } else { Err(self.refused(status, &answer)) }
    }

    fn unreachable(&self, error: &reqwest::Error) -> String {
        let why = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        format!("the admin API at {} {why}: is the daemon up, and is --admin right", self.url)
    }

    fn refused(&self, status: StatusCode, answer: &Value) -> Failure {
        let detail = answer["detail"].as_str().map_or_else(|| format!("it answers {status}"), str::to_owned);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Failure::Usage(format!("{detail} (a token is given with --admin-token)"))
            }
            status if status.is_client_error() => Failure::Usage(detail),
            _ => Failure::Unreachable(format!("the admin API at {}: {detail}", self.url)),
        }
    }
}

fn read(url: &str, bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|_| Failure::Unreachable(format!("{url} does not answer as the admin API does")))
}

/// A token as it is written on the command line, where everybody on the machine can read it, unless it
/// names where it is.
fn secret(written: &str) -> Result<Secret, String> {
    let found = match (written.strip_prefix("env:"), written.strip_prefix("file:")) {
        (Some(name), _) => config::environment()
            .remove(name)
            .ok_or_else(|| format!("--admin-token names {name}, which is not set"))?,
        (None, Some(path)) => std::fs::read_to_string(path)
            .map_err(|error| format!("--admin-token names {path}, which cannot be read: {error}"))?,
        (None, None) => written.to_owned(),
    };
    Ok(Secret::new(found.trim().to_owned()))
}

/// The least of the configured tokens that may do what `role` may.
fn token_of(config: &Config, role: AdminRole) -> Option<Secret> {
    let able = config.admin.tokens.iter().filter(|token| token.role >= role);
    able.min_by_key(|token| token.role).map(|token| token.token.clone())
}

/// A part of a path.
pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_the_least_that_may() {
        let text = r#"
            [privacy]
            recipients = "clear"
            [admin]
            tokens = [{ name = "a", role = "admin", token = "0123456789abcdef-admin" },
                      { name = "o", role = "operate", token = "0123456789abcdef-operate" },
                      { name = "r", role = "read", token = "0123456789abcdef-read" }]
        "#;
        let config = config::load(&Source::of(text)).unwrap();
        let token = |role| token_of(&config, role).map(|token| token.expose().to_owned());
        assert_eq!(token(AdminRole::Read).as_deref(), Some("0123456789abcdef-read"));
        assert_eq!(token(AdminRole::Operate).as_deref(), Some("0123456789abcdef-operate"));
        assert_eq!(token_of(&config::load(&Source::of("")).unwrap(), AdminRole::Read).map(|_| ()), None);
    }

    #[tokio::test]
    async fn an_api_that_is_not_there_is_said_to_be() {
        let args = AdminArgs { admin: Some("http://127.0.0.1:1/".into()), admin_token: Some("t".into()) };
        let global = Global { config: None, json: false, log_format: Default::default(), log_level: None };
        let client = Client::new(&args, &global, AdminRole::Read).unwrap();
        let failure = client.get("/api/v1/lists").await.unwrap_err();
        assert_eq!(failure.code(), 69);
        assert!(failure.to_string().contains("http://127.0.0.1:1 cannot be reached"), "{failure}");
    }
}
