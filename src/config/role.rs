//! Which parts of the daemon a process runs, and what cannot work together.

use super::{Config, StateKind, StreamKind};

/// Which loops a process runs: `serve --role`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Receives and observes.
    #[default]
    All,
    /// Answers providers; as many as you like.
    Receive,
    /// Counts, judges and alerts.
    Observe,
}

impl Role {
    /// True of roles that answer providers.
    pub const fn receives(self) -> bool {
        matches!(self, Self::All | Self::Receive)
    }

    /// True of roles that count, judge and alert.
    pub const fn observes(self) -> bool {
        matches!(self, Self::All | Self::Observe)
    }

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Receive => "receive",
            Self::Observe => "observe",
        }
    }
}

impl Config {
    /// Why this configuration cannot run in this role, as a sentence; `None` when it can. That
    /// embedded state has one observer only is found when a second joins the consumer group.
    pub fn refuse(&self, role: Role) -> Option<String> {
        match (&self.stream.kind, &self.state.kind, role) {
            (StreamKind::Embedded, _, Role::Receive | Role::Observe) => Some(format!(
                "--role {} needs a stream that processes can share: set stream.kind = \"kafka\", or use --role all",
                role.name()
            )),
            // `load` says so too, with the line; a configuration need not come from there.
            (StreamKind::Embedded, StateKind::Redis(_), Role::All) => Some(
                "the embedded stream belongs to one machine and goes with embedded state: \
                 set state.kind = \"embedded\", or stream.kind = \"kafka\""
                    .to_owned(),
            ),
            (StreamKind::Embedded, StateKind::Embedded, Role::All) | (StreamKind::Kafka(_), _, _) => None,
        }
    }
}
