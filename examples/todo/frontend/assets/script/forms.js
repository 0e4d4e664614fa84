// The forms of the board: left the moment they are sent, answered in turn, given back when they could not be delivered.

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
      signal: AbortSignal.timeout(ANSWER_MS),
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

// A form that leads to another page: somebody who presses twice would find the account they have just made taken.
function once(event) {
  const form = event.target;
  if (form.method === "dialog") return;
  if (pending.get(form)) return event.preventDefault();
  busy(form, 1);
  // Back on this page, from the browser's memory, it can be sent again.
  addEventListener("pageshow", () => busy(form, -1), { once: true });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".cancel");
  if (button) leave(button);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if ("plain" in form.dataset) return once(event);
  if (!board || event.defaultPrevented) return;
  event.preventDefault();
  // Pressed twice is meant once; except that one task may be written after the other.
  if (pending.get(form) && !("reset" in form.dataset)) return;
  if ("find" in form.dataset) look(form);
  else if ("say" in form.dataset) say(form, event.submitter);
  else submit(form, event.submitter);
});
