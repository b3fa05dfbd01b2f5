// Shows moments in the reader's own zone and language. The server sends UTC, which stays in the element's datetime.

const clock = new Intl.DateTimeFormat(document.documentElement.lang || undefined, { timeStyle: "short" });
const full = new Intl.DateTimeFormat(document.documentElement.lang || undefined, { dateStyle: "medium", timeStyle: "short" });

function show(root) {
  for (const element of root.querySelectorAll?.("time[data-local]") ?? []) {
    const at = new Date(element.dateTime);
    const text = Number.isNaN(at.valueOf()) ? element.textContent : (element.dataset.local === "clock" ? clock : full).format(at);
    if (element.textContent !== text) element.textContent = text;
  }
}

show(document);
Blazor.addEventListener("enhancedload", () => show(document));
// Interactive pages add rows by themselves.
new MutationObserver(changes => {
  for (const change of changes) for (const node of change.addedNodes) if (node.nodeType === 1 && node.parentElement) show(node.parentElement);
}).observe(document.body, { childList: true, subtree: true });
