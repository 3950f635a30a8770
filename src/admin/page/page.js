// The status page: asks the API every two seconds and draws what it answers. Everything that came
// from outside is set as text, never as HTML. What has not changed is left as it is, so that a
// selection, the focus and a screen reader's place survive.
"use strict";

const EVERY_MS = 2000;
const TREND_POINTS = 140;
const WINDOWS = { "15m": "15 min", "1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 d" };
const PROVIDERS = { twilio: "Twilio", infobip: "Infobip", cm: "CM", lime: "Lime" };
const KINDS = { toll_free: "toll-free", ten_dlc: "10DLC", short_code: "short code" };
const trends = new Map();
let token = sessionStorage.getItem("sounder-token") || "";
let thresholds = [0.95, 0.9, 0.8];
let discordHere = false;
// What is being explained: a path of the API, and what it is called.
let asked = null;

const byId = (id) => document.getElementById(id);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null));
  return made;
}

function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Asks the API. A process that has no such thing (404, or 503 from one that only receives) answers null.
async function get(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers, cache: "no-store" });
  if (response.status === 401 || response.status === 403) throw new Error("token");
  return response.ok ? response.json() : null;
}

// Changes something. What the API refuses is thrown as its sentence.
async function send(method, path, body) {
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(path, { method, headers, body: body ? JSON.stringify(body) : undefined });
  if (!response.ok) throw new Error((await response.json()).detail);
}

const percent = (share) => (share === null || share === undefined ? "–" : `${(Math.floor(share * 1000 + 1e-6) / 10).toFixed(1)} %`);
const interval = (pair) => (pair ? `${(pair[0] * 100).toFixed(1)}–${(pair[1] * 100).toFixed(1)}` : "–");
const count = (number) => (number || 0).toLocaleString("en");
const span = (window) => WINDOWS[window] || "–";
const judged = (view) => (view ? view.delivered + view.failed : 0);
const spaced = (band) => band.replace("_", " ");

function pretty(number) {
  const parts = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(number);
  return parts ? `+1 ${parts[1]} ${parts[2]} ${parts[3]}` : number;
}

// A time of day, with the date when that is not the daemon's today.
function when(at, now) {
  if (!at) return "–";
  return at.slice(0, 10) === (now || at).slice(0, 10) ? at.slice(11, 16) : `${at.slice(0, 10)} ${at.slice(11, 16)}`;
}

function age(from, to) {
  const minutes = Math.max(0, Math.floor((Date.parse(to) - Date.parse(from)) / 60000));
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}

// Keyed children of a list or a table body: made once, redrawn only when what they show is another.
function draw(target, items, make, empty) {
  const before = new Map([...target.children].filter((child) => child.shown).map((child) => [child.key, child]));
  const children = items.map(([key, data]) => {
    const shown = JSON.stringify(data);
    const known = before.get(key);
    if (known && known.shown === shown) return known;
    const made = make(data, known);
    made.key = key;
    made.shown = shown;
    return made;
  });
  if (!children.length) children.push(empty());
  const same = children.length === target.children.length && children.every((child, i) => child === target.children[i]);
  if (!same) target.replaceChildren(...children);
}

// Remembers one rate of a number; a point a look.
function remember(key, rate) {
  const points = trends.get(key) || [];
  if (rate !== null && rate !== undefined) points.push(rate);
  if (points.length > TREND_POINTS) points.shift();
  trends.set(key, points);
  return points;
}

