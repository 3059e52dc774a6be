// What is vendored is what npm gave, byte for byte: nobody edits it.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const vendored = fileURLToPath(new URL('../src/vendor/lit-html/', import.meta.url));
const installed = fileURLToPath(new URL('../node_modules/lit-html/', import.meta.url));

test('the vendored lit-html is the installed one', () => {
  const files = readdirSync(vendored, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.js') || file === 'LICENSE');
  assert.ok(files.includes('lit-html.js') && files.includes('LICENSE'));
  for (const file of files) {
    assert.ok(readFileSync(vendored + file).equals(readFileSync(installed + file)), file);
  }
});
