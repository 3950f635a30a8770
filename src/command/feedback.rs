//! `feedback`: a complaint or a carrier's notice that came by e-mail or ticket, in; the running daemon
//! publishes it as if the provider had pushed it.

use serde_json::{Value, json};

use super::client::{AdminArgs, Client};
use super::{Failure, Global, output};
use crate::config::AdminRole;

/// Arguments of `feedback`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The connection it came over
    #[arg(long)]
    pub connection: String,
    /// What it is.
    #[arg(long, help = "What it is: complaint, carrier_warning, suspension, registration or account")]
    pub kind: String,
    /// How grave: info, warning, complaint, violation or suspension [default: by kind]
    #[arg(long)]
    pub severity: Option<String>,
    /// The sending number it is about
    #[arg(long)]
    pub number: Option<String>,
    /// What else it is about: a campaign, a brand
    #[arg(long)]
    pub subject: Option<String>,
    /// The sender's code for it
    #[arg(long)]
    pub code: Option<String>,
    /// When it happened, as in 2026-11-23T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub occurred_at: Option<String>,
    /// What it says, without a recipient's number
    pub text: String,
    /// Where the admin API is.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Reports it.
///
/// # Errors
/// When the admin API is not reached, or refuses what is told.
pub async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let client = Client::new(&args.admin, global, AdminRole::Operate)?;
    let told = client.post("/api/v1/feedback", &told(args)).await?;
    if global.json {
        return output::json(&told);
    }
    output::line(&format!("published as {}", told["id"].as_str().unwrap_or("an event")))
}

fn told(args: &Args) -> Value {
    json!({
        "connection": args.connection,
        "kind": args.kind,
        "severity": args.severity,
        "number": args.number,
        "subject": args.subject,
        "code": args.code,
        "text": args.text,
        "occurred_at": args.occurred_at,
    })
}
