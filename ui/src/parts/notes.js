// The lines between header and content: what a person must know before reading on.

import { clock } from '../format.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { wishButton } from './wish.js';

/** @param {import('../app.js').Scene} scene */
export const notes = (scene) => {
  const { snapshot, view, act, words } = scene;
  const lost = view.lost
    ? html`<p class="note warn" role="alert">${words.lost_since(clock(snapshot.at, words))}</p>`
    : nothing;
  const refusal =
    view.refusal === null
      ? nothing
      : html`<p class="note sick" role="alert">
          <span><b>${words.refused}</b> ${view.refusal}</span>
          <button type="button" class="quiet" @click=${() => act({ turn: 'dismiss' })}>${words.dismiss}</button>
        </p>`;
  const readOnly = view.mayAct ? nothing : html`<p class="note">${words.read_only}</p>`;
  const fallback = snapshot.fallback ? html`<p class="note warn">${words.fallback}</p>` : nothing;
  return html`<div class="notes">
    ${lost} ${refusal} ${messages(snapshot.messages, words)} ${takeover(scene)} ${fallback} ${readOnly}
  </div>`;
};

/** @param {string[]} texts @param {import('../app.js').Scene['words']} words */
const messages = (texts, words) =>
  texts.length === 0
    ? nothing
    : html`<ul class="messages" aria-label=${words.messages}>
        ${texts.map((text) => html`<li class="note warn">${text}</li>`)}
      </ul>`;

/**
 * Other healers, by name, and the click that ends them or puts them back.
 * @param {import('../app.js').Scene} scene
 */
const takeover = (scene) => {
  const { snapshot, words } = scene;
  const { takeover } = snapshot;
  if (takeover === undefined) return nothing;
  const { text, others, can } = takeover;
  return html`<div class="note" data-part="takeover">
    <span>
      ${text}
      ${others.map((other) => html`<br />${other}`)}
    </span>
    ${
      can.includes('take_over')
        ? wishButton(scene, {
            wish: { verb: 'take_over' },
            label: words.take_over,
            really: words.take_over_really,
          })
        : nothing
    }
    ${
      can.includes('give_back')
        ? wishButton(scene, { wish: { verb: 'give_back' }, label: words.give_back })
        : nothing
    }
  </div>`;
};
