// The whole window as a function of what is known. Nothing here remembers anything.

import { audit } from './parts/audit.js';
import { header } from './parts/header.js';
import { incidentList } from './parts/incidents.js';
import { list } from './parts/list.js';
import { loadedModels } from './parts/loaded.js';
import { memory } from './parts/memory.js';
import { notes } from './parts/notes.js';
import { runningElsewhere } from './parts/operations.js';
import { targetPage } from './parts/target.js';
import { timings } from './parts/timings.js';
import { work } from './parts/work.js';
import { selected } from './roster.js';
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { words as wordsOf } from './words.js';

/**
 * @typedef {import('../types').Snapshot} Snapshot
 * @typedef {import('../types').Target} Target
 * @typedef {import('../window').View} View
 * @typedef {import('../window').Act} Act
 */

/**
 * What every part gets: the picture, what the window knows beside it, the way to act, the words.
 * @typedef {{ snapshot: Snapshot, view: View, act: Act, words: typeof import('./words.js').en }} Scene
 */

/**
 * @param {Snapshot | null} snapshot Null before the first one arrived.
 * @param {View} view @param {Act} act @param {string} language Used as long as there is no snapshot.
 */
export const app = (snapshot, view, act, language = 'en') => {
  const words = wordsOf(snapshot?.language ?? language);
  if (snapshot === null) return blank(view, words);
  /** @type {Scene} */
  const scene = { snapshot, view, act, words };
  const target = selected(snapshot, view.selected);
  const columns = html`<div class="columns">${loadedModels(scene)} ${memory(scene)}</div>${work(scene)}`;
  const early = target !== null && asksForMemory(target);
  return html`<div class="window ${view.lost ? 'lost' : ''}" data-page=${view.page}>
    ${header(scene)} ${notes(scene)}
    <main>
      ${list(scene, target)}
      <section class="pane">
        ${target === null ? nothing : targetPage(scene, target, early ? columns : nothing)}
        <div class="machine">
          ${runningElsewhere(scene, target)} ${early ? nothing : columns} ${timings(scene)}
          ${audit(scene)} ${incidentList(scene)}
        </div>
      </section>
    </main>
  </div>`;
};

/**
 * Whoever looks at the memory, or at a model server that is well, looks for who holds what.
 * @param {Target} target
 */
const asksForMemory = ({ kind, cause }) =>
  kind === 'host' || ((kind === 'ollama' || kind === 'mlx') && cause === null);

/** @param {View} view @param {Scene['words']} words */
const blank = (view, words) => html`<div class="blank" role="status">
  <h1>${view.lost ? words.lost : words.reading}</h1>
  <p>${view.lost ? words.lost_never : words.reading_more}</p>
</div>`;
