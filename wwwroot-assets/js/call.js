// One way to ask the portal's JSON API, and three answers: done, refused (with reasons), or later (nothing is known to have happened).

const timeoutMs = 15_000;

function token() {
  return document.querySelector("input[name=__RequestVerificationToken]")?.value ?? "";
}

// The page's token is out of date (another sign-in): take one from a fresh copy of this page.
async function freshToken() {
  const page = await fetch(location.href, { signal: AbortSignal.timeout(timeoutMs), headers: { accept: "text/html" } });
  if (page.redirected && new URL(page.url).pathname === "/sign-in") return false;
  const value = new DOMParser().parseFromString(await page.text(), "text/html").querySelector("input[name=__RequestVerificationToken]")?.value;
  if (!value) return false;
  for (const input of document.querySelectorAll("input[name=__RequestVerificationToken]")) input.value = value;
  return true;
}

// Returns { value } | { problems, status } | { later: "offline" | "busy" | "signed-out" }.
export async function call(method, url, body, keepalive = false, again = true) {
  let response;
  try {
    response = await fetch(url, {
      method, keepalive, signal: keepalive ? undefined : AbortSignal.timeout(timeoutMs),
      headers: { "content-type": "application/json", RequestVerificationToken: token() },
      body: JSON.stringify(body),
    });
    if (response.ok) return { value: await response.json() };
  } catch {
    return { later: "offline" }; // no answer, or one that broke off: whoever asks again must send the same id
  }
  if (response.status === 401) return { later: "signed-out" };
  if (response.status >= 500 || response.status === 408) return { later: "offline" };
  const problems = await response.json().then(answer => answer?.problems, () => undefined);
  if (response.status === 429 && !problems) return { later: "busy" };
  if (response.status === 400 && problems?.length === 1 && problems[0].field === "" && again) {
    const fresh = await freshToken().catch(() => undefined);
    if (fresh === undefined) return { later: "offline" };
    return fresh ? call(method, url, body, keepalive, false) : { later: "signed-out" };
  }
  return { problems: problems ?? [{ field: "", message: `${response.status} ${response.statusText}` }], status: response.status };
}

// A version-4 UUID; crypto.randomUUID exists on https and on this machine only.
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map(byte => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
