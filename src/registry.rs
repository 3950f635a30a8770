//! A read-only snapshot of connections, lists and numbers, indexed for the hot path and swapped whole.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{AdminToken, Config, Connection, Discord, Health, Keywords, List, NumberEntry, Privacy};
use crate::event::{ConnectionId, ListId, Number};

/// What is known of the world outside, at one moment.
#[derive(Debug)]
pub struct Registry {
    connections: HashMap<String, Arc<Connection>>,
    lists: HashMap<ListId, Arc<List>>,
    numbers: HashMap<Number, NumberEntry>,
    list_of: HashMap<Number, ListId>,
    /// What may be shown of people.
    pub privacy: Privacy,
    /// What replies mean.
    pub keywords: Keywords,
    /// What health means.
    pub health: Health,
    /// Where alerts go.
    pub discord: Option<Discord>,
    /// Who may use the admin API.
    pub admin_tokens: Vec<AdminToken>,
}

impl Registry {
    /// Indexes what is configured.
    pub fn new(config: &Config) -> Self {
        let list_of = config
            .lists
            .iter()
            .flat_map(|list| list.numbers.iter().map(|number| (number.clone(), list.id.clone())))
            .collect();
        Self {
            connections: config
                .connections
                .iter()
                .map(|connection| (connection.id.to_string(), Arc::new(connection.clone())))
                .collect(),
            lists: config.lists.iter().map(|list| (list.id.clone(), Arc::new(list.clone()))).collect(),
            numbers: config.numbers.iter().map(|entry| (entry.number.clone(), entry.clone())).collect(),
            list_of,
            privacy: config.privacy.clone(),
            keywords: config.keywords.clone(),
            health: config.health.clone(),
            discord: config.alert.discord.clone(),
            admin_tokens: config.admin.tokens.clone(),
        }
    }

    /// Keeps, of an earlier snapshot, the connections whose secrets can be read no more: a file that
    /// is away for a moment must not close them.
    #[must_use]
    pub fn keeping_readable(mut self, earlier: &Self) -> Self {
        for (id, connection) in &mut self.connections {
            if connection.auth.is_unreadable
                && let Some(known) = earlier.connections.get(id)
            {
                *connection = Arc::clone(known);
            }
        }
        self
    }

    /// The connection a URL names.
    pub fn connection(&self, id: &str) -> Option<&Arc<Connection>> {
        self.connections.get(id)
    }

    /// Every connection, in no order.
    pub fn connections(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.connections.values()
    }

    /// The provider of a connection, also of one that a cell remembers.
    pub fn provider_of(&self, id: &ConnectionId) -> Option<crate::event::Provider> {
        self.connections.get(id.as_str()).map(|connection| connection.provider)
    }

    /// The list a number is on.
    pub fn list_of(&self, number: &Number) -> Option<&ListId> {
        self.list_of.get(number)
    }

    /// A list.
    pub fn list(&self, id: &ListId) -> Option<&Arc<List>> {
        self.lists.get(id)
    }

    /// Every list, in no order.
    pub fn lists(&self) -> impl Iterator<Item = &Arc<List>> {
        self.lists.values()
    }

    /// A number that is declared or on a list.
    pub fn number(&self, number: &Number) -> Option<&NumberEntry> {
        self.numbers.get(number)
    }

    /// Every known number, in no order.
    pub fn numbers(&self) -> impl Iterator<Item = &NumberEntry> {
        self.numbers.values()
    }
}
