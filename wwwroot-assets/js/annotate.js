// The judging pages' script: keys, drafts, votes. Blazor renders, this records, and HTTP carries: no circuit is needed, and a lost
// connection loses nothing.
//
// A vote is written to the outbox before it is sent and leaves it with the server's receipt, which comes after the durable commit. Its id is
// made when the screen opens and kept with the draft, so a double click, a reload or a retry stores one vote. The page moves on with the
// receipt; until then it stays readable and says that the vote waits.
//
// Enhanced navigation swaps the page under this module, so nothing is looked up in advance: everything hangs on document, and open() reads
// the page that is there.

import { call, newId } from "./call.js";
import { votes, drafts, settings } from "./outbox.js";

const draftDelayMs = 800;
const renewAfterMs = 120_000; // activity prolongs the ten minutes' lease
const retryMs = [500, 1_000, 2_000, 4_000, 8_000, 15_000];
const breakAfterMs = 50 * 60_000;
const restMs = 15 * 60_000; // a pause this long begins a new sitting

let screen = null; // the assignment that is open: { root, form, assignment, project, place, draft, busy, ... }
let person = null; // whose page this is, by pseudonym; null on pages of others
let said = null; // what the live region says on the next page
let savedAt = null;
let trouble = null; // why the last call was put off: "offline", "busy", "signed-out"; null when it was answered
let retries = 0;
let retryTimer = 0;
let flushing = false;
let generation = 0; // grows with each page, so that timers of the last one end

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const fill = (template, ...values) => (template ?? "").replace(/\{(\d)\}/g, (_, index) => values[index]);

// ---------- opening a page ----------

function open(how) {
  const first = how !== "swapped"; // a new document, not a page that was swapped in
  generation++;
  screen = null;
  person = $("[data-person]")?.dataset.person || null;
  const root = $("[data-task]");
  if (root) openScreen(root, first);
  const live = $("[data-live]");
  if (said && live) live.textContent = fill(live.dataset[said.text], said.value);
  said = null;
  const queue = $("[data-queue]");
  if (queue) watchQueue(queue);
  const choice = $("[data-keys-choice]");
  if (choice) choice.checked = settings.get("keys") !== "off";
  paint();
  if (person) flush();
}

function openScreen(root, first) {
  const { assignment, project, place, formTime } = root.dataset;
  const form = $("form[data-verdict]", root);
  if (!first) form.reset(); // the page before may have left its choice in inputs that were kept
  drafts.prune();
  const kept = drafts.get(assignment);
  const draft = kept ?? { judgementId: newId(), clientTime: null, seconds: 0 };
  screen = { root, form, assignment, project, place, draft, busy: false, timer: 0, contact: Date.now(), since: performance.now() };
  savedAt = formTime ? new Date(formTime) : null;
  // Of two drafts the newer client time counts.
  if (kept?.form && !(formTime && Date.parse(formTime) > Date.parse(kept.clientTime))) {
    apply(kept.form);
    if (!formTime || Date.parse(formTime) < Date.parse(kept.clientTime)) later(); // the server has an older one, or none
  }
  drafts.put(assignment, { ...draft, clientTime: draft.clientTime ?? new Date().toISOString() });
  // Somebody was quicker than this script: what they chose counts.
  if (first && !kept?.form && $$("input[name=verdict], input[name=reason]", root).some(input => input.checked !== input.defaultChecked)) changed();
  const layout = settings.get("layout") ?? "side-by-side";
  for (const choice of $$("[data-layout-choice]", root)) choice.checked = choice.value === layout;
  const answers = $("[data-answers]", root);
  if (answers) answers.dataset.layout = layout;
  for (const show of $$("[data-show]", root)) show.checked = false;
  view(root);
  const waiting = votes.of(person).find(vote => vote.assignment === assignment);
  if (waiting) {
    apply(waiting.form);
    lock(true);
  }
  window.scrollTo(0, 0);
  sit(root);
}

// ---------- what is chosen and typed ----------

function collect() {
  const { form } = screen;
  return {
    verdict: $("input[name=verdict]:checked", form)?.value ?? null,
    reasons: $$("input[name=reason]:checked", screen.root).map(input => input.value),
    rationale: $("textarea[name=rationale]", screen.root)?.value ?? "",
  };
}

function apply(values) {
  for (const input of $$("input[name=verdict]", screen.form)) input.checked = input.value === values.verdict;
  for (const input of $$("input[name=reason]", screen.root)) input.checked = values.reasons?.includes(input.value) ?? false;
  const words = $("textarea[name=rationale]", screen.root);
  if (words) words.value = values.rationale ?? "";
}

