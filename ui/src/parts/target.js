// One target: how it is, why, what is done about it, and what a person can do.

import { measured, moment, since, size, span } from '../format.js';
import { mark, nameOf } from '../roster.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { targetIncidents } from './incidents.js';
import { targetOperation } from './operations.js';
import { shape } from './shapes.js';
import { wishButton } from './wish.js';

/**
 * @typedef {import('../app.js').Scene} Scene
 * @typedef {import('../../types').Target} Target
 * @typedef {import('../../types').JsonValue} JsonValue
 * @typedef {import('../../window').Part} Part
 */

/**
 * @param {Scene} scene @param {Target} target
 * @param {Part} first What belongs to this target though it is about the whole machine.
 */
export const targetPage = (scene, target, first = nothing) => {
  const { act, words } = scene;
  return html`<article class="target" aria-labelledby="target-name">
    <button type="button" class="back quiet" @click=${() => act({ turn: 'back' })}>‹ ${words.back}</button>
    ${title(scene, target)}
    <p class="lead">${lead(target, words)}</p>
    ${actions(scene, target)} ${advice(target, words)} ${first} ${targetOperation(scene, target)}
    ${
      target.cause === null
        ? [why(scene, target), details(target, words), targetIncidents(scene, target)]
        : [
            targetIncidents(scene, target),
            evidence(target, words),
            why(scene, target),
            details(target, words),
          ]
    }
  </article>`;
};

/** @param {Scene} scene @param {Target} target */
const title = ({ snapshot, view, words }, target) => {
  const drawn = mark(target);
  const lasts = words.lasting(span(since(target.since, view.now), words));
  return html`<h2 id="target-name" title=${target.name}>${target.name}</h2>
    <p class="state ${drawn}">
      ${shape(drawn)} <b>${words.mark[drawn]}</b>
      ${target.found ? html`<span class="tabular">${lasts}</span>` : nothing}
      ${
        target.inhibited_by === null
          ? nothing
          : html`<span class="chip">${words.waits_for(nameOf(snapshot, target.inhibited_by))}</span>`
      }
      ${
        target.restarts_last_hour === 0
          ? nothing
          : html`<span class="chip">${words.restarts(target.restarts_last_hour)}</span>`
      }
    </p>`;
};

/** @param {Target} target @param {Scene['words']} words */
const lead = (target, words) =>
  target.cause?.text || target.why.text || (target.found ? target.line : words.missing);

/** @param {Scene} scene @param {Target} target */
const actions = (scene, target) => {
  const { view, words } = scene;
  const next = target.why.next === null || view.lost ? null : -since(target.why.next, view.now);
  return html`<div class="bar actions">
    ${wishButton(scene, { wish: { verb: 'recover', target: target.id }, label: words.action.check })}
    ${ACTIONS.filter((verb) => target.actions.includes(verb)).map((verb) =>
      wishButton(scene, {
        wish:
          verb === 'pause'
            ? { verb: 'stop', target: target.id, for: '1h' }
            : { verb, target: target.id },
        label: words.action[verb],
        name: `${words.action[verb]}: ${target.name}`,
        hint:
          verb === 'hold' || verb === 'release' || verb === 'pause'
            ? words.action_hint[verb]
            : undefined,
        really:
          verb === 'restart' && target.kind === 'docker'
            ? words.really.restart_docker
            : verb === 'restart' || verb === 'stop' || verb === 'repair'
              ? words.really[verb]
              : undefined,
      }),
    )}
    ${raise(scene, target)}
    ${
      next === null
        ? nothing
        : html`<span class="next tabular">
            ${next < 1000 ? words.next_now : words.next_in(span(next, words))}
          </span>`
    }
  </div>`;
};

/**
 * It interrupts nothing, so one click does; the number that is shown is the one that is asked for.
 * @param {Scene} scene @param {Target} target
 */
const raise = (scene, target) => {
  const to = target.detail.raise_to_bytes;
  if (!target.actions.includes('raise') || typeof to !== 'number') return nothing;
  const { words } = scene;
  const label = words.raise(size(to, words));
  return wishButton(scene, {
    wish: { verb: 'raise', target: target.id, to },
    label,
    name: `${label}: ${target.name}`,
    hint: words.raise_hint,
  });
};

