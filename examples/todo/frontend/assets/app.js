// Makes the forms feel instant: the same request, but only the board is replaced. Everything works without it.
"use strict";

const PANELS = ["tasks", "chat"];

function scrollChat() {
  const log = document.getElementById("messages");
  if (log) log.scrollTop = log.scrollHeight;
}

// Replaces the panels of this page by those of `html`. Returns false when it is another page (logged out).
function adopt(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  if (!next.getElementById("board")) return false;
  for (const id of PANELS) {
    const [old, fresh] = [document.getElementById(id), next.getElementById(id)];
    if (old && fresh && old.innerHTML !== fresh.innerHTML) old.replaceWith(document.importNode(fresh, true));
  }
  scrollChat();
  return true;
}

async function submit(form) {
  const panel = form.closest("section");
  const field = form.querySelector("input:not([type=hidden])");
  form.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { accept: "text/html" },
    });
    const refused = !answer.ok;
    const typed = field ? field.value : "";
    if (!adopt(await answer.text())) return location.assign("/");
    const again = field && field.id && document.getElementById(field.id);
    if (again && refused) again.value = typed;
    if (again) again.focus();
  } catch {
    const notice = document.createElement("p");
    notice.className = "notice";
    notice.setAttribute("role", "alert");
    notice.textContent = "The connection failed. Please try again.";
    form.after(notice);
    setTimeout(() => notice.remove(), 5000);
  } finally {
    form.removeAttribute("aria-busy");
    if (panel && !document.contains(panel)) scrollChat();
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!document.getElementById("board") || "plain" in form.dataset) return;
  event.preventDefault();
  if (form.getAttribute("aria-busy") !== "true") submit(form);
});

// What another window or another person did shows up when this one is looked at again.
async function refresh() {
  const busy = document.querySelector("details[open], [aria-busy]") || isTyping();
  if (document.hidden || busy || !document.getElementById("board")) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.ok) adopt(await answer.text());
  } catch {
    // The next look will tell.
  }
}

function isTyping() {
  const active = document.activeElement;
  return active && active.matches("input, textarea") && active.value !== "";
}

document.addEventListener("visibilitychange", refresh);
window.addEventListener("focus", refresh);
setInterval(refresh, 10000);
scrollChat();
