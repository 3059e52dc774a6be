// Small plots: a line that shows a course, bars that show when something worked. What was not read
// is a gap.

import { html, svg } from '../vendor/lit-html/lit-html.js';

/**
 * How an amount went, oldest first; the scale begins at 0, so that flat is flat.
 * @param {(number | null)[]} values @param {string} tone
 */
export const course = (values, tone) =>
  html`<svg class="course" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
    ${line(values, tone)}
  </svg>`;

/**
 * When a server worked, minute by minute, and over it how much memory it held.
 * @param {(number | null)[]} work @param {(number | null)[]} memory @param {string} tone
 */
export const activity = (work, memory, tone) => {
  const most = Math.max(100, ...work.map((one) => one ?? 0));
  const step = WIDTH / work.length;
  const bars = work.map((one, index) =>
    one === null
      ? svg`<rect class="gap" x=${(index * step).toFixed(2)} y=${HEIGHT - 1} width=${step.toFixed(2)} height="1"/>`
      : bar(index * step, step, (one / most) * (HEIGHT - 2), tone),
  );
  return html`<svg class="activity" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
    ${bars} ${line(memory, 'held')}
  </svg>`;
};

const WIDTH = 120;
const HEIGHT = 24;

/** @param {number} x @param {number} step @param {number} height @param {string} tone */
const bar = (x, step, height, tone) =>
  svg`<rect class=${tone} x=${x.toFixed(2)} y=${(HEIGHT - height).toFixed(2)} width=${(step * 0.8).toFixed(2)} height=${height.toFixed(2)}/>`;

/** @param {(number | null)[]} values @param {string} tone */
const line = (values, tone) => {
  const most = Math.max(1, ...values.map((one) => one ?? 0));
  const step = WIDTH / Math.max(1, values.length - 1);
  /** @type {string[]} */
  const pieces = [];
  let goesOn = false;
  values.forEach((one, index) => {
    if (one !== null) {
      const y = HEIGHT - 2 - (one / most) * (HEIGHT - 4);
      // A single reading between two gaps is a dot: a line without length, with round ends.
      pieces.push(
        `${goesOn ? 'L' : 'M'}${(index * step).toFixed(1)} ${y.toFixed(1)}${goesOn ? '' : 'h0'}`,
      );
    }
    goesOn = one !== null;
  });
  return svg`<path class="line ${tone}" d=${pieces.join('')} vector-effect="non-scaling-stroke"/>`;
};
