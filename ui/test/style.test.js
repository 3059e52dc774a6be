// Text stays readable in both themes: WCAG 2.2 AA asks for a contrast of 4.5.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { pageFile } from './support.js';

/** @param {string} path */
const read = (path) => readFile(pageFile(path).file, 'utf8');
const page = await read('/');
const links = [...page.matchAll(/rel="stylesheet" href="([\w/.]+)"/g)].map(
  ([, path]) => `/${path}`,
);
const style = (await Promise.all(links.map(read))).join('\n');
const [bright = '', dark = ''] = style.split('@media (prefers-color-scheme: dark)');

/** @param {string} text @returns {Record<string, string>} */
const colours = (text) =>
  Object.fromEntries(
    [...text.matchAll(/--([\w-]+): (#\w{6})/g)].map(([, name, value]) => [name, value]),
  );

/** Relative luminance. @param {string} colour */
const luminance = (colour) =>
  [0.2126, 0.7152, 0.0722].reduce((sum, weight, index) => {
    const part = Number.parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16) / 255;
    return sum + weight * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  }, 0);

/** @param {string} one @param {string} other */
const contrast = (one, other) => {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};

for (const [theme, text] of /** @type {const} */ ([
  ['light', bright],
  ['dark', dark],
])) {
  test(`${theme}: every text colour is readable on every ground`, () => {
    const theirs = colours(text);
    for (const ground of ['ground', 'card', 'hover', 'warn-ground', 'sick-ground']) {
      for (const ink of ['ink', 'dim', 'well', 'busy', 'warn', 'sick']) {
        const found = contrast(theirs[ink] ?? '', theirs[ground] ?? '');
        assert.ok(found >= 4.5, `${ink} on ${ground}: ${found.toFixed(2)}`);
      }
    }
  });
}

test('the page loads nothing that the content security policy forbids', () => {
  assert.doesNotMatch(page, /style=|<style|\son\w+=|<script(?![^>]*src=)|https?:/);
  assert.doesNotMatch(style, /url\(|@import/);
});