function trend(points, band) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const shape = (tag, attributes) => {
    const made = document.createElementNS(svg.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    svg.append(made);
  };
  svg.setAttribute("class", `trend ${band}`);
  svg.setAttribute("viewBox", `0 0 ${TREND_POINTS} 34`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", points.length ? `from ${percent(points[0])} to ${percent(points[points.length - 1])}` : "no rate yet");
  const lowest = Math.min(0.7, ...points) - 0.02;
  const y = (share) => (33 - ((share - lowest) / (1 - lowest)) * 32).toFixed(1);
  for (const threshold of thresholds) shape("line", { x1: 0, x2: TREND_POINTS, y1: y(threshold), y2: y(threshold) });
  // One point is drawn as a short stroke, or nobody would see it.
  const drawn = points.length === 1 ? [points[0], points[0], points[0]] : points;
  shape("polyline", { points: drawn.map((share, i) => `${i},${y(share)}`).join(" ") });
  return svg;
}

function button(text, className, press) {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", press);
  return made;
}

// What the page's address asks about: `#number/+18005550100` or `#incident/01J…`, as a card links to it.
function askedFor() {
  const [, what, which] = /^#(number|incident)\/(.+)$/.exec(decodeURIComponent(location.hash)) || [];
  if (!what) return null;
  return what === "number"
    ? { path: `/api/v1/explain/numbers/${encodeURIComponent(which)}`, title: pretty(which) }
    : { path: `/api/v1/incidents/${encodeURIComponent(which)}/explain`, title: null };
}

function explain(what, which) {
  history.replaceState(null, "", `#${what}/${which}`);
  asked = askedFor();
  showWhy().then(() => {
    byId("why").scrollIntoView({ block: "nearest" });
    byId("why").focus({ preventScroll: true });
  }, () => {});
}

function bandPill(band) {
  return element("span", `pill ${band}`, spaced(band));
}

function numberRow(data) {
  const { health, points, incident, names, at } = data;
  const row = element("tr");
  row.setAttribute("role", "row");
  const labels = [...document.querySelectorAll("#numbers-title ~ .scroll thead th")].map((th) => th.textContent);
  const cell = (className, ...content) => {
    const made = element("td", className, ...content);
    made.setAttribute("role", "cell");
    made.setAttribute("data-label", labels[row.children.length]);
    row.append(made);
  };
  const note = [KINDS[health.kind] || spaced(health.kind), health.status === "active" ? null : health.status, health.registered ? null : "not configured"];
  const why = button(pretty(health.number), "why", () => explain("number", health.number));
  why.title = "Why it alerts, or why it does not";
  cell("number", why, element("small", "", note.filter(Boolean).join(" · ")));
  const since = element("small", "", health.since ? `since ${when(health.since, at)}` : "\u00a0");
  if (incident) since.append(" · ", element("strong", incident.band, `incident: ${spaced(incident.band)}`));
  cell("band", bandPill(health.band), since);
  cell("n", percent(health.rate));
  cell("n", interval(health.interval));
  cell("", judged(health) ? span(health.window) : "–");
  cell("n", count(judged(health)));
  cell("n", percent(health.windows["15m"].rate));
  cell("n", count(health.pending));
  cell("n", count(health.unreported));
  cell("n", count(health.totals.blocked));
  const optouts = (health.optouts || {})["24h"];
  cell("n", count(optouts && optouts.count), element("small", "", optouts && optouts.count ? percent(optouts.rate) : "\u00a0"));
  cell("", trend(points, health.band));
  const legs = health.legs.map((leg) => {
    const twins = health.legs.filter((other) => other.provider === leg.provider).length > 1;
    const made = element("span", `line ${leg.band}`, `${twins ? leg.connection : PROVIDERS[leg.provider] || leg.connection} ${percent(leg.rate)}`);
    made.title = `${leg.connection}: ${spaced(leg.band)}, ${count(judged(leg))} over ${span(leg.window)}`;
    return made;
  });
  cell("legs", element("div", "", ...legs));
  const lists = health.lists.map((id) => element("span", "line", names[id] || id));
  cell("lists", lists.length ? element("div", "", ...lists) : "–");
  return row;
}

function providerTile({ view, connections, incident }) {
  const tile = element("li", `tile ${view.band}`);
  tile.append(
    element("h3", "", PROVIDERS[view.provider] || view.provider),
    element("p", "rate", percent(view.rate)),
    element("p", "muted", `${spaced(view.band)} · ${judged(view) ? `${count(judged(view))} over ${span(view.window)}` : "nothing judged yet"}`),
    element("p", "muted", `${count(view.pending)} pending`),
  );
  if (incident) tile.append(element("p", "", element("strong", incident.band, `incident: ${spaced(incident.band)}`)));
  if (view.settle && view.settle.sentence) tile.append(element("p", "muted", view.settle.sentence));
  for (const connection of connections) {
    const nobodys = judged(connection.unattributed) + connection.unattributed.pending;
    const note = nobodys ? `, ${count(nobodys)} of an unknown number` : "";
    tile.append(element("p", "muted", `${connection.connection}${note}`));
  }
  return tile;
}

const evidence = (found) => `${percent(found.rate)} (${interval(found.interval)}) over ${span(found.window)}`;

function incidentCard({ incident, at }) {
  const open = !incident.resolved;
  const card = element("li", `card ${open ? incident.band : "resolved"}`);
  card.append(element("h3", "", incident.title));
  // The lower one first: it is the one that agrees with the band.
  const rates = [incident.current, incident.beside].filter(Boolean).sort((a, b) => a.rate - b.rate).map(evidence);
  if (open) card.append(element("p", "", rates.join("\n")));
  // What else is wrong beside the rate, or instead of it; and whom a provider's incident is about.
  for (const signal of incident.signals || []) card.append(element("p", signal.band, signal.sentence));
  const worst = (incident.numbers || []).map((line) => `${pretty(line.number)} ${percent(line.rate)}, ${count(line.failed)} failed`);
  if (worst.length) card.append(element("p", "", [...worst, ...(incident.numbers_more ? [`and ${count(incident.numbers_more)} more`] : [])].join("\n")));
  if (incident.part_of) card.append(element("p", "muted", `part of what is wrong with ${PROVIDERS[incident.part_of] || incident.part_of}`));
  if (incident.cause && incident.cause.sentence) card.append(element("p", "", `${open ? "" : "It had been: "}${incident.cause.sentence}`));
  if (open && incident.advice) card.append(element("p", "", element("strong", "", "What to do: "), incident.advice));
  const steps = incident.timeline.map((step) => `${when(step.at, at)} ${step.change}: ${spaced(step.band)} at ${percent(step.rate)}`);
  card.append(element("p", "muted", steps.join("\n")));
  const lasted = open ? `open for ${age(incident.opened, at)}` : `resolved ${when(incident.resolved, at)}, after ${age(incident.opened, incident.resolved)}`;
  if (incident.acknowledged) card.append(element("p", "muted", `acknowledged by ${incident.acknowledged.by}, ${when(incident.acknowledged.at, at)}`));
  const actions = element("div", "actions", button("Why", "", () => explain("incident", incident.id)));
  if (open && !incident.acknowledged) {
    actions.append(button("Acknowledge", "", () => send("POST", `/api/v1/incidents/${incident.id}/ack`, {}).then(refresh, (error) => write(byId("silence-refused"), error.message))));
  }
  card.append(element("p", "muted", `${lasted} · worst: ${spaced(incident.worst)} · ${incident.id}`), actions);
  return card;
}

// Discord's marks that the cards use: bold, code, times, mentions, escapes.
function marked(text) {
  const parts = [];
  const mark = /\*\*(.+?)\*\*|`([^`]+)`|<t:(\d+):\w>|<@&(\d+)>|\[([^\]]+)\]\((https:[^)]+)\)|\\(.)/gs;
  let from = 0;
  for (const found of text.matchAll(mark)) {
    parts.push(text.slice(from, found.index));
    const [whole, bold, code, time, role, label, link, escaped] = found;
    if (bold) parts.push(element("strong", "", ...marked(bold)));
    else if (code) parts.push(element("code", "", code));
    else if (time) parts.push(new Date(time * 1000).toISOString().slice(11, 16));
    else if (link) parts.push(Object.assign(element("a", "", label), { href: link, rel: "noreferrer" }));
    else parts.push(role ? "@role" : escaped);
    from = found.index + whole.length;
  }
  return [...parts, text.slice(from)];
}

function discordCard({ message, at }) {
  const embed = (message.embeds || [])[0] || {};
  const card = element("li", "card");
  card.style.borderLeftColor = embed.color === undefined ? "" : `#${embed.color.toString(16).padStart(6, "0")}`;
  if (message.content) card.append(element("p", "", ...marked(message.content)));
  if (embed.title) card.append(element("h3", "", ...marked(embed.title)));
  if (embed.description) card.append(element("p", "", ...marked(embed.description)));
  const list = element("dl");
  for (const field of embed.fields || []) {
    list.append(element("dt", "", ...marked(field.name)), element("dd", "", ...marked(field.value)));
  }
  if (list.children.length) card.append(list);
  const edits = message.edits ? ` · edited ${message.edits === 1 ? "once" : `${message.edits} times`}` : "";
  card.append(element("p", "muted", `posted ${when(message.posted_at, at)}${edits}`));
  return card;
}

