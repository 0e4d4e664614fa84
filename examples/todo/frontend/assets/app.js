// Makes the board instant: the same forms, but only what changed is replaced; replies appear while they are made;
// what other windows do shows up by itself. Everything works without it.
"use strict";

const board = document.querySelector("[data-board]");
const PARTS = ["tasks", "chat"];
const POLL_MS = 10_000;
const RETRY_MAX_MS = 30_000;

document.documentElement.classList.add("scripted");

// --- Taking over what the server rendered -------------------------------------------------------------------

// What a page that comes by itself does not know of: what was just told, and what is wrong with a form.
const TOLD = "#flash, #notice, #chat-notice, form:has(.error)";
// Attributes that belong to the person and to this script, not to the server.
const OURS = ["open", "class", "aria-busy"];

let live = false;

// Turns `old` into `fresh` and leaves alone what a person is in the middle of: focus, typed text, opened details.
function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  // The answer to a form of the list says nothing about what the assistant was told.
  if (live ? old.matches(TOLD) : old.id === "chat-notice" && !fresh.firstChild) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !OURS.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (!fresh.hasAttribute("class")) old.removeAttribute("class");
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const wanted = new Set([...fresh.children].map((child) => child.id));
  const keyed = new Map();
  for (const child of [...old.children]) {
    if (!child.id) continue;
    if (wanted.has(child.id)) keyed.set(child.id, child);
    else child.remove();
  }
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const match = child.id ? keyed.get(child.id) : at && !at.id && at.nodeName === child.nodeName ? at : null;
    if (!match) {
      old.insertBefore(child, at);
    } else {
      if (match === at) at = at.nextSibling;
      else old.insertBefore(match, at);
      morph(match, child);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// The board in a page the server sent; null when it is another page, because the session is over or something failed.
function boardIn(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  return next.querySelector("[data-board]") ? next : null;
}

// How often the board was replaced: whoever asked before the last time holds an older page.
let adoptions = 0;

// Replaces the parts of this board by those of `next`. `isLive` when nobody asked for it.
function adopt(next, isLive = false) {
  // Somebody else has logged in with this browser.
  if (next.querySelector("[data-board]").dataset.board !== board.dataset.board) return location.assign("/");
  const known = new Set(rows().map((row) => row.id));
  const attention = attend();
  const atEnd = isAtEnd();
  decorate(next);
  live = isLive;
  for (const id of PARTS) {
    if (id !== "chat" || !speaking) morph(document.getElementById(id), next.getElementById(id));
  }
  adoptions += 1;
  document.title = next.title;
  regain(attention);
  for (const row of rows()) {
    if (!known.has(row.id)) flashRow(row);
  }
  if (atEnd) scrollChat();
}

function rows() {
  return [...document.querySelectorAll(".task")];
}

function flashRow(row) {
  row.classList.add("arrived");
  row.addEventListener("animationend", () => row.classList.remove("arrived"), { once: true });
}

// The server cannot know which day it is where the person is.
function decorate(root) {
  const today = new Date();
  today.setHours(0, 0, 0, 0);
  for (const time of root.querySelectorAll("time.due")) {
    const [year, month, day] = time.dateTime.split("-").map(Number);
    const days = Math.round((new Date(year, month - 1, day) - today) / 86_400_000);
    const word = time.querySelector(".day");
    if (Number.isNaN(days) || !word) continue;
    if (days === 0) word.textContent = "Today";
    else if (days === 1) word.textContent = "Tomorrow";
    else if (days < 0) word.textContent = `Overdue, ${word.textContent}`;
    time.classList.toggle("late", days < 0);
    time.classList.toggle("soon", days === 0 || days === 1);
  }
}

// --- Where a person is --------------------------------------------------------------------------------------------

// Counts what a person does, so that an answer that comes later can tell whether they have gone on since.
let gestures = 0;
for (const kind of ["keydown", "pointerdown", "click"]) addEventListener(kind, () => gestures++, { capture: true });

// What has the focus, and in which row of the list it stands.
function attend() {
  const element = document.activeElement ?? document.body;
  return { element, at: rows().indexOf(element.closest(".task")), panel: element.closest("#chat") };
}

// The focus moves only when its element was taken away: on to what stands in its place now.
function regain({ element, at, panel }) {
  if (element === document.activeElement || element === document.body) return;
  const neighbours = rows();
  const place =
    (element.isConnected && element) ||
    (element.id && document.getElementById(element.id)) ||
    (at >= 0 && neighbours[Math.min(at, neighbours.length - 1)]?.querySelector(".box")) ||
    document.getElementById(panel ? "messages" : "tasks-title");
  place.focus();
}

// --- Forms --------------------------------------------------------------------------------------------------

const FAILED = "The connection failed. Nothing was changed as far as we know; please try again.";
const UNAVAILABLE = "The service does not answer right now. Nothing is lost, please try again.";
const OFFLINE = "You are offline. What you typed is still here; try again when the connection is back.";
const STALE = "You have logged in again since this page was made. It is up to date now; please send it once more.";

function notice(place, text) {
  const line = document.createElement("p");
  line.className = "notice";
  line.textContent = text;
  document.getElementById(place).replaceChildren(line);
}

const pending = new WeakMap();

function busy(element, by) {
  const left = (pending.get(element) ?? 0) + by;
  pending.set(element, left);
  if (left) element.setAttribute("aria-busy", "true");
  else element.removeAttribute("aria-busy");
}

let turn = Promise.resolve();

// Forms are sent one after the other: the page that answers shows what was sent before it.
function submit(form, submitter) {
  const sent = { form, data: new FormData(form, submitter), gestures, address: location.href };
  document.getElementById(form.closest("#chat") ? "chat-notice" : "notice").replaceChildren();
  busy(form, 1);
  depart(form, sent.data);
  turn = turn.then(() => post(sent)).finally(() => busy(form, -1));
}

// Leaves a form the moment it is sent: nobody has to wait for the answer before going on.
function depart(form, data) {
  if ("reset" in form.dataset) {
    // What was refused before and stands in the page is not what comes next.
    typedIn(form).forEach((field) => (field.defaultValue = ""));
    form.reset();
    form.querySelector("details")?.removeAttribute("open");
    document.getElementById("new-title").focus();
    announce(data.get("title"));
  }
  if ("close" in form.dataset) {
    form.reset();
    const details = form.closest("details");
    details.removeAttribute("open");
    details.querySelector("summary").focus();
  }
}

function typedIn(form) {
  return form.querySelectorAll("input:not([type=hidden]), textarea");
}

// The new task in its place until the server's own row takes it.
function announce(title) {
  const row = document.createElement("li");
  row.className = "coming";
  row.textContent = title;
  document.querySelector("ul.list").append(row);
}

async function post(sent) {
  const seen = adoptions;
  const place = sent.form.closest("#chat") ? "chat-notice" : "notice";
  try {
    const answer = await fetch(sent.form.action, {
      method: "POST",
      body: new URLSearchParams(sent.data),
      headers: { accept: "text/html" },
    });
    const next = boardIn(await answer.text());
    if (next) return take(next, answer.ok, sent, seen);
    restore(sent);
    if (answer.ok) return sessionOver();
    notice(place, answer.status === 403 ? STALE : UNAVAILABLE);
    refresh();
  } catch {
    restore(sent);
    notice(place, navigator.onLine ? FAILED : OFFLINE);
  }
}

// The page that answers a form. When other pages came meanwhile it may be older than they are.
function take(next, isDone, sent, seen) {
  if (sent.address === location.href || !isDone) adopt(next);
  else document.getElementById("flash").replaceWith(next.getElementById("flash"));
  if (seen !== adoptions - 1 || sent.address !== location.href) refresh();
  if (isDone) return;
  restore(sent);
  if (sent.gestures === gestures) document.querySelector("#main [aria-invalid]")?.focus();
}

// Gives back what was sent and not accepted, where nothing else was typed meanwhile.
function restore({ form, data }) {
  document.querySelectorAll(".coming").forEach((row) => row.remove());
  for (const field of typedIn(form)) {
    if (field.value !== field.defaultValue || !data.get(field.name)) continue;
    field.value = data.get(field.name);
    field.closest("details")?.setAttribute("open", "");
  }
}

// --- The end of a session -------------------------------------------------------------------------------------------

const DRAFTS = "drafts";

// What was typed waits in this window until its owner is back.
function sessionOver() {
  const typed = [...board.querySelectorAll("input[id]:not([type=hidden], #search), textarea[id]")];
  const fields = typed.filter((field) => field.value !== field.defaultValue).map(({ id, value }) => [id, value]);
  sessionStorage.setItem(DRAFTS, JSON.stringify({ user: board.dataset.board, fields }));
  location.assign("/login?again");
}

function takeUpDrafts() {
  const kept = JSON.parse(sessionStorage.getItem(DRAFTS) ?? "null");
  sessionStorage.removeItem(DRAFTS);
  if (kept?.user !== board.dataset.board) return;
  for (const [id, value] of kept.fields) {
    const field = document.getElementById(id);
    if (!field) continue;
    field.value = value;
    field.closest("details")?.setAttribute("open", "");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!board || "plain" in form.dataset || event.defaultPrevented) return;
  event.preventDefault();
  // Pressed twice is meant once; except that one task may be written after the other.
  if (pending.get(form) && !("reset" in form.dataset)) return;
  if ("find" in form.dataset) look(form);
  else if ("say" in form.dataset) say(form, event.submitter);
  else submit(form, event.submitter);
});

