// A page as a browser gives it to the window, with real HTTP behind it.

import { Window } from 'happy-dom';

/**
 * @param {string} url Of an engine, with the fragment if there is one.
 * @returns {any} A `window`, as far as the page uses it.
 */
export const browser = (url) => {
  const page = /** @type {any} */ (new Window({ url }));
  const { origin } = new URL(url);
  page.fetch = (/** @type {string} */ path, /** @type {RequestInit} */ init) =>
    fetch(origin + path, init);
  page.EventSource = class extends Stream {
    /** @param {string} path */
    constructor(path) {
      super(origin + path);
    }
  };
  return page;
};

/** Server-sent events as the page uses them; Node has none of its own. */
class Stream extends EventTarget {
  #end = new AbortController();

  /** @param {string} url */
  constructor(url) {
    super();
    this.#read(url).catch(() => this.dispatchEvent(new Event('error')));
  }

  close() {
    this.#end.abort();
  }

  /** @param {string} url */
  async #read(url) {
    const { body } = await fetch(url, { signal: this.#end.signal });
    if (body === null) throw new Error('the stream is empty');
    let text = '';
    for await (const piece of /** @type {any} */ (body.pipeThrough(new TextDecoderStream()))) {
      text += piece;
      const events = text.split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) {
        const [, name = '', data = ''] = /^event: (.*)\ndata: (.*)$/.exec(event) ?? [];
        this.dispatchEvent(new MessageEvent(name, { data }));
      }
    }
    throw new Error('the stream ended');
  }
}

/**
 * Waits until something is so, at most 5 s.
 * @template T @param {() => T} condition @param {string} expected @returns {Promise<NonNullable<T>>}
 */
export const until = async (condition, expected) => {
  const end = Date.now() + 5_000;
  for (;;) {
    const value = condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${expected}: not within 5 s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
