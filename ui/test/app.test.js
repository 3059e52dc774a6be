// Every recorded snapshot is drawn and read back: texts, roles, buttons, and what a click asks for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditFound, incidentPage, NAMES, page, snapshot, view } from './support.js';

const { app } = await import('../src/app.js');
const { render } = await import('../src/vendor/lit-html/lit-html.js');
const { words } = await import('../src/words.js');
const { groups, mark } = await import('../src/roster.js');

/** @typedef {import('../types').Snapshot} Snapshot @typedef {import('../window').View} View */

/** @param {Snapshot | null} drawn @param {Partial<View>} [changes] */
const draw = (drawn, changes) => {
  /** @type {any} */
  const root = page.document.createElement('div');
  page.document.body.replaceChildren(root);
  /** @type {any[]} */
  const deeds = [];
  const again = (/** @type {Partial<View>} */ other) =>
    render(
      app(drawn, view({ ...changes, ...other }), (deed) => deeds.push(deed)),
      root,
    );
  again({});
  /** @type {(selector: string) => HTMLElement} */
  const find = (selector) => root.querySelector(selector) ?? assert.fail(`no ${selector}`);
  /** @type {(selector: string) => HTMLElement[]} */
  const all = (selector) => [...root.querySelectorAll(selector)];
  return { root, deeds, again, find, all };
};

/** White space as a reader sees it. @param {string} written */
const plain = (written) => written.replace(/\s+/g, ' ').trim();

/** @param {Element} element */
const text = (element) => plain(element.textContent ?? '');

/** @param {string} verb */
const button = (verb) => `.actions [data-verb=${verb}]`;

