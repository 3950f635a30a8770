//! A configuration of one's own: four providers, four numbers, ports, topics and keys nobody else has.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sounder::simulate::discord::Standin;
use tempfile::TempDir;

use super::daemon::Child;
use super::{brokers, free_port, redis_url, unique};

pub(crate) const TWILIO_NUMBER: &str = "+12025550142";
pub(crate) const INFOBIP_NUMBER: &str = "+18885550101";
pub(crate) const CM_NUMBER: &str = "+18005550100";
pub(crate) const LIME_NUMBER: &str = "+18005550145";
pub(crate) const SENDERS: [&str; 4] = [TWILIO_NUMBER, INFOBIP_NUMBER, CM_NUMBER, LIME_NUMBER];

pub(super) const TWILIO_TOKEN: &str = "twilio-token-c0ffee0123456789";
pub(super) const INFOBIP_HMAC: &str = "infobip-hmac-c0ffee0123456789";
pub(super) const CM_PATH: &str = "cm-path-c0ffee0123456789abcdef";
pub(super) const LIME_PATH: &str = "lime-path-c0ffee0123456789abcdef";
pub(super) const LIME_PASSWORD: &str = "lime-password-c0ffee0123456789";
const PRIVACY_KEY: &str = "privacy-key-c0ffee0123456789abcdef0123456789";
pub(crate) const ADMIN_TOKEN: &str = "admin-token-c0ffee0123456789abcdef";
pub(crate) const SECRETS: [&str; 7] =
    [ADMIN_TOKEN, TWILIO_TOKEN, INFOBIP_HMAC, CM_PATH, LIME_PATH, LIME_PASSWORD, PRIVACY_KEY];

/// What the providers believe they call.
pub(super) const PUBLIC_URL: &str = "https://hooks.acme.example";

/// A configuration, its directory and its ports. The daemon can be started from it again and again.
pub(crate) struct Setting {
    dir: TempDir,
    pub(crate) receive: u16,
    pub(crate) admin: u16,
    pub(crate) shared: Shared,
    data: PathBuf,
    tokens: String,
    /// Tables that only one test wants.
    more: String,
    /// Keys that only one test wants: the table's header, and a line.
    keys: Vec<(&'static str, String)>,
}

/// What several processes of one fleet have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    kafka: Option<String>,
    redis: Option<String>,
    pub(crate) topic_prefix: String,
    pub(crate) key_prefix: String,
    group: String,
    discord: String,
}

impl Setting {
    /// One process on nothing.
    pub(crate) fn embedded() -> Self {
        Self::on(None, None)
    }

    /// On the broker and the Redis that are there.
    pub(crate) fn kafka_and_redis() -> Self {
        Self::on(Some(brokers()), Some(redis_url()))
    }

    /// On the broker that is there, with embedded state.
    pub(crate) fn kafka_and_embedded() -> Self {
        Self::on(Some(brokers()), None)
    }

    /// On these brokers and this Redis, where given.
    pub(crate) fn on(kafka: Option<String>, redis: Option<String>) -> Self {
        Self::of(Shared {
            kafka,
            redis,
            topic_prefix: format!("{}.", unique("it")),
            key_prefix: unique("it"),
            group: unique("group"),
            discord: String::new(),
        })
    }

    /// Another process of the same fleet, with its own ports and data.
    pub(crate) fn sibling(&self) -> Self {
        Self::of(self.shared.clone())
    }

    /// Alerts go to this stand-in.
    pub(crate) fn telling(mut self, discord: &Standin) -> Self {
        self.shared.discord =
            format!("webhook_url = \"{}\"\napi_url = \"{}\"", discord.webhook_url(), discord.api_url());
        self
    }

    /// On the data of another daemon.
    pub(crate) fn sharing_data_with(mut self, other: &Self) -> Self {
        self.data = other.data();
        self
    }

    /// With an admin API that asks for a token.
    pub(crate) fn asking_for_a_token(mut self) -> Self {
        self.tokens = format!("tokens = [{{ name = \"me\", role = \"read\", token = \"{ADMIN_TOKEN}\" }}]");
        self
    }

    /// With more of what only this test wants.
    pub(crate) fn with(mut self, more: &str) -> Self {
        self.more.push_str(more);
        self
    }

    /// With a key of a table that is there set otherwise: `set("[receive]", "in_flight_max = 2")`.
    pub(crate) fn set(mut self, table: &'static str, line: &str) -> Self {
        self.keys.push((table, line.to_owned()));
        self
    }

