//! An incident → the JSON of its Discord message, through serenity's builders. Pure.
//!
//! Never a recipient, never message text, and never longer than Discord takes: what is too long is
//! cut in the middle, counted in UTF-16 as Discord counts.

use serde_json::Value;
use serenity::builder::{
    CreateAllowedMentions, CreateEmbed, CreateEmbedFooter, EditWebhookMessage, ExecuteWebhook,
};
use serenity::model::Colour;
use serenity::model::id::RoleId;

use super::cause::label;
use super::incident::{Incident, ListLine, NumberLine, SignalLine, TimelineEntry};
use super::leg;
use super::text::{cut, grouped, json, lines, plain, relative, spaced, utf16};
use crate::health::{Band, Change, Evidence, Kind, Rule, Scope, odds, percent};

/// Discord's limits (developers' documentation, “Message Create” and “Embed Limits”).
const TITLE_MAX: usize = 256;
const DESCRIPTION_MAX: usize = 4096;
const VALUE_MAX: usize = 1024;
const FOOTER_MAX: usize = 2048;
const EMBED_MAX: usize = 6000;
const CONTENT_MAX: usize = 2000;
/// Steps shown, newest last.
const STEPS_SHOWN: usize = 8;

/// The card, as the body that posts it or the one that edits it: Discord takes the same.
pub fn render(incident: &Incident) -> Value {
    let card = Card::of(incident).fitted();
    let mut embed = CreateEmbed::new()
        .title(card.title)
        .description(card.description)
        .colour(Colour::new(colour(incident)))
        .footer(CreateEmbedFooter::new(card.footer));
    for (name, value, side) in card.fields {
        embed = embed.field(name, value, side == Side::BySide);
    }
    // The text is emptied, in case the card went out in its least form before.
    json(&EditWebhookMessage::new().content("").embed(embed).allowed_mentions(CreateAllowedMentions::new()))
}

/// The least a card can be: sent when Discord refuses the card, so that no alert is lost to a 400.
pub fn minimal(incident: &Incident) -> Value {
    let content = cut(&format!("{}\n{}", title(incident), sentence(incident)), CONTENT_MAX);
    json(&ExecuteWebhook::new().content(content).allowed_mentions(CreateAllowedMentions::new()))
}

/// The reply that calls people: edits of the card notify nobody.
pub fn ping(incident: &Incident, role: Option<&str>) -> Value {
    let role = role.and_then(|role| role.parse::<u64>().ok()).filter(|id| *id > 0).map(RoleId::new);
    let mention = role.map_or_else(String::new, |role| format!("<@&{role}> "));
    let content = format!("{mention}**{}** · {}", title(incident), news(incident));
    json(
        &ExecuteWebhook::new()
            .content(cut(&content, CONTENT_MAX))
            .allowed_mentions(CreateAllowedMentions::new().roles(role)),
    )
}

/// What an incident is called: `Critical · +1 800 555 0100 · Infobip leg`.
pub fn title(incident: &Incident) -> String {
    let head = match (incident.is_open(), incident.part_of) {
        (true, _) => incident.band.title().to_owned(),
        (false, Some(provider)) => format!("Part of {}'s", provider.title()),
        (false, None) => "Resolved".to_owned(),
    };
    let whose = whose(incident);
    match (incident.sick_leg(), incident.kind) {
        (Some(leg), Kind::DeliveryRate) => format!("{head} · {whose} · {} leg", leg::name(leg)),
        (None, Kind::DeliveryRate) => format!("{head} · {whose}"),
        (_, kind) => format!("{head} · {whose} · {}", kind.title()),
    }
}

/// Whose incident it is, as people call it.
fn whose(incident: &Incident) -> String {
    match &incident.scope {
        Scope::Number { number } => spaced(number),
        Scope::Leg { number, connection } => format!("{} on {connection}", spaced(number)),
        Scope::Provider { provider } => provider.title().to_owned(),
        Scope::Connection { connection } => connection.to_string(),
        Scope::State {} => "Sounder".to_owned(),
        Scope::List { list } => {
            let named = incident.lists.iter().find(|line| line.list == *list);
            named.map_or_else(|| list.to_string(), |line| plain(&line.name))
        }
    }
}

