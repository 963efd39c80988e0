// The chat: what others write comes as text, and is shown as text.
"use strict";

const KEPT = 100; // messages

function showChat() {
  const ready = user !== null && socket?.connected;
  for (const id of ["words", "send"]) $(id).disabled = !ready;
  $("words").placeholder = ready ? "Say something" : "";
  $("messages").dataset.empty =
    user === null ? "Log in to chat with everybody on this demo." : "Nothing was said since you came.";
}

function clearChat() {
  $("messages").replaceChildren();
  $("chat-hint").textContent = "";
}

function addMessage({ user: author, text, port }) {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const by = document.createElement("b");
  by.textContent = author;
  const when = document.createElement("small");
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  when.textContent = `${time}, by :${port}`;
  const words = document.createElement("p");
  words.textContent = text; // never innerHTML
  const message = document.createElement("li");
  message.dataset.mine = String(author === user);
  message.append(by, when, words);
  list.append(message);
  while (list.childElementCount > KEPT) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight; // else somebody is reading further up
}

function listenToChat(socket) {
  socket.on("said", addMessage);
}

$("say").onsubmit = async (event) => {
  event.preventDefault();
  const answer = await call("say", $("words").value);
  $("chat-hint").textContent = answer === null ? "That was not heard." : answer.error ?? "";
  if (answer !== null && !answer.error) $("words").value = "";
};
