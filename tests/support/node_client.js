// Drives the real socket.io-client for tests/support/node_client.py: JSON
// commands on stdin, JSON reports on stdout, one per line.
"use strict";

const path = require("path");
const readline = require("readline");

const modules = process.argv[2];
const { io } = require(path.join(modules, "socket.io-client"));
const engine = path.join(modules, "engine.io-client/build/cjs");
const globals = require(path.join(engine, "globals.node.js"));
const { WS } = require(path.join(engine, "transports/websocket.node.js"));

// Bytes travel as {"$bytes": base64}, both ways.
const toBytes = (key, value) => (value && value.$bytes !== undefined ? Buffer.from(value.$bytes, "base64") : value);
const fromBytes = function (key, value) {
  const raw = this[key]; // a Buffer's toJSON has been called already
  const bytes = raw instanceof ArrayBuffer || ArrayBuffer.isView(raw);
  return bytes ? { $bytes: Buffer.from(raw).toString("base64") } : value;
};

const say = (kind, facts = {}) => process.stdout.write(JSON.stringify({ kind, ...facts }, fromBytes) + "\n");

// One jar for the life of this process, as in a browser. The client's own
// jar lives for one connection and never looks at the headers of a 101.
const jar = new globals.CookieJar();
globals.createCookieJar = () => jar;
const createSocket = WS.prototype.createSocket;
WS.prototype.createSocket = function (...args) {
  const socket = createSocket.apply(this, args);
  socket.on("upgrade", (response) => jar.parseCookies(response.headers["set-cookie"]));
  return socket;
};

const cookies = () => Object.fromEntries([...jar.cookies].map(([name, c]) => [name, c.value]));

let socket;

function listen() {
  socket.on("connect", () => say("connect", { sid: socket.id, transport: socket.io.engine.transport.name }));
  socket.on("connect_error", (error) =>
    say("connect_error", {
      message: error.message,
      data: error.data,
      status: error.context && error.context.status,
      description: error.description && (error.description.message || String(error.description)),
    }));
  socket.on("disconnect", (reason, details) =>
    say("disconnect", { reason, details: details && (details.description || details.message) && String(details.description) }));
  socket.onAny((name, ...args) => {
    const reply = typeof args[args.length - 1] === "function" ? args.pop() : undefined;
    say("event", { name, args });
    if (reply) reply(...replies);
  });
  socket.io.on("reconnect_attempt", (attempt) => say("reconnect_attempt", { attempt }));
  socket.io.on("reconnect", (attempt) => say("reconnect", { attempt }));
  socket.io.on("open", () => socket.io.engine.on("upgrade", (t) => say("upgrade", { transport: t.name })));
}

let replies = [];

const commands = {
  connect({ url, options, cookies: initial }) {
    for (const [name, value] of Object.entries(initial || {})) jar._cookies.set(name, { name, value });
    socket = io(url, { withCredentials: initial !== null, ...options });
    listen();
  },
  reconnect() { socket.connect(); },
  set_auth({ values }) { socket.auth = values; },
  disconnect() { socket.disconnect(); },
  // As when the network goes: no goodbye, the client comes back by itself.
  cut() { socket.io.engine.close(); },
  emit({ id, name, args, ack, timeout }) {
    if (!ack) { socket.emit(name, ...args); return say("reply", { id, args: [] }); }
    socket.timeout(timeout).emit(name, ...args, (error, ...answer) =>
      say("reply", error ? { id, error: error.message } : { id, args: answer }));
  },
  replies({ args }) { replies = args; },
  state({ id }) {
    say("reply", { id, args: [{ connected: socket.connected, active: socket.active, sid: socket.id || null,
      transport: socket.io.engine && socket.io.engine.transport.name, cookies: cookies() }] });
  },
  set_cookies({ values }) {
    jar._cookies.clear();
    for (const [name, value] of Object.entries(values)) jar._cookies.set(name, { name, value });
  },
};

const input = readline.createInterface({ input: process.stdin });
input.on("line", (line) => { const command = JSON.parse(line, toBytes); commands[command.do](command); });
input.on("close", () => process.exit(0));
say("ready", { node: process.version, client: require(path.join(modules, "socket.io-client/package.json")).version });