/// What there is to say, behind a title: the rate and why, or what another signal says.
fn news(incident: &Incident) -> String {
    match incident.signals.iter().max_by_key(|signal| signal.band) {
        Some(signal) if !incident.is_of_rate => signal.sentence.clone(),
        _ => {
            let why = incident.cause.class.map_or_else(String::new, |class| format!(" · {}", label(class)));
            format!("{}{why}", windows(incident))
        }
    }
}

/// One line that stands by itself, in a ping or a log.
pub(super) fn sentence(incident: &Incident) -> String {
    let rates = windows(incident);
    if incident.is_open() && !incident.is_of_rate {
        news(incident)
    } else if incident.kind == Kind::StateLost {
        "everything is counted again.".to_owned()
    } else if incident.is_open() {
        format!("delivery rate {rates}. {}", incident.cause.sentence)
    } else if let Some(provider) = incident.part_of {
        format!("{}'s own incident explains it.", provider.title())
    } else {
        format!("delivery rate {rates}: healthy again.")
    }
}

#[derive(PartialEq)]
enum Side {
    BySide,
    Alone,
}

/// A card's texts before they are JSON.
struct Card {
    title: String,
    description: String,
    fields: Vec<(&'static str, String, Side)>,
    footer: String,
}

impl Card {
    fn of(incident: &Incident) -> Self {
        let rate = || ("Delivery rate", rate_field(incident), Side::Alone);
        let mut fields = Vec::from_iter((incident.kind != Kind::StateLost).then(rate));
        if !incident.signals.is_empty() {
            fields.push(("Signals", lines(&incident.signals, signal_line), Side::Alone));
        }
        if !incident.numbers.is_empty() {
            fields.push(("Worst numbers", worst_numbers(incident), Side::Alone));
        }
        let failures = failures(incident.shown().0);
        if !failures.is_empty() {
            fields.push(("Failures", failures, Side::Alone));
        }
        if !incident.lists.is_empty() {
            fields.push(("Lists", lines(&incident.lists, list_line), Side::BySide));
        }
        if !incident.legs.is_empty() {
            fields.push(("Legs", lines(&incident.legs, leg::line), Side::BySide));
        }
        if incident.is_open() {
            fields.push(("What to do", what_to_do(incident), Side::Alone));
        }
        fields.push(("Timeline", timeline(incident), Side::Alone));
        Self { title: title(incident), description: description(incident), fields, footer: footer(incident) }
    }

    /// The same, within every limit.
    fn fitted(mut self) -> Self {
        self.title = cut(&self.title, TITLE_MAX);
        self.description = cut(&self.description, DESCRIPTION_MAX);
        self.footer = cut(&self.footer, FOOTER_MAX);
        for (_, value, _) in &mut self.fields {
            *value = cut(value, VALUE_MAX);
        }
        let over = self.length().saturating_sub(EMBED_MAX);
        // Only the description may be long enough to matter when every field is within its own.
        let keep = utf16(&self.description).saturating_sub(over).max(1);
        self.description = cut(&self.description, keep);
        while self.length() > EMBED_MAX && self.fields.len() > 1 {
            self.fields.pop();
        }
        self
    }

    fn length(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value, _)| utf16(name) + utf16(value)).sum();
        utf16(&self.title) + utf16(&self.description) + utf16(&self.footer) + fields
    }
}

fn description(incident: &Incident) -> String {
    let of_signals = incident.signals.iter().max_by_key(|signal| signal.band);
    let told = match of_signals {
        Some(signal) if !incident.is_of_rate => &signal.sentence,
        _ => &incident.cause.sentence,
    };
    let first = incident.lists.iter().find(|list| list.first_send);
    let first = first.map_or_else(String::new, |list| {
        format!(
            " First send to {} in a month: alerts are one band more lenient for a day.",
            plain(&list.name)
        )
    });
    match (incident.is_open(), incident.stale, incident.part_of) {
        (true, true, _) => format!("{told} Too little traffic to say more.{first}"),
        (true, false, _) => format!("{told}{first}"),
        (false, _, Some(provider)) => {
            format!("{}'s own incident explains it, and goes on.", provider.title())
        }
        (false, _, None) if incident.kind == Kind::StateLost => format!("Whole again. It had been: {told}"),
        (false, _, None) => format!("Healthy again. It had been: {told}"),
    }
}