function seconds() {
  return (screen.draft.seconds ?? 0) + (document.hidden ? 0 : (performance.now() - screen.since) / 1000);
}

// In the browser at once, on the server 800 ms after the last change.
function changed() {
  if (!screen || screen.busy) return;
  screen.draft.seconds = seconds();
  screen.since = performance.now();
  screen.draft.clientTime = new Date().toISOString();
  screen.draft.form = collect();
  drafts.put(screen.assignment, screen.draft);
  document.dispatchEvent(new Event("portal:saved"));
  problem(null);
  later();
}

function later() {
  clearTimeout(screen.timer);
  screen.pending = true;
  screen.timer = setTimeout(send, draftDelayMs, screen);
  paint();
}

async function send(from) {
  if (from !== screen || from.busy) return;
  from.contact = Date.now();
  const sent = from.draft.clientTime ?? new Date().toISOString();
  const answer = await call("PUT", `/api/v1/assignments/${from.assignment}/draft`, { body: from.draft.form ?? collect(), clientTime: sent });
  if (from !== screen || from.busy) return;
  trouble = answer.later ?? null;
  if (answer.value) {
    const { clientTime, savedAt: at, body } = answer.value;
    savedAt = new Date(at);
    if (from.draft.clientTime === sent) from.pending = false;
    if (Date.parse(clientTime) > Date.parse(from.draft.clientTime ?? 0)) { // another tab or machine was later: its draft counts
      from.draft.clientTime = clientTime;
      from.draft.form = JSON.parse(body);
      apply(from.draft.form);
      drafts.put(from.assignment, from.draft);
    }
  } else if (answer.problems) {
    from.pending = false;
    problem(answer.problems);
  } else {
    from.timer = setTimeout(send, retryMs[3], from);
  }
  paint();
}

// ---------- votes ----------

function submit() {
  if (!screen || screen.busy) return;
  const { form: formElement, root, draft, assignment, project, place } = screen;
  const form = collect();
  if (!form.verdict) {
    const text = $("[data-live]", root)?.dataset.chosen ?? "";
    problem([{ field: "verdict", message: text }]);
    $("input[name=verdict]", formElement)?.focus({ preventScroll: true });
    return;
  }
  clearTimeout(screen.timer);
  const [kind, strength, id] = form.verdict.split(":");
  const preferred = kind === "prefer";
  const pair = formElement.dataset.verdict === "pair";
  votes.put({
    id: draft.judgementId, person, assignment, project, place, at: Date.now(), form,
    body: {
      judgementId: draft.judgementId, assignmentId: assignment, verdict: preferred ? "preferred" : form.verdict,
      preferredResponseId: preferred ? id : null, strength: preferred ? Number(strength) : null, reasons: form.reasons,
      rationale: form.rationale || null, layout: pair ? shownLayout() : null, visibleSeconds: Math.min(seconds(), 86_400),
      clientTime: new Date().toISOString(), usedDifferences: draft.usedDifferences ?? false, usedRaw: draft.usedRaw ?? false,
    },
  });
  problem(null);
  lock(true);
  retries = 0;
  flush();
}

// Sends what waits, one after the other; each is answered, refused, or tried again later.
async function flush() {
  clearTimeout(retryTimer);
  if (flushing || !person) return;
  flushing = true;
  try {
    for (let vote; (vote = votes.of(person)[0]);) {
      const answer = await call("POST", "/api/v1/judgements", vote.body);
      trouble = answer.later ?? null;
      if (answer.later) {
        const wait = retryMs[Math.min(retries++, retryMs.length - 1)];
        retryTimer = setTimeout(flush, wait * (0.75 + Math.random() / 2));
        return;
      }
      retries = 0;
      votes.remove(vote.id);
      if (answer.value) receive(vote, answer.value);
      else refuse(vote, answer.problems);
    }
  } finally {
    flushing = false;
    paint();
  }
}

function receive(vote, receipt) {
  drafts.remove(vote.assignment);
  savedAt = new Date();
  for (const today of $$("[data-today]")) today.textContent = receipt.today;
  said = { text: "said", value: receipt.today };
  const here = screen?.assignment ?? $("[data-closed]")?.dataset.assignment;
  if (here === vote.assignment) go(vote.place, vote.project, receipt.next, vote.assignment);
  else tell();
}

// Nothing was stored. The words stay on the screen (or in the draft of the screen they belong to).
function refuse(vote, problems) {
  if (screen?.assignment === vote.assignment) lock(false);
  problem(problems);
}

