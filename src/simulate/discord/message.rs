//! A message as Discord keeps and shows it. What was posted goes in, the JSON of the API comes out.

use serde_json::{Map, Value, json};

use crate::clock::Timestamp;

/// A message and its history.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its id, a snowflake.
    pub id: String,
    /// What it was and is, the latest last; never empty.
    pub versions: Vec<Version>,
}

/// What a message says from one moment on.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// The moment.
    pub at: Timestamp,
    /// The body as it was sent, an edit's laid over what was before.
    pub body: Map<String, Value>,
    /// Names of the files sent with it.
    pub files: Vec<String>,
}

impl Message {
    pub(super) fn new(nth: u64, version: Version) -> Self {
        let id = (1_200_000_000_000_000_000 + (nth << 22)).to_string();
        Self { id, versions: vec![version] }
    }

    /// An edit changes what it names and leaves the rest.
    pub(super) fn edit(&mut self, mut version: Version) {
        let mut body = self.latest().map(|latest| latest.body.clone()).unwrap_or_default();
        body.append(&mut version.body);
        version.body = body;
        if self.versions.len() == super::EDITS_MAX {
            self.versions.remove(1);
        }
        self.versions.push(version);
    }

    /// What it says now.
    pub fn latest(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// Who may be mentioned, as the latest version says; null when it does not.
    pub fn allowed_mentions(&self) -> Value {
        self.field("allowed_mentions")
    }

    /// Its text; empty when it has none.
    pub fn content(&self) -> String {
        self.field("content").as_str().unwrap_or_default().to_owned()
    }

    /// Its embeds, as JSON.
    pub fn embeds(&self) -> Vec<Value> {
        self.field("embeds").as_array().cloned().unwrap_or_default()
    }

    fn field(&self, name: &str) -> Value {
        self.latest().and_then(|latest| latest.body.get(name)).cloned().unwrap_or(Value::Null)
    }

    /// The API's own form.
    pub(super) fn api(&self) -> Value {
        let first = self.versions.first().map(|version| version.at);
        let edited = self.versions.get(1).and(self.latest()).map(|version| version.at);
        let mut embeds = self.embeds();
        for embed in &mut embeds {
            if let Some(embed) = embed.as_object_mut() {
                embed.entry("type").or_insert_with(|| "rich".into());
            }
        }
        json!({
            "id": self.id, "type": 0, "channel_id": "1100000000000000002", "guild_id": "1100000000000000003",
            "webhook_id": "1100000000000000001",
            "author": {"id": "1100000000000000001", "username": "Sounder", "discriminator": "0000", "avatar": null, "bot": true},
            "content": self.content(), "embeds": embeds, "components": [],
            "timestamp": first, "edited_timestamp": edited,
            "tts": false, "mention_everyone": false, "mentions": [], "mention_roles": [],
            "attachments": self.attachments(), "pinned": false, "flags": 0,
        })
    }

    /// The form the page shows: the latest version, and how it came to be.
    pub(super) fn with_history(&self) -> Value {
        let version =
            |version: &Version| json!({"at": version.at, "body": version.body, "files": version.files});
        json!({
            "id": self.id, "content": self.content(), "embeds": self.embeds(),
            "posted_at": self.versions.first().map(|version| version.at),
            "edited_at": self.versions.get(1).and(self.latest()).map(|version| version.at),
            "edits": self.versions.len() - 1,
            "allowed_mentions": self.allowed_mentions(),
            "history": self.versions.iter().map(version).collect::<Vec<_>>(),
        })
    }

    fn attachments(&self) -> Vec<Value> {
        let files = self.latest().map(|latest| latest.files.as_slice()).unwrap_or_default();
        let attachment = |(nth, name): (usize, &String)| {
            let url = format!("https://cdn.discordapp.com/attachments/1/{nth}/{name}");
            json!({"id": (nth + 1).to_string(), "filename": name, "size": 1, "url": url, "proxy_url": url})
        };
        files.iter().enumerate().map(attachment).collect()
    }
}