// --- Filter, search and order without leaving the page ----------------------------------------------------------

let looks = 0;
// The address last asked for, which the page may still be on its way to.
let heading = null;

async function go(address, { remember = true } = {}) {
  const [mine, seen] = [++looks, adoptions];
  const list = document.querySelector("ul.list");
  heading = address;
  busy(list, 1);
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    const next = boardIn(await answer.text());
    // Somebody who types on wants the answer to the last letter, whichever comes last.
    if (mine !== looks) return;
    if (answer.ok && !next) return sessionOver();
    if (!answer.ok) return location.assign(address);
    const isLate = seen !== adoptions;
    adopt(next, isLate);
    if (remember) history.pushState(null, "", address);
    if (isLate) refresh();
  } catch {
    if (mine === looks) notice("notice", OFFLINE);
  } finally {
    busy(list, -1);
    if (mine === looks) heading = null;
  }
}

function look(form) {
  const here = heading ?? location.pathname + location.search;
  const wanted = new URL(here, location.href).searchParams;
  wanted.delete("page");
  for (const { name, value } of [form.elements.search, form.elements.sort]) {
    if (value === "" || (name === "sort" && value === "created")) wanted.delete(name);
    else wanted.set(name, value);
  }
  const query = wanted.toString();
  const address = query ? `/?${query}` : "/";
  if (address !== here) go(address);
}

