// Many real socket.io-clients in one process, for javascript.py: commands as
// JSON lines on stdin, answers on stdout. Times are seconds of CLOCK_MONOTONIC.
"use strict";

const path = require("path");
const readline = require("readline");

const modules = process.argv[2];
const { io } = require(path.join(modules, "socket.io-client"));
const version = require(path.join(modules, "socket.io-client/package.json")).version;

const now = () => Number(process.hrtime.bigint()) / 1e9;
const clients = [];

class Client {
  constructor(url, cookie) {
    // When it was told that its session ended, when the client had closed,
    // and when the WebSocket had: the close handshake over, TCP closed.
    this.seen = { told: null, reason: null, left: null, closed: null };
    this.gone = new Promise((resolve) => { this.resolve = resolve; });
    this.joined = new Promise((resolve, reject) => {
      const socket = io(url, {
        transports: ["websocket"], forceNew: true, reconnection: false, extraHeaders: { Cookie: cookie },
      });
      socket.on("connect_error", reject);
      socket.on("session_ended", ({ reason }) => Object.assign(this.seen, { told: now(), reason }));
      socket.on("connect", () => {
        const engine = socket.io.engine;
        engine.on("close", () => { this.seen.left = now(); this.ended(); });
        engine.transport.ws.on("close", () => { this.seen.closed = now(); this.ended(); });
        resolve();
      });
    });
  }

  ended() {
    if (this.seen.left !== null && this.seen.closed !== null) this.resolve(this.seen);
  }
}

const within = (milliseconds, promise, what) => {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(what)), milliseconds); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

const commands = {
  async clock() { return now(); },

  // Seconds of processor time used so far.
  async cpu() { const { user, system } = process.cpuUsage(); return (user + system) / 1e6; },

  // Opens clients, some at a time, and answers the number of the first.
  async open({ url, cookies }) {
    const first = clients.length;
    for (let start = 0; start < cookies.length; start += 50) {
      const some = cookies.slice(start, start + 50).map((cookie) => new Client(url, cookie));
      clients.push(...some);
      await within(10000, Promise.all(some.map((client) => client.joined)), "a client did not connect");
    }
    return first;
  },

  // What `count` clients saw of their ends, once all are closed.
  async ends({ first, count, seconds }) {
    const some = clients.slice(first, first + count);
    try {
      await within(seconds * 1000, Promise.all(some.map((client) => client.gone)), "");
    } catch (error) {
      const open = some.filter(({ seen }) => seen.closed === null).length;
      throw new Error(`${open} of ${count} sockets were not closed within ${seconds} s`);
    }
    return some.map(({ seen }) => seen);
  },
};

const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

const input = readline.createInterface({ input: process.stdin });
input.on("line", (line) => {
  const { call, do: name, ...options } = JSON.parse(line);
  commands[name](options).then(
    (value) => say({ call, value }),
    (error) => say({ call, error: `${name}: ${error.message}` }));
});
input.on("close", () => process.exit(0));
say({ node: process.version, client: version });
