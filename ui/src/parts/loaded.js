// The models that are in memory, and the ways to give their memory back.

import { number, size, span } from '../format.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { wishButton } from './wish.js';

/**
 * @typedef {import('../app.js').Scene} Scene
 * @typedef {import('../../types').Model} Model
 */

/** @param {Scene} scene */
export const loadedModels = (scene) => {
  const { snapshot, words } = scene;
  // Of several at once only Ollama is asked.
  const unloadable = snapshot.models.filter(({ server, pinned }) => server === 'ollama' && !pinned);
  return html`<div class="card" data-part="models">
    <div class="head">
      <h3>${words.loaded}</h3>
      ${
        unloadable.length === 0
          ? nothing
          : html`<div class="bar">
              ${wishButton(scene, { wish: { verb: 'unload', idle: true }, label: words.unload_idle })}
              ${wishButton(scene, { wish: { verb: 'unload', all: true }, label: words.unload_all })}
            </div>`
      }
    </div>
    ${
      snapshot.models.length === 0
        ? html`<p class="empty">${words.no_models}</p>`
        : html`<ul class="loaded">
            ${snapshot.models.map((model) => row(scene, model))}
          </ul>`
    }
  </div>`;
};

/** @param {Scene} scene @param {Model} model */
const row = (scene, model) => html`<li data-model=${model.name}>
  <span class="cut" title=${model.name}>${model.name}</span>
  <small>${figures(scene, model)}</small>
  ${last(scene, model)}
</li>`;

/** @param {Scene} scene @param {Model} model */
const figures = ({ words }, { size_bytes, tokens_per_s: speed, expires_in_s: leaves }) => {
  // An MLX server may not tell.
  const told = size_bytes > 0 ? [size(size_bytes, words)] : [];
  if (speed !== null) told.push(words.speed(number(speed, speed < 10 ? 1 : 0, words)));
  if (leaves !== null) told.push(words.leaves_in(span(leaves * 1000, words)));
  return told.join(' · ');
};

/** @param {Scene} scene @param {Model} model */
const last = (scene, model) => {
  const { words } = scene;
  if (model.pinned) return html`<span class="dim">${words.pinned}</span>`;
  return wishButton(scene, {
    wish: { verb: 'unload', model: model.server === 'mlx' ? `mlx:${model.name}` : model.name },
    label: words.unload,
    name: words.unload_model(model.name),
  });
};
