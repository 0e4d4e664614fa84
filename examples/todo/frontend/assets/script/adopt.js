// Takes over what the server rendered: only what changed is replaced, and nothing a person is in the middle of.

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
    if (Number.isNaN(days) || !word || time.closest(".done")) continue;
    if (days === 0) word.textContent = "Today";
    else if (days === 1) word.textContent = "Tomorrow";
    else if (days < 0) word.textContent = `Overdue, ${word.textContent}`;
    time.classList.toggle("late", days < 0);
    time.classList.toggle("soon", days === 0 || days === 1);
  }
}
