// What happens elsewhere: other windows, the assistant, an outage.

let refreshing = null;
let again = false;

// Fetches the board anew. Calls while one is under way make one more, not many.
async function refresh() {
  if (refreshing) {
    again = true;
    return refreshing;
  }
  refreshing = renew();
  return refreshing;
}

async function renew() {
  try {
    do {
      again = false;
      const [asked, seen] = [location.href, adoptions];
      const headers = { accept: "text/html", "x-live": "1" };
      const answer = await fetch(asked, { headers, signal: AbortSignal.timeout(ANSWER_MS) });
      const next = boardIn(await answer.text());
      // What somebody did meanwhile is not in this page.
      if (asked !== location.href || seen !== adoptions) again = true;
      else if (next) adopt(next, true);
      else if (answer.ok) sessionOver();
    } while (again);
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