/** @type {('restart' | 'start' | 'stop' | 'pause' | 'ensure' | 'repair' | 'hold' | 'release')[]} */
const ACTIONS = ['ensure', 'repair', 'start', 'restart', 'stop', 'pause', 'hold', 'release'];

/** @param {Target} target @param {Scene['words']} words */
const advice = ({ cause }, words) =>
  cause === null || cause.advice === ''
    ? nothing
    : html`<div class="card advice"><h3>${words.advice}</h3><p>${cause.advice}</p></div>`;

/** @param {Target} target @param {Scene['words']} words */
const evidence = ({ cause }, words) =>
  cause === null
    ? nothing
    : html`<div class="card" data-part="evidence">
        <h3>${words.evidence}</h3>
        <ul class="evidence">
          ${cause.evidence.map((line) => html`<li>${line}</li>`)}
        </ul>
        <p class="mono">${known(words.confidence, cause.confidence)} · ${cause.id}</p>
      </div>`;

/** Why it is so, why nothing is done, what would change that, and what comes next. @param {Scene} scene @param {Target} target */
const why = (scene, { cause, why }) => {
  const { words } = scene;
  if (why.changes.length === 0) return nothing;
  const idle = why.nothing_done === null || why.nothing_done === why.text ? null : why.nothing_done;
  const reasons = [
    cause === null ? [] : html`<p>${why.text}</p>`,
    idle === null ? [] : html`<p>${words.why_idle} ${idle}</p>`,
  ].flat();
  return html`<div class="card" data-part="why">
    ${
      reasons.length === 0
        ? html`<h3>${words.why_changes}</h3>`
        : html`<h3>${words.why}</h3>${reasons}<h4>${words.why_changes}</h4>`
    }
    <ul class="changes">
      ${why.changes.map((line) => html`<li>${line}</li>`)}
    </ul>
    ${upcoming(scene, why)}
  </div>`;
};

/** @param {Scene} scene @param {Target['why']} why */
const upcoming = ({ view, words }, why) => {
  if (view.lost) return nothing;
  const left = (/** @type {string | null} */ at) =>
    at === null ? null : span(-since(at, view.now), words);
  const attempt = left(why.next_attempt);
  return html`<dl class="upcoming">
    <div><dt>${words.why_look}</dt><dd>${words.look[why.look](left(why.next_look) ?? '')}</dd></div>
    ${
      attempt === null
        ? nothing
        : html`<div><dt>${words.why_attempt}</dt><dd>${words.in(attempt)}</dd></div>`
    }
  </dl>`;
};

/** @param {Target} target @param {Scene['words']} words */
const details = ({ detail }, words) => {
  // What only a button says is no detail.
  const rows = Object.entries(detail).filter(
    ([key, value]) => key !== 'raise_to_bytes' && !isEmpty(value),
  );
  if (rows.length === 0) return nothing;
  return html`<div class="card" data-part="details">
    <h3>${words.details}</h3>
    <dl>
      ${rows.map(([key, value]) => {
        const text = written(key, value, words);
        return html`<div><dt>${known(words.detail, key)}</dt><dd title=${text}>${text}</dd></div>`;
      })}
    </dl>
  </div>`;
};

/**
 * A word that the engine may know before the window does is shown as it is.
 * @param {Record<string, string>} table @param {string} key
 */
const known = (table, key) => (Object.hasOwn(table, key) ? table[key] : key.replaceAll('_', ' '));

/** @param {string} key @param {JsonValue} value @param {Scene['words']} words @returns {string} */
const written = (key, value, words) => {
  if (key === 'heal' && typeof value === 'string') return known(words.heal, value);
  if (key === 'started' && typeof value === 'string') return moment(value, words);
  // Docker writes no limit as 0.
  if (key === 'memory_limit_bytes' && value === 0) return words.no_limit;
  if (typeof value === 'number' && key.endsWith('_bytes')) return size(value, words);
  if (typeof value === 'number' && key.endsWith('_ms')) return measured(value, words);
  if (typeof value === 'boolean') return value ? words.yes : words.no;
  if (Array.isArray(value)) return value.map((item) => written(key, item, words)).join(', ');
  if (value === null || typeof value !== 'object') return String(value);
  return typeof value.name === 'string' ? value.name : JSON.stringify(value);
};

/** @param {JsonValue} value */
const isEmpty = (value) =>
  value === null || value === '' || (Array.isArray(value) && value.length === 0);
