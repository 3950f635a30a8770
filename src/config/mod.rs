//! Configuration as meant. [`load`] reads TOML and the environment, reports every mistake at once
//! with its line and the remedy, and hands out these types, in which nothing wrong can be said.

mod source;
mod mistake;
mod document;
mod section;
mod value;
mod receive;
mod stream;
mod state;
mod api;
mod auth;
mod connection;
mod list;
mod health;
mod alert;
mod admin;
mod privacy;
mod keywords;
mod secret;
mod role;

use mistake::Report;
use section::Section;

pub use admin::{Admin, AdminRole, AdminToken};
pub use alert::{Alert, Discord};
pub use api::{Api, Credentials};
pub use auth::{
    Auth, Basic, BodyToken, HeaderToken, Hmac, HmacAlgorithm, HmacScheme, SharedAlgorithm, SharedKey, Svix,
};
pub use connection::{Connection, Mapping};
pub use health::{Gate, Health, Limits, Reminders, Thresholds};
pub use keywords::{Keywords, Language};
pub use list::{List, NumberEntry, NumberKind, NumberStatus, Purpose};
pub use mistake::{Mistake, Mistakes, Place};
pub use privacy::{PrivacyKey, privacy_key};
pub use receive::{Receive, Tls};
pub use role::Role;
pub use secret::{DeadLetters, InboundText, Privacy, RecipientKey, Recipients, Secret};
pub use source::{Source, environment};
pub use state::{Redis, State, StateKind};
pub use stream::{Ack, Kafka, Stream, StreamKind};
pub use value::parse_duration;

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// The receiver.
    pub receive: Receive,
    /// The stream of events.
    pub stream: Stream,
    /// The state: message states, cells, incidents.
    pub state: State,
    /// Provider accounts' ways in.
    pub connections: Vec<Connection>,
    /// Sending lists.
    pub lists: Vec<List>,
    /// Sending numbers that are declared, with those only named in a list.
    pub numbers: Vec<NumberEntry>,
    /// What health means.
    pub health: Health,
    /// Where alerts go.
    pub alert: Alert,
    /// The admin listener.
    pub admin: Admin,
    /// What is shown of people.
    pub privacy: Privacy,
    /// What replies mean.
    pub keywords: Keywords,
    /// Settings that work but deserve a second thought, as sentences (a literal secret, say).
    pub warnings: Vec<String>,
    /// Connections' secrets that could not be read: these connections take no webhooks.
    pub unreadable: Vec<Mistake>,
}

/// Reads a configuration: what is written, or every mistake in it.
///
/// # Errors
/// Every mistake, in the order of lines.
pub fn load(source: &Source) -> Result<Config, Mistakes> {
    let config = load_to_serve(source)?;
    match config.unreadable.is_empty() {
        true => Ok(config),
        false => Err(Mistakes { file: source.name.clone(), mistakes: config.unreadable }),
    }
}

/// Reads a configuration as [`load`] does, but goes on without a connection's secret that cannot be
/// read: that connection alone is closed.
///
/// # Errors
/// Every other mistake, and such secrets beside them, in the order of lines.
pub fn load_to_serve(source: &Source) -> Result<Config, Mistakes> {
    let (mut entries, mut syntax) = document::parse(&source.text);
    syntax.extend(document::override_with(&mut entries, &source.environment));
    let report = Report::new(syntax, source.environment.clone());
    let config = read(Section::root(&report, entries), source.privacy_key, &report);
    report.close(&source.name).map(|(warnings, unreadable)| Config { warnings, unreadable, ..config })
}

fn read(mut root: Section<'_>, key: PrivacyKey, report: &Report) -> Config {
    let receive = receive::read(root.section("receive"));
    let stream = stream::read(root.section("stream"), receive.answer_deadline);
    let state = state::read(root.section("state"), &stream.kind);
    let declared = connection::read(root.sections("connection"), &receive);
    let mut health = health::read(root.section("health"));
    let lists = list::read_lists(root.sections("list"), &mut health);
    let numbers = list::read_numbers(root.sections("number"), &lists, &declared);
    let alert = alert::read(root.section("alert"));
    let admin = admin::read(root.section("admin"));
    let keywords = keywords::read(root.section("keywords"));
    let privacy = privacy::read(root.section("privacy"), &stream.kind);
    // What is left in the root is unknown, and a mistake before the key is kept.
    drop(root);
    let privacy = privacy.settle(key, &stream.dir, report);
    let connections = declared.connections;
    Config {
        receive,
        stream,
        state,
        connections,
        lists,
        numbers,
        health,
        alert,
        admin,
        privacy,
        keywords,
        warnings: Vec::new(),
        unreadable: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
