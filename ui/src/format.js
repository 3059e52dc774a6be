// How numbers, spans and times are written. Each takes the words, since they differ by language.

/** @typedef {typeof import('./words.js').en} Words */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What stands where a value is not known. */
export const NONE = '–';

/**
 * A span in its largest unit only, so that it stays narrow: `41 s`, `12 min`, `5 h`, `6 d`.
 * @param {number} millis @param {Words} words
 */
export const span = (millis, words) => {
  const { units } = words;
  if (!Number.isFinite(millis)) return NONE;
  const lasting = Math.max(0, millis);
  if (lasting < MINUTE) return `${Math.floor(lasting / SECOND)} ${units.s}`;
  if (lasting < HOUR) return `${Math.floor(lasting / MINUTE)} ${units.min}`;
  if (lasting < 2 * DAY) return `${Math.floor(lasting / HOUR)} ${units.h}`;
  return `${Math.floor(lasting / DAY)} ${units.d}`;
};

/**
 * A measured span with the precision worth telling: `180 ms`, `1.2 s`, `85 s`, `12 min`.
 * @param {number | null | undefined} millis @param {Words} words
 */
export const measured = (millis, words) => {
  if (millis == null || !Number.isFinite(millis)) return NONE;
  if (millis < SECOND) return `${Math.round(millis)} ${words.units.ms}`;
  if (millis < 10 * SECOND) return `${number(millis / SECOND, 1, words)} ${words.units.s}`;
  if (millis < 2 * MINUTE) return `${Math.round(millis / SECOND)} ${words.units.s}`;
  return span(millis, words);
};

/**
 * Memory in powers of 1024, as Activity Monitor writes it: `3.1 GB`.
 * @param {number | null | undefined} bytes @param {Words} words
 */
export const size = (bytes, words) => {
  if (bytes == null || !Number.isFinite(bytes)) return NONE;
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < words.units.bytes.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${number(value, unit > 0 && value < 10 ? 1 : 0, words)} ${words.units.bytes[unit]}`;
};

/** @param {number} value @param {number} digits @param {Words} words */
export const number = (value, digits, words) => numbers(words.language, digits).format(value);

/**
 * Seconds are shown, since the order of events is what a story tells.
 * @param {string} at RFC 3339 @param {Words} words
 */
export const clock = (at, words) => written(at, words.language, CLOCK);

/**
 * The hour alone for what happened today, the day too for what is older.
 * @param {string} at RFC 3339 @param {number} now @param {Words} words
 */
export const day = (at, now, words) => {
  const time = new Date(at);
  const today = time.toDateString() === new Date(now).toDateString();
  return written(at, words.language, today ? HOUR_ONLY : DAY_AND_HOUR);
};

/** Day and hour. @param {string} at RFC 3339 @param {Words} words */
export const moment = (at, words) => written(at, words.language, DAY_AND_HOUR);

/** @param {string} at @param {number} now */
export const since = (at, now) => now - Date.parse(at);

/** @type {Intl.DateTimeFormatOptions} */
const HOUR_ONLY = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
/** @type {Intl.DateTimeFormatOptions} */
const CLOCK = { ...HOUR_ONLY, second: '2-digit' };
/** @type {Intl.DateTimeFormatOptions} */
const DAY_AND_HOUR = { ...HOUR_ONLY, day: 'numeric', month: 'short' };

/** @param {string} at @param {string} language @param {Intl.DateTimeFormatOptions} style */
const written = (at, language, style) => {
  const time = Date.parse(at);
  return Number.isNaN(time) ? NONE : times(language, style).format(time);
};

// Building a formatter costs more than using it a hundred times.
/** @template T @param {(language: string, style: any) => T} build */
const kept = (build) => {
  /** @type {Map<string, T>} */
  const built = new Map();
  return (/** @type {string} */ language, /** @type {any} */ style) => {
    const key = language + JSON.stringify(style);
    const known = built.get(key) ?? build(language, style);
    built.set(key, known);
    return known;
  };
};

const times = kept(
  (language, style) => new Intl.DateTimeFormat(language === 'en' ? 'en-GB' : language, style),
);
const numbers = kept(
  (language, digits) =>
    new Intl.NumberFormat(language, {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    }),
);
