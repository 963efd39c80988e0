// The demo page. Nothing is polled: what it shows was answered over HTTP
// or pushed through the socket, so the countdown really runs out. The
// other two scripts, for the chat and the devices, use what is here.
"use strict";

const $ = (id) => document.getElementById(id);
const PORTS = document.body.dataset.ports.split(",");
const IDLE = Number(document.body.dataset.idle);
const base = (port) => `${location.protocol}//${location.hostname}:${port}`;

let httpPort = document.body.dataset.port;
let socketPort = PORTS.find((port) => port !== httpPort) ?? httpPort; // the other process, if there is one
let socket = null;
let deadline = null; // in performance.now() milliseconds
let savedNote = "";
let endedId = ""; // of the session that ended last
let user = null; // who is logged in

const WHY = {
  logged_out: "You logged out, in every tab of this browser.",
  revoked: "Another of your devices has logged this one out.",
  replaced: "You have logged in on so many devices that this one, the oldest, was logged out.",
  expired: `Nobody clicked for ${IDLE} s, so the session has expired.`,
};

// -- the log ---------------------------------------------------------------

function log(kind, text) {
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString([], { hour12: false });
  const what = document.createElement("b");
  what.textContent = kind;
  const detail = document.createElement("span");
  detail.textContent = text;
  const line = document.createElement("li");
  line.dataset.kind = kind.split(" ")[0];
  line.append(time, what, detail);
  $("log").prepend(line);
  while ($("log").childElementCount > 200) $("log").lastElementChild.remove();
}

// -- what is shown ---------------------------------------------------------

function show(state, pushed = false) {
  if (state.id === null) return; // nothing is stored yet, so there is nothing to show
  if (state.id === endedId) return; // an answer that was on its way when the session ended
  const same = state.id === $("id").title;
  // Two processes push: what one of them saw may arrive after newer news of the other.
  if (same && state.count < Number($("count").textContent)) return;
  $("id").textContent = state.id.slice(0, 12) + "…";
  $("id").title = state.id;
  showUser(state.user);
  $("count").textContent = state.count;
  // A note has no number. What the socket pushes comes in order, but an
  // answer may be overtaken by it, so it counts only where nothing is pushed.
  if (pushed || !same || !socket.connected) {
    // An edit in progress is not overwritten by somebody else's saved note.
    if ($("note").value === savedNote) $("note").value = state.note;
    savedNote = state.note;
  }
  deadline = performance.now() + state.left * 1000;
  $("renew").hidden = true;
  tick();
}

function showUser(name) {
  if (user !== null && name === null) showNotice("You are logged out: the session ended meanwhile.");
  if (user === null && name !== null) $("notice").hidden = true;
  if (user !== name) clearChat();
  user = name;
  $("user").textContent = name ?? "nobody";
  $("who").textContent = name ?? "";
  $("logged-in").hidden = name === null;
  $("login").hidden = name !== null;
  showChat();
  showDevices(name === null ? [] : devices);
}

function showNotice(text, reason = "") {
  $("notice-text").textContent = text;
  $("notice").dataset.reason = reason;
  $("notice").hidden = false;
}

function showEnd(reason) {
  if (reason === "rotated" || reason === "shutdown") return; // the session lives on
  $("ended").textContent = `${reason}, ${new Date().toLocaleTimeString([], { hour12: false })}`;
  endedId = $("id").title || endedId;
  deadline = null;
  savedNote = "";
  $("note").value = "";
  $("count").textContent = 0;
  $("id").textContent = "–";
  $("id").title = "";
  if (user !== null) {
    showUser(null);
    showNotice(WHY[reason] ?? `The session has ended: ${reason}.`, reason);
  }
  tick();
}

function tick() {
  const left = deadline === null ? 0 : Math.max(0, (deadline - performance.now()) / 1000);
  const whole = Math.ceil(left);
  $("left").textContent =
    deadline === null ? "–" : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  $("left-text").textContent =
    deadline === null ? "no session" : left > 0 ? "until it expires, unless you click" : "expired";
  $("bar").style.width = `${Math.min(100, (100 * left) / IDLE)}%`;
  $("bar").dataset.low = String(left < Math.min(20, IDLE / 4));
  tickDevices();
}

function showStatus(state, text) {
  $("status").dataset.state = state;
  $("status-text").textContent = text;
  for (const id of ["count-socket", "note-socket"]) $(id).disabled = state !== "on";
  showChat();
}

