//! `silence`: keeps people from being called about a number, a list, a brand or a provider, through
//! the admin API of the running daemon.

use serde_json::{Value, json};

use super::client::{AdminArgs, Client, encode};
use super::{Failure, Global, output};
use crate::config::AdminRole;

/// Arguments of `silence`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do; nothing lists the silences in force
    #[command(subcommand)]
    pub action: Option<Action>,
    /// Where the admin API is.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// What to do with silences.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Begin one
    Add(Add),
    /// End one before its time
    End {
        /// Its id
        id: String,
    },
    /// List those in force
    List,
}

/// What to silence: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Of {
    /// A sending number
    #[arg(long)]
    pub number: Option<String>,
    /// A list's id
    #[arg(long)]
    pub list: Option<String>,
    /// A brand
    #[arg(long)]
    pub brand: Option<String>,
    /// A provider: twilio, infobip, cm or lime
    #[arg(long)]
    pub provider: Option<String>,
}

/// A silence to begin.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// What to silence.
    #[command(flatten)]
    pub of: Of,
    /// For how long, as in 30m, 2h or 1d
    #[arg(long = "for", value_name = "D", required_unless_present = "until", conflicts_with = "until")]
    pub lasting: Option<String>,
    /// Until when, as in 2026-11-23T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Why: whoever wonders reads it
    #[arg(long)]
    pub why: String,
    /// Who you are, where no token says so
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

/// Begins, ends or lists silences.
///
/// # Errors
/// When the admin API is not reached, or refuses.
pub async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    match &args.action {
        Some(Action::Add(add)) => {
            let client = Client::new(&args.admin, global, AdminRole::Operate)?;
            let begun = client.post("/api/v1/silences", &asked(add)).await?;
            if global.json { output::json(&begun) } else { output::line(&row(&begun)) }
        }
        Some(Action::End { id }) => {
            let client = Client::new(&args.admin, global, AdminRole::Operate)?;
            client.delete(&format!("/api/v1/silences/{}", encode(id))).await?;
            if global.json { output::json(&json!({ "ended": id })) } else { output::line("ended") }
        }
        Some(Action::List) | None => {
            let client = Client::new(&args.admin, global, AdminRole::Read)?;
            let kept = client.get("/api/v1/silences").await?;
            if global.json { output::json(&kept) } else { output::line(&table(&kept)) }
        }
    }
}

fn asked(add: &Add) -> Value {
    let fields = [
        ("number", &add.of.number),
        ("list", &add.of.list),
        ("brand", &add.of.brand),
        ("provider", &add.of.provider),
        ("for", &add.lasting),
        ("until", &add.until),
        ("by", &add.by),
    ];
    let given =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
    given.chain([("why".to_owned(), json!(add.why))]).collect::<serde_json::Map<_, _>>().into()
}

fn table(kept: &Value) -> String {
    let rows: Vec<String> = kept["silences"].as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() { "nothing is silenced".to_owned() } else { rows.join("\n") }
}

fn row(silence: &Value) -> String {
    let word = |name: &str| silence[name].as_str().unwrap_or("–");
    let of = word(word("scope"));
    format!(
        "{}  {} {of} until {}, by {}: {}",
        word("id"),
        word("scope"),
        word("until"),
        word("by"),
        word("why")
    )
}