let typing;
document.addEventListener("input", (event) => {
  if (event.target.id !== "search") return;
  clearTimeout(typing);
  typing = setTimeout(() => event.target.form && look(event.target.form), 250);
});
document.addEventListener("change", (event) => {
  if (["sort", "search"].includes(event.target.id)) look(event.target.form);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("#tasks a[href^='/']");
  if (!link || !board || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(link.getAttribute("href"));
  if (link.rel) document.getElementById("tasks").scrollIntoView();
});
addEventListener("popstate", () => board && go(location.pathname + location.search, { remember: false }));

// --- The assistant ----------------------------------------------------------------------------------------------

let speaking = false;

function isAtEnd() {
  const log = document.getElementById("messages");
  return !log || log.scrollHeight - log.scrollTop - log.clientHeight < 80;
}

function scrollChat() {
  const log = document.getElementById("messages");
  if (log) log.scrollTop = log.scrollHeight;
}

function bubble(who, text) {
  const log = document.getElementById("messages");
  log.querySelectorAll(".answers, .empty").forEach((old) => old.remove());
  const box = document.createElement("div");
  box.className = who === "You" ? "bubble mine" : "bubble";
  const name = document.createElement("span");
  name.className = "hidden";
  name.textContent = `${who}: `;
  const words = document.createElement("p");
  words.textContent = text;
  box.append(name, words);
  log.append(box);
  scrollChat();
  return box;
}

// Shows who is at work until the first word comes.
function waiting(box) {
  const dots = document.createElement("span");
  dots.className = "typing";
  dots.setAttribute("role", "img");
  dots.setAttribute("aria-label", "The assistant is thinking");
  dots.append(...[1, 2, 3].map(() => document.createElement("i")));
  box.append(dots);
  return dots;
}

function showTool(box, call) {
  let tools = box.querySelector(".tools");
  if (!tools) {
    tools = document.createElement("div");
    tools.className = "tools";
    box.querySelector("p").before(tools);
  }
  const chip = document.createElement("details");
  chip.className = call.failed ? "tool failed" : "tool";
  const name = document.createElement("summary");
  name.textContent = call.failed ? `${call.tool} failed` : call.tool;
  chip.append(name);
  tools.append(chip);
}

async function say(form, submitter) {
  const body = new URLSearchParams(new FormData(form, submitter));
  const message = (body.get("message") ?? "").trim();
  if (!message || speaking) return;
  const [field, line] = [document.getElementById("message"), document.querySelector(".say")];
  const wasTyped = form === line;
  speaking = true;
  busy(line, 1);
  document.getElementById("chat-notice").replaceChildren();
  // Now, and not when the reply is there: by then the person may be somewhere else.
  document.getElementById(wasTyped ? "message" : "messages").focus();
  if (wasTyped) field.value = "";
  bubble("You", message);
  const reply = bubble("Assistant", "");
  // Read aloud as a whole when it is complete, not piece by piece.
  reply.setAttribute("aria-busy", "true");
  const dots = waiting(reply);
  const problem = await converse(body, reply, dots);
  if (problem && !field.value) field.value = message;
  if (problem === OVER) return sessionOver();
  dots.remove();
  reply.removeAttribute("aria-busy");
  speaking = false;
  busy(line, -1);
  if (problem) {
    if (!reply.querySelector("p").textContent) reply.remove();
    notice("chat-notice", problem);
  }
  await refresh();
  scrollChat();
}

const OVER = Symbol("the session is over");

// Says it and shows the reply as it comes. Returns what to tell when it did not come to its end.
async function converse(body, reply, dots) {
  try {
    const answer = await fetch("/chat", { method: "POST", body, headers: { accept: "text/event-stream" } });
    if (answer.status === 401) return OVER;
    if (answer.status === 403) return STALE;
    if (answer.ok) return await listen(answer, reply, dots);
    return (await answer.json()).message || FAILED;
  } catch {
    return navigator.onLine ? FAILED : OFFLINE;
  }
}

// Shows a reply as it comes. Returns what to tell when it did not come to its end.
async function listen(answer, reply, dots) {
  const words = reply.querySelector("p");
  let outcome = FAILED;
  for await (const { name, data } of events(answer.body)) {
    if (name === "tool") showTool(reply, data);
    if (name === "delta") {
      dots.remove();
      words.textContent += data.text;
    }
    if (name === "done") outcome = null;
    if (name === "error") outcome = data.message;
    scrollChat();
  }
  return outcome;
}

// The events of a stream that was asked for with POST, which EventSource cannot do.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n");
      const field = (key) => lines.filter((line) => line.startsWith(`${key}:`)).map((line) => line.slice(key.length + 1).trim()).join("\n");
      if (field("data")) yield { name: field("event"), data: JSON.parse(field("data")) };
    }
  }
}

