// Makes the board instant: the same forms, but only what changed is replaced; replies appear while they are made;
// what other windows do shows up by itself. Everything works without it. `assets.rs` puts the files together.
"use strict";

const board = document.querySelector("[data-board]");
const PARTS = ["tasks", "chat"];
const POLL_MS = 10_000;
const RETRY_MAX_MS = 30_000;
// The server gives up earlier; this is for connections that die without a word.
const ANSWER_MS = 30_000;
const SILENCE_MS = 75_000;

document.documentElement.classList.add("scripted");
