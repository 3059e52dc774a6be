// The models that are in memory, and the ways to give their memory back.

import { NONE, number, size, span } from '../format.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { wishButton } from './wish.js';

/**
 * @typedef {import('../app.js').Scene} Scene
 * @typedef {import('../../types').Model} Model
 */

/** @param {Scene} scene */
export const loadedModels = (scene) => {
  const { snapshot, words } = scene;
  const unloadable = snapshot.models.filter(canUnload);
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
    ${snapshot.models.length === 0 ? html`<p class="empty">${words.no_models}</p>` : table(scene)}
  </div>`;
};

/** @param {Scene} scene */
const table = (scene) => {
  const { snapshot, words } = scene;
  return html`<table>
    <thead>
      <tr>
        <th scope="col">${words.model}</th>
        <th scope="col">${words.memory_column}</th>
        <th scope="col">${words.speed_column}</th>
        <th scope="col" class="spare">${words.until_column}</th>
        <td></td>
      </tr>
    </thead>
    <tbody>
      ${snapshot.models.map((model) => row(scene, model))}
    </tbody>
  </table>`;
};

/** @param {Scene} scene @param {Model} model */
const row = (scene, model) => {
  const { words } = scene;
  const speed = model.tokens_per_s;
  const leaves = model.expires_in_s === null ? words.never : span(model.expires_in_s * 1000, words);
  return html`<tr data-model=${model.name}>
    <th scope="row"><span class="cut" title=${model.name}>${model.name}</span></th>
    <td>${size(model.size_bytes, words)}</td>
    <td>${speed === null ? NONE : number(speed, 0, words)}</td>
    <td class="spare">${leaves}</td>
    <td class="act">${last(scene, model)}</td>
  </tr>`;
};

/** @param {Scene} scene @param {Model} model */
const last = (scene, model) => {
  const { words } = scene;
  if (model.pinned) return html`<span class="dim">${words.pinned}</span>`;
  if (!canUnload(model)) return html`<span class="dim">${model.server.toUpperCase()}</span>`;
  return wishButton(scene, {
    wish: { verb: 'unload', model: model.name },
    label: words.unload,
    name: words.unload_model(model.name),
  });
};

/** An MLX server has no way to be asked to unload. @param {Model} model */
const canUnload = ({ server, pinned }) => server === 'ollama' && !pinned;
