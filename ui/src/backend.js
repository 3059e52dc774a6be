// The only file that knows how the engine is reached: through the app, or over HTTP.

/**
 * @typedef {import('../types').Snapshot} Snapshot
 * @typedef {import('../window').Backend} Backend
 * @typedef {import('../window').Wish} Wish
 * @typedef {import('../window').Answer} Answer
 */

/** After so long without news the engine is asked whether it is still there. */
const SILENCE = 15_000;
/** Nothing the engine answers takes longer, save `/recover`, which may look for 2 s first. */
const DEADLINE = 6_000;
/** An audit reads files and asks Docker about every container. */
const AUDIT_DEADLINE = 60_000;
const PAGE = 20;

/**
 * The app's door where the app shows the page, the HTTP door elsewhere.
 * @param {Window & typeof globalThis} page
 * @param {{ refused: (reason: 'not_authorised' | 'no_answer') => string }} words
 * @returns {Backend}
 */
export const backend = (page, words) => {
  const tauri = /** @type {any} */ (page).__TAURI__;
  return tauri === undefined ? overHttp(page, words) : throughApp(tauri, words);
};

/** @param {any} tauri @param {Parameters<typeof backend>[1]} words @returns {Backend} */
const throughApp = ({ core, event }, words) => {
  /** @type {(command: string, given?: object) => Promise<any>} */
  const invoke = (command, given) => within(core.invoke(command, given));
  return {
    mayAct: true,
    subscribe: (onSnapshot, onLost) =>
      watched(onSnapshot, onLost, {
        ask: () => invoke('snapshot'),
        listen: (news) => {
          const ending = event.listen('snapshot', (/** @type {any} */ { payload }) =>
            news(payload),
          );
          // Without the event the window still lives, by asking now and then.
          ending.catch(() => {});
          return () => ending.then((/** @type {() => void} */ end) => end()).catch(() => {});
        },
      }),
    act: (wish) => invoke('act', { wish }).catch((error) => refusal(error, words)),
    incidents: ({ next }) => invoke('incidents', { next }),
    incident: (id) => invoke('incident', { id }),
    audit: () => within(core.invoke('audit'), AUDIT_DEADLINE),
    autostart: {
      get: () => invoke('autostart'),
      set: (on) => invoke('set_autostart', { on }),
    },
  };
};

/** @param {Window & typeof globalThis} page @param {Parameters<typeof backend>[1]} words @returns {Backend} */
const overHttp = (page, words) => {
  const token = keepToken(page);
  /** @type {(path: string, deadline?: number) => Promise<any>} */
  const read = async (path, deadline = DEADLINE) => {
    const response = await page.fetch(path, { signal: AbortSignal.timeout(deadline) });
    if (!response.ok) throw new Error(await problem(response));
    return response.json();
  };
  return {
    mayAct: token !== null,
    subscribe: (onSnapshot, onLost) =>
      watched(onSnapshot, onLost, {
        ask: () => read('/status'),
        listen: (news) => {
          const source = new page.EventSource('/events');
          source.addEventListener('snapshot', ({ data }) => news(JSON.parse(data)));
          source.addEventListener('error', () => news(null));
          return () => source.close();
        },
      }),
    act: async (wish) => {
      const { method, path, body } = request(wish);
      try {
        const response = await page.fetch(path, {
          method,
          headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
          body: body === null ? null : JSON.stringify(body),
          signal: AbortSignal.timeout(DEADLINE),
        });
        if (response.status === 401)
          return { status: 'refused', text: words.refused('not_authorised') };
        if (!response.ok) return { status: 'refused', text: await problem(response) };
        const answer = response.status === 202 ? await response.json() : {};
        return typeof answer.operation === 'string'
          ? { status: 'accepted', operation: answer.operation }
          : { status: 'done' };
      } catch (error) {
        return refusal(error, words);
      }
    },
    incidents: ({ next }) =>
      read(`/incidents?limit=${PAGE}${next === null ? '' : `&next=${encodeURIComponent(next)}`}`),
    incident: (id) => read(`/incidents/${encodeURIComponent(id)}`),
    audit: () => read('/audit', AUDIT_DEADLINE),
    autostart: null,
  };
};

