// Wakes the board. Last, when everything it uses is there.

if (board) {
  decorate(document);
  takeUpDrafts();
  scrollChat();
  stayAtEnd();
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
