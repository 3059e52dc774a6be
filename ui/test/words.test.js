import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as format from '../src/format.js';
import { en, ru, words } from '../src/words.js';
import './support.js';

/** @param {any} table @param {string} [path] @returns {string[]} */
const keys = (table, path = '') =>
  Object.entries(table).flatMap(([key, value]) =>
    typeof value === 'object' ? keys(value, `${path}${key}.`) : `${path}${key} ${typeof value}`,
  );

test('both languages have the same words', () => {
  assert.deepEqual(keys(ru), keys(en));
});

test('no Russian word was forgotten to be translated', () => {
  const same = keys(en).filter((key) => {
    const read = (/** @type {any} */ table) =>
      key
        .split(' ')[0]
        ?.split('.')
        .reduce((value, name) => value[name], table);
    return typeof read(en) === 'string' && read(en) === read(ru);
  });
  // Names of products are the same in every language.
  assert.deepEqual(
    same.filter((key) => !key.startsWith('owner.')),
    [],
  );
});

test('an unknown language is English', () => {
  assert.equal(words('de'), en);
});

test('counted words follow the number', () => {
  assert.deepEqual([1, 2].map(en.attempts), ['1 attempt', '2 attempts']);
  assert.deepEqual([1, 3, 5, 21].map(ru.attempts), [
    '1 попытка',
    '3 попытки',
    '5 попыток',
    '21 попытка',
  ]);
});

test('spans are told in their largest unit', () => {
  const spans = [
    -5,
    0,
    59_999,
    60_000,
    3_599_000,
    3_600_000,
    47 * 3_600_000,
    48 * 3_600_000,
    Number.NaN,
  ];
  assert.deepEqual(
    spans.map((span) => format.span(span, en)),
    ['0 s', '0 s', '59 s', '1 min', '59 min', '1 h', '47 h', '2 d', '–'],
  );
});

test('measured times keep the precision worth telling', () => {
  const times = [null, 0, 180.4, 999, 1240, 9949, 17_200, 85_000, 720_000];
  assert.deepEqual(
    times.map((time) => format.measured(time, en)),
    ['–', '0 ms', '180 ms', '999 ms', '1.2 s', '9.9 s', '17 s', '85 s', '12 min'],
  );
});

test('sizes are told in powers of 1024', () => {
  const sizes = [null, 0, 999, 1024, 24 * 1024 ** 2, 3.1 * 1024 ** 3, 128 * 1024 ** 3, 1024 ** 5];
  assert.deepEqual(
    sizes.map((size) => format.size(size, en)),
    ['–', '0 B', '999 B', '1.0 KB', '24 MB', '3.1 GB', '128 GB', '1,024 TB'],
  );
  assert.equal(format.size(3.1 * 1024 ** 3, ru), '3,1 ГБ');
});

test('what happened today has no date, what is older has', () => {
  const now = Date.parse('2026-03-14T13:20:48Z');
  assert.equal(format.day('2026-03-14T06:07:28Z', now, en), '06:07');
  assert.equal(format.day('2026-03-06T06:07:28Z', now, en), '6 Mar, 06:07');
  assert.equal(format.clock('not a time', en), '–');
});
