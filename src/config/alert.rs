//! `[alert]`: where alerts go.

use std::collections::BTreeMap;

use super::Secret;
use super::mistake::Wrong;
use super::section::{Field, Section};
use super::value::{secret, url};

/// Where alerts go: `[alert]`.
#[derive(Clone, Debug, Default)]
pub struct Alert {
    /// Discord; without it alerts are logged and shown on the page.
    pub discord: Option<Discord>,
}

/// Discord: `[alert.discord]`.
#[derive(Clone, Debug)]
pub struct Discord {
    /// `https://discord.com/api/webhooks/{id}/{token}`.
    pub webhook_url: Secret,
    /// Where the API is: `https://discord.com/api`, or a stand-in's address.
    pub api_url: String,
    /// Role to mention by band; empty mentions nobody.
    pub roles: BTreeMap<String, String>,
}

/// The bands that can ping a role.
const BANDS: [&str; 3] = ["watch", "degraded", "critical"];

pub(super) fn read(mut section: Section<'_>) -> Alert {
    Alert { discord: section.optional("discord").and_then(read_discord) }
}

fn read_discord(mut section: Section<'_>) -> Option<Discord> {
    let bot = "name the channel's webhook in webhook_url instead";
    for key in ["bot_token", "channel", "application_id", "public_key"] {
        section.later(key, bot);
    }
    let api_url = section.or("api_url", url, "https://discord.com/api".to_owned());
    let roles: BTreeMap<_, _> = section.entries_of("roles", role).into_iter().collect();
    let webhook_url = section.get("webhook_url", |field| webhook(field, &api_url));
    if webhook_url.is_none() && !roles.is_empty() {
        section.absent(
            "webhook_url",
            "is missing",
            "roles are mentioned in messages, which need a webhook_url",
        );
    }
    Some(Discord { webhook_url: webhook_url?, api_url, roles })
}

/// A webhook's URL holds its token, so a mistake in it is told without it.
fn webhook(field: &Field<'_>, api_url: &str) -> Result<Secret, Wrong> {
    let webhook = secret(field)?;
    let known = |root: &str| {
        let rest = webhook.expose().strip_prefix(root)?.strip_prefix('/')?;
        // The API's version may stand between: /api/v10/webhooks/….
        let rest =
            rest.split_once('/').filter(|(first, _)| first.starts_with('v')).map_or(rest, |(_, rest)| rest);
        let (id, token) = rest.strip_prefix("webhooks/")?.split_once('/')?;
        (id.bytes().all(|b| b.is_ascii_digit()) && !id.is_empty() && !token.is_empty()).then_some(())
    };
    let roots = [api_url, "https://discord.com/api", "https://discordapp.com/api"];
    match roots.into_iter().any(|root| known(root).is_some()) {
        true => Ok(webhook),
        false => Err(Wrong::new(
            "is not a Discord webhook's URL",
            "copy it from the channel's settings, Integrations, Webhooks: https://discord.com/api/webhooks/ID/TOKEN",
        )),
    }
}

fn role(band: &str, field: &Field<'_>) -> Result<String, Wrong> {
    if !BANDS.contains(&band) {
        return Err(Wrong::new("is not a band that pings", format!("use {}", BANDS.join(", "))));
    }
    let written = field.text()?;
    match !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(written.to_owned()),
        false => Err(Wrong::new("is not a role's id", "copy the role's id from Discord: digits only")),
    }
}
