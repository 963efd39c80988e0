// Your devices: the list is pushed when one comes, goes or connects.
"use strict";

let devices = [];
let listedAt = 0; // server's seconds; of the list that is shown

function ago(since) {
  const seconds = Math.max(0, (performance.now() - since) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

function isThis(device) {
  return device.id === $("id").title;
}

function makeRow(device) {
  const row = document.createElement("li");
  row.dataset.id = device.id;
  const button = document.createElement("button"); // first, so that the rest flows around it
  button.textContent = "Log out";
  button.onclick = () => (isThis(device) ? http("POST", "/logout") : revoke(device));
  row.append(button);
  for (const [tag, part] of [["strong", "name"], ["em", "badge"], ["small", "sockets"], ["small", "times"]]) {
    const element = document.createElement(tag);
    element.dataset.part = part;
    row.append(element);
  }
  return row;
}

function fillRow(row, device) {
  const write = (part, text) => {
    const element = row.querySelector(`[data-part=${part}]`);
    if (element.textContent !== text) element.textContent = text;
  };
  row.dataset.this = String(isThis(device));
  row.dataset.live = String(device.sockets > 0);
  row.querySelector("button").setAttribute("aria-label", `Log out ${device.name}`);
  write("name", device.name);
  write("badge", isThis(device) ? "this device" : "");
  write("sockets", ["not connected", "1 live socket"][device.sockets] ?? `${device.sockets} live sockets`);
  write("times", `${device.address} · logged in ${ago(device.created)} · seen ${ago(device.seen)}`);
}

function showDevices(list) {
  devices = [...list].sort((one, two) => isThis(two) - isThis(one)); // this device first
  const rows = new Map([...$("devices").children].map((row) => [row.dataset.id, row]));
  const lost = [...rows].some(([id, row]) =>
    row.contains(document.activeElement) && !devices.some((device) => device.id === id));
  // A row that stays is the same element, so a focused button keeps the focus.
  devices.forEach((device, place) => {
    const row = rows.get(device.id) ?? makeRow(device);
    const there = $("devices").children[place];
    if (there !== row) $("devices").insertBefore(row, there ?? null);
    rows.delete(device.id);
  });
  for (const row of rows.values()) row.remove();
  if (lost) $("h-devices").focus();
  $("devices-end").hidden = user === null;
  $("logout-others").disabled = devices.length < 2;
  if (user === null) $("devices-hint").textContent = "Log in, here and in a second browser, to see them.";
  else if (devices.length < 2) $("devices-hint").textContent = "Log in with the same name in a second browser.";
  else $("devices-hint").textContent = "";
  tickDevices();
}

function tickDevices() {
  // Nobody pushes that a device without a socket has expired.
  const lives = (device) => device.sockets > 0 || device.deadline > performance.now();
  if (!devices.every(lives)) return showDevices(devices.filter(lives));
  devices.forEach((device, place) => fillRow($("devices").children[place], device));
}

function listenToDevices(socket) {
  socket.on("devices", ({ at, list }) => {
    if (at < listedAt) return;
    listedAt = at;
    const now = performance.now();
    log("devices", `${list.length}, their sockets: ${list.reduce((sum, each) => sum + each.sockets, 0)}`);
    showDevices(list.map(({ created, seen, left, ...device }) => ({
      ...device,
      created: now - created * 1000,
      seen: now - seen * 1000,
      deadline: now + left * 1000,
    })));
  });
  socket.on("seen", (id) => {
    const device = devices.find((each) => each.id === id);
    if (device === undefined) return;
    device.seen = performance.now();
    device.deadline = device.seen + IDLE * 1000;
    tickDevices();
  });
}

async function revoke(device) {
  if (await http("POST", "/revoke", { id: device.id })) log("revoked", device.name);
}

async function logOut(path) {
  const done = await http("POST", path);
  if (done !== null) log("logged out", `other devices: ${done.sessions}, their sockets: ${done.sockets}`);
}

$("logout-others").onclick = () => logOut("/logout/others");
$("logout-everywhere").onclick = () => logOut("/logout/everywhere");
