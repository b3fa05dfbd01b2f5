// A button with data-copy copies the value of the field it names, and says so.
document.addEventListener("click", async event => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    field.select(); // no permission, or plain http on another machine: the old way
    document.execCommand("copy");
  }
  button.textContent = button.dataset.copied;
});