function showReadiness(ready) {
  const faults = ready.checks.filter((check) => !check.ok).map((check) => `${check.name}: ${check.detail}`);
  byId("ready").className = `pill ${ready.ready && !faults.length ? "ok" : "bad"}`;
  write(byId("ready"), `${ready.ready ? "ready" : "not ready"}${faults.length ? ` · ${faults.join(" · ")}` : ""}`);
}

function showLedger(ledger) {
  byId("ledger").className = `pill ${ledger.balanced ? "ok" : "bad"}`;
  const late = ledger.consumed && ledger.consumed.late ? ` · ${count(ledger.consumed.late)} late` : "";
  const books = ledger.balanced ? "ledger balanced" : "ledger out of balance";
  write(byId("ledger"), `${count(ledger.webhooks.accepted)} webhooks · lag ${count(ledger.lag)}${late} · ${books}`);
}

function showHealth(health, incidents) {
  thresholds = health.thresholds || thresholds;
  const speed = health.clock_speed > 1 ? ` · the clock runs ${health.clock_speed}×` : "";
  write(byId("clock"), `${health.at.slice(0, 10)} ${health.at.slice(11, 19)} UTC${speed}`);
  byId("held").hidden = !health.held;
  write(byId("held"), health.held ? `Nothing is being judged: ${health.held}` : "");
  const names = Object.fromEntries(Object.values(health.lists).map((list) => [list.list, list.name]));
  const rows = Object.values(health.numbers).map((number) => {
    const points = [...remember(number.number, number.rate)];
    const incident = incidents.find((known) => !known.resolved && !known.part_of && known.number === number.number);
    return [number.number, { health: number, points, incident, names, at: health.at.slice(0, 10) }];
  });
  draw(byId("numbers"), rows, numberRow, () => {
    const cell = element("td", "muted", "nothing received yet");
    cell.colSpan = 14;
    return element("tr", "", cell);
  });
  const connections = Object.values(health.connections);
  const providers = Object.values(health.providers).map((view) => {
    const own = connections.filter((connection) => connection.provider === view.provider);
    const ids = own.map((connection) => connection.connection);
    const its = (known) => (known.scope === "provider" && known.provider === view.provider) || (known.scope === "connection" && ids.includes(known.connection));
    const incident = incidents.find((known) => !known.resolved && its(known));
    return [view.provider, { view, connections: own, incident: incident && { band: incident.band } }];
  });
  draw(byId("providers"), providers, providerTile, () => element("li", "tile muted", "none configured"));
}