// --- What happens elsewhere ---------------------------------------------------------------------------------------

let refreshing = null;
let again = false;

// Fetches the board anew. Calls while one is under way make one more, not many.
async function refresh() {
  if (refreshing) {
    again = true;
    return refreshing;
  }
  refreshing = (async () => {
    do {
      again = false;
      const [asked, seen] = [location.href, adoptions];
      const answer = await fetch(asked, { headers: { accept: "text/html", "x-live": "1" } });
      const next = boardIn(await answer.text());
      // What somebody did meanwhile is not in this page.
      if (asked !== location.href || seen !== adoptions) again = true;
      else if (next) adopt(next, true);
      else if (answer.ok) sessionOver();
    } while (again);
  })();
  try {
    await refreshing;
  } catch {
    // The next event, or the next look, will tell.
  } finally {
    refreshing = null;
  }
}

let stream = null;
let retryMs = 1_000;

function connect() {
  if (stream || document.hidden) return;
  stream = new EventSource("/events");
  stream.addEventListener("hello", () => {
    retryMs = 1_000;
    online();
    refresh();
  });
  for (const kind of ["task", "chat"]) stream.addEventListener(kind, () => refresh());
  stream.addEventListener("open", online);
  stream.addEventListener("error", () => {
    if (!navigator.onLine) offline();
    if (stream?.readyState !== EventSource.CLOSED) return;
    disconnect();
    // No events to be had: look now and then instead, and keep trying.
    setTimeout(connect, retryMs);
    retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
  });
}

