// Holds what the window knows, and draws it again when something changed.

import { app } from './app.js';
import { backend as open } from './backend.js';
import { allIncidents } from './parts/incidents.js';
import { wishKey } from './parts/wish.js';
import { isUnwell, mostUrgent, selected } from './roster.js';
import { render } from './vendor/lit-html/lit-html.js';
import { words } from './words.js';

/**
 * @typedef {import('../types').Snapshot} Snapshot
 * @typedef {import('../window').View} View
 * @typedef {import('../window').Wish} Wish
 * @typedef {import('../window').Turn} Turn
 */

/** How long "Really restart?" waits for its second click. */
const PATIENCE = 5_000;

const root = /** @type {HTMLElement} */ (document.getElementById('root'));
const language = navigator.language.startsWith('ru') ? 'ru' : 'en';
const backend = open(window, {
  refused: (reason) => words(snapshot?.language ?? language)[reason],
});

/** @type {Snapshot | null} */
let snapshot = null;
let heardAt = Date.now();
/** Whether a person chose what is on the right; else it may move to what needs eyes. */
let chosen = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let patience;

/** @type {View} */
let view = {
  now: Date.now(),
  selected: null,
  page: 'list',
  lost: false,
  mayAct: backend.mayAct,
  mac: navigator.platform.startsWith('Mac'),
  autostart: null,
  asking: null,
  sent: [],
  refusal: null,
  opened: null,
  history: { incidents: [], next: null, state: 'reading' },
  audit: { open: false, state: 'unasked', found: null, reason: '', copied: null },
};

/** @param {Partial<View>} changes */
const change = (changes) => {
  view = { ...view, ...changes };
  draw();
};

let drawing = false;
const draw = () => {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    // The engine's clock may differ from this one's: only the time since its last word is ours.
    const now = snapshot === null ? Date.now() : Date.parse(snapshot.at) + Date.now() - heardAt;
    view = { ...view, now };
    render(app(snapshot, view, act, language), root);
    readStories();
  });
};

/** @param {Wish | Turn} deed */
const act = (deed) => ('turn' in deed ? turn(deed) : wish(deed));

/** @param {Turn} deed */
const turn = (deed) => {
  switch (deed.turn) {
    case 'select':
      chosen = true;
      change({ selected: deed.target, asking: null, ...(deed.enter ? { page: 'target' } : {}) });
      if (deed.enter) root.querySelector('.pane')?.scrollTo({ top: 0 });
      break;
    case 'back':
      change({ page: 'list' });
      break;
    case 'ask':
      change({ asking: wishKey(deed.wish) });
      clearTimeout(patience);
      patience = setTimeout(() => change({ asking: null }), PATIENCE);
      break;
    case 'open':
      change({ opened: deed.incident });
      break;
    case 'older':
      readIncidents(view.history.next);
      break;
    case 'dismiss':
      change({ refusal: null });
      break;
    case 'audit':
      change({ audit: { ...view.audit, open: deed.open } });
      if (deed.open && view.audit.found === null) readAudit();
      break;
    case 'audit_again':
      readAudit();
      break;
    case 'copy':
      copy(deed.text, deed.key);
      break;
    case 'autostart':
      setAutostart(deed.on);
      break;
  }
};

/** @param {Wish} deed */
const wish = async (deed) => {
  const key = wishKey(deed);
  change({ asking: null, refusal: null, sent: [...view.sent, key] });
  const answer = await backend.act(deed);
  const refusal = answer.status === 'refused' ? answer.text : view.refusal;
  change({ refusal, sent: view.sent.filter((other) => other !== key) });
};

/** @param {boolean} on */
const setAutostart = async (on) => {
  try {
    await backend.autostart?.set(on);
    change({ autostart: on });
  } catch (error) {
    change({ refusal: String(error) });
  }
};

const readAudit = async () => {
  if (view.audit.state === 'reading') return;
  change({ audit: { ...view.audit, state: 'reading', reason: '', copied: null } });
  try {
    const found = await backend.audit();
    change({ audit: { ...view.audit, state: 'read', found } });
  } catch (error) {
    const reason = String(/** @type {any} */ (error)?.message ?? error);
    change({ audit: { ...view.audit, state: 'failed', reason } });
  }
};

/** @param {string} text @param {string} key */
const copy = async (text, key) => {
  try {
    await navigator.clipboard.writeText(text);
    change({ audit: { ...view.audit, copied: key } });
  } catch {
    // A page from another machine may not write there.
    change({ refusal: words(snapshot?.language ?? language).copy_failed });
  }
};

/** @param {Snapshot} next */
const heard = (next) => {
  const before = snapshot;
  snapshot = next;
  heardAt = Date.now();
  document.documentElement.lang = next.language;
  const here = selected(next, view.selected);
  const keep = here !== null && (chosen || isUnwell(here));
  change({ lost: false, selected: (keep ? here : mostUrgent(next))?.id ?? null });
  if (before === null || ids(before) !== ids(next)) readIncidents(null);
};

/** @param {Snapshot} of */
const ids = (of) => of.incidents.map(({ id }) => id).join('\n');

/** @param {string | null} next Null: the newest page. */
const readIncidents = async (next) => {
  change({ history: { ...view.history, state: 'reading' } });
  try {
    const page = await backend.incidents({ next });
    const known = view.history.incidents;
    const fresh = new Set(page.incidents.map(({ id }) => id));
    const others = known.filter(({ id }) => !fresh.has(id));
    // A fresh first page goes before what was paged through already.
    const first = next === null && known.length > 0;
    change({
      history: {
        incidents: next === null ? [...page.incidents, ...others] : [...others, ...page.incidents],
        next: first ? view.history.next : page.next,
        state: 'read',
      },
    });
  } catch {
    change({ history: { ...view.history, state: 'failed' } });
  }
};

/** @type {Set<string>} */
const asked = new Set();

/** Asks for the stories that are shown and not known yet, each once. */
const readStories = () => {
  if (snapshot === null) return;
  const target = selected(snapshot, view.selected);
  const all = allIncidents(snapshot, view);
  const opened = view.opened?.replace('earlier:', '');
  const shown = [all.find((one) => one.target === target?.id), all.find(({ id }) => id === opened)];
  for (const incident of shown) {
    if (incident === undefined || incident.story !== undefined || asked.has(incident.id)) continue;
    asked.add(incident.id);
    readStory(incident.id);
  }
};

/** @param {string} id */
const readStory = async (id) => {
  const story = await backend.incident(id).then(
    (incident) => incident.story,
    () => [],
  );
  const incidents = view.history.incidents.map((one) => (one.id === id ? { ...one, story } : one));
  change({ history: { ...view.history, incidents } });
};

backend.subscribe(heard, () => change({ lost: true }));
backend.autostart?.get().then(
  (autostart) => change({ autostart }),
  () => {},
);
// Spans grow by the second; unseen they need not.
setInterval(() => document.visibilityState === 'visible' && draw(), 1_000);
document.addEventListener('visibilitychange', draw);
document.addEventListener('keydown', ({ key }) => key === 'Escape' && change({ asking: null }));
draw();
