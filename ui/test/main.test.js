// The whole page against an engine over real HTTP: what a person clicks is what the engine is asked.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { browser, until } from './browser.js';
import { serve } from './engine.js';
import { snapshot } from './support.js';

const engine = await serve(await snapshot('well'));
const page = browser(`${engine.url}/#token=s3cret`);
page.document.body.innerHTML = '<div id="root"></div>';
for (const name of ['document', 'navigator', 'requestAnimationFrame']) {
  Object.defineProperty(globalThis, name, { value: page[name], configurable: true });
}
Object.defineProperty(globalThis, 'window', { value: page, configurable: true });
page.requestAnimationFrame = globalThis.requestAnimationFrame;
await import('../src/main.js');

after(() => engine.close());

/** @param {string} selector @returns {any} */
const find = (selector) => page.document.querySelector(selector);

test('the picture appears, with the journal and the story of the last incident', async () => {
  await until(() => find('h1')?.textContent === 'Everything works', 'the headline');
  await until(
    () => page.document.querySelectorAll('[data-part=incidents] li').length === 5,
    'the journal',
  );
  await until(() => find('article .story li'), 'a story');
});

test('older incidents are paged until there are no more', async () => {
  const older = await until(
    () => find('[data-part=incidents] > button:not([disabled])'),
    'the button',
  );
  older.click();
  await until(() => find('[data-part=incidents] > button') === null, 'the end of the journal');
});

test('an audit is asked for when it is opened, once, and again when asked', async () => {
  assert.equal(engine.audits(), 0, 'nobody asked yet');
  const opener = () => find('[data-part=audit] [aria-expanded]');
  opener().click();
  await until(() => find('[data-finding=port_clash]'), 'the findings');
  opener().click();
  await until(() => find('[data-finding=port_clash]') === null, 'the closed section');
  opener().click();
  await until(() => find('[data-finding=port_clash]'), 'the findings');
  assert.equal(engine.audits(), 1);
  find('[data-turn=audit_again]').click();
  await until(() => engine.audits() === 2, 'another audit');
});

test('lines are copied to the clipboard; a page that may not says so', async () => {
  /** @type {string[]} */
  const written = [];
  const clipboard = { writeText: async (/** @type {string} */ text) => written.push(text) };
  Object.defineProperty(page.navigator, 'clipboard', { value: clipboard, configurable: true });
  const button = () => find('[data-finding=memory_limit_missing] [data-turn=copy]');
  await until(button, 'the button');
  button().click();
  await until(() => button().textContent.trim() === 'Copied', 'the answer of the button');
  assert.deepEqual(written, ['    mem_limit: 2g']);
  Object.defineProperty(page.navigator, 'clipboard', { value: undefined, configurable: true });
  button().click();
  const note = await until(() => find('.note[role=alert]'), 'the refusal');
  assert.match(note.textContent, /by hand/);
  note.querySelector('button').click();
  await until(() => find('.note[role=alert]') === null, 'no refusal');
});

test('the right side moves to what falls sick, and stays where a person chose', async () => {
  engine.publish(await snapshot('attention-oom'));
  await until(
    () => find('#target-name').textContent === 'knowledge_os_orchestrator',
    'the sick one',
  );
  find('[data-id=mlx]').click();
  await until(() => find('#target-name').textContent === 'MLX', 'the chosen one');
  engine.publish(await snapshot('given-up'));
  await until(() => find('h1').textContent === 'Ollama needs you', 'the next picture');
  assert.equal(find('#target-name').textContent, 'MLX');
});

test('a restart goes out after its second click only', async () => {
  find('.actions [data-verb=restart]').click();
  await until(() => find('.asking'), 'the question');
  assert.deepEqual(engine.asked, []);
  find('.asking').click();
  await until(() => engine.asked.length === 1, 'the wish');
  assert.deepEqual(engine.asked[0], {
    method: 'POST',
    path: '/targets/mlx/restart',
    token: 'Bearer s3cret',
    body: '{}',
  });
  await until(() => find('.actions [data-verb=restart]:not([disabled])'), 'the answer');
});

test('Escape takes the question back', async () => {
  find('.actions [data-verb=stop]').click();
  await until(() => find('.asking'), 'the question');
  page.document.dispatchEvent(new page.KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
  await until(() => find('.asking') === null, 'no question');
});

test('a refusal is shown until it is dismissed', async () => {
  engine.answerWith(423, { detail: 'The machine is waking up; ask again in 20 s.' });
  find('header [data-verb=check]').click();
  const note = await until(() => find('.note[role=alert]'), 'the refusal');
  assert.match(note.textContent, /waking up/);
  note.querySelector('button').click();
  await until(() => find('.note[role=alert]') === null, 'no refusal');
});

test('when the engine goes away the last picture stays', async () => {
  engine.close();
  await until(() => find('.lost'), 'the loss');
  assert.equal(find('#target-name').textContent, 'MLX');
});
