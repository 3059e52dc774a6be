// Everything watched, grouped: one tab stop, arrows move, Enter opens.

import { since, span } from '../format.js';
import { groups, mark } from '../roster.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { html } from '../vendor/lit-html/lit-html.js';
import { shape } from './shapes.js';

/**
 * @typedef {import('../app.js').Scene} Scene
 * @typedef {import('../../types').Target} Target
 */

/** @param {Scene} scene @param {Target | null} selected */
export const list = (scene, selected) => {
  const { snapshot, view, words } = scene;
  const grouped = groups(snapshot);
  return html`<nav>
    <div role="listbox" aria-label=${words.targets} @keydown=${keys(scene)}>
      ${grouped.map(
        ({ group, targets }) => html`<div role="group" aria-labelledby="group-${group}">
          <h2 id="group-${group}" role="presentation">
            ${words.group[group === 'machine' && view.mac ? 'mac' : group]}
          </h2>
          ${repeat(
            targets,
            (target) => target.id,
            (target) => row(scene, target, target === selected),
          )}
        </div>`,
      )}
    </div>
    ${grouped.length === 0 ? html`<p class="empty">${words.nothing_watched}</p>` : ''}
  </nav>`;
};

/** @param {Scene} scene @param {Target} target @param {boolean} on */
const row = ({ view, act, words }, target, on) => {
  const drawn = mark(target);
  const lasts = target.found ? span(since(target.since, view.now), words) : '';
  return html`<div
    role="option"
    class="row ${drawn}"
    tabindex=${on ? '0' : '-1'}
    aria-selected=${on ? 'true' : 'false'}
    data-id=${target.id}
    @click=${() => act({ turn: 'select', target: target.id, enter: true })}
  >
    ${shape(drawn)}
    <span class="name" title=${target.name}>${target.name}</span>
    <span class="said">${words.mark[drawn]}</span>
    <time>${lasts}</time>
    <small title=${target.line}>${target.line || words.mark[drawn]}</small>
  </div>`;
};

/** @param {Scene} scene */
const keys =
  ({ act }) =>
  (/** @type {KeyboardEvent} */ event) => {
    const box = /** @type {HTMLElement} */ (event.currentTarget);
    /** @type {HTMLElement[]} */
    const rows = [...box.querySelectorAll('[role=option]')].map(
      (found) => /** @type {HTMLElement} */ (found),
    );
    // The focus moves at once, the selection with the next frame: a held key must not lose steps.
    const focused = rows.indexOf(/** @type {HTMLElement} */ (event.target));
    const here = Math.max(focused, 0);
    const there = destination(event.key, here, rows.length);
    const next = rows[there ?? here];
    if (next === undefined || (there === null && event.key !== 'Enter' && event.key !== ' '))
      return;
    event.preventDefault();
    act({ turn: 'select', target: next.dataset.id ?? '', enter: there === null });
    next.focus();
  };

/** @param {string} key @param {number} here @param {number} count @returns {number | null} */
const destination = (key, here, count) => {
  if (key === 'ArrowDown') return Math.min(here + 1, count - 1);
  if (key === 'ArrowUp') return Math.max(here - 1, 0);
  if (key === 'Home') return 0;
  if (key === 'End') return count - 1;
  return null;
};
