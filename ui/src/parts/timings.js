// How fast each model is, and the measuring of it.

import { measured, NONE, number, since, size, span } from '../format.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { progress } from './operations.js';
import { wishButton } from './wish.js';

/**
 * @typedef {import('../app.js').Scene} Scene
 * @typedef {import('../../types').ModelTiming} ModelTiming
 */

/** @param {Scene} scene */
export const timings = (scene) => {
  const { snapshot, words } = scene;
  const running = snapshot.operations.find(
    (one) => one.verb === 'measure' && one.state === 'running',
  );
  const all = withUnmeasured(scene);
  return html`<div class="card" data-part="timings">
    <div class="head">
      <h3>${words.timings}</h3>
      <div class="bar">
        ${
          running === undefined
            ? wishButton(scene, { wish: { verb: 'measure' }, label: words.measure_all })
            : wishButton(scene, { wish: { verb: 'cancel_measure' }, label: words.cancel })
        }
      </div>
    </div>
    ${
      running === undefined
        ? nothing
        : html`<div class="measuring" role="status">
            <p>${words.measuring}: ${running.text}</p>
            ${progress(running, words)}
          </div>`
    }
    ${all.length === 0 ? html`<p class="empty">${words.no_timings}</p>` : table(scene, all, running !== undefined)}
  </div>`;
};

/** @param {Scene} scene @returns {(ModelTiming | { server: string, model: string, at: null })[]} */
const withUnmeasured = ({ snapshot }) => {
  const known = new Set(snapshot.timings.map(({ server, model }) => `${server} ${model}`));
  const unmeasured = snapshot.models
    .filter(({ server, name }) => !known.has(`${server} ${name}`))
    .map(({ server, name }) => ({ server, model: name, at: null }));
  return [...snapshot.timings, ...unmeasured];
};

/** @param {Scene} scene @param {ReturnType<typeof withUnmeasured>} all @param {boolean} busy */
const table = (scene, all, busy) => {
  const { words } = scene;
  return html`<table class="timings">
    <thead>
      <tr>
        <th scope="col">${words.model}</th>
        <th scope="col">${words.load_column}</th>
        <th scope="col">${words.first_token_column}</th>
        <th scope="col">${words.speed_column}</th>
        <th scope="col" class="spare">${words.memory_column}</th>
        <th scope="col" class="spare">${words.measured_column}</th>
        <td></td>
      </tr>
    </thead>
    <tbody>
      ${all.map((timing) => row(scene, timing, busy))}
    </tbody>
  </table>`;
};

/** @param {Scene} scene @param {ReturnType<typeof withUnmeasured>[number]} timing @param {boolean} busy */
const row = (scene, timing, busy) => {
  const { words } = scene;
  return html`<tr data-timing=${timing.model}>
    <th scope="row">
      <span class="cut" title=${timing.model}>${timing.model}</span>
    </th>
    ${figures(scene, timing)}
    <td class="act">
      ${wishButton(scene, {
        wish: { verb: 'measure', models: [timing.model] },
        label: words.measure,
        name: words.measure_model(timing.model),
        off: busy,
      })}
    </td>
  </tr>`;
};

/** @param {Scene} scene @param {ReturnType<typeof withUnmeasured>[number]} timing */
const figures = ({ view, words }, timing) => {
  if (timing.at === null)
    return html`<td colspan="5" class="dim instead">${words.not_measured}</td>`;
  if (timing.error !== null) {
    return html`<td colspan="5" class="sick instead" title=${timing.error}>${timing.error}</td>`;
  }
  const age = since(timing.at, view.now);
  const speed = timing.tokens_per_s;
  return html`<td data-label=${words.load_column}>${measured(timing.load_ms, words)}</td>
    <td data-label=${words.first_token_column}>${measured(timing.first_token_ms, words)}</td>
    <td data-label=${words.speed_column}>${speed === null ? NONE : number(speed, speed < 10 ? 1 : 0, words)}</td>
    <td class="spare">${size(timing.memory_bytes, words)}</td>
    <td class="spare dim">${age < 60_000 ? words.just_now : words.ago(span(age, words))}</td>`;
};