    fn of(shared: Shared) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let (tokens, more, keys) = (String::new(), String::new(), Vec::new());
        Self { dir, receive: free_port(), admin: free_port(), shared, data, tokens, more, keys }
    }

    /// Where the daemon keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone()
    }

    pub(crate) fn receive_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.receive)
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub(crate) async fn serve(&self) -> Child {
        self.serve_as("all").await
    }

    /// Starts the daemon in a role and waits until it says that it is ready.
    pub(crate) async fn serve_as(&self, role: &str) -> Child {
        let mut daemon =
            self.spawn(&["serve", "--role", role, "--log-level", "info,sounder=debug,sounder::consume=info"]);
        daemon.is_ready().await;
        daemon
    }

    /// Starts `sounder` on this configuration, whatever comes of it.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        Child::start(self.command(arguments), (&self.receive_url(), &self.admin_url()), self.data())
    }

    /// Starts the daemon with failpoints, of which it may die at any moment.
    pub(crate) fn serving_with(&self, failpoints: &str) -> Child {
        let mut command = self.command(&["serve"]);
        command.env("FAILPOINTS", failpoints);
        Child::start(command, (&self.receive_url(), &self.admin_url()), self.data())
    }

    /// The command that starts `sounder` on this configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let file = self.is_written();
        let mut command = Command::new(super::binary());
        command.arg("--config").arg(&file).args(arguments).current_dir(self.dir.path());
        command
    }

    /// Writes the configuration for whoever reads it next, and says where.
    pub(crate) fn is_written(&self) -> PathBuf {
        let file = self.dir.path().join("sounder.toml");
        fs::write(&file, self.text()).unwrap();
        file
    }

    /// Starts the simulator at this daemon; it compares counts at the end.
    pub(crate) fn simulate(&self, arguments: &str) -> Child {
        self.simulate_and_ask(self, arguments)
    }

    /// The same, with the counts of another process of the fleet.
    pub(crate) fn simulate_and_ask(&self, observer: &Self, arguments: &str) -> Child {
        let (url, admin) = (self.receive_url(), observer.admin_url());
        let mut all =
            vec!["simulate", "--url", &url, "--verify", &admin, "--seed", "7", "--verify-timeout", "40s"];
        all.extend(arguments.split_whitespace());
        self.spawn(&all)
    }

    /// The configuration as it is written: a key that is set otherwise takes the place of the usual.
    pub(crate) fn text(&self) -> String {
        self.keys.iter().fold(self.usual(), |text, (table, line)| {
            let (before, after) = text.split_once(&format!("{table}\n")).unwrap();
            let (inside, after) = after.split_once("\n[").unwrap();
            let name = line.split('=').next().unwrap();
            let kept = inside.lines().filter(|other| other.split('=').next() != Some(name));
            let inside: Vec<_> = kept.chain([line.as_str()]).collect();
            format!("{before}{table}\n{}\n[{after}", inside.join("\n"))
        })
    }

    #[expect(clippy::too_many_lines, reason = "a configuration file, a line a line")]
    fn usual(&self) -> String {
        let Self { receive, admin, tokens, more, shared, .. } = self;
        let Shared { topic_prefix, key_prefix, group, discord, .. } = shared;
        let brokers = shared.kafka.as_deref().unwrap_or("127.0.0.1:1");
        let stream = if shared.kafka.is_some() { "kafka" } else { "embedded" };
        let state = match &shared.redis {
            Some(url) => format!("kind = \"redis\"\nurl = \"{url}\"\nkey_prefix = \"{key_prefix}\""),
            None => "kind = \"embedded\"".to_owned(),
        };
        format!(
            r#"
[receive]
listen = "127.0.0.1:{receive}"
public_url = "{PUBLIC_URL}"
body_bytes_max = 65536
body_timeout = "1s"
drain_notice = "20ms"
shutdown_timeout = "10s"
[stream]
kind = "{stream}"
dir = "{data}"
[stream.kafka]
brokers = "{brokers}"
topic_prefix = "{topic_prefix}"
group = "{group}"
partitions = 3
[state]
{state}
[[connection]]
id = "acme-twilio"
provider = "twilio"
auth_tokens = ["{TWILIO_TOKEN}"]
[[connection]]
id = "acme-infobip"
provider = "infobip"
hmac = {{ header = "x-hub-signature", algorithm = "sha256", secrets = ["{INFOBIP_HMAC}"], scheme = "body" }}
[[connection]]
id = "acme-cm"
provider = "cm"
path_secrets = ["{CM_PATH}"]
number = "{CM_NUMBER}"
[[connection]]
id = "acme-lime"
provider = "lime"
path_secrets = ["{LIME_PATH}"]
basic = {{ user = "lime", password = "{LIME_PASSWORD}" }}
number = "{LIME_NUMBER}"
[[list]]
id = "acme-promo"
numbers = ["{TWILIO_NUMBER}", "{INFOBIP_NUMBER}", "{CM_NUMBER}", "{LIME_NUMBER}"]
[[number]]
number = "{TWILIO_NUMBER}"
legs = ["acme-twilio"]
[[number]]
number = "{INFOBIP_NUMBER}"
legs = ["acme-infobip"]
[health]
settle = "1ms"
gate = "volume"
min_volume = 1
elastic_min = 1
evaluate_every = "200ms"
confirm_evaluations = 1
recover_after = "0s"
recover_margin = 0.0
[alert.discord]
{discord}
[admin]
listen = "127.0.0.1:{admin}"
{tokens}
[privacy]
key = "{PRIVACY_KEY}"
{more}
"#,
            data = self.data().display(),
        )
    }
}
