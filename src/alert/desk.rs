//! The mirror → the policy's decision → incidents and outbox entries, written in one atomic step.
//!
//! It alone writes standings and incidents. What it holds in memory is what the store holds: a save
//! that fails leaves both as they were, so the next evaluation judges the same again, and another
//! observer that takes over opens a desk of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::documents::{Documents, delete, put, read};
use super::incident::{Acknowledgement, Incident, Posted};
use super::loss;
use super::outbox::{Action, Entry, Outbox, key, posted_key};
use super::scene::Scene;
use crate::clock::Timestamp;
use crate::config::Health;
use crate::event::Number;
use crate::health::{
    self, Band, Case, Change, Kind, Orders, Report, Scope, Silence, Transition, decide, report,
};
use crate::registry::Registry;
use crate::tally::{Error, HOURS_KEPT, Mirror, Put, Store, Table, apart};

/// A card whose band has not changed is edited no more often than this.
const EDIT_EVERY: Duration = Duration::from_secs(300);

/// Judges everything, and writes what follows.
#[derive(Debug)]
pub struct Desk<D = Store> {
    documents: D,
    /// Shared with whoever is deciding.
    cases: Arc<BTreeMap<String, Case>>,
    incidents: BTreeMap<String, Incident>,
    held: Option<String>,
    resumed: bool,
    state: loss::Standing,
}

/// What an evaluation found.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Health, with each number's band's age and open incident.
    pub report: Report,
    /// The steps that were taken.
    pub steps: Vec<Step>,
    /// Open incidents, oldest first.
    pub open: Vec<Incident>,
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Whose.
    pub scope: Scope,
    /// Its incident.
    pub incident: String,
    /// The incident's kind.
    pub kind: Kind,
    /// The step.
    pub transition: Transition,
}

/// What an evaluation is about to change.
#[derive(Default)]
struct Draft {
    cases: BTreeMap<String, Case>,
    incidents: BTreeMap<String, Incident>,
    entries: Vec<(Action, String)>,
    steps: Vec<Step>,
    gone: Vec<String>,
    noted: Vec<String>,
}

