//! `schema`: an event's name in, its JSON Schema out.

use schemars::Schema;

use super::{Failure, Global, output};
use crate::event::{Consent, DeadLetter, Feedback, Inbound, Receipt, Send};

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which event; all of them as one object when left out
    #[arg(value_enum, value_name = "EVENT")]
    pub event: Option<Event>,
}

/// Events that have a schema.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
#[expect(missing_docs, reason = "the variants are the events' names")]
#[value(rename_all = "lowercase")]
pub enum Event {
    Receipt,
    Consent,
    Inbound,
    Feedback,
    Send,
    DeadLetter,
}

impl Event {
    /// Every event, in the order of its topics.
    pub const ALL: [Self; 6] =
        [Self::Receipt, Self::Consent, Self::Inbound, Self::Feedback, Self::Send, Self::DeadLetter];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Consent => "consent",
            Self::Inbound => "inbound",
            Self::Feedback => "feedback",
            Self::Send => "send",
            Self::DeadLetter => "deadletter",
        }
    }

    /// Its JSON Schema.
    pub fn schema(self) -> Schema {
        match self {
            Self::Receipt => schemars::schema_for!(Receipt),
            Self::Consent => schemars::schema_for!(Consent),
            Self::Inbound => schemars::schema_for!(Inbound),
            Self::Feedback => schemars::schema_for!(Feedback),
            Self::Send => schemars::schema_for!(Send),
            Self::DeadLetter => schemars::schema_for!(DeadLetter),
        }
    }
}

/// Prints a schema; it is JSON with and without `--json`.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(args: Args, _: &Global) -> Result<(), Failure> {
    match args.event {
        Some(event) => output::json(&event.schema()),
        None => output::json(&all()),
    }
}

fn all() -> serde_json::Map<String, serde_json::Value> {
    Event::ALL.into_iter().map(|event| (event.name().to_owned(), event.schema().to_value())).collect()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_event_has_a_schema_under_the_name_it_is_asked_for_by() {
        let all = all();
        assert_eq!(all.len(), Event::value_variants().len());
        for event in Event::value_variants() {
            let asked = event.to_possible_value().unwrap();
            assert_eq!(all[asked.get_name()]["type"], "object", "{asked:?}");
        }
        assert_eq!(all["receipt"]["properties"]["final"]["type"], "boolean");
    }
}
