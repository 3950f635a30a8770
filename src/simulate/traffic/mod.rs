//! The traffic: messages with a fate each, told by their providers in webhooks. A configuration, a
//! seed and options go in; webhooks come out one at a time, as many as are asked for. The same seed
//! repeats the same messages, ids and order; only their times are the clock's.

mod mix;
mod queue;

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

pub use mix::{Outlook, Rare, Sender};
use queue::{Item, Queue, Report};

use super::fate::{Fact, Fate, Reason, Step};
use super::route::{Body, Honesty, Prepared, Route};
use super::voice::{Answer, Message, cm, infobip, lime, twilio};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::event::Provider;

/// Webhooks after which an unfilled batch is sent all the same.
const BATCH_WAIT: u64 = 40;

/// What the traffic is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// What ids, fates and order follow from.
    pub seed: u64,
    /// Messages to send; without it there is no end.
    pub messages: Option<u32>,
    /// Share of messages delivered, of those delivered or failed.
    pub delivery_rate: f64,
    /// Fates that are neither.
    pub rare: Rare,
    /// Share of messages that get an answer.
    pub inbound: f64,
    /// Order of delivery.
    pub order: Order,
    /// Share of webhooks sent again.
    pub duplicates: f64,
    /// Share of webhooks followed by a forged one.
    pub forged: f64,
    /// Share of messages of which two final states are told.
    pub corrections: f64,
    /// Most reports in one of Infobip's batches.
    pub batch: usize,
}

/// The order webhooks are delivered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A message's webhooks in the order of its life.
    AsTold,
    /// At random within this many webhooks.
    Shuffled(u64),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            messages: None,
            delivery_rate: 0.97,
            rare: Rare::default(),
            inbound: 0.0,
            order: Order::AsTold,
            duplicates: 0.0,
            forged: 0.0,
            corrections: 0.002,
            batch: 1,
        }
    }
}

/// One webhook, ready to be sent.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The request; sent again it is the same bytes.
    pub request: Prepared,
    /// What it says that must be counted, once it is acknowledged.
    pub facts: Arc<[Fact]>,
    /// Whether it must be believed.
    pub expect: Expect,
}

/// What a webhook must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// A 2xx.
    Acceptance,
    /// 401: it is forged.
    Refusal,
}

/// Why there can be no traffic.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to send for.
    #[error("the configuration has no [[connection]] to simulate a provider of: add one")]
    NoConnections,
    /// The target is none.
    #[error("failed to make a request for {url}: give --url as http://host:port")]
    Target {
        /// What was given.
        url: String,
        /// Why it does not do.
        source: http::Error,
    },
}

/// An endless, or counted, supply of webhooks.
pub struct Traffic {
    routes: Vec<Route>,
    senders: Vec<Sender>,
    options: Options,
    random: Pcg64Mcg,
    queue: Queue,
    made: u32,
    forged: u32,
}