function showIncidents(incidents, at) {
  // Open ones first; within each the newest first, as the API has them.
  const sorted = [...incidents.filter((known) => !known.resolved), ...incidents.filter((known) => known.resolved)];
  const now = at.slice(0, 16);
  draw(byId("incidents"), sorted.map((incident) => [incident.id, { incident, at: incident.resolved ? now.slice(0, 10) : `${now}:00Z` }]),
    incidentCard, () => element("li", "muted", "none: nothing is wrong"));
  const open = incidents.filter((known) => !known.resolved).length;
  document.title = open ? `(${open}) Sounder` : "Sounder";
}

const LACKS = {
  chance: "chance explains it",
  above: "not below",
  longer_above: "not below over the next longer window",
  over: "it is over",
  unusual: "more traffic than usual: waits until it matures",
  quiet: "nothing judged within the hour",
};

// What a rule is short of; null where it holds.
function lack(found) {
  if (found === null) return "holds";
  if (typeof found === "string") return LACKS[found] || spaced(found);
  if (found.too_few) return `too few: ${found.too_few.needed} are asked for`;
  if (found.not_yet) return `since ${found.not_yet.since.slice(11, 16)}, ${found.not_yet.needed_minutes} min are asked for`;
  return Object.keys(found).map(spaced).join(", ");
}

function bandCard({ verdict }) {
  const state = verdict.is_confirmed ? "confirmed" : `${verdict.evaluations} of ${verdict.evaluations_needed} evaluations in a row`;
  const card = element("div", `card ${verdict.is_confirmed ? verdict.band : ""}`, element("h3", "", `${spaced(verdict.band)}: below ${percent(verdict.threshold)}`), element("p", "muted", state));
  const head = element("tr", "", ...["Rule", "Over", "Failed", "Measure", ""].map((text) => element("th", "", text)));
  const rows = verdict.findings.map((found) => {
    const measure = found.odds !== undefined ? `odds ${found.odds > 1e6 ? "> 1,000,000" : found.odds.toFixed(found.odds < 10 ? 1 : 0)} of ${found.odds_needed}` : found.upper !== undefined ? `up to ${percent(found.upper)}` : "";
    const over = found.rule === "sudden" ? "5 min" : span(found.window);
    const cells = [found.rule, over, `${count(found.failed)} of ${count(found.judged)}`, measure, lack(found.lack)];
    return element("tr", "", ...cells.map((text) => element("td", "", text)));
  });
  card.append(element("table", "", element("thead", "", head), element("tbody", "", ...rows)));
  return card;
}

