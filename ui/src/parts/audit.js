// What will go wrong before it does, by file: the reason, and the lines to write. Asked for when opened.

import { day } from '../format.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { shape } from './shapes.js';

/**
 * @typedef {import('../app.js').Scene} Scene
 * @typedef {import('../../types').Audit} Audit
 * @typedef {import('../../types').FindingView} Finding
 * @typedef {import('../../types').FixView} Fix
 */

/** @param {Scene} scene */
export const audit = (scene) => {
  const { view, act, words } = scene;
  const { open, state, found } = view.audit;
  const reading = state === 'reading';
  return html`<div class="card" data-part="audit">
    <div class="head">
      <h3>
        <button
          type="button"
          class="line"
          aria-expanded=${open ? 'true' : 'false'}
          aria-controls="audit"
          @click=${() => act({ turn: 'audit', open: !open })}
        >
          <span class="what">${words.audit}</span>
          <span class="outcome">${found === null ? nothing : counted(found, words)}</span>
        </button>
      </h3>
      ${
        open
          ? html`<div class="bar">
              <button
                type="button"
                data-turn="audit_again"
                ?disabled=${reading || view.lost}
                @click=${() => act({ turn: 'audit_again' })}
              >
                ${words.audit_again}
              </button>
            </div>`
          : nothing
      }
    </div>
    <div id="audit" aria-busy=${reading ? 'true' : 'false'} ?hidden=${!open}>${open ? content(scene) : nothing}</div>
  </div>`;
};

/** @param {Scene} scene */
const content = (scene) => {
  const { view, words } = scene;
  const { state, found, reason } = view.audit;
  return html`<p class="why tabular" role="status">${said(scene)}</p>
    ${state === 'failed' ? html`<p class="empty">${words.audit_failed} ${reason}</p>` : nothing}
    ${found === null ? nothing : files(scene, found)}`;
};

/** What is going on, and of when what is shown is. @param {Scene} scene */
const said = ({ view, words }) => {
  const { state, found } = view.audit;
  if (state === 'reading') return words.audit_reading;
  if (found === null) return nothing;
  const at = words.audit_at(day(found.at, view.now, words));
  const looked =
    found.containers === null
      ? words.audit_without_docker
      : words.audit_looked(found.files.length, found.containers);
  return `${at} ${looked}`;
};

/** @param {Scene} scene @param {Audit} found */
const files = (scene, found) => {
  const { words } = scene;
  if (found.findings.length === 0) return html`<p class="empty">${words.audit_clean}</p>`;
  return byFile(found.findings).map(
    ({ file, findings }) => html`<section class="file" aria-label=${file ?? words.audit_machine}>
      <h4 class="path" title=${file ?? ''}>${file ?? words.audit_machine}</h4>
      <ul class="findings">
        ${findings.map((finding) => row(scene, finding))}
      </ul>
    </section>`,
  );
};

/**
 * The files with an error first, then in the order of the engine.
 * @param {Finding[]} findings @returns {{ file: string | null, findings: Finding[] }[]}
 */
const byFile = (findings) => {
  /** @type {Map<string | null, Finding[]>} */
  const groups = new Map();
  for (const finding of findings) {
    groups.set(finding.file, [...(groups.get(finding.file) ?? []), finding]);
  }
  const sick = (/** @type {Finding[]} */ group) =>
    group.some(({ severity }) => severity === 'error') ? 0 : 1;
  return [...groups]
    .map(([file, findings]) => ({ file, findings }))
    .sort((one, other) => sick(one.findings) - sick(other.findings));
};

/** @param {Scene} scene @param {Finding} finding */
const row = (scene, finding) => {
  const { words } = scene;
  const place = finding.line === null ? nothing : words.audit_line(finding.line);
  return html`<li data-finding=${finding.id}>
    <p class="finding">
      ${shape(SHAPE[finding.severity])}
      <span><span class="said">${words.severity[finding.severity]}: </span><b>${finding.text}</b> <span class="dim">${place}</span></span>
    </p>
    <p class="why">${finding.why}</p>
    ${finding.fix === null ? nothing : remedy(scene, finding, finding.fix)}
  </li>`;
};

/** @param {Scene} scene @param {Finding} finding @param {Fix} fix */
const remedy = ({ view, act, words }, finding, fix) => {
  const lines = fix.lines.join('\n');
  const key = `${fix.file}:${fix.line}:${fix.column}:${finding.id}:${finding.service ?? ''}`;
  const copied = view.audit.copied === key;
  // A variable may stand in a file of its own.
  const elsewhere =
    fix.file === finding.file ? nothing : html`<span class="path">${fix.file}</span> `;
  return html`<div class="remedy">
    <p class="place">${elsewhere}${fix.place}</p>
    <div class="written">
      <pre tabindex="0" aria-label=${words.audit_lines}>${lines}</pre>
      <button
        type="button"
        data-turn="copy"
        aria-label=${copied ? words.copied : words.copy_for(finding.text)}
        @click=${() => act({ turn: 'copy', text: lines, key })}
      >
        ${copied ? words.copied : words.copy}
      </button>
    </div>
  </div>`;
};

/** @param {Audit} found @param {Scene['words']} words */
const counted = ({ findings }, words) => {
  const of = (/** @type {Finding['severity']} */ wanted) =>
    findings.filter(({ severity }) => severity === wanted).length;
  const told = [
    { count: of('error'), told: words.audit_errors },
    { count: of('warning'), told: words.audit_warnings },
    { count: of('note'), told: words.audit_notes },
  ].filter(({ count }) => count > 0);
  return told.length === 0
    ? words.audit_nothing
    : told.map(({ count, told }) => told(count)).join(', ');
};

/** @type {Record<Finding['severity'], import('../roster.js').Mark>} */
const SHAPE = { error: 'down', warning: 'degraded', note: 'unknown' };