impl Traffic {
    /// The traffic of every connection of `config` to the Sounder at `target`.
    ///
    /// # Errors
    /// No connection, or a `target` that is no URL.
    pub fn new(config: &Config, target: &str, options: Options) -> Result<Self, Error> {
        let routes = config
            .connections
            .iter()
            .map(|connection| Route::new(connection, target))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| Error::Target { url: target.into(), source })?;
        if routes.is_empty() {
            return Err(Error::NoConnections);
        }
        let senders = mix::senders(config, &routes, options.delivery_rate);
        let random = Pcg64Mcg::seed_from_u64(options.seed);
        let queue = Queue::new(routes.len());
        Ok(Self { routes, senders, options, random, queue, made: 0, forged: 0 })
    }

    /// Who sends, in the order that [`Fact::sender`] counts.
    pub fn senders(&self) -> &[Sender] {
        &self.senders
    }

    /// Who sends, to change how much and with what fate.
    pub fn senders_mut(&mut self) -> &mut [Sender] {
        &mut self.senders
    }

    /// The routes, in the order that [`Sender::route`] counts.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Messages made so far.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// The next webhook; none when every message of the run has been told to its end.
    pub fn next(&mut self, now: Timestamp) -> Option<Webhook> {
        loop {
            if let Some(webhook) = self.overdue_batch(now) {
                return Some(webhook);
            }
            let more = self.options.messages.is_none_or(|most| self.made < most);
            let item = if more { self.queue.pop_due() } else { self.queue.pop() };
            match item {
                Some(Item::Ready(webhook)) => return Some(self.emit(webhook, &[], now)),
                Some(Item::Step(message, step)) => {
                    if let Some(webhook) = self.tell(&message, step, now) {
                        return Some(webhook);
                    }
                }
                None if more => self.make_message(now),
                None => return self.last_batch(now),
            }
        }
    }

    fn make_message(&mut self, now: Timestamp) {
        let sender = mix::pick(&self.senders, &mut self.random);
        let message = self.message(self.made, sender, now);
        self.made += 1;
        let provider = self.provider(sender);
        let fate = mix::fate(&self.senders[sender].outlook, self.options.rare, &mut self.random);
        for (nth, step) in self.life(provider, fate, message.sent_at).into_iter().enumerate() {
            let wait = self.wait(u64::try_from(nth).unwrap_or(0));
            self.queue.push(wait, Item::Step(message.clone(), step));
        }
        if self.random.random_bool(self.options.inbound)
            && let Some(webhook) = self.answer(&message, provider, now)
        {
            let wait = self.wait(2);
            self.queue.push(wait, Item::Ready(webhook));
        }
    }

    /// Webhooks between the making of a message and the telling of its `nth` state.
    fn wait(&mut self, nth: u64) -> u64 {
        match self.options.order {
            Order::Shuffled(window) => self.random.random_range(0..=window),
            Order::AsTold => (0..nth).map(|_| self.random.random_range(20..=120)).sum(),
        }
    }

    fn message(&mut self, index: u32, sender: usize, now: Timestamp) -> Message {
        let who = &self.senders[sender];
        let area = mix::AREAS[self.random.random_range(0..mix::AREAS.len())];
        let line: u32 = self.random.random_range(0..100_000);
        let ago = self.random.random_range(16_000_u64..20_000);
        Message {
            index,
            id: mix::id(self.options.seed, index),
            sender: u16::try_from(sender).unwrap_or(u16::MAX),
            from: who.said.clone(),
            to: format!("+1{area}55{line:05}"),
            sent_at: now.minus(std::time::Duration::from_millis(ago)),
        }
    }

    /// The states that are told, in the order of their times.
    fn life(&mut self, provider: Provider, fate: Fate, sent_at: Timestamp) -> Vec<Step> {
        let fate = super::fate::sayable(provider, fate);
        let after = |seconds| sent_at.plus(std::time::Duration::from_secs(seconds));
        let mut steps = vec![Step { fate: Fate::Sent, at: after(1) }];
        if fate == Fate::Sent {
            return steps;
        }
        let delay = self.random.random_range(3..=9);
        steps.push(Step { fate, at: after(delay) });
        if fate == Fate::Delivered && self.random.random_bool(self.options.corrections) {
            steps.push(Step { fate: Fate::Failed(Reason::Unreachable), at: after(delay + 4) });
            // Only Infobip's times are precise enough to say that the second word was the better one.
            if provider == Provider::Infobip && self.random.random_bool(0.5) {
                steps[1].fate = Fate::Failed(Reason::Unreachable);
                steps[2].fate = Fate::Delivered;
            }
        }
        steps
    }

    /// Says one state; a batch that is not yet full says nothing.
    fn tell(&mut self, message: &Message, step: Step, now: Timestamp) -> Option<Webhook> {
        let sender = usize::from(message.sender);
        let route = self.senders[sender].route;
        if self.provider(sender) == Provider::Infobip {
            let report =
                Report { text: infobip::report(message, step), fact: fact(message, step, Dating::Dated) };
            let full = self.queue.add_report(route, report) >= self.options.batch.max(1);
            return full.then(|| self.flush(route, now));
        }
        let request = self.speak(message, step, Honesty::Genuine, now);
        let dating = if self.provider(sender) == Provider::Cm { Dating::Dated } else { Dating::Undated };
        let facts = Arc::from([fact(message, step, dating)]);
        Some(self.emit(Webhook { request, facts, expect: Expect::Acceptance }, &[], now))
    }

    /// The request in which one state of one message is told.
    fn speak(&self, message: &Message, step: Step, honesty: Honesty, now: Timestamp) -> Prepared {
        let route = &self.routes[self.senders[usize::from(message.sender)].route];
        let form = |sorted: &[(&str, &str)]| route.request(Body::Form(sorted), honesty, now);
        match route.provider {
            Provider::Twilio => twilio::status(message, step, form),
            Provider::Lime => lime::status(message, step, &route.mapping, form),
            Provider::Cm => route.request(Body::Json(cm::status(message, step, &route.zone)), honesty, now),
            Provider::Infobip => {
                let body = infobip::batch(&[&infobip::report(message, step)]);
                route.request(Body::Json(body), honesty, now)
            }
        }
    }

    fn answer(&mut self, message: &Message, provider: Provider, now: Timestamp) -> Option<Webhook> {
        let answer = match self.random.random_range(0..10) {
            0 => Answer::OptOut("STOP"),
            1 => Answer::OptOut("stop."),
            n => Answer::Reply(mix::REPLIES[n % mix::REPLIES.len()]),
        };
        let route = &self.routes[self.senders[usize::from(message.sender)].route];
        let form = |sorted: &[(&str, &str)]| route.request(Body::Form(sorted), Honesty::Genuine, now);
        let json = |text| route.request(Body::Json(text), Honesty::Genuine, now);
        let request = match provider {
            Provider::Twilio => twilio::inbound(message, answer, form),
            Provider::Infobip => json(infobip::inbound(message, answer, now)),
            Provider::Cm => json(cm::inbound(message, answer, now)),
            // Lime forwards no other replies.
            Provider::Lime if matches!(answer, Answer::Reply(_)) => return None,
            Provider::Lime => lime::opt_out(message, form),
        };
        Some(Webhook { request, facts: Arc::from([]), expect: Expect::Acceptance })
    }

    fn overdue_batch(&mut self, now: Timestamp) -> Option<Webhook> {
        let route = self.queue.overdue(BATCH_WAIT)?;
        Some(self.flush(route, now))
    }

    fn last_batch(&mut self, now: Timestamp) -> Option<Webhook> {
        let route = self.queue.overdue(0)?;
        Some(self.flush(route, now))
    }

    fn flush(&mut self, route: usize, now: Timestamp) -> Webhook {
        let reports = self.queue.take_reports(route);
        let webhook = self.batch(route, &reports, now);
        self.emit(webhook, &[(route, &reports)], now)
    }

    fn batch(&self, route: usize, reports: &[Report], now: Timestamp) -> Webhook {
        let texts: Vec<&str> = reports.iter().map(|report| report.text.as_str()).collect();
        let body = Body::Json(infobip::batch(&texts));
        Webhook {
            request: self.routes[route].request(body, Honesty::Genuine, now),
            facts: reports.iter().map(|report| report.fact).collect(),
            expect: Expect::Acceptance,
        }
    }

    /// Lets a webhook go, and with it what the options make of it: a repetition, a forgery.
    fn emit(&mut self, webhook: Webhook, reports: &[(usize, &[Report])], now: Timestamp) -> Webhook {
        self.queue.advance();
        if webhook.expect == Expect::Refusal {
            return webhook;
        }
        if self.random.random_bool(self.options.duplicates) {
            for copy in self.copies(&webhook, reports, now) {
                let wait = self.random.random_range(1..=self.window());
                self.queue.push(wait, Item::Ready(copy));
            }
        }
        if self.random.random_bool(self.options.forged) {
            let forgery = self.forge(now);
            let wait = self.random.random_range(1..=self.window());
            self.queue.push(wait, Item::Ready(forgery));
        }
        webhook
    }

    /// The same bytes again or, of a batch and at times, the same reports split in another way.
    fn copies(&mut self, webhook: &Webhook, reports: &[(usize, &[Report])], now: Timestamp) -> Vec<Webhook> {
        match reports {
            [(route, reports)] if reports.len() > 1 && self.random.random_bool(0.5) => {
                let (head, tail) = reports.split_at(self.random.random_range(1..reports.len()));
                vec![self.batch(*route, head, now), self.batch(*route, tail, now)]
            }
            _ => vec![webhook.clone()],
        }
    }

    /// A delivery nobody's provider told of: counted, if it were believed.
    fn forge(&mut self, now: Timestamp) -> Webhook {
        let sender = mix::pick(&self.senders, &mut self.random);
        self.forged += 1;
        let message = self.message(u32::MAX - self.forged, sender, now);
        let step = Step { fate: Fate::Delivered, at: now };
        let request = self.speak(&message, step, Honesty::Forged, now);
        Webhook { request, facts: Arc::from([]), expect: Expect::Refusal }
    }

    fn window(&self) -> u64 {
        match self.options.order {
            Order::Shuffled(window) => window.max(1),
            Order::AsTold => 500,
        }
    }

    fn provider(&self, sender: usize) -> Provider {
        self.routes[self.senders[sender].route].provider
    }
}

/// Whether a provider says when a state was reached.
#[derive(Clone, Copy)]
enum Dating {
    Dated,
    Undated,
}

/// What must be counted.
fn fact(message: &Message, step: Step, dating: Dating) -> Fact {
    let second = match dating {
        Dating::Dated => step.at.seconds(),
        Dating::Undated => 0,
    };
    Fact { message: message.index, sender: message.sender, state: step.fate.state(), second }
}

#[cfg(test)]
mod tests;