impl<D: Documents> Desk<D> {
    /// Takes up the work where whoever did it last left it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(documents: D) -> Result<Self, Error> {
        let cases = Arc::new(load(&documents, Table::Standings).await?);
        let incidents = load(&documents, Table::Incidents).await?;
        Ok(Self { documents, cases, incidents, held: None, resumed: false, state: loss::Standing::default() })
    }

    /// Judges nothing until [released](Self::release): Sounder's own delay must not look like the
    /// carrier's. The reason, a sentence, is shown.
    pub fn hold(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.held.is_none() {
            tracing::warn!(reason, "alerts.evaluation is held");
        }
        self.held = Some(reason);
    }

    /// Judges again; time that nobody watched counts for nothing.
    pub fn release(&mut self) {
        if self.held.take().is_some() {
            tracing::info!("alerts.evaluation goes on");
            self.resumed = true;
        }
    }

    /// Learns what the store lost, of which an incident tells, and whether that is made good.
    pub fn hear_of_state(&mut self, state: loss::Standing) {
        self.state = state;
    }

    /// Judges everything on the mirror as it is, and saves what follows from it.
    ///
    /// # Errors
    /// When the store does not take it; then nothing has changed, here or there.
    pub async fn evaluate(
        &mut self,
        mirror: &Arc<Mirror>,
        registry: &Arc<Registry>,
        now: Timestamp,
    ) -> Result<Evaluation, Error> {
        let of = Arc::clone(registry);
        let found = mirror.study(move |cells| report(cells, &of, &of.health, now)).await?;
        self.decide(found, registry, Arc::new(registry.health.clone()), now).await
    }

    /// The same, from a report.
    async fn decide(
        &mut self,
        mut found: Report,
        registry: &Registry,
        settings: Arc<Health>,
        now: Timestamp,
    ) -> Result<Evaluation, Error> {
        let mut draft = Draft::default();
        self.tell_of_state(now, &mut draft);
        if self.held.is_some() {
            self.save(&mut draft, now).await?;
        } else {
            self.fetch_posted(&mut draft).await?;
            self.fetch_acknowledged(&mut draft).await?;
            if self.resumed {
                Arc::make_mut(&mut self.cases).values_mut().for_each(Case::resume);
            }
            let orders = self.orders(&draft).await?;
            let cases = Arc::clone(&self.cases);
            let (seen, decision) = apart(move || {
                let decision = decide(&found, &settings, &cases, &orders, now);
                (found, decision)
            })
            .await?;
            found = seen;
            draft.cases = decision.cases;
            for step in decision.steps {
                self.step(step, &Scene { report: &found, registry, now }, &mut draft);
            }
            self.refresh(&Scene { report: &found, registry, now }, &mut draft);
            self.retire(&found, now, &mut draft);
            self.save(&mut draft, now).await?;
            self.resumed = false;
        }
        Ok(self.evaluation(found, draft.steps))
    }

    /// Says that the store lost something, or has it back: also while nothing is judged, which may be
    /// because of it.
    fn tell_of_state(&self, now: Timestamp, draft: &mut Draft) {
        let is_rebuilding = self.state.is_rebuilding || self.held.is_some();
        let state = loss::Standing { is_rebuilding, ..self.state.clone() };
        let Some((incident, transition)) = loss::step(self.incidents.values(), &state, now, rand::random())
        else {
            return;
        };
        draft.say(&incident, &transition);
        let (scope, kind) = (incident.scope.clone(), incident.kind);
        draft.steps.push(Step { scope, incident: incident.id.clone(), kind, transition });
        draft.incidents.insert(incident.id.clone(), incident);
    }

    /// A step, and the incident after it: opened if there is none to continue.
    fn step(&self, step: health::Step, scene: &Scene<'_>, draft: &mut Draft) {
        let health::Step { scope, kind, transition } = step;
        let Some(case) = draft.cases.get_mut(&scope.key()) else { return };
        let ends = matches!(transition.change, Change::Resolved | Change::Absorbed);
        let id = match ends {
            true => case.ended.as_ref().map(|ended| ended.incident.clone()),
            false => case.rate.incident.clone(),
        };
        let known = id.and_then(|id| draft.incidents.get(&id).or_else(|| self.incidents.get(&id)).cloned());
        let mut incident = match known {
            Some(mut incident) => {
                incident.step(&transition);
                incident
            }
            None => Incident::open((scope.clone(), kind), &transition, rand::random()),
        };
        incident.told = transition.evidence.at;
        incident.observe(case, scene);
        match (ends, &mut case.ended) {
            (true, Some(ended)) => ended.incident.clone_from(&incident.id),
            _ => case.rate.incident = Some(incident.id.clone()),
        }
        draft.say(&incident, &transition);
        draft.steps.push(Step { scope, incident: incident.id.clone(), kind: incident.kind, transition });
        draft.incidents.insert(incident.id.clone(), incident);
    }

    /// Brings open incidents' counts up to date, and their cards now and then.
    fn refresh(&self, scene: &Scene<'_>, draft: &mut Draft) {
        for (id, before) in self.incidents.iter().filter(|(_, incident)| incident.is_open()) {
            let mut incident = draft.incidents.get(id).unwrap_or(before).clone();
            let key = before.scope.key();
            let case = draft.cases.get(&key).or_else(|| self.cases.get(&key));
            let Some(case) = case.filter(|case| case.rate.incident.as_ref() == Some(id)) else { continue };
            if scene.now.since(incident.told) < EDIT_EVERY {
                continue;
            }
            incident.observe(case, scene);
            if incident.says_the_same_as(before) {
                continue;
            }
            incident.told = scene.now;
            draft.entries.push((Action::Edit, id.clone()));
            draft.incidents.insert(id.clone(), incident);
        }
    }

    /// Lets go of numbers that are no longer configured and were not heard of for as long as cells
    /// are kept: their incidents end, quietly.
    fn retire(&self, found: &Report, now: Timestamp, draft: &mut Draft) {
        // No cells at all is a store that was emptied, not every number's end.
        let known = |name: &str| Number::parse(name).is_none_or(|n| found.numbers.contains_key(&n));
        let gone = self.cases.iter().filter(|(name, _)| found.cells > 0 && !known(name));
        for (name, case) in gone {
            draft.gone.push(name.clone());
            let Some(incident) = case.rate.incident.as_ref().and_then(|id| self.incidents.get(id)) else {
                continue;
            };
            draft.entries.push((Action::Edit, incident.id.clone()));
            let ended = Incident { resolved: Some(now), told: now, ..incident.clone() };
            draft.incidents.insert(incident.id.clone(), ended);
        }
    }

    /// Notes which message is whose card, which the dispatcher knows and an incident shows.
    async fn fetch_posted(&self, draft: &mut Draft) -> Result<(), Error> {
        if self.incidents.values().all(|incident| !incident.is_open() || incident.discord.is_some()) {
            return Ok(());
        }
        let outbox = Outbox::of(&self.documents.load(Table::Outbox).await?);
        for (id, incident) in &self.incidents {
            let posted: Option<&Posted> = outbox.posted(id);
            let known = draft.incidents.get(id).unwrap_or(incident);
            if incident.is_open() && incident.discord.as_ref() != posted && posted.is_some() {
                let incident = Incident { discord: posted.cloned(), ..known.clone() };
                draft.incidents.insert(id.clone(), incident);
            }
        }
        Ok(())
    }

    /// What people have said: it is an argument of the policy.
    async fn orders(&self, draft: &Draft) -> Result<Orders, Error> {
        let silences = load::<Silence>(&self.documents, Table::Silences).await?.into_values().collect();
        let taken_on = |incident: &&Incident| incident.acknowledged.is_some();
        let known = self.incidents.values().chain(draft.incidents.values());
        let acknowledged = known.filter(taken_on).map(|incident| incident.id.clone()).collect();
        Ok(Orders { silences, acknowledged })
    }

    /// Notes who has taken an incident on since, and says so on its card.
    async fn fetch_acknowledged(&self, draft: &mut Draft) -> Result<(), Error> {
        let acknowledged = load::<Acknowledgement>(&self.documents, Table::Acknowledged).await?;
        for (id, acknowledgement) in acknowledged {
            let known = draft.incidents.get(&id).or_else(|| self.incidents.get(&id));
            if let Some(incident) = known.filter(|incident| incident.is_open()).cloned() {
                let incident = Incident { acknowledged: Some(acknowledgement), ..incident };
                draft.incidents.insert(id.clone(), incident);
                draft.entries.push((Action::Edit, id.clone()));
            }
            draft.noted.push(id);
        }
        Ok(())
    }

    /// Writes everything in one step, and only then believes it.
    async fn save(&mut self, draft: &mut Draft, now: Timestamp) -> Result<(), Error> {
        let mut puts: Vec<Put> = Vec::new();
        for (name, case) in &draft.cases {
            puts.push(put(Table::Standings, name, case)?);
        }
        for (id, incident) in &draft.incidents {
            puts.push(put(Table::Incidents, id, incident)?);
        }
        for (place, (action, id)) in draft.entries.iter().enumerate() {
            let Some(incident) = draft.incidents.get(id) else { continue };
            let entry = Entry { action: *action, incident: incident.clone(), attempted: false };
            puts.push(put(Table::Outbox, &key(now, place, rand::random()), &entry)?);
        }
        puts.extend(draft.gone.iter().map(|name| delete(Table::Standings, name)));
        puts.extend(draft.noted.iter().map(|id| delete(Table::Acknowledged, id)));
        let over = |incident: &&Incident| incident.resolved.is_some_and(|at| now.since(at) > HOURS_KEPT);
        let old: Vec<_> = self.incidents.values().filter(over).map(|incident| incident.id.clone()).collect();
        for id in &old {
            puts.extend([delete(Table::Incidents, id), delete(Table::Outbox, &posted_key(id))]);
        }
        if !puts.is_empty() {
            self.documents.save(puts).await?;
        }
        let cases = Arc::make_mut(&mut self.cases);
        cases.append(&mut draft.cases);
        cases.retain(|name, _| !draft.gone.contains(name));
        self.incidents.append(&mut draft.incidents);
        self.incidents.retain(|id, _| !old.contains(id));
        Ok(())
    }

    fn evaluation(&self, mut report: Report, steps: Vec<Step>) -> Evaluation {
        report.held.clone_from(&self.held);
        report.stand(&self.cases);
        let open = self.incidents.values().filter(|incident| incident.is_open()).cloned().collect();
        Evaluation { report, steps, open }
    }
}

