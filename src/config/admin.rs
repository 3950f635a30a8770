//! `[admin]`: the other listener, and who may use it.

use std::net::SocketAddr;

use super::Secret;
use super::section::Section;
use super::value::{address, choice, long_secret, text};

/// The admin listener: `[admin]`.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Address the admin listener listens on.
    pub listen: SocketAddr,
    /// Who may use it; nobody needs a token on loopback when there are none.
    pub tokens: Vec<AdminToken>,
}

/// Who may use the admin API.
#[derive(Clone, Debug)]
pub struct AdminToken {
    /// Whose it is, for the audit log.
    pub name: String,
    /// What it may do.
    pub role: AdminRole,
    /// The bearer token.
    pub token: Secret,
}

/// What a token may do; each may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "explained together above")]
pub enum AdminRole {
    Read,
    Operate,
    Admin,
}

pub(super) fn read(mut section: Section<'_>) -> Admin {
    let listen = section.or("listen", address, SocketAddr::from(([127, 0, 0, 1], 9090)));
    let tables = section.sections("tokens");
    let is_open = tables.is_empty();
    let mut tokens: Vec<AdminToken> = Vec::new();
    for mut table in tables {
        let Some(token) = read_token(&mut table) else { continue };
        if tokens.iter().any(|other| other.name == token.name) {
            table.wrong(
                "name",
                "is a name that another token has",
                "give each token its own: the audit log shows it",
            );
        }
        tokens.push(token);
    }
    if is_open && !listen.ip().is_loopback() {
        section.absent(
            "tokens",
            &format!("has none, while admin.listen = \"{listen}\" can be reached from elsewhere"),
            "listen on 127.0.0.1, or write tokens = [{ name = \"me\", role = \"admin\", token = \"env:SOUNDER_ADMIN_TOKEN\" }]",
        );
    }
    Admin { listen, tokens }
}

fn read_token(table: &mut Section<'_>) -> Option<AdminToken> {
    let roles = [("read", AdminRole::Read), ("operate", AdminRole::Operate), ("admin", AdminRole::Admin)];
    let name = table.required("name", text, "say whose token it is");
    let role = table.required("role", choice(&roles), "write role = \"read\", \"operate\" or \"admin\"");
    let token = table.required("token", long_secret, "make one with `sounder secret new`");
    Some(AdminToken { name: name?, role: role?, token: token? })
}
