//! Why a number is in its band, and why it alerts or does not; why an incident was opened. The
//! reasons are the policy's own, from the same cells and settings; nothing is judged here.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde::Serialize;

use super::Shared;
use super::api::{Answer, observer, report_now};
use super::incidents::{Titled, incidents_shown};
use super::problem::Problem;
use super::silences::silences;
use crate::alert::{Incident, proof};
use crate::event::Number;
use crate::health::{Band, Case, Concern, NumberView, Rule, Scope, Silence, Verdict, policy, silenced};
use crate::tally::Table;

/// Why it is as it is.
#[derive(Serialize)]
struct Explained {
    number: Number,
    /// Why it alerts, or why it does not; then what keeps people from being called.
    sentences: Vec<String>,
    /// Why nothing is being judged at present.
    held: Option<String>,
    verdict: Verdict,
    /// The silence that keeps people from being called.
    silence: Option<Silence>,
    /// The open incident.
    incident: Option<Titled>,
}

/// `GET /api/v1/explain/numbers/{number}`
pub(super) async fn number(State(view): State<Shared>, Path(text): Path<String>) -> Answer {
    let number = Number::parse(&text)
        .ok_or_else(|| Problem::bad_request("give the number as E.164 (+18005550100) or a short code"))?;
    let explained = explain(&view, &number).await?;
    let missing = || Problem::not_found("no such number is configured or was heard of");
    Ok(Json(explained.ok_or_else(missing)?).into_response())
}

/// An incident explained.
#[derive(Serialize)]
struct OfIncident {
    #[serde(flatten)]
    incident: Titled,
    /// Why it was opened, or took its last step, in a sentence.
    because: String,
    /// Where its number stands now, and why.
    now: Option<Explained>,
}

/// `GET /api/v1/incidents/{id}/explain`
pub(super) async fn incident(State(view): State<Shared>, Path(id): Path<String>) -> Answer {
    let mut shown = incidents_shown(observer(&view)?).await?;
    let incident = shown.remove(&id).ok_or_else(|| Problem::not_found("no incident has this id"))?;
    let now = match incident.scope.number() {
        Some(number) => explain(&view, number).await?,
        None => None,
    };
    let because = proof(&incident.evidence);
    Ok(Json(OfIncident { incident: Titled::of(incident), because, now }).into_response())
}

/// Nothing where there is no such number.
async fn explain(view: &Shared, number: &Number) -> Result<Option<Explained>, Problem> {
    let observer = observer(view)?;
    let report = report_now(view).await?;
    let Some(found) = report.numbers.get(number) else { return Ok(None) };
    let (registry, now) = (view.rails.registry.load_full(), report.at);
    let scope = Scope::from(number.clone()).key();
    let standings = observer.store.load(Table::Standings).await?;
    let case = standings.get(&scope).and_then(|bytes| serde_json::from_slice(bytes).ok());
    let case: Case = case.unwrap_or_default();
    let verdict = policy::explain(&found.view, found.status, &registry.health, &case.rate, now);
    let silences = silences(&observer.store).await?;
    let silence = silenced(&silences, &Concern::of(found, &registry), now).cloned();
    let incident = match &found.incident {
        Some(id) => incidents_shown(observer).await?.remove(id),
        None => None,
    };
    let mut sentences = answer(&verdict, &case, incident.as_ref());
    sentences.extend(beside(found, (report.held.as_deref(), silence.as_ref()), incident.as_ref()));
    let incident = incident.map(Titled::of);
    Ok(Some(Explained { number: number.clone(), sentences, held: report.held, verdict, silence, incident }))
}

/// Why it alerts, or why it does not: by its signals, by its rate, or because its provider does.
fn answer(verdict: &Verdict, case: &Case, incident: Option<&Incident>) -> Vec<String> {
    let signals = incident.map_or(&[][..], |incident| &incident.signals);
    let signals = signals.iter().filter(|signal| signal.band > Band::Healthy);
    let mut said: Vec<String> = signals
        .map(|signal| {
            format!("It alerts: {} is {}: {}", signal.kind.title(), signal.band.name(), signal.sentence)
        })
        .collect();
    if let Some(provider) = case.absorbed {
        said.push(format!(
            "It does not alert by itself: what is wrong with {} explains it.",
            provider.title()
        ));
    }
    match said.is_empty() {
        true => said.push(verdict.sentence()),
        false => said.push(format!("By its delivery rate: {}", verdict.sentence())),
    }
    said
}

/// What else there is to say.
fn beside(
    found: &NumberView,
    (held, silence): (Option<&str>, Option<&Silence>),
    incident: Option<&Incident>,
) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(incident) = incident {
        // A signal proves itself.
        said.extend((incident.evidence.rule != Rule::Signal).then(|| proof(&incident.evidence)));
        let seen = incident.acknowledged.iter();
        said.extend(seen.map(|seen| format!("{} acknowledged it at {}.", seen.by, seen.at)));
    }
    said.extend(held.map(|held| format!("Nothing is being judged: {held}.")));
    said.extend(silence.map(Silence::sentence));
    if found.view.pending() > 0 {
        said.push(format!("{} messages are too young to be judged.", found.view.pending()));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Provider;
    use crate::health::story::{Story, number};

    #[test]
    fn what_the_rate_does_not_say_the_signals_or_the_provider_do() {
        let mut story = Story::new();
        story.send("ib", Some("+18005550100"), 98, 2);
        let view = &story.report().numbers[&number("+18005550100")];
        let mut case = Case::default();
        let verdict = policy::explain(&view.view, view.status, &story.settings, &case.rate, story.now);
        assert!(answer(&verdict, &case, None)[0].starts_with("It does not alert: 98.0 %"));
        case.absorbed = Some(Provider::Infobip);
        let said = answer(&verdict, &case, None);
        assert!(
            said[0].contains("Infobip explains it") && said[1].starts_with("By its delivery rate: It does")
        );
    }
}
