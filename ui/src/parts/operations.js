// What is under way: the steps of a remedy as they are taken.

import { clock } from '../format.js';
import { nameOf } from '../roster.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { wishButton } from './wish.js';

/**
 * @typedef {import('../app.js').Scene} Scene
 * @typedef {import('../../types').Operation} Operation
 * @typedef {import('../../types').Target} Target
 */

/**
 * The running operation of a target with its steps, or how the last one ended.
 * @param {Scene} scene @param {Target} target
 */
export const targetOperation = (scene, target) => {
  const { snapshot, words } = scene;
  const all = snapshot.operations.filter(
    (one) => one.target === target.id && one.verb !== 'measure',
  );
  const newest = all.findLast((one) => one.state === 'running') ?? all.at(-1);
  if (newest === undefined) return nothing;
  return html`<div class="card" data-part="operation" data-operation=${newest.id}>
    <h3>${verbWord(newest, words)} <span>${words.operation_state[newest.state]}</span></h3>
    ${newest.text === '' ? nothing : html`<p>${newest.text}</p>`}
    ${newest.state === 'running' ? steps(newest, words) : nothing} ${progress(newest, words)}
    ${
      newest.state === 'running' && LONG.includes(newest.verb)
        ? wishButton(scene, { wish: { verb: 'cancel', operation: newest.id }, label: words.cancel })
        : nothing
    }
  </div>`;
};

/**
 * What runs on other targets, so that nothing goes on unseen.
 * @param {Scene} scene @param {Target | null} selected
 */
export const runningElsewhere = ({ snapshot, act, words }, selected) => {
  const elsewhere = snapshot.operations.filter(
    (one) => one.state === 'running' && one.verb !== 'measure' && one.target !== selected?.id,
  );
  if (elsewhere.length === 0) return nothing;
  return html`<div class="card" data-part="running">
    <h3>${words.running}</h3>
    <ul class="going">
      ${elsewhere.map(
        (one) => html`<li>
          <button type="button" class="line" @click=${() => act({ turn: 'select', target: one.target, enter: true })}>
            <b>${nameOf(snapshot, one.target)}</b> ${verbWord(one, words)}
            <span class="what">${one.text || one.steps.at(-1)?.text || ''}</span>
          </button>
        </li>`,
      )}
    </ul>
  </div>`;
};

/** What may be broken off halfway. */
const LONG = ['ensure', 'verify', 'repair'];

/** More than so many are bytes, and the text tells them. */
const MANY = 10_000;

/** @param {Operation} operation @param {Scene['words']} words */
export const progress = ({ done, of, state }, words) =>
  state !== 'running' || done === null || of === null || of === 0
    ? nothing
    : html`<div class="progress">
        <progress max=${of} .value=${done} aria-label=${words.running}></progress>
        <span class="tabular">${of > MANY ? `${Math.floor((100 * done) / of)} %` : words.done_of(done, of)}</span>
      </div>`;

/** @param {Operation} operation @param {Scene['words']} words */
const steps = ({ steps }, words) => html`<ol class="story">
  ${steps.map(({ at, text }) => html`<li><time>${clock(at, words)}</time><i></i><span>${text}</span></li>`)}
</ol>`;

/** @param {Operation} operation @param {Scene['words']} words */
const verbWord = ({ verb }, words) =>
  /** @type {Record<string, string>} */ (words.operation)[verb] ?? verb;
