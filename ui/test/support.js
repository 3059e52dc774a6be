// What the tests share: the recorded snapshots, the page's files, and a document to draw in.

import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Window } from 'happy-dom';

/** @typedef {import('../types').Snapshot} Snapshot @typedef {import('../window').View} View @typedef {import('../window').IncidentPage} IncidentPage */

// Times of day are written in the machine's zone; the tests read them.
process.env.TZ = 'UTC';

const folder = fileURLToPath(new URL('..', import.meta.url));

export const page = new Window({ url: 'http://127.0.0.1:9099/' });
Object.assign(globalThis, { window: page, document: page.document });

/** The names of all recorded snapshots. */
export const NAMES = readdirSync(`${folder}snapshots`).map((file) => file.replace('.json', ''));

/** @param {string} name @returns {Promise<Snapshot>} */
export const snapshot = async (name) =>
  JSON.parse(await readFile(`${folder}snapshots/${name}.json`, 'utf8'));

/** A page of the journal, as `GET /incidents` gives it. @returns {Promise<IncidentPage>} */
export const incidentPage = async () =>
  JSON.parse(await readFile(`${folder}test/incidents.json`, 'utf8'));

/** What was found, as `GET /audit` gives it. @returns {Promise<import('../types').Audit>} */
export const auditFound = async () =>
  JSON.parse(await readFile(`${folder}test/audit.json`, 'utf8'));

/** @param {string} path Of a request. */
export const pageFile = (path) => {
  const name = normalize(path === '/' ? '/index.html' : path);
  return { file: `${folder}src${name}`, type: TYPES[extname(name)] ?? 'application/octet-stream' };
};

/** @type {Record<string, string>} */
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The moment the recorded snapshots were taken. */
export const NOW = Date.parse('2026-03-14T13:20:48Z');

/** @param {Partial<View>} changes @returns {View} */
export const view = (changes = {}) => ({
  now: NOW,
  selected: null,
  page: 'list',
  lost: false,
  mayAct: true,
  mac: true,
  autostart: null,
  asking: null,
  sent: [],
  refusal: null,
  opened: null,
  history: { incidents: [], next: null, state: 'read' },
  audit: { open: false, state: 'unasked', found: null, reason: '', copied: null },
  ...changes,
});
