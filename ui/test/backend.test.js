// Both doors: over real HTTP, and through what the app puts into the page.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backend, request } from '../src/backend.js';
import { browser, until } from './browser.js';
import { serve } from './engine.js';
import { snapshot } from './support.js';

/** @typedef {import('../types').Snapshot} Snapshot @typedef {import('../window').Wish} Wish */

const words = { refused: (/** @type {string} */ reason) => reason };

/** @param {string} fragment @param {(engine: Awaited<ReturnType<typeof serve>>, page: any) => Promise<void>} body */
const overHttp = async (fragment, body) => {
  const engine = await serve(await snapshot('well'));
  try {
    await body(engine, browser(`${engine.url}/${fragment}`));
  } finally {
    engine.close();
  }
};

test('snapshots arrive as they are published', () =>
  overHttp('', async (engine, page) => {
    /** @type {Snapshot[]} */
    const seen = [];
    const end = backend(page, words).subscribe(
      (next) => seen.push(next),
      () => {},
    );
    await until(() => seen.length > 0, 'a first snapshot');
    engine.publish(await snapshot('pressure'));
    await until(() => seen.at(-1)?.headline === 'Memory is nearly full', 'the published one');
    end();
  }));

test('an engine that goes away is missed, and found again', async () => {
  const picture = await snapshot('well');
  const engine = await serve(picture);
  let heard = 0;
  let lost = 0;
  const end = backend(browser(engine.url), words).subscribe(
    () => {
      heard += 1;
    },
    () => {
      lost += 1;
    },
  );
  await until(() => heard, 'a first snapshot');
  engine.close();
  await until(() => lost, 'the loss');
  heard = 0;
  const again = await serve(picture, Number(new URL(engine.url).port));
  await until(() => heard, 'the return');
  end();
  again.close();
});

test('after the end nothing is told any more', () =>
  overHttp('', async (engine, page) => {
    let told = 0;
    const end = backend(page, words).subscribe(
      () => {
        told += 1;
      },
      () => {
        told += 1;
      },
    );
    await until(() => told, 'a first snapshot');
    end();
    const before = told;
    engine.close();
    // Another subscriber notices the loss: by then the first would have, too.
    let lost = false;
    const other = backend(page, words).subscribe(
      () => {},
      () => {
        lost = true;
      },
    );
    await until(() => lost, 'the loss');
    other();
    assert.equal(told, before);
  }));

test('the token leaves the address, stays for a reload, and goes with each wish', () =>
  overHttp('#token=s3cret', async (engine, page) => {
    const door = backend(page, words);
    assert.equal(door.mayAct, true);
    assert.equal(page.location.hash, '');
    assert.equal(backend(page, words).mayAct, true);
    assert.deepEqual(await door.act({ verb: 'restart', target: 'container:a b' }), {
      status: 'accepted',
      operation: '01JPA7R',
    });
    assert.deepEqual(engine.asked, [
      {
        method: 'POST',
        path: '/targets/container:a b/restart',
        token: 'Bearer s3cret',
        body: '{}',
      },
    ]);
  }));

test('without a token the page only looks', () =>
  overHttp('', async (_engine, page) => {
    assert.equal(backend(page, words).mayAct, false);
    assert.equal(backend(page, words).autostart, null);
  }));

test('a refusal says why in the words of the engine', () =>
  overHttp('#token=x', async (engine, page) => {
    const door = backend(page, words);
    /** @type {Wish} */
    const wish = { verb: 'check' };
    engine.answerWith(409, { title: 'Held', detail: 'A person holds it.', status: 409 });
    assert.deepEqual(await door.act(wish), { status: 'refused', text: 'A person holds it.' });
    engine.answerWith(401, { title: 'Unauthorized' });
    assert.deepEqual(await door.act(wish), { status: 'refused', text: 'not_authorised' });
    engine.answerWith(200, { targets: [] });
    assert.deepEqual(await door.act(wish), { status: 'done' });
    engine.close();
    assert.deepEqual(await door.act(wish), { status: 'refused', text: 'no_answer' });
  }));

