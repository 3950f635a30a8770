//! An incident → the part of the README that says at length what to do about it. Pure.

use super::incident::Incident;
use crate::event::FailureClass;
use crate::health::Kind;

/// The link as a card writes it.
pub(super) fn link(incident: &Incident) -> String {
    let section = match incident.kind {
        Kind::DeliveryRate => of_class(incident.cause.class),
        other => of_kind(other),
    };
    format!("[Runbook]({}#{section})", env!("CARGO_PKG_REPOSITORY"))
}

const fn of_class(class: Option<FailureClass>) -> &'static str {
    match class {
        Some(FailureClass::CarrierFiltered) => "filtered-by-carriers",
        Some(FailureClass::Throttled) => "sent-too-fast",
        Some(FailureClass::Account) => "provider-account",
        Some(FailureClass::SenderUnregistered) => "sender-not-registered",
        Some(FailureClass::InvalidRecipient | FailureClass::Unreachable) => "bad-contacts",
        Some(FailureClass::OptedOut) => "recipient-opted-out",
        Some(FailureClass::Content) => "content-refused",
        Some(FailureClass::ProviderError | FailureClass::Expired) => "provider-or-carrier-error",
        Some(FailureClass::Unknown) | None => "no-known-reason",
    }
}

const fn of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::CarrierFiltered => "filtered-by-carriers",
        Kind::BadContacts => "bad-contacts",
        Kind::Unreported | Kind::Silence => "broken-webhook",
        Kind::Account => "provider-account",
        Kind::OptOuts => "many-opt-outs",
        Kind::Complaints | Kind::Registry => "complaints-and-carrier-notices",
        Kind::DeliveryRate | Kind::SlowDelivery => "provider-or-carrier-error",
        Kind::StateLost => "state-lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::incident::sample;

    const KINDS: [Kind; 10] = [
        Kind::CarrierFiltered,
        Kind::BadContacts,
        Kind::Unreported,
        Kind::Silence,
        Kind::Account,
        Kind::OptOuts,
        Kind::Complaints,
        Kind::Registry,
        Kind::SlowDelivery,
        Kind::StateLost,
    ];

    /// A heading as GitHub makes an anchor of it.
    fn anchor(heading: &str) -> String {
        heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-")
    }

    #[test]
    fn every_link_leads_to_a_heading_of_the_readme() {
        let readme = include_str!("../../README.md");
        let anchors: Vec<String> =
            readme.lines().filter(|line| line.starts_with("### ")).map(anchor).collect();
        let classes = FailureClass::ALL.into_iter().map(|class| of_class(Some(class)));
        let kinds = KINDS.into_iter().map(of_kind);
        for section in classes.chain(kinds).chain([of_class(None)]) {
            assert!(anchors.iter().any(|anchor| anchor == section), "{section} is no heading of the README");
        }
    }

    #[test]
    fn a_rate_is_explained_by_its_failures_and_anything_else_by_what_it_is() {
        let mut incident = sample::incident();
        assert!(link(&incident).ends_with("#filtered-by-carriers)"), "{}", link(&incident));
        incident.kind = Kind::Silence;
        assert!(link(&incident).ends_with("#broken-webhook)"), "{}", link(&incident));
    }
}
