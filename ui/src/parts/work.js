// Both model servers on one time line: who worked when, and how much memory it held.

import { size } from '../format.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { activity } from './plots.js';

/** @typedef {import('../app.js').Scene} Scene @typedef {import('../../types').ServerWork} ServerWork */

/** @param {Scene} scene Nothing, unless there are two that can get in each other's way. */
export const work = ({ snapshot, words }) => {
  const { memory } = snapshot;
  if (memory.work.length < 2) return nothing;
  return html`<div class="card" data-part="work">
    <div class="head"><h3>${words.work}</h3><small class="dim">${words.work_span}</small></div>
    ${memory.work.map((server, index) => row(server, index, { snapshot, words }))}
    <p class="why dim">${words.work_key}</p>
  </div>`;
};

/** @param {ServerWork} one @param {number} index @param {Pick<Scene, 'snapshot' | 'words'>} scene */
const row = ({ server, percent }, index, { snapshot, words }) => {
  const group = snapshot.memory.groups.find(({ name }) => name === server);
  const owner = /** @type {Record<string, string>} */ (words.owner);
  const name = owner[server] ?? server;
  // The last hour of a history in steps of ten minutes.
  const held = group === undefined ? [] : group.history.slice(-HOUR);
  const now = percent.at(-1) ?? null;
  const minutes = percent.filter((one) => one !== null && one >= WORKS).length;
  const says = words.worked(name, minutes);
  return html`<div class="lane" role="img" aria-label=${says} title=${says}>
    <span>${name}</span>
    ${activity(percent, held, `owner${index}`)}
    <span class="now tabular dim">${now === null ? '–' : `${now} %`}<br />${size(group?.bytes, words)}</span>
  </div>`;
};

const HOUR = 7;
/** Less is a server that only waits. */
const WORKS = 5;