// -- over HTTP -------------------------------------------------------------

async function http(method, path, fields) {
  let answer;
  try {
    answer = await fetch(base(httpPort) + path, {
      method,
      body: fields && new URLSearchParams(fields),
      credentials: "include", // the cookie also goes to the other port
    });
  } catch (error) {
    log("http", `${method} ${path}: ${error.message}`);
    return null;
  }
  if (!answer.ok) {
    log("http", `${method} ${path}: ${answer.status} ${answer.statusText}`);
    return null;
  }
  const state = await answer.json();
  $("http-by").textContent = `answered by process ${state.pid}`;
  log("http", `${method} ${path}, by :${state.port}`);
  return state;
}

async function refresh() {
  const state = await http("GET", "/state");
  if (state !== null) show(state);
}

async function post(path, fields) {
  const state = await http("POST", path, fields);
  if (state === null) return;
  show(state);
  if (!socket.active) comeBack();
}

function comeBack() { // after a logout it waits to be asked
  $("notice").hidden = true;
  socket.connect();
}

// -- over the socket -------------------------------------------------------

function connect() {
  socket?.disconnect();
  socket = io(base(socketPort), { withCredentials: true, forceNew: true });
  const mine = socket;
  showStatus("wait", "connecting");

  socket.on("connect", async () => {
    log("connect", `to :${socketPort}`);
    showStatus("on", `connected to :${socketPort}`);
    // The cookie comes back over HTTP, so a session that this handshake
    // has just made counts as a real visitor's.
    await refresh();
    await ask("look");
  });
  socket.on("state", (state) => {
    log("state", `count ${state.count}, by :${state.port}`);
    show(state, true);
  });
  listenToChat(socket);
  listenToDevices(socket);
  socket.on("session_ended", ({ reason }) => {
    log("session_ended", reason);
    showEnd(reason);
  });
  socket.on("disconnect", (reason) => {
    log("disconnect", reason);
    if (mine !== socket) return; // it gave way to one to the other process
    $("socket-by").textContent = "not connected";
    if (socket.active) return showStatus("wait", "reconnecting");
    showStatus("off", "not connected");
    $("renew").hidden = false;
  });
  socket.on("connect_error", (error) => {
    log("connect_error", error.message);
    if (mine === socket && !socket.active) {
      showStatus("off", "refused");
      $("renew").hidden = false;
    }
  });
  socket.io.on("reconnect_attempt", (attempt) => log("reconnect", `attempt ${attempt}`));
}

async function call(event, ...values) {
  try {
    return await socket.timeout(3000).emitWithAck(event, ...values);
  } catch {
    log("no answer", event); // the session had ended: no handler ran
    return null;
  }
}

async function ask(event, ...values) {
  const state = await call(event, ...values);
  if (state === null) return;
  $("socket-by").textContent = `answered by process ${state.pid}`;
  show(state);
}

// -- buttons ---------------------------------------------------------------

function choose(id, current, change) {
  for (const port of PORTS) {
    const button = document.createElement("button");
    button.textContent = `:${port}`;
    button.setAttribute("aria-pressed", String(port === current));
    button.onclick = () => {
      for (const each of $(id).children) each.setAttribute("aria-pressed", String(each === button));
      change(port);
    };
    $(id).append(button);
  }
}

choose("http-port", httpPort, (port) => { httpPort = port; });
choose("socket-port", socketPort, (port) => { socketPort = port; connect(); });

$("count-http").onclick = () => post("/count");
$("count-socket").onclick = () => ask("count");
$("note-http").onclick = () => post("/note", { note: $("note").value });
$("note-socket").onclick = () => ask("note", $("note").value);
$("login").onsubmit = async (event) => {
  event.preventDefault();
  await post("/login", { name: $("name").value });
  if (user !== null) $("h-login").focus(); // the form is gone
};
$("logout").onclick = () => http("POST", "/logout");
$("renew").onclick = comeBack;
$("clear").onclick = () => $("log").replaceChildren();

$("notice-login").onclick = () => $("name").focus();
$("notice-close").onclick = () => { $("notice").hidden = true; };

addEventListener("DOMContentLoaded", () => { // the other scripts are there
  showUser(null);
  setInterval(tick, 250);
  connect();
});
