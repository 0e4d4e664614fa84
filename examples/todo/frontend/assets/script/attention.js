// Where a person is: what arrives later moves the focus only when its element was taken away.

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