function go(place, project, next, from) {
  if (screen) screen.busy = true;
  Blazor.navigateTo(next.assignmentId ? `/${place}/${project}/${next.assignmentId}` : `/${place}/${project}?from=${from}`);
}

async function skip() {
  if (!screen || screen.busy) return;
  const from = screen;
  lock(true);
  const answer = await call("POST", `/api/v1/assignments/${from.assignment}/skip`, { reason: null });
  if (from !== screen) return;
  settled(answer, value => {
    drafts.remove(from.assignment);
    go(from.place, from.project, value, from.assignment);
  });
}

async function undo() {
  if (!screen || screen.busy) return;
  const from = screen;
  lock(true);
  const answer = await call("POST", "/api/v1/judgements/undo", { assignmentId: from.assignment });
  if (from !== screen) return;
  settled(answer, value => {
    drafts.remove(value); // its old id is in the record: the next vote on that screen is a new one
    said = { text: "undone" };
    go(from.place, from.project, { assignmentId: value }, from.assignment);
  });
}

function settled(answer, done) {
  trouble = answer.later ?? null;
  if (answer.value) return done(answer.value);
  lock(false);
  if (answer.problems) problem(answer.problems);
  paint();
}

// ---------- what the page says ----------

function tell() {
  const live = $("[data-live]");
  if (said && live) live.textContent = fill(live.dataset[said.text], said.value);
  said = null;
}

// Shows each message at its field; null clears them all.
function problem(problems) {
  for (const place of $$("[data-problem]")) {
    const own = problems?.filter(one => one.field === place.dataset.problem) ?? [];
    place.textContent = own.map(one => one.message).join(" ");
    place.hidden = own.length === 0;
  }
  const homeless = problems?.filter(one => !$(`[data-problem="${CSS.escape(one.field)}"]`)) ?? [];
  const general = $('[data-problem=""]');
  if (homeless.length && general) {
    general.textContent = homeless.map(one => one.message).join(" ");
    general.hidden = false;
  }
}

function lock(on) {
  if (!screen) return;
  screen.busy = on;
  screen.form.inert = on;
  for (const part of $$(".reasons", screen.root)) part.inert = on;
}