function disconnect() {
  stream?.close();
  stream = null;
}

function offline() {
  document.getElementById("offline").textContent = "You are offline. What you see may be out of date.";
}

function online() {
  document.getElementById("offline").textContent = "";
}

// --- Keys -----------------------------------------------------------------------------------------------------------

const keysWanted = () => localStorage.getItem("keys") !== "off";

function row() {
  return document.activeElement?.closest(".task");
}

function step(by) {
  const all = rows();
  const at = all.indexOf(row());
  const to = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
  all[to]?.querySelector(".box").focus();
}

function edit() {
  const details = row()?.querySelector("details");
  if (!details) return;
  details.open = true;
  const title = details.querySelector("input[name=title]");
  title.focus();
  title.setSelectionRange(title.value.length, title.value.length);
}

function help() {
  document.getElementById("help").showModal();
}

const KEYS = {
  n: () => document.getElementById("new-title").focus(),
  "/": () => document.getElementById("search")?.focus(),
  c: () => document.getElementById("message").focus(),
  j: () => step(1),
  k: () => step(-1),
  x: () => row()?.querySelector(".box").click(),
  e: edit,
  d: () => row()?.querySelector(".delete").click(),
  u: () => document.querySelector("#flash .undo button")?.click(),
  "?": help,
};

document.addEventListener("keydown", (event) => {
  const inField = event.target.matches("input, textarea, select");
  if (event.key === "Escape" && inField) return leave(event.target);
  if (!board || inField || event.ctrlKey || event.metaKey || event.altKey || !keysWanted()) return;
  if (document.querySelector("dialog[open]")) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// Escape closes the form one is in and goes back to what it belongs to.
function leave(field) {
  const details = field.closest("details");
  if (!details) return field.blur();
  field.form.reset();
  details.removeAttribute("open");
  details.querySelector("summary").focus();
}

// --- Start ------------------------------------------------------------------------------------------------------------

if (board) {
  decorate(document);
  takeUpDrafts();
  scrollChat();
  connect();
  setInterval(() => !stream && !document.hidden && refresh(), POLL_MS);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return disconnect();
    connect();
    refresh();
  });
  addEventListener("offline", offline);
  addEventListener("online", () => {
    online();
    connect();
    refresh();
  });
  // A page that is put aside must not hold its connection.
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => event.persisted && connect());
  const keys = document.getElementById("keys");
  keys.parentElement.hidden = false;
  keys.checked = keysWanted();
  keys.addEventListener("change", () => localStorage.setItem("keys", keys.checked ? "on" : "off"));
  document.getElementById("help-link").addEventListener("click", (event) => {
    event.preventDefault();
    help();
  });
}