fn rate_field(incident: &Incident) -> String {
    let (first, beside) = incident.shown();
    let beside = beside.map_or_else(String::new, |other| format!(" · {}", brief(other)));
    let (told, beside) = match incident.is_early() {
        true => (early(&incident.evidence), format!(" · {}", brief(first))),
        false => (rate_over(first), beside),
    };
    format!(
        "**{told}**{beside}\n{} judged over {}, {} pending, {} unreported\n{}",
        grouped(first.counts.judged()),
        first.window.title(),
        grouped(incident.pending),
        grouped(first.counts.unreported),
        proof(&incident.evidence),
    )
}

/// What proved an incident's last step, as a sentence.
pub fn proof(proof: &Evidence) -> String {
    let (rate, threshold) = (rate_over(proof), percent(proof.threshold));
    let judged = grouped(proof.counts.judged());
    match proof.rule {
        Rule::Interval => {
            format!("Last step: {rate}, {judged} judged: the whole interval below {threshold} %, repeatedly.")
        }
        Rule::Persisted | Rule::Volume => {
            format!("Last step: {rate}, {judged} judged: {} of {threshold} %.", proof.rule.words())
        }
        Rule::Odds => format!(
            "Last step: {rate}: {} of {judged} failed, repeatedly; at a true {threshold} % chance does \
             that less than once in {}.",
            grouped(proof.counts.failed),
            chance(proof)
        ),
        Rule::Early | Rule::Sudden => format!(
            "Last step: {}; at a true {threshold} % chance does that less than once in {}.",
            early(proof),
            chance(proof)
        ),
        Rule::Recovered => {
            format!("Last step: {rate}, {judged} judged: above {threshold} % for long enough.")
        }
        Rule::Grouped => format!("Last step: {rate}: {}.", proof.rule.words()),
        Rule::Signal => format!("Last step: another signal than the rate, which was {rate}."),
    }
}

/// How many to one the odds were against the failures of a step, in a round number.
fn chance(proof: &Evidence) -> String {
    let odds = odds(proof.counts.failed, proof.counts.judged(), proof.threshold);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "capped at a million")]
    let whole = odds.clamp(1.0, 1e6) as u64;
    let place = 10_u64.pow(whole.ilog10().saturating_sub(1));
    grouped(whole / place * place)
}

/// `92.8 % (91.6–94.0) over 15 min · 96.6 % over 1 h`. While what proved an incident has not matured, the
/// windows know nothing of it, so its own counts come first: `57 of about 150 failed within 5 min`.
fn windows(incident: &Incident) -> String {
    match incident.shown() {
        (first, _) if incident.is_early() => format!("{} · {}", early(&incident.evidence), brief(first)),
        (first, Some(beside)) if incident.is_open() => format!("{} · {}", rate_over(first), brief(beside)),
        (first, _) => rate_over(first),
    }
}

/// `57 of about 150 failed within 5 min`.
fn early(proof: &Evidence) -> String {
    let span = if proof.rule == Rule::Sudden { "5 min" } else { "15 min" };
    let [failed, of] = [proof.counts.failed, proof.counts.judged()].map(grouped);
    format!("{failed} of about {of} failed within {span}")
}

/// `92.8 % (91.6–94.0) over 15 min`.
fn rate_over(evidence: &Evidence) -> String {
    format!("{} over {}", rate_line(evidence), evidence.window.title())
}

/// `96.6 % over 1 h`.
fn brief(evidence: &Evidence) -> String {
    format!("{} % over {}", percent(evidence.rate), evidence.window.title())
}