function paint() {
  const waiting = person ? votes.of(person).length : 0;
  const note = $("[data-waiting]");
  if (note) note.hidden = !(trouble && trouble !== "signed-out" && waiting > 0);
  const out = $("[data-signed-out]");
  if (out) out.hidden = trouble !== "signed-out";
  const chip = $("[data-chip]");
  if (!chip) return;
  const texts = chip.dataset;
  const state = trouble === "signed-out" ? ["warn", "!", fill(texts.out ?? texts.offline, waiting)]
    : trouble && waiting > 0 ? ["warn", "!", fill(texts.offline, waiting)]
    : trouble && screen?.pending ? ["warn", "!", texts.kept ?? ""]
    : waiting > 0 || screen?.pending ? ["", "…", texts.saving]
    : savedAt ? ["good", "✓", fill(texts.saved, new Intl.DateTimeFormat(document.documentElement.lang || undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(savedAt))]
    : null;
  chip.hidden = !state;
  if (!state) return;
  chip.className = `badge chip ${state[0]}`;
  chip.dataset.mark = state[1];
  chip.textContent = state[2];
}

function view(root) {
  const chosen = $("[data-show]:checked", root)?.dataset.show ?? "plain";
  for (const part of $$("[data-view]", root)) part.hidden = part.dataset.view !== chosen;
}

function shownLayout() {
  return matchMedia("(max-width: 900px)").matches ? "stacked" : $("[data-answers]", screen.root)?.dataset.layout ?? "side-by-side";
}

// A break is suggested, never forced.
function sit(root) {
  const now = Date.now();
  const sitting = settings.get("sitting");
  const began = sitting && now - sitting.last < restMs ? sitting.began : now;
  settings.set("sitting", { began, last: now });
  const note = $("[data-break]", root);
  if (note) note.hidden = now - began < breakAfterMs;
}

// ---------- a queue whose tasks are all with others ----------

function watchQueue(queue) {
  const { retry, project, kind, candidate, place } = queue.dataset;
  if (!retry) return;
  const mine = generation;
  const wait = until => Math.min(30_000, Math.max(1_000, Date.parse(until) - Date.now())) + Math.random() * 1_000;
  const look = async () => {
    if (mine !== generation) return;
    const answer = await call("POST", "/api/v1/assignments", { projectId: project, kind, candidateId: candidate || null });
    if (mine !== generation) return;
    const { assignmentId, freeAt } = answer.value ?? { freeAt: new Date(Date.now() + 15_000).toISOString() };
    if (assignmentId) Blazor.navigateTo(`/${place}/${project}/${assignmentId}`);
    else if (freeAt) setTimeout(look, wait(freeAt));
    else Blazor.navigateTo(location.pathname + location.search); // nobody holds one any more: the page says that all is judged
  };
  setTimeout(look, wait(retry));
}

// ---------- keys ----------

const isText = element => element.isContentEditable || element.matches?.("textarea, select, input:not([type=radio], [type=checkbox], [type=button], [type=submit])");

// Digits by position, so that every layout's number row works; letters by what is printed on the key, or by position on alphabets without them.
function keyOf(event) {
  const digit = /^(?:Digit|Numpad)([1-7])$/.exec(event.code);
  if (digit) return digit[1];
  if (event.key.length === 1 && event.key.charCodeAt(0) > 127 && /^Key[A-Z]$/.test(event.code)) return event.code.slice(3);
  return event.key.length === 1 ? event.key.toUpperCase() : event.key;
}

document.addEventListener("keydown", event => {
  if (!screen || event.defaultPrevented || event.isComposing || event.repeat) return;
  const target = event.target;
  const command = event.ctrlKey || event.metaKey;
  if (event.key === "Enter" && command && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    return submit();
  }
  if (isText(target)) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (command && event.key.toLowerCase() === "z" && !event.shiftKey) {
    event.preventDefault();
    return undo();
  }
  if (command || event.altKey) return;
  if (event.key === "Enter") {
    if (target.closest?.("a, button, summary, [popover]:popover-open")) return; // they have an Enter of their own
    event.preventDefault();
    return submit();
  }
  if (settings.get("keys") === "off") return;
  const key = keyOf(event);
  if (key === "?") {
    event.preventDefault();
    return document.getElementById("keys")?.togglePopover();
  }
  const sheet = document.querySelector("[popover]:popover-open");
  if (sheet && !(key === "I" && sheet.id === "guide")) return;
  if (key === "F") {
    event.preventDefault();
    return $("[data-flag]", screen.root)?.click();
  }
  const control = $$("[data-key]").find(element => element.dataset.key === key && element.dataset.key !== "Enter");
  if (!control) return;
  event.preventDefault();
  if (control.closest("[inert]")) return;
  control.focus({ preventScroll: true });
  control.click();
});

// ---------- everything else that happens on a page ----------

document.addEventListener("submit", event => {
  if (!screen || event.target !== screen.form) return;
  event.preventDefault();
  const act = event.submitter?.value ?? "submit";
  if (act === "undo") undo();
  else if (act === "skip") skip();
  else submit();
});

document.addEventListener("input", event => {
  if (screen && event.target.matches?.("input[name=verdict], input[name=reason], textarea[name=rationale]")) changed();
});

document.addEventListener("change", event => {
  const { target } = event;
  if (target.matches?.("[data-keys-choice]")) return settings.set("keys", target.checked ? "on" : "off");
  if (!screen) return;
  if (target.matches?.("[data-show]")) {
    for (const other of $$("[data-show]", screen.root)) if (other !== target) other.checked = false;
    view(screen.root);
    if (target.checked) screen.draft[target.dataset.show === "raw" ? "usedRaw" : "usedDifferences"] = true;
    drafts.put(screen.assignment, { ...screen.draft, clientTime: screen.draft.clientTime ?? new Date().toISOString() });
  } else if (target.matches?.("[data-layout-choice]")) {
    settings.set("layout", target.value);
    $("[data-answers]", screen.root).dataset.layout = target.value;
  }
});

// Reading is a sign of life, too.
for (const name of ["pointerdown", "keydown", "scroll"]) {
  document.addEventListener(name, () => {
    if (screen && !screen.busy && Date.now() - screen.contact > renewAfterMs) send(screen);
  }, { passive: true, capture: true });
}

document.addEventListener("visibilitychange", () => {
  if (screen) {
    if (document.hidden) screen.draft.seconds = (screen.draft.seconds ?? 0) + (performance.now() - screen.since) / 1000;
    screen.since = performance.now();
  }
  if (!document.hidden && trouble) flush();
});
window.addEventListener("online", () => flush());
window.addEventListener("focus", () => { if (trouble) flush(); });
window.addEventListener("pagehide", () => {
  if (screen?.pending && !screen.busy)
    call("PUT", `/api/v1/assignments/${screen.assignment}/draft`, { body: screen.draft.form ?? collect(), clientTime: screen.draft.clientTime ?? new Date().toISOString() }, true);
});

Blazor.addEventListener("enhancedload", () => open("swapped"));
open();
