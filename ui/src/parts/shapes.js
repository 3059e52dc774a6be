// The shapes: each state has one of its own, so that colour is never the only sign.

import { html, svg } from '../vendor/lit-html/lit-html.js';

/** @typedef {import('../roster.js').Mark} Mark @typedef {import('../../types').Summary} Summary */

/** @param {Mark} mark */
export const shape = (
  mark,
) => html`<svg class="shape ${TONE[mark]} ${mark}" viewBox="0 0 12 12" aria-hidden="true">
  ${OUTLINE[mark]}
</svg>`;

/** @param {string} kind Of a line of a story. */
export const storyDot = (
  kind,
) => html`<svg class="dot ${STORY_TONE[kind] ?? 'dim'}" viewBox="0 0 12 12" aria-hidden="true">
  ${STORY_OUTLINE[kind] ?? STORY_OUTLINE.seen}
</svg>`;

/** @param {string} state Of an incident. */
export const incidentShape = (state) => shape(INCIDENT_MARK[state] ?? 'unknown');

/** @param {Summary | 'lost'} summary The product's own sign: a pulse in a circle. */
export const pulse = (
  summary,
) => html`<svg class="pulse ${PULSE_TONE[summary]}" viewBox="0 0 32 32" aria-hidden="true">
  ${PULSE[summary]}
</svg>`;

/** @type {Record<Mark, string>} */
const TONE = {
  healthy: 'well',
  starting: 'busy',
  recovering: 'busy',
  slow: 'warn',
  degraded: 'warn',
  down: 'sick',
  given_up: 'sick',
  unknown: 'dim',
  held: 'dim',
  completed: 'dim',
  missing: 'dim',
};

/** @type {Record<Mark, unknown>} */
const OUTLINE = {
  healthy: svg`<circle cx="6" cy="6" r="4.5" fill="currentColor"/>`,
  starting: svg`<circle class="turning" cx="6" cy="6" r="4.2" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="3.3 3.3"/>`,
  recovering: svg`<path class="turning" d="M6 1.8A4.2 4.2 0 1 1 1.8 6" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"/>`,
  slow: svg`<circle cx="6" cy="6" r="4.1" fill="none" stroke="currentColor" stroke-width="1.6"/><path d="M6 1.9A4.1 4.1 0 0 0 6 10.1z" fill="currentColor"/>`,
  degraded: svg`<path d="M6 1 11.3 10.6H.7z" fill="currentColor"/>`,
  down: svg`<path d="M2.2 2.2l7.6 7.6M9.8 2.2l-7.6 7.6" stroke="currentColor" stroke-width="2.4" stroke-linecap="round"/>`,
  given_up: svg`<path d="M6 .3 11.7 6 6 11.7.3 6z" fill="currentColor"/><path d="M6 3.4v3.1M6 8.3v.3" stroke="var(--card)" stroke-width="1.4" stroke-linecap="round"/>`,
  unknown: svg`<circle cx="6" cy="6" r="4.3" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="2 1.9"/>`,
  held: svg`<path d="M3.7 2v8M8.3 2v8" stroke="currentColor" stroke-width="2.4"/>`,
  completed: svg`<path d="M2 6.4 4.8 9 10 3.2" fill="none" stroke="currentColor" stroke-width="1.9" stroke-linecap="round" stroke-linejoin="round"/>`,
  missing: svg`<path d="M3 6h6" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"/>`,
};

/** @type {Record<string, string>} */
const STORY_TONE = { seen: 'dim', concluded: 'warn', done: 'busy', proven: 'well', failed: 'sick' };

/** @type {Record<string, unknown>} */
const STORY_OUTLINE = {
  seen: svg`<circle cx="6" cy="6" r="3" fill="none" stroke="currentColor" stroke-width="1.8"/>`,
  concluded: svg`<path d="M6 1.8 10.2 6 6 10.2 1.8 6z" fill="currentColor"/>`,
  done: svg`<path d="M3.2 1.8 10 6l-6.8 4.2z" fill="currentColor"/>`,
  proven: svg`<circle cx="6" cy="6" r="4" fill="currentColor"/>`,
  failed: svg`<path d="M2.8 2.8l6.4 6.4M9.2 2.8 2.8 9.2" stroke="currentColor" stroke-width="2.1" stroke-linecap="round"/>`,
};

/** @type {Record<string, Mark>} */
const INCIDENT_MARK = {
  open: 'down',
  healing: 'recovering',
  given_up: 'given_up',
  verified: 'healthy',
  healed_itself: 'completed',
  closed: 'missing',
};

/** @type {Record<Summary | 'lost', string>} */
const PULSE_TONE = {
  well: 'well',
  healing: 'busy',
  attention: 'sick',
  unknown: 'dim',
  lost: 'dim',
};

const LINE = 'M6 16h5l2.5-6 5 12 2.5-6h5';

/** @type {Record<Summary | 'lost', unknown>} */
const PULSE = {
  well: svg`<circle cx="16" cy="16" r="13"/><path d=${LINE}/>`,
  healing: svg`<path d="M26.6 8.5A13 13 0 1 0 29 16"/><path d="M27.4 3.4v5.4H22"/><path d=${LINE}/>`,
  attention: svg`<path d="M20 3.6A13 13 0 1 0 28.4 12"/><path d="M27 2.6v3.6M27 9.2v.1"/><path d=${LINE}/>`,
  unknown: svg`<circle cx="16" cy="16" r="13" stroke-dasharray="4.2 4"/><path d="M8 16h16"/>`,
  lost: svg`<circle cx="16" cy="16" r="13" stroke-dasharray="4.2 4"/><path d="M8 16h16"/>`,
};
