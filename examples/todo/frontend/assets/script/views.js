// Filter, search, order and page without leaving the page; the address says what is shown.

let looks = 0;
// The address last asked for, which the page may still be on its way to.
let heading = null;

async function go(address, { remember = true } = {}) {
  const [mine, seen] = [++looks, adoptions];
  const list = document.querySelector("ul.list");
  heading = address;
  busy(list, 1);
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(ANSWER_MS) });
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
    if (mine === looks) notice("notice", navigator.onLine ? UNAVAILABLE : OFFLINE);
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
