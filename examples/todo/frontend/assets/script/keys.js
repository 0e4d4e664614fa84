// One key for each thing, while no field has the focus. The letters are explained in `pages/mod.rs`.

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

// Closes the form one is in and goes back to what it belongs to.
function leave(field) {
  const details = field.closest("details");
  if (!details) return field.blur();
  field.form.reset();
  details.removeAttribute("open");
  details.querySelector("summary").focus();
}