for (const name of NAMES) {
  test(`${name}: everything it holds is on the page`, async () => {
    const drawn = await snapshot(name);
    const { find, all, root } = draw(drawn);
    assert.equal(text(find('h1')), plain(drawn.headline));
    assert.equal(all('[role=option]').length, drawn.targets.length);
    const whole = text(root);
    for (const target of drawn.targets) {
      assert.ok(whole.includes(plain(target.name)), target.name);
      assert.ok(whole.includes(words(drawn.language).mark[mark(target)]), target.state);
    }
    for (const model of drawn.models) assert.ok(whole.includes(model.name), model.name);
    /** @type {Record<string, string>} */
    const owners = words(drawn.language).owner;
    for (const { name } of drawn.memory.groups)
      assert.ok(whole.includes(owners[name] ?? name), name);
    for (const message of drawn.messages) assert.ok(whole.includes(message), message);
    assert.equal(all('.messages li').length, drawn.messages.length);
    assert.equal(all('[data-timing]').length >= drawn.timings.length, true);
    assert.equal(all('[data-part=incidents] li').length, drawn.incidents.length);
  });

  test(`${name}: each target's page tells its cause, why and actions`, async () => {
    const drawn = await snapshot(name);
    for (const target of drawn.targets) {
      const { find, all } = draw(drawn, { selected: target.id });
      const page = text(find('article'));
      const lead = target.cause?.text || target.why.text || words(drawn.language).missing;
      assert.equal(text(find('.lead')), plain(lead));
      for (const line of target.cause?.evidence ?? []) assert.ok(page.includes(line), line);
      if (target.cause !== null) assert.ok(page.includes(target.cause.advice));
      const verbs = all('.actions button').map((found) => found.dataset.verb);
      assert.deepEqual(verbs.slice(1).sort(), [...target.actions].sort());
      assert.equal(find('[aria-selected=true]').dataset.id, target.id);
    }
  });

  test(`${name}: every control has a name, no value is missing a word`, async () => {
    const { all, root } = draw(await snapshot(name), { autostart: true });
    for (const control of all('button')) {
      assert.notEqual(control.getAttribute('aria-label') || text(control), '');
    }
    assert.doesNotMatch(text(root), /undefined|NaN|\[object|Invalid Date/);
    assert.deepEqual(all('[style]'), [], 'the content security policy forbids style attributes');
  });
}

test('the most urgent target is shown when none was chosen', async () => {
  const { find } = draw(await snapshot('attention-oom'));
  assert.equal(text(find('#target-name')), 'knowledge_os_orchestrator');
});

test('each state has a shape of its own', async () => {
  const well = await snapshot('well');
  const [model] = well.targets;
  assert.ok(model);
  /** @type {Partial<import('../types').Target>[]} */
  const kinds = [
    ...['unknown', 'starting', 'healthy', 'slow', 'degraded', 'down', 'recovering', 'given_up'].map(
      (state) => /** @type {any} */ ({ state }),
    ),
    { intent: 'held' },
    { intent: 'completed' },
    { found: false },
  ];
  const outlines = kinds.map((kind) => {
    const { find } = draw({ ...well, targets: [{ ...model, ...kind }] });
    return find('.row svg')
      .innerHTML.replace(/<!--.*?-->/g, '')
      .trim();
  });
  assert.equal(new Set(outlines).size, kinds.length);
});

test('targets that were not found are last in their group and named so', async () => {
  const drawn = await snapshot('not-found');
  const { find, all } = draw({ ...drawn, targets: [...drawn.targets].reverse() });
  assert.deepEqual(all('[role=group]')[0]?.querySelectorAll('.name')[1]?.textContent, 'MLX');
  assert.ok(text(find('[data-id=mlx]')).includes('Not found'));
});

test('groups stand in a fixed order and an empty one is left out', async () => {
  const drawn = await snapshot('unknown-first-start');
  assert.deepEqual(
    groups(drawn).map(({ group }) => group),
    ['models', 'containers', 'machine'],
  );
});

test('a click on a row selects it', async () => {
  const { find, deeds } = draw(await snapshot('well'));
  find('[data-id=mlx]').click();
  assert.deepEqual(deeds, [{ turn: 'select', target: 'mlx', enter: true }]);
});

test('arrows, Home and End move through the list and stop at its ends', async () => {
  const drawn = await snapshot('well');
  const { find, deeds } = draw(drawn, { selected: 'mlx' });
  // Nothing is drawn between the keys, as when one is held down.
  find('[aria-selected=true]').focus();
  for (const key of [
    'ArrowDown',
    'ArrowDown',
    'ArrowUp',
    'Home',
    'ArrowUp',
    'End',
    'ArrowDown',
    'Enter',
    'x',
  ]) {
    const event = new page.KeyboardEvent('keydown', { key, bubbles: true });
    page.document.activeElement?.dispatchEvent(event);
  }
  assert.deepEqual(
    deeds.map(({ target, enter }) => `${target} ${enter}`),
    [
      'docker false',
      'container:knowledge_os_orchestrator false',
      'docker false',
      'ollama false',
      'ollama false',
      'host false',
      'host false',
      'host true',
    ],
  );
});

test('the list is one stop for the tab key', async () => {
  const { all } = draw(await snapshot('well'));
  assert.equal(all('[role=option][tabindex="0"]').length, 1);
});

test('a restart needs two clicks, a hold one', async () => {
  const { find, deeds, again } = draw(await snapshot('well'));
  find(button('restart')).click();
  const wish = { verb: 'restart', target: 'ollama' };
  assert.deepEqual(deeds, [{ turn: 'ask', wish }]);
  again({ asking: JSON.stringify(wish) });
  assert.equal(find(button('restart')).getAttribute('aria-label'), 'Really restart?');
  find(button('restart')).click();
  find(button('hold')).click();
  assert.deepEqual(deeds.slice(1), [wish, { verb: 'hold', target: 'ollama' }]);
});

test('a stop that is asked for does not confirm the restart beside it', async () => {
  const { find, deeds } = draw(await snapshot('well'), {
    asking: JSON.stringify({ verb: 'stop', target: 'ollama' }),
  });
  find(button('restart')).click();
  assert.equal(deeds[0].turn, 'ask');
});

test('what is held can be released', async () => {
  const { find, deeds } = draw(await snapshot('everything-held'), { selected: 'docker' });
  find(button('release')).click();
  assert.deepEqual(deeds, [{ verb: 'release', target: 'docker' }]);
});

test('checks and recovery of one and of all', async () => {
  const { find, deeds } = draw(await snapshot('given-up'));
  find('header [data-verb=check]').click();
  find('header [data-verb=recover]').click();
  find(button('recover')).click();
  assert.deepEqual(deeds, [
    { verb: 'check' },
    { verb: 'recover' },
    { verb: 'recover', target: 'ollama' },
  ]);
});

test('models are unloaded one, idle, all, and one of MLX by its name; a pinned one is not', async () => {
  const { find, all, deeds } = draw(await snapshot('well'));
  for (const found of all('[data-part=models] button')) found.click();
  assert.deepEqual(deeds, [
    { verb: 'unload', idle: true },
    { verb: 'unload', all: true },
    { verb: 'unload', model: 'llama3.2:3b' },
    { verb: 'unload', model: 'mlx:mlx-community/Qwen3-32B-4bit' },
  ]);
  assert.ok(text(find('[data-model="nomic-embed-text:latest"]')).includes('pinned'));
});

test('a missing model is offered, and its download shows its share and can be cancelled', async () => {
  const drawn = await snapshot('well');
  const ollama = drawn.targets.find(({ id }) => id === 'ollama') ?? assert.fail('no ollama');
  ollama.actions = ['restart', 'ensure'];
  drawn.operations = [
    {
      id: 'op-7',
      target: 'ollama',
      verb: 'ensure',
      state: 'running',
      steps: [],
      text: 'llama3:70b: 10 GB of 40 GB downloaded',
      done: 10_000_000_000,
      of: 40_000_000_000,
    },
  ];
  const { find, deeds } = draw(drawn, { selected: 'ollama' });
  find(button('ensure')).click();
  assert.ok(text(find('[data-part=operation]')).includes('10 GB of 40 GB'));
  assert.ok(text(find('[data-part=operation]')).includes('25 %'));
  find('[data-verb=cancel]').click();
  assert.deepEqual(deeds, [
    { verb: 'ensure', target: 'ollama' },
    { verb: 'cancel', operation: 'op-7' },
  ]);
});

test('one model is measured, or all', async () => {
  const { all, deeds } = draw(await snapshot('well'));
  for (const found of all('[data-part=timings] button').slice(0, 2)) found.click();
  assert.deepEqual(deeds, [{ verb: 'measure' }, { verb: 'measure', models: ['llama3.2:3b'] }]);
});

test('a running measurement shows how far it is and can be cancelled', async () => {
  const { find, all, deeds } = draw(await snapshot('measuring'));
  const bar = /** @type {HTMLProgressElement} */ (find('[data-part=timings] progress'));
  assert.deepEqual([bar.value, bar.max], [2, 6]);
  assert.ok(text(find('.measuring')).includes('loading deepseek-r1:70b'));
  assert.equal(all('[data-verb=measure]:not([disabled])').length, 0);
  find('[data-verb=cancel_measure]').click();
  assert.deepEqual(deeds, [{ verb: 'cancel_measure' }]);
  assert.ok(
    text(find('[data-timing="uncensored-llama3:latest"]')).includes('did not load within 240 s'),
  );
});

test('the open incident tells its story in order, with its figures', async () => {
  const { find, all } = draw(await snapshot('healing'));
  const lines = all('[data-incident="01JPA7Q"] .story li');
  assert.equal(lines.length, 6);
  assert.equal(
    text(/** @type {Element} */ (lines[0])),
    '13:19:50 seen: 127.0.0.1:11434 refuses connections',
  );
  assert.ok(
    text(find('[data-incident="01JPA7Q"] .why')).includes(
      'Found after 17 s, answering again after 24 s, 1 attempt',
    ),
  );
});

test('a running operation shows its steps; one on another target leads there', async () => {
  const { find, deeds } = draw(await snapshot('healing'));
  assert.ok(text(find('[data-operation="01JPA7R"]')).includes('Ollama.app opened'));
  find('[data-part=running] button').click();
  assert.deepEqual(deeds, [{ turn: 'select', target: 'service:Victoria Agent', enter: true }]);
});

test('a target that waits names the one it waits for', async () => {
  const { find } = draw(await snapshot('healing'), { selected: 'service:Victoria Agent' });
  assert.ok(text(find('.state')).includes('waits for Ollama'));
});

test('why it is so stands with what would change it, and ticks', async () => {
  const drawn = await snapshot('given-up');
  const { find, all, again } = draw(drawn, { selected: 'service:Victoria Agent' });
  const card = text(find('[data-part=why]'));
  assert.ok(card.includes('Restarted once; the next attempt waits.'), card);
  assert.ok(card.includes('Nothing is done: The last attempt failed;'), card);
  assert.doesNotMatch(card, /\bR\d/, 'rules are for the data, not for people');
  assert.equal(all('[data-part=why] .changes li').length, 3);
  const rows = () => all('[data-part=why] dl div').map((row) => [...row.children].map(text));
  assert.deepEqual(rows(), [
    ['Next check', 'in 7 s'],
    ['Next attempt', 'in 44 s'],
  ]);
  const first = find('[data-part=why] dl');
  again({ selected: 'service:Victoria Agent', now: view().now + 5000 });
  assert.deepEqual(rows(), [
    ['Next check', 'in 2 s'],
    ['Next attempt', 'in 39 s'],
  ]);
  assert.equal(find('[data-part=why] dl'), first);
  again({ selected: 'service:Victoria Agent', lost: true });
  assert.equal(all('[data-part=why] dl').length, 0);
});

test('how the next check comes about is said in each language', async () => {
  const look = async (/** @type {string} */ name, /** @type {string} */ selected) =>
    text(draw(await snapshot(name), { selected }).find('[data-part=why] dd'));
  assert.equal(await look('healing', 'ollama'), 'under way');
  assert.equal(
    await look('well', 'container:knowledge_nightly'),
    'when Docker reports, or in 42 s',
  );
  assert.equal(await look('healing', 'service:Victoria Agent'), 'when what it needs works again');
  assert.equal(
    await look('messages', 'container:knowledge_nightly'),
    'по сообщению Docker или через 42 с',
  );
});

test('what the lead says already is not said again', async () => {
  const { find, all } = draw(await snapshot('well'));
  assert.ok(!text(find('[data-part=why]')).includes('It answers every look.'));
  assert.equal(all('[data-part=why] p').length, 0);
  assert.equal(text(find('[data-part=why] h3')), 'What would change it');
});

test('the journal is listed newest first, each incident once, and unfolds', async () => {
  const drawn = await snapshot('healing');
  const recorded = await incidentPage();
  const history = {
    incidents: [...recorded.incidents.toReversed(), .../** @type {any} */ (drawn.incidents)],
    next: 'more',
    state: /** @type {const} */ ('read'),
  };
  const { find, all, deeds, again } = draw(drawn, { history });
  const lines = all('[data-part=incidents] .line');
  assert.equal(lines.length, 1 + recorded.incidents.length);
  assert.ok(text(/** @type {Element} */ (lines[0])).includes('healing'));
  lines[1]?.click();
  find('[data-part=incidents] > button').click();
  assert.deepEqual(deeds, [{ turn: 'open', incident: '01JP91' }, { turn: 'older' }]);
  again({ history, opened: '01JP91' });
  assert.equal(all('[data-part=incidents] .story li').length, 4);
});

test('a story that is not there yet is being read', async () => {
  const drawn = await snapshot('well');
  const [{ story: _, ...listed } = assert.fail()] = (await incidentPage()).incidents;
  const { find } = draw(drawn, { history: { incidents: [listed], next: null, state: 'read' } });
  assert.ok(text(find('article')).includes(words('en').story_reading));
});

test('empty states are sentences', async () => {
  const drawn = await snapshot('unknown-first-start');
  const { find } = draw(drawn);
  assert.equal(text(find('[data-part=models] .empty')), words('en').no_models);
  assert.equal(text(find('[data-part=timings] .empty')), words('en').no_timings);
  assert.equal(text(find('[data-part=memory] .empty')), words('en').memory_unknown);
  assert.equal(text(find('[data-part=incidents] .empty')), words('en').no_incidents);
  const { find: bare } = draw({ ...drawn, targets: [] });
  assert.equal(text(bare('nav .empty')), words('en').nothing_watched);
});

test('the bar of memory shows the shares, and never more than there is', async () => {
  const widths = async (/** @type {string} */ name) =>
    draw(await snapshot(name))
      .all('svg.memory rect')
      .map((rect) => Number(rect.getAttribute('width')));
  assert.deepEqual(await widths('well'), [110.9, 151.6, 62.5, 44.5, 30.5, 154.7]);
  assert.deepEqual(await widths('hostile-names'), [1000, 0, 0]);
});

test('who has grown is told, with its course over six hours', async () => {
  const drawn = await snapshot('well');
  const { all, find } = draw(drawn);
  assert.equal(all('[data-part=memory] svg.course').length, drawn.memory.groups.length);
  const gb = 1024 ** 3;
  const groups = drawn.memory.groups.map((group, index) => ({
    ...group,
    grew_10m_bytes: index === 0 ? 3 * gb : 0,
    grew_6h_bytes: index < 2 ? 9 * gb : null,
    history: index === 0 ? [] : group.history,
  }));
  const grown = draw({ ...drawn, memory: { ...drawn.memory, groups } });
  const rows = grown.all('[data-part=memory] tbody tr').map((row) => text(row));
  assert.ok(rows[0]?.includes('+3.0 GB in 10 min'), rows[0]);
  assert.ok(rows[1]?.includes('+9.0 GB in 6 h'), rows[1]);
  assert.ok(!rows[2]?.includes('+'), rows[2]);
  assert.equal(grown.all('[data-part=memory] svg.course').length, groups.length - 1);
  assert.ok(text(find('[data-part=memory] .why')).includes('the GPU may hold about 96 GB'));
});

test('two servers share one time line, one alone has none', async () => {
  const drawn = await snapshot('well');
  const { all } = draw(drawn);
  const lanes = all('[data-part=work] .lane');
  assert.deepEqual(
    lanes.map((lane) => lane.querySelectorAll('rect').length),
    [60, 60],
  );
  assert.equal(lanes[1]?.querySelectorAll('rect.gap').length, 6);
  assert.equal(lanes[0]?.getAttribute('aria-label')?.startsWith('Ollama worked in '), true);
  const work = drawn.memory.work.slice(0, 1);
  const alone = draw({ ...drawn, memory: { ...drawn.memory, work } });
  assert.equal(alone.all('[data-part=work]').length, 0);
});

test('a pause is one click that stops for an hour', async () => {
  const drawn = await snapshot('well');
  const targets = drawn.targets.map((target) =>
    target.id === 'mlx' ? { ...target, actions: ['restart', 'stop', 'pause', 'hold'] } : target,
  );
  const { all, deeds } = draw({ ...drawn, targets }, { selected: 'mlx' });
  const pause = all('.actions button').find((one) => text(one).includes('Pause for an hour'));
  assert.ok(pause);
  pause.click();
  assert.deepEqual(deeds, [{ verb: 'stop', target: 'mlx', for: '1h' }]);
});

test('a limit that was too low is raised by one click, to the number on the button', async () => {
  const drawn = await snapshot('attention-oom');
  const id = 'container:knowledge_os_orchestrator';
  const offered = (/** @type {string[]} */ actions) =>
    drawn.targets.map((target) =>
      target.id === id
        ? { ...target, actions, detail: { ...target.detail, raise_to_bytes: 3221225472 } }
        : target,
    );
  const { all, deeds } = draw(
    { ...drawn, targets: offered(['restart', 'raise', 'hold']) },
    { selected: id },
  );
  const raise = all('.actions button').find((one) => text(one).includes('Raise memory limit to'));
  assert.ok(raise);
  assert.ok(text(raise).includes('3.0 GB'), text(raise));
  raise.click();
  assert.deepEqual(deeds, [{ verb: 'raise', target: id, to: 3221225472 }]);
  const without = draw({ ...drawn, targets: offered(['restart', 'hold']) }, { selected: id });
  assert.equal(without.all('[data-verb=raise]').length, 0);
});

test('when the engine is gone the last picture stays, and nothing can be asked', async () => {
  const drawn = await snapshot('well');
  const { find, all } = draw(drawn, { lost: true });
  assert.equal(text(find('h1')), 'Homeostat does not answer');
  assert.ok(text(find('[role=alert]')).includes('13:20:48'));
  assert.equal(all('[role=option]').length, drawn.targets.length);
  assert.equal(all('[data-verb]:not([disabled])').length, 0);
});

test('before the first picture there is a sentence', () => {
  assert.ok(text(draw(null).root).includes('Looking around'));
  assert.ok(text(draw(null, { lost: true }).root).includes('homeostat run'));
});

test('without the token nothing can be asked, and the page says how', async () => {
  const { find, all } = draw(await snapshot('well'), { mayAct: false });
  assert.equal(all('[data-verb]:not([disabled])').length, 0);
  assert.ok(text(find('.notes')).includes('homeostat open'));
});

test('a refusal is read out and can be dismissed', async () => {
  const { find, deeds } = draw(await snapshot('well'), { refusal: 'A person holds it.' });
  assert.ok(text(find('[role=alert]')).includes('A person holds it.'));
  find('[role=alert] button').click();
  assert.deepEqual(deeds, [{ turn: 'dismiss' }]);
});

test('a wish that has no answer yet cannot be made again', async () => {
  const { find } = draw(await snapshot('well'), { sent: [JSON.stringify({ verb: 'check' })] });
  assert.ok(find('header [data-verb=check]').hasAttribute('disabled'));
});

test('the switch for the start at login is only there in the app', async () => {
  const drawn = await snapshot('well');
  assert.equal(draw(drawn).all('[role=switch]').length, 0);
  const { find, deeds } = draw(drawn, { autostart: false });
  assert.equal(find('[role=switch]').getAttribute('aria-checked'), 'false');
  find('[role=switch]').click();
  assert.deepEqual(deeds, [{ turn: 'autostart', on: true }]);
});

test('hostile names are text, never elements', async () => {
  const drawn = await snapshot('hostile-names');
  for (const { id } of drawn.targets) {
    const { all } = draw(drawn, { selected: id, opened: '<id>' });
    assert.equal(all('script, img, style, marquee, a, i b, u, k').length, 0);
  }
});

test('the page speaks the language of the snapshot', async () => {
  const { find } = draw(await snapshot('messages'));
  assert.equal(text(find('header [data-verb=check]')), 'Проверить всё');
  assert.equal(text(find('#group-models')), 'Серверы моделей');
});

test('drawing again keeps the rows that are there', async () => {
  const drawn = await snapshot('well');
  const { find, again } = draw(drawn);
  const row = find('[data-id="container:veronica-agent"]');
  again({ selected: 'mlx', now: view().now + 5000 });
  assert.equal(find('[data-id="container:veronica-agent"]'), row);
});

test('details are written for people, and what is empty is left out', async () => {
  const drawn = await snapshot('well');
  const [target = assert.fail()] = drawn.targets;
  const detail = {
    heal: 'observe',
    pinned: [],
    version: null,
    models: [{ name: 'llama3.2:3b', size_bytes: 1 }, 'b'],
    memory_limit_bytes: 0,
    memory_bytes: 1024 ** 3,
    latency_ms: 12,
    started: '2026-03-08T13:20:00Z',
    critical: true,
    of_tomorrow: 'x',
  };
  const { all } = draw({ ...drawn, targets: [{ ...target, detail }] });
  assert.deepEqual(
    all('[data-part=details] dl div').map((row) => [...row.children].map(text).join(': ')),
    [
      'Healing: only watches',
      'Models: llama3.2:3b, b',
      'Memory limit: none',
      'Memory: 1.0 GB',
      'Answers in: 12 ms',
      'Started: 8 Mar, 13:20',
      'Critical: yes',
      'of tomorrow: x',
    ],
  );
});

test('other healers are named, and ended only by a second click', async () => {
  const drawn = await snapshot('well');
  assert.equal(draw(drawn).all('[data-part=takeover]').length, 0, 'nobody else heals');
  const others = ['host_recovery_listener.py (pid 7)'];
  const takeover = { text: 'Other programs heal here.', others, can: ['take_over'] };
  const { find, deeds } = draw({ ...drawn, takeover });
  assert.ok(text(find('[data-part=takeover]')).includes(others[0] ?? ''));
  find('[data-verb=take_over]').click();
  assert.deepEqual(deeds, [{ turn: 'ask', wish: { verb: 'take_over' } }]);
  const back = draw({ ...drawn, takeover: { text: 'Taken.', others: [], can: ['give_back'] } });
  back.find('[data-verb=give_back]').click();
  assert.deepEqual(back.deeds, [{ verb: 'give_back' }]);
});

/** @param {Partial<View['audit']>} [changes] @returns {Promise<Partial<View>>} */
const audited = async (changes) => ({
  audit: {
    open: true,
    state: 'read',
    found: await auditFound(),
    reason: '',
    copied: null,
    ...changes,
  },
});

test('the audit is one closed line until it is opened', async () => {
  const { all, find, deeds } = draw(await snapshot('well'));
  assert.equal(find('[data-part=audit] [aria-expanded]').getAttribute('aria-expanded'), 'false');
  assert.equal(all('[data-part=audit] li').length, 0);
  assert.equal(text(find('[data-part=audit] .outcome')), '');
  find('[data-part=audit] [aria-expanded]').click();
  assert.deepEqual(deeds, [{ turn: 'audit', open: true }]);
});

test('findings stand by file, the file with an error first, each with its reason and lines', async () => {
  const { all, find, root } = draw(await snapshot('well'), await audited());
  const { findings } = await auditFound();
  assert.deepEqual(all('[data-part=audit] h4').map(text), [
    '/Users/ann/knowledge_os/docker-compose.yml',
    'This machine, and containers without a file',
    '/Users/ann/knowledge_os/agents.env',
  ]);
  assert.equal(all('[data-finding]').length, findings.length);
  const whole = text(root);
  for (const { text: said, why, fix } of findings) {
    assert.ok(whole.includes(said) && whole.includes(why), said);
    if (fix !== null) assert.ok(whole.includes(fix.place), fix.place);
  }
  // The spaces before a line are part of it.
  const [limit] = all('[data-finding=memory_limit_missing] pre');
  assert.equal(limit?.textContent, '    mem_limit: 2g');
  assert.ok(text(find('[data-finding=port_clash]')).startsWith('Error: page and agent'));
  assert.ok(text(find('[data-finding=port_clash] .finding')).endsWith('line 21'));
  assert.equal(all('[data-finding=autostart_missing] pre').length, 0);
  assert.equal(text(find('[data-part=audit] .outcome')), '1 error, 3 warnings, 1 note');
  const shapes = ['port_clash', 'elk_on', 'webhook_missing'].map(
    (id) => find(`[data-finding=${id}] svg`).innerHTML,
  );
  assert.equal(new Set(shapes).size, 3, 'colour is never the only sign');
});

test('the lines are copied as they are, and the button says that they were', async () => {
  const { find, deeds, again } = draw(await snapshot('well'), await audited());
  const copy = '[data-finding=memory_limit_missing] [data-turn=copy]';
  assert.equal(find(copy).getAttribute('aria-label'), 'Copy the lines. agent has no memory limit.');
  find(copy).click();
  const [{ turn, text: lines, key } = assert.fail()] = deeds;
  assert.deepEqual([turn, lines], ['copy', '    mem_limit: 2g']);
  again(await audited({ copied: key }));
  assert.equal(text(find(copy)), 'Copied');
  assert.equal(text(find('[data-finding=port_clash] [data-turn=copy]')), 'Copy');
});

test('when the audit was made is said, and it can be made again', async () => {
  const drawn = await snapshot('well');
  const { find, deeds, again } = draw(drawn, await audited());
  const status = () => text(find('[data-part=audit] [role=status]'));
  assert.equal(status(), 'Checked at 13:18. Compose files: 1, containers: 9.');
  find('[data-turn=audit_again]').click();
  assert.deepEqual(deeds, [{ turn: 'audit_again' }]);
  again(await audited({ state: 'reading' }));
  assert.ok(find('[data-turn=audit_again]').hasAttribute('disabled'));
  assert.equal(status(), words('en').audit_reading);
  assert.ok(find('[data-finding=port_clash]'), 'what was found last stays meanwhile');
  const found = { ...(await auditFound()), containers: null };
  again(await audited({ found }));
  assert.equal(status(), 'Checked at 13:18. Docker did not answer: containers were not looked at.');
});

test('an audit that finds nothing, or fails, is a sentence', async () => {
  const drawn = await snapshot('well');
  const found = { ...(await auditFound()), ok: true, findings: [] };
  const clean = draw(drawn, await audited({ found }));
  assert.equal(text(clean.find('[data-part=audit] .empty')), words('en').audit_clean);
  assert.equal(text(clean.find('[data-part=audit] .outcome')), 'nothing found');
  const reason = 'an audit is under way already';
  const failed = draw(drawn, await audited({ state: 'failed', found: null, reason }));
  assert.equal(
    text(failed.find('[data-part=audit] .empty')),
    `${words('en').audit_failed} ${reason}`,
  );
  assert.ok(!failed.find('[data-turn=audit_again]').hasAttribute('disabled'));
});

test('hostile findings are text, and the audit speaks the language of the snapshot', async () => {
  const found = await auditFound();
  const [finding = assert.fail()] = found.findings;
  const evil = { ...finding, file: '<script>x</script>', text: '<img src=x>', why: '<b>u</b>' };
  const { all, find } = draw(
    await snapshot('messages'),
    await audited({ found: { ...found, findings: [evil] } }),
  );
  assert.equal(all('script, img').length, 0);
  assert.equal(text(find('[data-part=audit] .outcome')), '1 предупреждение');
  assert.equal(text(find('[data-turn=audit_again]')), 'Проверить снова');
});
