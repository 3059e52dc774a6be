// The button that makes a wish, and for what interrupts something the second click that confirms it.

import { html } from '../vendor/lit-html/lit-html.js';

/**
 * @typedef {import('../app.js').Scene} Scene
 * @typedef {import('../../window').Wish} Wish
 * @typedef {import('../../window').View} View
 */

/**
 * One name per wish, to remember which one was asked or sent.
 * @param {Wish} wish
 */
export const wishKey = (wish) => JSON.stringify(wish);

/**
 * Both labels lie on each other in one cell, so that asking moves nothing.
 * @param {Scene} scene
 * @param {{ wish: Wish, label: string, name?: string, hint?: string, really?: string, tone?: string, off?: boolean }} button
 *   `name` is for screen readers where the label alone says too little; `really` asks for a second click.
 */
export const wishButton = (
  { view, act },
  { wish, label, name, hint, really, tone = '', off = false },
) => {
  const key = wishKey(wish);
  const asking = really !== undefined && view.asking === key;
  const click = () => act(really !== undefined && !asking ? { turn: 'ask', wish } : wish);
  return html`<button
    type="button"
    class="${tone} ${asking ? 'asking' : ''}"
    data-verb=${wish.verb}
    title=${hint ?? ''}
    aria-label=${asking ? really : (name ?? label)}
    ?disabled=${off || !mayWish(view) || view.sent.includes(key)}
    @click=${click}
  >
    <span class="label">${label}</span>${really === undefined ? '' : html`<span class="really">${really}</span>`}
  </button>`;
};

/** @param {View} view */
export const mayWish = (view) => view.mayAct && !view.lost;