// Why something alerts, or why it does not; again with every look, as long as it is open.
async function showWhy() {
  const found = asked ? await get(asked.path) : null;
  byId("why").hidden = !found;
  if (!found) return;
  write(byId("why-title"), `Why · ${asked.title || found.title}`);
  const now = found.because ? found.now : found;
  const said = [...(found.because ? [found.because] : []), ...(now ? now.sentences : [])];
  draw(byId("why-said"), [...new Set(said)].map((sentence, i) => [i, sentence]), (sentence) => element("p", "", sentence), () => element("p", "muted", "nothing is known"));
  const bands = now ? now.verdict.bands : [];
  draw(byId("why-bands"), bands.map((verdict) => [verdict.band, { verdict }]), bandCard, () => element("p", "muted", ""));
}

function silenceLine({ silence, at }) {
  const of = silence[silence.scope];
  const line = element("li", "", element("strong", "", silence.scope === "number" ? pretty(of) : `${silence.scope} ${PROVIDERS[of] || of}`),
    element("span", "", `until ${when(silence.until, at)}, by ${silence.by}: ${silence.why}`));
  line.append(button("End", "", () => send("DELETE", `/api/v1/silences/${silence.id}`).then(refresh, (error) => write(byId("silence-refused"), error.message))));
  return line;
}

// What can be silenced, as suggestions for the chosen scope.
function suggest(health) {
  const lists = Object.values(health.lists);
  const known = {
    number: Object.keys(health.numbers),
    list: lists.map((list) => list.list),
    brand: [...new Set(lists.map((list) => list.brand).filter(Boolean))],
    provider: Object.keys(health.providers),
  }[byId("silence-scope").value];
  draw(byId("silence-known"), known.slice(0, 500).map((value) => [value, value]), (value) => Object.assign(element("option"), { value }), () => element("option"));
}

function showSilences(told, health) {
  byId("silences-section").hidden = false;
  const at = health.at.slice(0, 10);
  draw(byId("silences"), told.silences.map((silence) => [silence.id, { silence, at }]), silenceLine,
    () => element("li", "muted", "none: everybody is called about everything"));
  suggest(health);
}

async function refresh() {
  const ready = await fetch("/readyz", { cache: "no-store" });
  showReadiness(await ready.json());
  const [health, incidents, ledger, silences, discord] = await Promise.all([
    get("/api/v1/health"),
    get("/api/v1/incidents?limit=100"),
    get("/api/v1/ledger"),
    get("/api/v1/silences"),
    // Asked only where health says it is: a 404 would be an error in the browser's console.
    discordHere ? get("/api/v1/discord/messages") : null,
  ]);
  byId("login").hidden = true;
  if (ledger) showLedger(ledger);
  const known = incidents ? incidents.incidents : [];
  if (health) {
    discordHere = health.discord_stand_in;
    showHealth(health, known);
    showIncidents(known, health.at);
    if (silences) showSilences(silences, health);
    await showWhy();
  }
  byId("discord-section").hidden = !discord;
  if (discord) {
    const day = health ? health.at.slice(0, 10) : "";
    const cards = discord.messages.filter((message) => message.embeds.length);
    const calls = discord.messages.filter((message) => !message.embeds.length);
    draw(byId("discord"), [...cards, ...calls].map((message) => [message.id, { message: { ...message, history: null }, at: day }]),
      discordCard, () => element("li", "muted", "nothing yet"));
  }
}

async function loop() {
  try {
    await refresh();
  } catch (error) {
    if (error.message === "token") {
      byId("login").hidden = false;
      write(byId("refused"), token ? "this token is not accepted" : "");
    } else {
      byId("ready").className = "pill bad";
      write(byId("ready"), "no answer");
    }
  }
  setTimeout(loop, EVERY_MS);
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value;
  sessionStorage.setItem("sounder-token", token);
  write(byId("refused"), "");
  refresh().catch(() => write(byId("refused"), "this token is not accepted"));
});

byId("why-close").addEventListener("click", () => {
  asked = null;
  byId("why").hidden = true;
  history.replaceState(null, "", location.pathname);
});

addEventListener("hashchange", () => {
  asked = askedFor();
  showWhy().catch(() => {});
});

byId("silence-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const by = byId("silence-by").value;
  const body = { [byId("silence-scope").value]: byId("silence-of").value, for: byId("silence-for").value, why: byId("silence-why").value, ...(by ? { by } : {}) };
  send("POST", "/api/v1/silences", body).then(() => {
    write(byId("silence-refused"), "");
    byId("silence-of").value = byId("silence-why").value = "";
    return refresh();
  }).catch((error) => write(byId("silence-refused"), error.message));
});

asked = askedFor();
loop();
