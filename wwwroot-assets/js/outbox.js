// What this browser remembers for the annotator: votes that have no receipt yet, and what is chosen and typed on each screen.
// One key a vote and one a screen, so that two tabs never overwrite each other. A full or forbidden localStorage is no reason to lose a
// vote: then memory holds it as long as the tab lives.

const memory = new Map();
const voteKey = id => `portal.vote.${id}`;
const draftKey = id => `portal.draft.${id}`;
const draftsKeptMs = 14 * 24 * 3600 * 1000;

function write(key, value) {
  memory.set(key, value);
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch { /* kept in memory, see above */ }
}

function read(key) {
  try {
    const text = localStorage.getItem(key);
    if (text !== null) return JSON.parse(text);
  } catch { /* unreadable: as good as none */ }
  return memory.get(key) ?? null;
}

function erase(key) {
  memory.delete(key);
  try {
    localStorage.removeItem(key);
  } catch { /* nothing was stored */ }
}

function keys(prefix) {
  const found = new Set([...memory.keys()].filter(key => key.startsWith(prefix)));
  try {
    for (let i = 0; i < localStorage.length; i++) if (localStorage.key(i).startsWith(prefix)) found.add(localStorage.key(i));
  } catch { /* memory only */ }
  return [...found];
}

export const votes = {
  put: vote => write(voteKey(vote.id), vote),
  remove: id => erase(voteKey(id)),
  // Votes of this person, oldest first. Another person's votes wait for their own sign-in.
  of: person => keys(voteKey("")).map(read).filter(vote => vote?.person === person).sort((one, other) => one.at - other.at),
};

export const drafts = {
  put: (assignment, draft) => write(draftKey(assignment), draft),
  get: assignment => read(draftKey(assignment)),
  remove: assignment => erase(draftKey(assignment)),
  prune() {
    for (const key of keys(draftKey(""))) if (!(Date.now() - Date.parse(read(key)?.clientTime ?? 0) < draftsKeptMs)) erase(key);
  },
};

// Choices of this person on this machine: layout, keys.
export const settings = {
  get: name => read(`portal.setting.${name}`),
  set: (name, value) => write(`portal.setting.${name}`, value),
};
