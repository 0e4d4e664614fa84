// Makes the board instant: the same forms, but only what changed is replaced; replies appear while they are made;
// what other windows do shows up by itself. Everything works without it.
"use strict";

const board = document.querySelector("[data-board]");
const PARTS = ["tasks", "chat"];
const POLL_MS = 10_000;
const RETRY_MAX_MS = 30_000;

document.documentElement.classList.add("scripted");

// --- Taking over what the server rendered -------------------------------------------------------------------

// Turns `old` into `fresh` and leaves alone what a person is in the middle of: focus, typed text, opened details.
function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open" && name !== "class") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (!fresh.hasAttribute("class")) old.removeAttribute("class");
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const keyed = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
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

// Replaces the parts of this board by those of `html`. Returns false when it is another page (logged out).
function adopt(html, { keepFlash = false } = {}) {
  const next = new DOMParser().parseFromString(html, "text/html");
  if (!next.querySelector("[data-board]")) return false;
  const known = new Set([...document.querySelectorAll(".task")].map((row) => row.id));
  const focused = document.activeElement?.id;
  const atEnd = isAtEnd();
  decorate(next);
  for (const id of PARTS) {
    const [old, fresh] = [document.getElementById(id), next.getElementById(id)];
    if (id === "chat" && speaking) continue;
    if (keepFlash) fresh.querySelector("#flash")?.replaceWith(document.getElementById("flash").cloneNode(true));
    morph(old, fresh);
  }
  document.title = next.title;
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
  for (const row of document.querySelectorAll(".task")) {
    if (!known.has(row.id)) flashRow(row);
  }
  if (atEnd) scrollChat();
  return true;
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

// --- Forms --------------------------------------------------------------------------------------------------

function notice(form, text) {
  const place = form.closest("#chat") ? "chat-notice" : "notice";
  const line = document.createElement("p");
  line.className = "notice";
  line.textContent = text;
  document.getElementById(place)?.replaceChildren(line);
}

async function submit(form, submitter) {
  const row = form.closest(".task");
  const index = row ? [...row.parentNode.children].indexOf(row) : -1;
  form.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form, submitter)),
      headers: { accept: "text/html" },
    });
    if (!adopt(await answer.text())) return answer.status >= 500 ? notice(form, UNAVAILABLE) : location.assign("/");
    if (answer.ok) finish(form, row, index);
    else document.querySelector("#main [aria-invalid]")?.focus();
  } catch {
    notice(form, navigator.onLine ? FAILED : OFFLINE);
  } finally {
    form.removeAttribute("aria-busy");
  }
}

const FAILED = "The connection failed. Nothing was changed as far as we know; please try again.";
const UNAVAILABLE = "The service does not answer right now. Nothing is lost, please try again.";
const OFFLINE = "You are offline. What you typed is still here; try again when the connection is back.";

// Leaves the focus where a person would go on.
function finish(form, row, index) {
  if ("reset" in form.dataset) {
    form.reset();
    form.querySelector("details")?.removeAttribute("open");
    document.getElementById("new-title")?.focus();
  }
  if ("close" in form.dataset) {
    form.reset();
    const details = form.closest("details");
    details?.removeAttribute("open");
    details?.querySelector("summary")?.focus();
  }
  if (row && !row.isConnected) {
    const rows = document.querySelectorAll(".task .box");
    (rows[Math.min(index, rows.length - 1)] ?? document.getElementById("new-title"))?.focus();
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!board || "plain" in form.dataset || event.defaultPrevented) return;
  event.preventDefault();
  if (form.getAttribute("aria-busy") === "true") return;
  if ("find" in form.dataset) look(form);
  else if ("say" in form.dataset) say(form, event.submitter);
  else submit(form, event.submitter);
});

// --- Filter, search and order without leaving the page ----------------------------------------------------------

let looks = 0;

async function go(address, { remember = true } = {}) {
  const mine = ++looks;
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    const html = await answer.text();
    // Somebody who types on wants the answer to the last letter, whichever comes last.
    if (mine !== looks) return;
    if (!answer.ok || !adopt(html)) return location.assign(address);
    if (remember) history.pushState(null, "", address);
  } catch {
    notice(document.getElementById("tasks"), OFFLINE);
  }
}

function look(form) {
  const wanted = new URLSearchParams(new FormData(form));
  for (const [key, value] of [...wanted]) {
    if (value === "" || (key === "sort" && value === "created")) wanted.delete(key);
  }
  const query = wanted.toString();
  const address = query ? `/?${query}` : "/";
  if (address !== location.pathname + location.search) go(address);
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
  const field = document.getElementById("message");
  speaking = true;
  document.querySelector(".say").setAttribute("aria-busy", "true");
  document.getElementById("chat-notice").replaceChildren();
  bubble("You", message);
  field.value = "";
  const reply = bubble("Assistant", "");
  // Read aloud as a whole when it is complete, not piece by piece.
  reply.setAttribute("aria-busy", "true");
  const dots = waiting(reply);
  let problem = null;
  try {
    const answer = await fetch("/chat", { method: "POST", body, headers: { accept: "text/event-stream" } });
    if (answer.status === 401) return location.assign("/login");
    if (answer.ok) problem = await listen(answer, reply, dots);
    else problem = (await answer.json()).message || FAILED;
  } catch {
    problem = navigator.onLine ? FAILED : OFFLINE;
  }
  reply.removeAttribute("aria-busy");
  dots.remove();
  speaking = false;
  document.querySelector(".say").removeAttribute("aria-busy");
  if (problem) {
    if (!reply.querySelector("p").textContent) reply.remove();
    notice(form, problem);
    if (!field.value) field.value = message;
  }
  await refresh();
  scrollChat();
  field.focus();
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
      const asked = location.href;
      const answer = await fetch(asked, { headers: { accept: "text/html", "x-live": "1" } });
      const html = await answer.text();
      if (asked !== location.href) again = true;
      else if (answer.ok && !adopt(html, { keepFlash: true })) location.assign("/login");
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
  const rows = [...document.querySelectorAll(".task")];
  const at = rows.indexOf(row());
  const to = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1);
  rows[to]?.querySelector(".box").focus();
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
