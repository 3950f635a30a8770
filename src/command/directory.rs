//! `lists` and `numbers`: what the running daemon knows, each with its band, through its admin API.

use serde_json::{Value, json};

use super::client::{AdminArgs, Client, encode};
use super::{Failure, Global, output};
use crate::config::AdminRole;

/// Arguments of `lists` and of `numbers`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the admin API is.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Pages that are read; with the longest, half a million entries.
const PAGES_MAX: usize = 1000;

/// Prints every list.
///
/// # Errors
/// When the admin API is not reached, or refuses.
pub async fn lists(args: &Args, global: &Global) -> Result<(), Failure> {
    let lists = all(args, global, "lists").await?;
    print(&lists, global, |list| {
        let numbers = list["numbers"].as_array().map_or(0, Vec::len);
        format!("{:<24} {} {:<30} {numbers} numbers", word(&list["id"]), health(list), word(&list["name"]))
    })
}

/// Prints every number.
///
/// # Errors
/// When the admin API is not reached, or refuses.
pub async fn numbers(args: &Args, global: &Global) -> Result<(), Failure> {
    let numbers = all(args, global, "numbers").await?;
    print(&numbers, global, |number| {
        let lists: Vec<&str> = number["lists"].as_array().into_iter().flatten().map(word).collect();
        let (status, lists) = (word(&number["status"]), lists.join(", "));
        format!(
            "{:<16} {} {:<11} {status:<10} {lists}",
            word(&number["number"]),
            health(number),
            word(&number["kind"])
        )
    })
}

async fn all(args: &Args, global: &Global, what: &str) -> Result<Vec<Value>, Failure> {
    let client = Client::new(&args.admin, global, AdminRole::Read)?;
    let (mut entries, mut after) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let page = client.get(&format!("/api/v1/{what}{after}")).await?;
        entries.extend(page[what].as_array().into_iter().flatten().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("?after={}", encode(next)),
            None => break,
        }
    }
    Ok(entries)
}

fn print(entries: &[Value], global: &Global, row: impl Fn(&Value) -> String) -> Result<(), Failure> {
    if global.json {
        return output::json(&json!(entries));
    }
    let rows: Vec<String> = entries.iter().map(|entry| row(entry).trim_end().to_owned()).collect();
    output::line(if rows.is_empty() { "none".into() } else { rows.join("\n") }.as_str())
}

fn health(entry: &Value) -> String {
    let rate = entry["rate"].as_f64().map_or_else(|| "–".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
    format!("{:<9} {rate:>7} ", word(&entry["band"]))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("–")
}
