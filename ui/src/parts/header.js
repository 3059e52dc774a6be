// The whole machine in one sentence, and what can be asked of all of it.

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { pulse } from './shapes.js';
import { wishButton } from './wish.js';

/** @param {import('../app.js').Scene} scene */
export const header = (scene) => {
  const { snapshot, view, words } = scene;
  const headline = view.lost ? words.lost : snapshot.headline;
  return html`<header>
    ${pulse(view.lost ? 'lost' : snapshot.summary)}
    <div class="headline" aria-live="polite">
      <h1 title=${headline}>${headline}</h1>
      <p title=${snapshot.subline}>${snapshot.subline || '\u00a0'}</p>
    </div>
    <div class="bar">
      ${autostart(scene)}
      ${
        snapshot.summary === 'attention'
          ? wishButton(scene, {
              wish: { verb: 'recover' },
              label: words.recover_all,
              tone: 'primary',
            })
          : nothing
      }
      ${wishButton(scene, { wish: { verb: 'check' }, label: words.check_all })}
    </div>
  </header>`;
};

/** @param {import('../app.js').Scene} scene */
const autostart = ({ view, act, words }) => {
  const on = view.autostart;
  if (on === null) return nothing;
  return html`<button
    type="button"
    class="switch"
    role="switch"
    aria-checked=${on ? 'true' : 'false'}
    @click=${() => act({ turn: 'autostart', on: !on })}
  >
    <span>${words.autostart}</span><i></i>
  </button>`;
};