/// `87.3 % (85.0–89.3)`.
fn rate_line(evidence: &Evidence) -> String {
    if evidence.counts.judged() == 0 {
        return "not known".into();
    }
    let [low, high] = evidence.interval;
    format!("{} % ({}–{})", percent(evidence.rate), percent(low), percent(high))
}

fn failures(evidence: &Evidence) -> String {
    let mut classes: Vec<_> = evidence.counts.failures.iter().collect();
    classes.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let line = |(class, count): &(&crate::event::FailureClass, &u64)| {
        format!("**{}** {} · `{}`", grouped(**count), label(**class), class.name())
    };
    classes.iter().take(3).map(line).collect::<Vec<_>>().join("\n")
}

fn list_line(list: &ListLine) -> String {
    match &list.brand {
        Some(brand) => format!("{} ({})", plain(&list.name), plain(brand)),
        None => plain(&list.name),
    }
}

fn signal_line(signal: &SignalLine) -> String {
    format!("**{}** · {}: {}", signal.kind.title(), signal.band.name(), plain(&signal.sentence))
}

/// The ten worst, and how many more.
fn worst_numbers(incident: &Incident) -> String {
    let line = |line: &NumberLine| {
        format!("{}: {} % · {} failed", spaced(&line.number), percent(line.rate), grouped(line.failed))
    };
    let mut text: Vec<_> = incident.numbers.iter().map(line).collect();
    if incident.numbers_more > 0 {
        text.push(format!("+{} more", incident.numbers_more));
    }
    text.join("\n")
}

fn what_to_do(incident: &Incident) -> String {
    let about_legs = leg::advice(incident).map_or_else(String::new, |advice| format!("\n{advice}"));
    format!("{}{about_legs}\n{}", incident.advice, super::runbook::link(incident))
}

fn timeline(incident: &Incident) -> String {
    let skipped = incident.timeline.len().saturating_sub(STEPS_SHOWN);
    let line = |entry: &TimelineEntry| {
        let what = match entry.change {
            Change::Opened => "opened as",
            Change::Worsened => "worse:",
            Change::Improved => "better:",
            Change::Resolved => "resolved:",
            Change::Reopened => "back, as",
            Change::Joined => "another signal joined or left:",
            Change::Absorbed => "part of its provider's incident:",
            Change::Reminded => "called again, still",
        };
        let rated = incident.kind != Kind::StateLost;
        let rate = if rated { format!(" at {} %", percent(entry.rate)) } else { String::new() };
        format!("{} {what} {}{rate}", relative(entry.at), entry.band.name())
    };
    let seen = incident.acknowledged.iter();
    let seen = seen.map(|seen| format!("{} acknowledged by {}", relative(seen.at), plain(&seen.by)));
    incident.timeline.iter().skip(skipped).map(line).chain(seen).collect::<Vec<_>>().join("\n")
}

fn footer(incident: &Incident) -> String {
    format!("incident {} · worst {}", incident.id, incident.worst.name())
}

