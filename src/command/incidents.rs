//! `incidents` and `ack`: what is wrong, and that somebody has taken it on, through the admin API of the
//! running daemon.

use serde_json::{Value, json};

use super::client::{AdminArgs, Client, encode};
use super::{Failure, Global, output};
use crate::config::AdminRole;

/// Arguments of `incidents`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Resolved ones too
    #[arg(long)]
    pub all: bool,
    /// Where the admin API is.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Arguments of `ack`.
#[derive(Debug, clap::Args)]
pub struct Ack {
    /// The incident's id
    pub id: String,
    /// Who you are, where no token says so
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Where the admin API is.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Lists incidents, newest first.
///
/// # Errors
/// When the admin API is not reached, or refuses.
pub async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let client = Client::new(&args.admin, global, AdminRole::Read)?;
    let open = if args.all { "" } else { "?open=true" };
    let told = client.get(&format!("/api/v1/incidents{open}")).await?;
    if global.json {
        return output::json(&told);
    }
    let rows: Vec<String> = told["incidents"].as_array().into_iter().flatten().map(row).collect();
    output::line(if rows.is_empty() { "no incident is open".into() } else { rows.join("\n") }.as_str())
}

/// Acknowledges an incident.
///
/// # Errors
/// When the admin API is not reached, knows no such incident, or it is resolved.
pub async fn acknowledge(args: &Ack, global: &Global) -> Result<(), Failure> {
    let client = Client::new(&args.admin, global, AdminRole::Operate)?;
    let by = args.by.as_ref().map_or_else(|| json!({}), |by| json!({ "by": by }));
    let told = client.post(&format!("/api/v1/incidents/{}/ack", encode(&args.id)), &by).await?;
    if global.json { output::json(&told) } else { output::line(&row(&told)) }
}

fn row(incident: &Value) -> String {
    let word = |name: &str| incident[name].as_str().unwrap_or("–");
    let mut row = format!("{}  {}, since {}", word("id"), word("title"), word("opened"));
    if let Some(by) = incident["acknowledged"]["by"].as_str() {
        row += &format!(", acknowledged by {by}");
    }
    if let Some(at) = incident["resolved"].as_str() {
        row += &format!(", resolved {at}");
    }
    row
}
