// The flag dialog: one per page, opened by any button with data-flag. Sends once; if the server does not answer the words stay.

import { call, newId } from "./call.js";

let id = null; // made on opening: sending twice stores one flag
let place = "";

const dialog = () => document.getElementById("flag-dialog");

function open(button) {
  const box = dialog();
  if (!box || box.open) return;
  const pages = ["annotate", "judge"];
  place = button.dataset.place;
  // On a page with two responses the dialog asks which one; elsewhere the button has said it.
  const choices = pages.includes(place) ? [...document.querySelectorAll("[data-flag]")] : [button];
  const form = box.querySelector("form");
  form.reset();
  id = newId();
  const which = box.querySelector("[data-flag-which]");
  for (const old of which.querySelectorAll("label")) old.remove();
  for (const choice of choices) {
    const label = document.createElement("label");
    label.className = "choice";
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "response", value: choice.dataset.flag, required: true });
    input.checked = choice === button || choices.length === 1;
    const text = document.createElement("span");
    text.textContent = choice.dataset.name;
    label.append(input, text);
    which.append(label);
  }
  which.hidden = choices.length === 1;
  form.hidden = false;
  box.querySelector("[data-flag-done]").hidden = true;
  tell(null);
  box.showModal();
}

function tell(message) {
  const note = dialog().querySelector("[data-flag-problem]");
  note.textContent = message ?? "";
  note.hidden = !message;
}

async function send(form) {
  const button = form.querySelector("[data-flag-send]");
  if (button.disabled) return;
  button.disabled = true;
  const data = new FormData(form);
  const answer = await call("POST", "/api/v1/flags", {
    flagId: id, responseId: data.get("response"), reason: Number(data.get("reason")), severity: Number(data.get("severity")),
    note: data.get("note") || null, preferred: data.get("preferred") || null, place,
  });
  button.disabled = false;
  const texts = dialog().querySelector("[data-flag-texts]").dataset;
  if (answer.value) {
    form.hidden = true;
    const done = dialog().querySelector("[data-flag-done]");
    done.hidden = false;
    done.querySelector("button").focus();
  } else if (answer.later) {
    tell(answer.later === "signed-out" ? texts.out : texts.later);
  } else {
    tell(answer.problems.map(problem => problem.message).join(" "));
  }
}

document.addEventListener("click", event => {
  const button = event.target.closest?.("[data-flag]");
  if (button) open(button);
  else if (event.target.closest?.("[data-flag-close]")) dialog().close();
});
document.addEventListener("submit", event => {
  if (!event.target.matches?.("[data-flag-form]")) return;
  event.preventDefault();
  send(event.target);
});