impl Draft {
    /// What a step gives to say, in order.
    fn say(&mut self, incident: &Incident, transition: &Transition) {
        let card = match transition.change {
            Change::Opened => Action::Post,
            Change::Worsened
            | Change::Improved
            | Change::Resolved
            | Change::Reopened
            | Change::Joined
            | Change::Absorbed
            | Change::Reminded => Action::Edit,
        };
        self.entries.push((card, incident.id.clone()));
        if transition.pings && transition.to > Band::Healthy {
            self.entries.push((Action::Ping, incident.id.clone()));
        }
    }
}

async fn load<T: serde::de::DeserializeOwned>(
    documents: &impl Documents,
    table: Table,
) -> Result<BTreeMap<String, T>, Error> {
    let kept = documents.load(table).await?;
    Ok(kept.into_iter().filter_map(|(key, value)| Some((key.clone(), read(table, &key, &value)?))).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::alert::documents::memory::Memory;
    use crate::alert::incident::sample::{NUMBER, sick};
    use crate::health::story::{Story, number};

    const MINUTE: Duration = Duration::from_secs(60);

    async fn look(desk: &mut Desk<Memory>, story: &mut Story) -> Result<Evaluation, Error> {
        story.now = story.now.plus(MINUTE);
        desk.decide(story.report(), &story.registry, Arc::new(story.settings.clone()), story.now).await
    }

    /// Evaluations until a number takes a step.
    async fn until_a_step(desk: &mut Desk<Memory>, story: &mut Story) -> Evaluation {
        for _ in 0..30 {
            let evaluation = look(desk, story).await.unwrap();
            if !evaluation.steps.is_empty() {
                return evaluation;
            }
        }
        panic!("no step in half an hour")
    }

    fn actions(memory: &Memory) -> Vec<Action> {
        let tables = memory.tables.lock().unwrap();
        let entries = tables.iter().filter(|((table, _), _)| *table == Table::Outbox);
        entries.map(|(_, value)| serde_json::from_slice::<Entry>(value).unwrap().action).collect()
    }

    #[tokio::test]
    async fn a_step_is_one_save_of_standing_incident_and_entries() {
        let (memory, mut story) = (Memory::default(), sick());
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        let evaluation = until_a_step(&mut desk, &mut story).await;
        let step = &evaluation.steps[0];
        assert_eq!((step.transition.change, step.transition.pings), (Change::Opened, true));
        let saves = memory.saves.lock().unwrap().clone();
        let tables: Vec<_> = saves.last().unwrap().iter().map(|put| put.table).collect();
        assert_eq!(tables, [Table::Standings, Table::Incidents, Table::Outbox, Table::Outbox]);
        assert_eq!(actions(&memory), [Action::Post, Action::Ping]);
        let view = &evaluation.report.numbers[&number(NUMBER)];
        assert_eq!(view.incident.as_ref(), Some(&evaluation.open[0].id));
        assert!(view.since.is_some());
    }

    #[tokio::test]
    async fn whoever_takes_an_incident_on_is_named_on_its_card_until_it_gets_worse() {
        let (memory, mut story) = (Memory::default(), sick());
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        let open = until_a_step(&mut desk, &mut story).await.open[0].clone();
        let acknowledged = Acknowledgement { by: "ada".into(), at: story.now };
        let puts = ["nobody's", &open.id].map(|id| put(Table::Acknowledged, id, &acknowledged).unwrap());
        memory.save(puts.to_vec()).await.unwrap();
        let before = actions(&memory).len();
        let evaluation = look(&mut desk, &mut story).await.unwrap();
        assert_eq!(evaluation.open[0].acknowledged, Some(acknowledged));
        assert_eq!(actions(&memory)[before..], [Action::Edit]);
        assert_eq!(memory.keys(Table::Acknowledged), [""; 0]);
        let worse = Transition {
            change: Change::Worsened,
            from: Band::Degraded,
            to: Band::Critical,
            pings: true,
            evidence: open.evidence.clone(),
        };
        let mut incident = evaluation.open[0].clone();
        incident.step(&worse);
        assert_eq!(incident.acknowledged, None);
    }

    #[tokio::test]
    async fn nothing_new_is_nothing_saved() {
        let (memory, mut story) = (Memory::default(), Story::new());
        story.send("tw", Some(NUMBER), 100, 0);
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        for _ in 0..5 {
            look(&mut desk, &mut story).await.unwrap();
        }
        assert_eq!(memory.saves.lock().unwrap().len(), 1, "the first sight of the numbers");
    }

    #[tokio::test]
    async fn a_store_that_takes_nothing_delays_a_step_but_loses_none() {
        let (memory, mut story) = (Memory::default(), sick());
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        look(&mut desk, &mut story).await.unwrap();
        memory.broken.store(true, Ordering::SeqCst);
        for _ in 0..5 {
            assert!(look(&mut desk, &mut story).await.is_err());
        }
        memory.broken.store(false, Ordering::SeqCst);
        assert_eq!(until_a_step(&mut desk, &mut story).await.steps.len(), 1);
        assert_eq!(memory.keys(Table::Incidents).len(), 1);
    }

    #[tokio::test]
    async fn another_desk_goes_on_where_the_last_one_stopped() {
        let (memory, mut story) = (Memory::default(), sick());
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        let first = until_a_step(&mut desk, &mut story).await;
        drop(desk);
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        for _ in 0..3 {
            let evaluation = look(&mut desk, &mut story).await.unwrap();
            assert!(evaluation.steps.is_empty());
            assert_eq!(evaluation.open[0].id, first.open[0].id);
        }
        assert_eq!(crate::alert::incidents(&memory).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn while_held_nothing_is_judged_and_afterwards_from_the_start() {
        let (memory, mut story) = (Memory::default(), sick());
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        look(&mut desk, &mut story).await.unwrap();
        look(&mut desk, &mut story).await.unwrap();
        desk.hold("the consumer is 2 minutes behind");
        let held = look(&mut desk, &mut story).await.unwrap();
        assert_eq!(held.report.held.as_deref(), Some("the consumer is 2 minutes behind"));
        assert!(held.report.numbers[&number(NUMBER)].view.band >= Band::Degraded);
        desk.release();
        for _ in 0..2 {
            assert!(look(&mut desk, &mut story).await.unwrap().steps.is_empty());
        }
        assert_eq!(look(&mut desk, &mut story).await.unwrap().steps.len(), 1);
    }

    #[tokio::test]
    async fn an_unchanged_band_edits_its_card_every_five_minutes_at_most() {
        let (memory, mut story) = (Memory::default(), sick());
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        until_a_step(&mut desk, &mut story).await;
        for _ in 0..10 {
            story.send("ib", Some(NUMBER), 0, 1);
            assert!(look(&mut desk, &mut story).await.unwrap().steps.is_empty());
        }
        assert_eq!(actions(&memory), [Action::Post, Action::Ping, Action::Edit, Action::Edit]);
    }

    #[tokio::test]
    async fn a_number_recovers_into_the_same_incident_and_resolves_it() {
        let (memory, mut story) = (Memory::default(), sick());
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        let id = until_a_step(&mut desk, &mut story).await.open[0].id.clone();
        let mut last = None;
        for _ in 0..150 {
            story.send_now("ib", NUMBER, 20, 0);
            let evaluation = look(&mut desk, &mut story).await.unwrap();
            last = evaluation.steps.into_iter().next_back().or(last);
        }
        let last = last.unwrap();
        assert_eq!((last.transition.change, last.incident), (Change::Resolved, id));
        assert!(crate::alert::incidents(&memory).await.unwrap()[0].resolved.is_some());
    }

    #[tokio::test]
    async fn a_number_that_is_no_more_takes_its_incident_with_it() {
        let (memory, mut story) = (Memory::default(), Story::new());
        story.send("ib", Some("71441"), 0, 100);
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        until_a_step(&mut desk, &mut story).await;
        story.cells = crate::tally::Cells::default();
        let emptied = look(&mut desk, &mut story).await.unwrap();
        assert_eq!(emptied.open.len(), 1, "an empty store proves nothing");
        story.send("ib", Some(NUMBER), 100, 0);
        let evaluation = look(&mut desk, &mut story).await.unwrap();
        assert_eq!((evaluation.open.len(), evaluation.steps.len()), (0, 0));
        assert!(!memory.keys(Table::Standings).contains(&"71441".to_owned()));
    }

    #[tokio::test]
    async fn an_incident_learns_which_message_is_its_card() {
        let (memory, mut story) = (Memory::default(), sick());
        let mut desk = Desk::open(memory.clone()).await.unwrap();
        let id = until_a_step(&mut desk, &mut story).await.open[0].id.clone();
        let posted = Posted { message: "77".into(), channel: Some("5".into()) };
        memory.save(vec![put(Table::Outbox, &posted_key(&id), &posted).unwrap()]).await.unwrap();
        assert_eq!(look(&mut desk, &mut story).await.unwrap().open[0].discord, Some(posted));
    }
}
