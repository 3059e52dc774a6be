// Incidents: those of one target with their story, and the list of all, newest first.

import { clock, day, measured, since, span } from '../format.js';
import { nameOf } from '../roster.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { incidentShape, storyDot } from './shapes.js';

/**
 * @typedef {import('../app.js').Scene} Scene
 * @typedef {import('../../types').Target} Target
 * @typedef {import('../../types').Snapshot} Snapshot
 * @typedef {import('../../window').View} View
 * @typedef {import('../../window').ListedIncident} Incident
 */

/**
 * Open ones from the snapshot, the others from the journal's pages; each once, newest first.
 * @param {Snapshot} snapshot @param {View} view @returns {Incident[]}
 */
export const allIncidents = (snapshot, view) => {
  const open = new Set(snapshot.incidents.map(({ id }) => id));
  /** @type {Incident[]} */
  const all = [...snapshot.incidents, ...view.history.incidents.filter(({ id }) => !open.has(id))];
  return all.sort((one, other) => Date.parse(other.opened) - Date.parse(one.opened));
};

/**
 * The newest incident of a target, told in full, and the ones before it as lines.
 * @param {Scene} scene @param {Target} target
 */
export const targetIncidents = (scene, target) => {
  const { snapshot, view, words } = scene;
  const [latest, ...earlier] = allIncidents(snapshot, view).filter(
    (incident) => incident.target === target.id,
  );
  if (latest === undefined) return nothing;
  const open = latest.closed === null;
  return html`<div class="card" data-incident=${latest.id}>
    <h3>
      ${open ? words.story_open : words.story_before}
      <span>${day(latest.opened, view.now, words)} · ${stateWord(latest, words)}</span>
    </h3>
    ${target.cause?.text === latest.cause.text ? nothing : html`<p class="concluded">${latest.cause.text}</p>`}
    ${story(latest, snapshot, words)}
    ${
      earlier.length === 0
        ? nothing
        : html`<h4>${words.earlier}</h4>
            ${rows({ ...scene, earlier: earlier.slice(0, EARLIER) })}`
    }
  </div>`;
};

/** @param {Scene} scene */
export const incidentList = (scene) => {
  const { snapshot, view, act, words } = scene;
  const all = allIncidents(snapshot, view);
  const { state, next } = view.history;
  return html`<div class="card" data-part="incidents">
    <h3>${words.incidents}</h3>
    ${all.length === 0 && state === 'read' ? html`<p class="empty">${words.no_incidents}</p>` : nothing}
    ${rows({ ...scene, earlier: all, named: true })}
    ${state === 'reading' && all.length === 0 ? html`<p class="empty">${words.incidents_reading}</p>` : nothing}
    ${state === 'failed' ? html`<p class="empty">${words.incidents_failed}</p>` : nothing}
    ${
      next === null
        ? nothing
        : html`<button type="button" ?disabled=${state === 'reading' || view.lost} @click=${() => act({ turn: 'older' })}>
            ${words.older}
          </button>`
    }
  </div>`;
};

/** How many earlier incidents of one target are shown beside it; the list has them all. */
const EARLIER = 3;

/** @param {Scene & { earlier: Incident[], named?: boolean }} scene */
const rows = ({ snapshot, view, act, words, earlier, named = false }) => html`<ul class="incidents">
  ${repeat(
    earlier,
    ({ id }) => id,
    (incident) => {
      const opened = named ? incident.id : `earlier:${incident.id}`;
      const unfolded = view.opened === opened;
      return html`<li>
        <button
          type="button"
          class="line"
          aria-expanded=${unfolded ? 'true' : 'false'}
          @click=${() => act({ turn: 'open', incident: unfolded ? null : opened })}
        >
          ${incidentShape(incident.state)}
          <time>${day(incident.opened, view.now, words)}</time>
          <span class="what" title=${incident.cause.text}>
            ${named ? html`<b>${nameOf(snapshot, incident.target)}</b>` : nothing} ${incident.cause.text}
          </span>
          <span class="outcome">${stateWord(incident, words)}</span>
          <span class="lasted">${lasted(incident, view, words)}</span>
        </button>
        ${unfolded ? html`<div class="unfolded">${story(incident, snapshot, words)}</div>` : nothing}
      </li>`;
    },
  )}
</ul>`;

/** @param {Incident} incident @param {Snapshot} snapshot @param {Scene['words']} words */
const story = (incident, snapshot, words) => {
  if (incident.story === undefined) return html`<p class="empty">${words.story_reading}</p>`;
  if (incident.story.length === 0) return html`<p class="empty">${words.story_empty}</p>`;
  return html`<ol class="story">
      ${incident.story.map(
        ({ at, kind, text }) => html`<li>
          <time>${clock(at, words)}</time>
          ${storyDot(kind)}
          <span><span class="said">${kindWord(kind, words)}: </span>${text}</span>
        </li>`,
      )}
    </ol>
    ${affected(incident, snapshot, words)} ${lastWords(incident, words)}
    <p class="why tabular">${figures(incident, words)}</p>`;
};

/** @param {Incident} incident @param {Snapshot} snapshot @param {Scene['words']} words */
const affected = ({ affects }, snapshot, words) =>
  affects.length === 0
    ? nothing
    : html`<p class="affected">${words.also_affected(affects.map((id) => nameOf(snapshot, id)).join(', '))}</p>`;

/** @param {Incident} incident @param {Scene['words']} words */
const lastWords = ({ log }, words) =>
  log.length === 0
    ? nothing
    : html`<details class="log">
        <summary>${words.last_words}</summary>
        <pre>${log.join('\n')}</pre>
      </details>`;

/** @param {Incident} incident @param {Scene['words']} words */
const figures = (incident, words) => {
  const told = [words.found_after(measured(incident.detected_after_ms, words))];
  if (incident.answering_after_ms !== null) {
    told.push(words.answering_after(measured(incident.answering_after_ms, words)));
  }
  if (incident.recovered_after_ms !== null) {
    told.push(words.recovered_after(measured(incident.recovered_after_ms, words)));
  }
  if (incident.attempts > 0) told.push(words.attempts(incident.attempts));
  return told.join(', ');
};

/** @param {Incident} incident @param {View} view @param {Scene['words']} words */
const lasted = ({ opened, closed }, view, words) =>
  span(since(opened, closed === null ? view.now : Date.parse(closed)), words);

/** @param {Incident} incident @param {Scene['words']} words */
const stateWord = ({ state }, words) =>
  /** @type {Record<string, string>} */ (words.incident_state)[state] ?? state;

/** @param {string} kind @param {Scene['words']} words */
const kindWord = (kind, words) =>
  /** @type {Record<string, string>} */ (words.story_kind)[kind] ?? kind;
