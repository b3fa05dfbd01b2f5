// Keys of the review queue. The page is made of links and buttons that work without this: J and K follow the rows' links one after the other, Enter goes into the
// chosen flag, and other keys press the button that says so. Off in text fields, while something is open over the page, and where a person has switched keys off.

import { settings } from "./outbox.js";

const isText = element => element.isContentEditable || element.matches?.("textarea, select, input:not([type=radio], [type=checkbox], [type=button], [type=submit])");
const isNarrow = () => matchMedia("(max-width: 1100px)").matches; // the chosen flag stands below the table

// Letters by what is printed on the key, or by position on alphabets without them.
function keyOf(event) {
  if (event.key.length === 1 && event.key.charCodeAt(0) > 127 && /^Key[A-Z]$/.test(event.code)) return event.code.slice(3);
  return event.key.length === 1 ? event.key.toUpperCase() : event.key;
}

let goesIn = false; // the flag that is being opened gets the focus

function enter(root) {
  const panel = root.querySelector("[data-panel]");
  panel?.focus({ preventScroll: true });
  panel?.scrollIntoView({ block: isNarrow() ? "start" : "nearest" });
}

function move(root, by) {
  const rows = [...root.querySelectorAll("[data-row]")];
  // The row that has the focus is ahead of the page: keys may come faster than the server's answer.
  const focused = rows.indexOf(document.activeElement);
  const here = focused >= 0 ? focused : rows.findIndex(row => row.ariaCurrent === "true");
  const next = rows[here < 0 ? 0 : here + by];
  if (!next) return;
  next.focus();
  next.click();
}

document.addEventListener("keydown", event => {
  const root = document.querySelector("[data-review]");
  if (!root || event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  if (isText(target) || document.querySelector("dialog[open], [popover]:popover-open") || settings.get("keys") === "off") return;
  const key = keyOf(event);
  if (key === "J" || key === "K") {
    event.preventDefault();
    return move(root, key === "J" ? 1 : -1);
  }
  if (event.repeat) return;
  if (key === "Enter") {
    const row = target.closest?.("[data-row]");
    if (row && row.ariaCurrent !== "true") {
      goesIn = true; // its own Enter follows the link
    } else if (row || !target.closest?.("a, button, summary, input, label")) {
      event.preventDefault();
      enter(root);
    }
    return;
  }
  const control = [...root.querySelectorAll("[data-key]")].find(element => element.dataset.key === key);
  if (!control || control.disabled) return;
  event.preventDefault();
  control.click();
});

document.addEventListener("click", event => {
  if (event.detail > 0 && event.target.closest?.("[data-row]") && isNarrow()) goesIn = true; // a tap
});

Blazor.addEventListener("enhancedload", () => {
  const root = document.querySelector("[data-review]");
  if (goesIn && root) enter(root);
  goesIn = false;
});