fn colour(incident: &Incident) -> u32 {
    match (incident.is_open(), incident.stale, incident.band) {
        (true, ..) if incident.acknowledged.is_some() => 0x34_98DB,
        (false, ..) => 0x2E_CC71,
        (true, true, _) | (true, false, Band::Unknown) => 0x95_A5A6,
        (true, false, Band::Healthy) => 0x2E_CC71,
        (true, false, Band::Watch) => 0xF1_C40F,
        (true, false, Band::Degraded) => 0xE6_7E22,
        (true, false, Band::Critical) => 0xC0_392B,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::incident::sample;
    use crate::event::ListId;
    use crate::health::{Counts, Window};

    fn pretty(value: &Value) -> String {
        serde_json::to_string_pretty(value).unwrap()
    }

    #[test]
    fn an_open_card() {
        insta::assert_snapshot!(pretty(&render(&sample::incident())));
    }

    #[test]
    fn a_resolved_card() {
        let mut incident = sample::incident();
        incident.resolved = Some(incident.opened.plus(std::time::Duration::from_secs(3600)));
        incident.band = Band::Healthy;
        insta::assert_snapshot!(pretty(&render(&incident)));
    }

    #[test]
    fn a_ping_mentions_its_role_and_nobody_else() {
        insta::assert_snapshot!(pretty(&ping(&sample::incident(), Some("4242"))));
        let nobody = ping(&sample::incident(), None);
        assert_eq!(nobody["allowed_mentions"]["roles"], serde_json::json!([]));
        assert!(!nobody["content"].as_str().unwrap().contains("<@"));
    }

    #[test]
    fn a_step_of_a_quarter_of_an_hour_is_headed_by_its_own_rate() {
        let mut incident = sample::incident();
        let window = |window, rate| Evidence { window, rate, ..incident.current.clone() };
        (incident.current, incident.beside) =
            (window(Window::Hour, 0.9664), Some(window(Window::Quarter, 0.928)));
        let card = render(&incident);
        let rate = card["embeds"][0]["fields"][0]["value"].as_str().unwrap();
        assert!(rate.starts_with("**92.8 % (52.2–64.7) over 15 min** · 96.6 % over 1 h\n"), "{rate}");
        let called = ping(&incident, None);
        let called = called["content"].as_str().unwrap();
        assert!(called.contains("over 15 min · 96.6 % over 1 h · filtered by carriers"), "{called}");
        assert!(called.len() < 200, "{called}");
    }

    #[test]
    fn a_step_that_no_window_shows_yet_is_told_by_its_own_counts() {
        let mut incident = sample::incident();
        let mut counts = Counts { delivered: 93, failed: 57, ..Counts::default() };
        incident.evidence = Evidence::new(Rule::Sudden, Window::Quarter, counts.clone(), incident.current.at);
        (counts.delivered, counts.failed) = (990, 10);
        incident.current = Evidence::new(Rule::Odds, Window::Hour, counts, incident.current.at);
        incident.beside = None;
        let told = "57 of about 150 failed within 5 min";
        let called = |incident: &Incident| ping(incident, None)["content"].as_str().unwrap().to_owned();
        assert!(called(&incident).contains(&format!("{told} · 99.0 % over 1 h")), "{}", called(&incident));
        let field = rate_field(&incident);
        assert!(field.starts_with(&format!("**{told}** · 99.0 % over 1 h\n1,000 judged")), "{field}");
        // Once it is in the windows, they say more.
        incident.current.at = incident.current.at.plus(std::time::Duration::from_secs(1200));
        assert!(!called(&incident).contains(told), "{}", called(&incident));
    }

    #[test]
    fn a_stale_card_is_grey() {
        let incident = Incident { stale: true, ..sample::incident() };
        assert_eq!(render(&incident)["embeds"][0]["color"], 0x95_A5A6);
    }

    #[test]
    fn whatever_is_in_it_a_card_keeps_to_the_limits() {
        let mut incident = sample::incident();
        incident.cause.sentence = "😀é".repeat(5000);
        incident.advice = "x".repeat(5000);
        let long = ListLine {
            list: ListId::parse("a").unwrap(),
            name: "@everyone _𝕏_ ".repeat(400),
            brand: None,
            first_send: true,
        };
        incident.lists = vec![long; 9];
        let card = render(&incident);
        let embed = &card["embeds"][0];
        let length = |value: &Value| utf16(value.as_str().unwrap());
        let fields = embed["fields"].as_array().unwrap();
        let mut total =
            length(&embed["title"]) + length(&embed["description"]) + length(&embed["footer"]["text"]);
        for field in fields {
            assert!(length(&field["value"]) <= VALUE_MAX && length(&field["value"]) > 0);
            total += length(&field["name"]) + length(&field["value"]);
        }
        assert!(total <= EMBED_MAX && fields.len() >= 5, "{total}");
        assert!(length(&minimal(&incident)["content"]) <= CONTENT_MAX);
        assert!(length(&ping(&incident, Some("1"))["content"]) <= CONTENT_MAX);
        assert_eq!(card["allowed_mentions"]["parse"], serde_json::json!([]));
    }
}
