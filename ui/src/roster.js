// Which targets there are, in which order, and which of them needs eyes first.

/** @typedef {import('../types').Snapshot} Snapshot @typedef {import('../types').Target} Target */

/** @typedef {Target['state'] | 'held' | 'completed' | 'missing'} Mark */

/** @typedef {'models' | 'containers' | 'services' | 'machine'} Group */

/**
 * What is drawn for a target: what a person decided counts more than what was seen.
 * @param {Target} target @returns {Mark}
 */
export const mark = (target) => {
  if (!target.found) return 'missing';
  if (target.intent === 'held') return 'held';
  if (target.intent === 'completed') return 'completed';
  return target.state;
};

/**
 * The targets in the order of the list: by group, what was not found last.
 * @param {Snapshot} snapshot @returns {{ group: Group, targets: Target[] }[]}
 */
export const groups = (snapshot) =>
  ORDER.map((group) => {
    const members = snapshot.targets.filter((target) => groupOf(target) === group);
    const found = members.filter((target) => target.found);
    const missing = members.filter((target) => !target.found);
    return { group, targets: [...found, ...missing] };
  }).filter(({ targets }) => targets.length > 0);

/**
 * The target to show on the right: the one asked for, else the most urgent.
 * @param {Snapshot} snapshot @param {string | null} asked @returns {Target | null}
 */
export const selected = (snapshot, asked) =>
  snapshot.targets.find((target) => target.id === asked) ?? mostUrgent(snapshot);

/** @param {Snapshot} snapshot @returns {Target | null} */
export const mostUrgent = (snapshot) => {
  const listed = groups(snapshot).flatMap(({ targets }) => targets);
  const rank = (/** @type {Target} */ target) => URGENCY.indexOf(mark(target));
  return listed.reduce(
    (worst, target) => (worst === null || rank(target) < rank(worst) ? target : worst),
    /** @type {Target | null} */ (null),
  );
};

/** @param {Target} target */
export const isUnwell = (target) => URGENCY.indexOf(mark(target)) < URGENCY.indexOf('starting');

/** @param {Snapshot} snapshot @param {string} id */
export const nameOf = (snapshot, id) =>
  snapshot.targets.find((target) => target.id === id)?.name ??
  id.replace(/^(container|service):/, '');

/** @type {Group[]} */
const ORDER = ['models', 'containers', 'services', 'machine'];

/** @type {Mark[]} */
const URGENCY = [
  'given_up',
  'down',
  'recovering',
  'degraded',
  'slow',
  'starting',
  'unknown',
  'healthy',
  'held',
  'completed',
  'missing',
];

/** @param {Target} target @returns {Group} */
const groupOf = ({ kind }) => {
  if (kind === 'ollama' || kind === 'mlx') return 'models';
  if (kind === 'docker' || kind === 'container') return 'containers';
  if (kind === 'service') return 'services';
  return 'machine';
};