/**
 * How a wish is written over HTTP.
 * @param {Wish} wish @returns {{ method: string, path: string, body: object | null }}
 */
export const request = (wish) => {
  switch (wish.verb) {
    case 'check':
      return { method: 'POST', path: '/recover', body: {} };
    case 'recover':
      return {
        method: 'POST',
        path: '/recover',
        body: wish.target === undefined ? {} : { target: wish.target },
      };
    case 'unload': {
      const { verb: _, ...what } = wish;
      return { method: 'POST', path: '/models/unload', body: what };
    }
    case 'measure':
      return {
        method: 'POST',
        path: '/models/measure',
        body: wish.models === undefined ? {} : { models: wish.models },
      };
    case 'cancel_measure':
      return { method: 'DELETE', path: '/models/measure', body: null };
    case 'take_over':
    case 'give_back':
      return { method: 'POST', path: `/healers/${wish.verb}`, body: {} };
    case 'cancel':
      return {
        method: 'DELETE',
        path: `/operations/${encodeURIComponent(wish.operation)}`,
        body: null,
      };
    default:
      return {
        method: 'POST',
        path: `/targets/${encodeURIComponent(wish.target)}/${wish.verb}`,
        body: 'for' in wish ? { for: wish.for } : {},
      };
  }
};

/**
 * Listens, and asks when nothing was heard for long: a stream that has died does not say so.
 * @param {(snapshot: Snapshot) => void} onSnapshot @param {() => void} onLost
 * @param {{ ask: () => Promise<Snapshot>, listen: (news: (snapshot: Snapshot | null) => void) => () => void }} door
 */
const watched = (onSnapshot, onLost, { ask, listen }) => {
  let ended = false;
  let hush = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const heard = (/** @type {Snapshot} */ snapshot) => {
    if (ended) return;
    wait(SILENCE);
    onSnapshot(snapshot);
  };
  const wait = (/** @type {number} */ pause) => {
    clearTimeout(timer);
    timer = setTimeout(look, pause);
  };
  const look = async () => {
    wait(DEADLINE * 2);
    try {
      heard(await ask());
    } catch {
      if (ended) return;
      onLost();
      hush();
      hush = listen(news);
      wait(RETRY);
    }
  };
  const news = (/** @type {Snapshot | null} */ snapshot) => {
    if (snapshot !== null) heard(snapshot);
    else if (!ended) wait(SOON);
  };
  hush = listen(news);
  look();
  return () => {
    ended = true;
    clearTimeout(timer);
    hush();
  };
};

const RETRY = 3_000;
/** A stream that broke often comes back by itself within this time. */
const SOON = 300;

/**
 * The token comes after `#` so that it is never sent or logged, and leaves the address bar at once.
 * @param {Window} page
 */
const keepToken = (page) => {
  const given = new URLSearchParams(page.location.hash.slice(1)).get('token');
  if (given !== null) {
    page.sessionStorage.setItem('token', given);
    page.history.replaceState(null, '', page.location.pathname + page.location.search);
  }
  return page.sessionStorage.getItem('token');
};

/**
 * Problem details (RFC 9457) say in words what is wrong.
 * @param {Response} response
 */
const problem = async (response) => {
  const said = await response.json().catch(() => ({}));
  return String(said.detail ?? said.title ?? `${response.status} ${response.statusText}`);
};

/** @param {any} error @param {Parameters<typeof backend>[1]} words @returns {Answer} */
const refusal = (error, words) => {
  const silent = error?.name === 'TimeoutError' || error?.name === 'TypeError';
  return {
    status: 'refused',
    text: silent ? words.refused('no_answer') : String(error?.message ?? error),
  };
};

/** @template T @param {Promise<T>} answer @param {number} [deadline] @returns {Promise<T>} */
const within = (answer, deadline = DEADLINE) => {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new DOMException('no answer', 'TimeoutError')), deadline);
  });
  return /** @type {Promise<T>} */ (Promise.race([answer, late])).finally(() =>
    clearTimeout(timer),
  );
};
