// The end of a session: what was typed waits in this window until its owner has logged in again.

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
