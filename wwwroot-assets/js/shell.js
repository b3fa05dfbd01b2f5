// The shell's script, loaded once per document: enhanced navigation swaps the page under it, so everything here is
// delegated from document and nothing is looked up in advance.

// ---------- theme: applied at once, remembered by the server ----------

const schemes = {
  system: { light: "(prefers-color-scheme: light)", dark: "(prefers-color-scheme: dark)" },
  high: { light: "(prefers-color-scheme: light)", dark: "(prefers-color-scheme: dark)" },
  light: { light: "all", dark: "not all" },
  dark: { light: "not all", dark: "all" },
};

document.addEventListener("change", event => {
  const form = event.target.closest?.("form[data-theme-form]");
  if (!form || !(event.target.value in schemes)) return;
  const theme = event.target.value;
  document.documentElement.dataset.theme = theme;
  for (const sheet of document.querySelectorAll("link[data-scheme]")) sheet.media = schemes[theme][sheet.dataset.scheme];
  for (const other of document.querySelectorAll("form[data-theme-form] select")) other.value = theme;
  // Sent without leaving the page, so that nothing typed is lost; if it fails, the choice lasts until the next page.
  fetch(form.action, { method: "POST", body: new FormData(form), redirect: "manual" }).catch(() => {});
});

// ---------- typed and not saved ----------

// Elements that a person changed since the page loaded. A module that saves elsewhere dispatches "portal:saved".
const unsaved = new Set();

document.addEventListener("input", event => {
  if (event.target.matches?.("textarea, input:not([type=hidden]):not([type=search])")
      && !event.target.closest("form[data-theme-form]")) unsaved.add(event.target);
});
document.addEventListener("submit", event => {
  for (const element of event.target.elements) unsaved.delete(element);
  event.target.closest("[popover]")?.hidePopover(); // a question that was answered
});
document.addEventListener("portal:saved", () => unsaved.clear());

function hasUnsaved() {
  for (const element of unsaved) if (!element.isConnected) unsaved.delete(element);
  return unsaved.size > 0;
}

// ---------- connection ----------

// Blazor reports by classes on this element (components-reconnect-show, -hide, -failed, -rejected).
const banner = document.getElementById("components-reconnect-modal");
new MutationObserver(() => {
  // Rejected: the server forgot the page's state. Loading again is the only way on, and safe only if nothing is typed.
  if (banner.classList.contains("components-reconnect-rejected") && !hasUnsaved()) location.reload();
}).observe(banner, { attributes: true, attributeFilter: ["class"] });

async function reconnect() {
  banner.className = "banner components-reconnect-show";
  try {
    const back = await Blazor.reconnect();
    banner.className = back ? "banner components-reconnect-hide" : "banner components-reconnect-rejected";
  } catch {
    banner.className = "banner components-reconnect-failed";
  }
}

document.addEventListener("click", event => {
  if (event.target.closest?.("[data-reload]")) location.reload();
  else if (event.target.closest?.("[data-reconnect]")) reconnect();
});
for (const [target, name] of [[window, "online"], [document, "visibilitychange"]]) {
  target.addEventListener(name, () => {
    if (!document.hidden && banner.classList.contains("components-reconnect-failed")) reconnect();
  });
}

// ---------- after enhanced navigation ----------

let path = location.pathname;

Blazor.addEventListener("enhancedload", () => {
  if (location.pathname === path) return;
  path = location.pathname;
  for (const open of document.querySelectorAll("[popover]:popover-open")) open.hidePopover();
  // A new page without a new document: put the reading position at its heading, as a load would.
  if (location.hash) return;
  const heading = document.querySelector("main h1");
  if (heading && !document.querySelector("main [autofocus]:not([popover] *)")) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
});
