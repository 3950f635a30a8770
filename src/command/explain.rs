//! `explain`: a number or an incident in, out comes why it alerts or why it does not, as the policy of
//! the running daemon has it.

use std::fmt::Write;

use serde_json::Value;

use super::client::{AdminArgs, Client, encode};
use super::{Failure, Global, output};
use crate::config::AdminRole;

/// The longest odds that are told apart.
const ODDS_TOLD: f64 = 1e6;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The number, as +18005550100 or a short code
    #[arg(required_unless_present = "incident", conflicts_with = "incident")]
    pub number: Option<String>,
    /// An incident instead
    #[arg(long, value_name = "ID")]
    pub incident: Option<String>,
    /// Where the admin API is.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Prints why.
///
/// # Errors
/// When the admin API is not reached, or knows no such number or incident.
pub async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let client = Client::new(&args.admin, global, AdminRole::Read)?;
    let path = match (&args.incident, &args.number) {
        (Some(id), _) => format!("/api/v1/incidents/{}/explain", encode(id)),
        (None, number) => {
            format!("/api/v1/explain/numbers/{}", encode(number.as_deref().unwrap_or_default()))
        }
    };
    let told = client.get(&path).await?;
    match (global.json, &args.incident) {
        (true, _) => output::json(&told),
        (false, Some(_)) => output::line(&incident(&told)),
        (false, None) => output::line(&number(&told)),
    }
}

fn incident(told: &Value) -> String {
    let mut text = format!("{}\n", word(&told["title"]));
    let mut line = |line: String| _ = writeln!(text, "  {line}");
    line(format!("opened {}, worst {}", word(&told["opened"]), word(&told["worst"])));
    line(word(&told["because"]).to_owned());
    line(word(&told["cause"]["sentence"]).to_owned());
    if let Some(advice) = told["advice"].as_str().filter(|_| told["resolved"].is_null()) {
        line(format!("What to do: {advice}"));
    }
    if let Some(resolved) = told["resolved"].as_str() {
        line(format!("resolved {resolved}"));
    }
    if told["now"].is_object() {
        text = format!("{text}\nNow: {}", number(&told["now"]));
    }
    text.trim_end().to_owned()
}

fn number(told: &Value) -> String {
    let verdict = &told["verdict"];
    let mut text =
        format!("{} · {} · {}\n", word(&told["number"]), word(&verdict["shown"]), word(&verdict["status"]));
    for sentence in told["sentences"].as_array().into_iter().flatten() {
        _ = writeln!(text, "  {}", word(sentence));
    }
    for band in verdict["bands"].as_array().into_iter().flatten() {
        let state = match band["is_confirmed"].as_bool() {
            Some(true) => "confirmed".to_owned(),
            _ => format!("{} of {} evaluations", band["evaluations"], band["evaluations_needed"]),
        };
        let limit = band["threshold"].as_f64().unwrap_or_default() * 100.0;
        _ = writeln!(text, "\n{} (below {limit:.1} %): {state}", word(&band["band"]));
        for finding in band["findings"].as_array().into_iter().flatten() {
            _ = writeln!(text, "  {}", row(finding));
        }
    }
    text.trim_end().to_owned()
}

/// One rule in one window: what was counted, what it comes to, what is missing.
fn row(finding: &Value) -> String {
    let measure = match (finding["odds"].as_f64(), finding["upper"].as_f64()) {
        (Some(odds), _) if odds >= ODDS_TOLD => {
            format!("odds over {ODDS_TOLD:.0} of {}", finding["odds_needed"])
        }
        (Some(odds), _) => format!("odds {odds:.1} of {}", finding["odds_needed"]),
        (None, Some(upper)) => format!("interval to {:.1} %", upper * 100.0),
        (None, None) => String::new(),
    };
    let lack = match &finding["lack"] {
        Value::Null => "holds".to_owned(),
        Value::String(lack) => format!("lacks: {}", lack.replace('_', " ")),
        Value::Object(lack) => {
            let named = lack.iter().next().map(|(name, of)| (name.replace('_', " "), of.clone()));
            let (name, of) = named.unwrap_or_default();
            let needed = match (&of["needed"], &of["needed_minutes"]) {
                (Value::Null, minutes) => format!("{minutes} min"),
                (messages, _) => messages.to_string(),
            };
            format!("lacks: {name}, {needed} needed")
        }
        _ => String::new(),
    };
    let window = if finding["rule"] == "sudden" { "5m" } else { word(&finding["window"]) };
    let failed = format!("{} of {} failed", finding["failed"], finding["judged"]);
    format!("{:<10} {window:<4} {failed:<24} {measure:<22} {lack}", word(&finding["rule"]))
        .trim_end()
        .to_owned()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("–")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_reads_from_the_answer_to_its_reasons() {
        let told = serde_json::json!({
            "number": "+18005550100",
            "sentences": ["It does not alert: chance explains it."],
            "verdict": {"shown": "watch", "status": "active", "bands": [{
                "band": "watch", "threshold": 0.95, "is_confirmed": false, "evaluations": 1,
                "evaluations_needed": 3, "findings": [
                    {"rule": "odds", "window": "1h", "judged": 100, "failed": 6, "odds": 1.09,
                     "odds_needed": 20.0, "lack": "chance"},
                    {"rule": "sudden", "window": "15m", "judged": 10, "failed": 6, "odds": 400.0,
                     "odds_needed": 150.0, "lack": null},
                    {"rule": "persisted", "window": "1h", "judged": 30, "failed": 6,
                     "lack": {"too_few": {"needed": 50}}}]}]}
        });
        insta::assert_snapshot!(number(&told), @r"
        +18005550100 · watch · active
          It does not alert: chance explains it.

        watch (below 95.0 %): 1 of 3 evaluations
          odds       1h   6 of 100 failed          odds 1.1 of 20.0       lacks: chance
          sudden     5m   6 of 10 failed           odds 400.0 of 150.0    holds
          persisted  1h   6 of 30 failed                                  lacks: too few, 50 needed
        ");
    }
}
