// Who holds the memory: one bar and one row per owner.

import { size } from '../format.js';
import { html, nothing, svg } from '../vendor/lit-html/lit-html.js';
import { course } from './plots.js';

/** @typedef {import('../app.js').Scene} Scene @typedef {import('../../types').Memory} Memory */

/** @param {Scene} scene */
export const memory = ({ snapshot, words }) => {
  const { total_bytes: total, available_bytes: available } = snapshot.memory;
  const content =
    total === 0
      ? html`<p class="empty">${words.memory_unknown}</p>`
      : html`${bar(snapshot.memory, words)} ${owners(snapshot.memory, words)}
          <p class="why tabular">
            ${words.used_of(size(total - available, words), size(total, words))}<br />
            <span class="pressure p${snapshot.memory.pressure}">${pressure(snapshot.memory, words)}</span>,
            ${swap(snapshot.memory, words)} ${gpu(snapshot.memory, words)}
          </p>`;
  return html`<div class="card" data-part="memory">
    <div class="head"><h3>${words.memory}</h3></div>
    ${content}</div>`;
};

/** @param {Memory} memory @param {Scene['words']} words */
const bar = (memory, words) => {
  let x = 0;
  const pieces = parts(memory, words).map(({ bytes, tone }) => {
    // Owners may share pages: together they can hold more than there is.
    const width = Math.min(BAR - x, (bytes / memory.total_bytes) * BAR);
    const piece = svg`<rect class=${tone} x=${x.toFixed(1)} y="0" width=${width.toFixed(1)} height="10"/>`;
    x += width;
    return piece;
  });
  return html`<svg class="memory" viewBox="0 0 ${BAR} 10" preserveAspectRatio="none" aria-hidden="true">${pieces}</svg>`;
};

const BAR = 1000;

/** @param {Memory} memory @param {Scene['words']} words */
const owners = (memory, words) => html`<table>
  <tbody>
    ${parts(memory, words).map(
      ({ name, bytes, processes, tone, history, grew }) => html`<tr>
        <th scope="row">
          <svg class="swatch" viewBox="0 0 8 8" aria-hidden="true"><rect class=${tone} width="8" height="8" rx="2"/></svg>
          <span class="cut" title=${name}>${name}</span>
        </th>
        <td class="dim spare">${processes === null ? nothing : words.processes(processes)}</td>
        <td class="dim">${grew === null ? nothing : grown(grew, words)}</td>
        <td class="plot">${history.some((one) => one !== null) ? course(history, tone) : nothing}</td>
        <td>${size(bytes, words)}</td>
      </tr>`,
    )}
  </tbody>
</table>`;

/** @param {Memory} memory @param {Scene['words']} words */
const parts = ({ total_bytes, available_bytes, groups }, words) => {
  const named = groups.map((group, index) => ({
    name: /** @type {Record<string, string>} */ (words.owner)[group.name] ?? group.name,
    bytes: group.bytes,
    /** @type {number | null} */ processes: group.processes,
    tone: `owner${index % TONES}`,
    history: group.history,
    grew: growth(group),
  }));
  const held = groups.reduce((sum, { bytes }) => sum + bytes, 0);
  const other = Math.max(0, total_bytes - available_bytes - held);
  const rest = { bytes: other, processes: null, tone: 'other', history: [], grew: null };
  return [...named, { name: words.memory_other, ...rest }];
};

/**
 * The shorter time in which it has grown much.
 * @param {Memory['groups'][number]} group @returns {{ bytes: number, hours: boolean } | null}
 */
const growth = ({ grew_10m_bytes: lately, grew_6h_bytes: today }) => {
  if (lately !== null && lately >= MUCH) return { bytes: lately, hours: false };
  return today !== null && today >= MUCH ? { bytes: today, hours: true } : null;
};

const MUCH = 1024 ** 3;

/** @param {{ bytes: number, hours: boolean }} grew @param {Scene['words']} words */
const grown = ({ bytes, hours }, words) =>
  (hours ? words.grew_today : words.grew_lately)(size(bytes, words));

/** @param {Memory} memory @param {Scene['words']} words */
const gpu = ({ gpu_limit_bytes: limit, gpu_limit_is_set: set }, words) =>
  limit === null
    ? nothing
    : html`<br />${(set ? words.gpu_limit : words.gpu_limit_default)(size(limit, words))}`;

const TONES = 6;

/** @param {Memory} memory @param {Scene['words']} words */
const pressure = (memory, words) =>
  /** @type {Record<number, string>} */ (words.pressure)[memory.pressure] ?? words.pressure[0];

/** @param {Memory} memory @param {Scene['words']} words */
const swap = ({ swap_used_bytes: used }, words) =>
  used === 0 ? words.no_swap : words.swap(size(used, words));
