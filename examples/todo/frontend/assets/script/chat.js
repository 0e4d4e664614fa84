// The assistant: a reply is shown while it is made.

let speaking = false;

function isAtEnd() {
  const log = document.getElementById("messages");
  return !log || log.scrollHeight - log.scrollTop - log.clientHeight < 80;
}

function scrollChat() {
  const log = document.getElementById("messages");
  if (log) log.scrollTop = log.scrollHeight;
}

// Whoever reads the last word goes on seeing it when the window turns or a keyboard takes half of it.
function stayAtEnd() {
  const log = document.getElementById("messages");
  let wasAtEnd = true;
  log.addEventListener("scroll", () => (wasAtEnd = isAtEnd()), { passive: true });
  new ResizeObserver(() => wasAtEnd && scrollChat()).observe(log);
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
  const [field, line] = [document.getElementById("message"), document.querySelector(".say")];
  const wasTyped = form === line;
  speaking = true;
  busy(line, 1);
  document.getElementById("chat-notice").replaceChildren();
  // Now, and not when the reply is there: by then the person may be somewhere else.
  document.getElementById(wasTyped ? "message" : "messages").focus();
  if (wasTyped) field.value = "";
  bubble("You", message);
  const reply = bubble("Assistant", "");
  // Read aloud as a whole when it is complete, not piece by piece.
  reply.setAttribute("aria-busy", "true");
  const dots = waiting(reply);
  const problem = await converse(body, reply, dots);
  if (problem && !field.value) field.value = message;
  if (problem === OVER) return sessionOver();
  dots.remove();
  reply.removeAttribute("aria-busy");
  speaking = false;
  busy(line, -1);
  if (problem) {
    if (!reply.querySelector("p").textContent) reply.remove();
    notice("chat-notice", problem);
  }
  await refresh();
}

const OVER = Symbol("the session is over");

// Says it and shows the reply as it comes. Returns what to tell when it did not come to its end.
async function converse(body, reply, dots) {
  const silence = new AbortController();
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MS);
  };
  try {
    alive();
    const headers = { accept: "text/event-stream" };
    const answer = await fetch("/chat", { method: "POST", body, headers, signal: silence.signal });
    if (answer.status === 401) return OVER;
    if (answer.status === 403) return STALE;
    if (answer.ok) return await listen(answer, reply, dots, alive);
    return (await answer.json()).message || FAILED;
  } catch {
    return navigator.onLine ? FAILED : OFFLINE;
  } finally {
    clearTimeout(timer);
  }
}

// Reads to the end of a reply; null when it was a good one.
async function listen(answer, reply, dots, alive) {
  const words = reply.querySelector("p");
  let outcome = FAILED;
  for await (const { name, data } of events(answer.body)) {
    alive();
    const follows = isAtEnd();
    if (name === "tool") showTool(reply, data);
    if (name === "delta") {
      dots.remove();
      words.textContent += data.text;
    }
    if (name === "done") outcome = null;
    if (name === "error") outcome = data.message;
    // Whoever scrolled up to read something is left there.
    if (follows) scrollChat();
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

// --- The question before the conversation is cleared: gone as soon as one turns to something else ---

function dismiss(event) {
  const question = document.getElementById("clear");
  if (!question?.open) return;
  if (event.type === "keydown" && event.key === "Escape") question.querySelector("summary").focus();
  else if (event.type === "keydown" || question.contains(event.target)) return;
  question.open = false;
}

document.addEventListener("click", dismiss);
document.addEventListener("keydown", dismiss);