test('the journal is read page by page', () =>
  overHttp('', async (_engine, page) => {
    const door = backend(page, words);
    const first = await door.incidents({ next: null });
    assert.equal(first.incidents.length, 5);
    assert.deepEqual(await door.incidents({ next: first.next }), { incidents: [], next: null });
    assert.equal((await door.incident('01JP90')).target, 'service:Dashboard');
  }));

test('every wish has its request', () => {
  /** @type {[Wish, string, string, object | null][]} */
  const table = [
    [{ verb: 'check' }, 'POST', '/recover', {}],
    [{ verb: 'recover' }, 'POST', '/recover', {}],
    [{ verb: 'recover', target: 'mlx' }, 'POST', '/recover', { target: 'mlx' }],
    [{ verb: 'stop', target: 'mlx', for: '1h' }, 'POST', '/targets/mlx/stop', { for: '1h' }],
    [{ verb: 'hold', target: 'service:A/B' }, 'POST', '/targets/service%3AA%2FB/hold', {}],
    [{ verb: 'unload', model: 'a:b' }, 'POST', '/models/unload', { model: 'a:b' }],
    [{ verb: 'unload', idle: true }, 'POST', '/models/unload', { idle: true }],
    [{ verb: 'unload', all: true }, 'POST', '/models/unload', { all: true }],
    [{ verb: 'measure' }, 'POST', '/models/measure', {}],
    [{ verb: 'measure', models: ['a'] }, 'POST', '/models/measure', { models: ['a'] }],
    [{ verb: 'cancel_measure' }, 'DELETE', '/models/measure', null],
    [{ verb: 'ensure', target: 'ollama' }, 'POST', '/targets/ollama/ensure', {}],
    [{ verb: 'take_over' }, 'POST', '/healers/take_over', {}],
    [{ verb: 'give_back' }, 'POST', '/healers/give_back', {}],
    [{ verb: 'cancel', operation: 'a/1' }, 'DELETE', '/operations/a%2F1', null],
  ];
  for (const [wish, method, path, body] of table)
    assert.deepEqual(request(wish), { method, path, body });
});

test('the app is asked by its commands', async () => {
  /** @type {[string, any][]} */
  const asked = [];
  /** @type {(event: { payload: Snapshot }) => void} */
  let emit = () => {};
  let listening = true;
  const picture = await snapshot('well');
  /** @type {Record<string, unknown>} */
  const answers = { snapshot: picture, act: { status: 'done' }, autostart: true };
  const page = browser('tauri://localhost/');
  page.__TAURI__ = {
    core: {
      invoke: async (/** @type {string} */ command, /** @type {any} */ given) => {
        asked.push([command, given]);
        if (command === 'incident') throw 'no such incident';
        return answers[command];
      },
    },
    event: {
      listen: async (/** @type {string} */ name, /** @type {typeof emit} */ told) => {
        assert.equal(name, 'snapshot');
        emit = told;
        return () => {
          listening = false;
        };
      },
    },
  };
  const door = backend(page, words);
  /** @type {string[]} */
  const heard = [];
  const end = door.subscribe(
    ({ headline }) => heard.push(headline),
    () => {},
  );
  await until(() => heard.length === 1, 'the picture asked for');
  emit({ payload: await snapshot('pressure') });
  assert.deepEqual(heard, ['Everything works', 'Memory is nearly full']);
  assert.deepEqual(await door.act({ verb: 'check' }), { status: 'done' });
  assert.equal(await door.autostart?.get(), true);
  await door.autostart?.set(false);
  await door.incidents({ next: 'n' });
  await assert.rejects(door.incident('x'));
  end();
  await until(() => !listening, 'the end of listening');
  assert.deepEqual(asked, [
    ['snapshot', undefined],
    ['act', { wish: { verb: 'check' } }],
    ['autostart', undefined],
    ['set_autostart', { on: false }],
    ['incidents', { next: 'n' }],
    ['incident', { id: 'x' }],
  ]);
});

test('a command that the app refuses is a refusal with its words', async () => {
  const page = browser('tauri://localhost/');
  page.__TAURI__ = { core: { invoke: () => Promise.reject('the engine has stopped') }, event: {} };
  assert.deepEqual(await backend(page, words).act({ verb: 'check' }), {
    status: 'refused',
    text: 'the engine has stopped',
  });
});
