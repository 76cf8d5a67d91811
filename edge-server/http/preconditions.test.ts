import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatHttpDate } from './dates.ts';
import { Fields } from './fields.ts';
import { entityTag, preconditions, type Representation, rangeApplies } from './preconditions.ts';

const DATE = Date.UTC(2026, 6, 1);
const MODIFIED = DATE - 3_600_000;
const at = (seconds: number) => formatHttpDate(MODIFIED + seconds * 1000);

const representation = (over: Partial<Representation> = {}): Representation => ({
  status: 200,
  etag: '"v1"',
  lastModifiedMillis: MODIFIED,
  dateMillis: DATE,
  ...over,
});
const asked = (fields: Record<string, string>, over: Partial<Representation> = {}) =>
  preconditions(Fields.of(fields), representation(over)).kind;

describe('If-None-Match', () => {
  test.each([
    ['the same tag', '"v1"', 'not-modified'],
    ['the tag as weak', 'W/"v1"', 'not-modified'],
    ['a list that holds it', '"z", "v1" , "y"', 'not-modified'],
    ['a star', '*', 'not-modified'],
    ['another tag', '"v2"', 'proceed'],
    ['an unterminated tag', '"v1', 'proceed'],
    ['an unquoted tag', 'v1', 'proceed'],
    ['nothing', '', 'proceed'],
  ])('%s', (_, value, outcome) => {
    expect(asked({ 'if-none-match': value })).toBe(outcome);
  });

  test('a comma inside a tag is part of the tag, and the comparison is weak', () => {
    expect(asked({ 'if-none-match': '"z", "a,b"' }, { etag: 'W/"a,b"' })).toBe('not-modified');
    expect(asked({ 'if-none-match': '"a' }, { etag: 'W/"a,b"' })).toBe('proceed');
  });

  test('an unquoted ETag of the origin matches only itself', () => {
    expect(asked({ 'if-none-match': 'v1' }, { etag: 'v1' })).toBe('not-modified');
    expect(asked({ 'if-none-match': '"v1"' }, { etag: 'v1' })).toBe('proceed');
  });

  test('takes precedence over If-Modified-Since, both ways', () => {
    expect(asked({ 'if-none-match': '"v2"', 'if-modified-since': at(60) })).toBe('proceed');
    expect(asked({ 'if-none-match': '"v1"', 'if-modified-since': at(-60) })).toBe('not-modified');
  });
});

describe('If-Modified-Since', () => {
  test.each([
    ['the same date', at(0), 'not-modified'],
    ['a later date', at(60), 'not-modified'],
    ['an earlier date', at(-60), 'proceed'],
    ['no date', 'yesterday', 'proceed'],
  ])('%s', (_, value, outcome) => {
    expect(asked({ 'if-modified-since': value })).toBe(outcome);
  });

  test('reads the obsolete date formats', () => {
    const rfc850 = new Date(MODIFIED).toUTCString().replace(/^\w+, (\d\d) (\w+) \d\d(\d\d)/, 'Tuesday, $1-$2-$3');
    expect(asked({ 'if-modified-since': rfc850 })).toBe('not-modified');
  });

  test('without Last-Modified the Date of the response stands in', () => {
    const none = { lastModifiedMillis: undefined };
    expect(asked({ 'if-modified-since': formatHttpDate(DATE) }, none)).toBe('not-modified');
    expect(asked({ 'if-modified-since': formatHttpDate(DATE - 1000) }, none)).toBe('proceed');
  });
});

describe('If-Match and If-Unmodified-Since', () => {
  test.each([
    ['If-Match with the tag', { 'if-match': '"v1"' }, 'proceed'],
    ['If-Match with a star', { 'if-match': '*' }, 'proceed'],
    ['If-Match with another tag', { 'if-match': '"v2"' }, 'failed'],
    ['If-Match with the tag as weak', { 'if-match': 'W/"v1"' }, 'failed'],
    ['If-Unmodified-Since at its date', { 'if-unmodified-since': at(0) }, 'proceed'],
    ['If-Unmodified-Since before it', { 'if-unmodified-since': at(-1) }, 'failed'],
    ['a malformed If-Unmodified-Since', { 'if-unmodified-since': 'x' }, 'proceed'],
    ['If-Match decides before If-Unmodified-Since', { 'if-match': '"v1"', 'if-unmodified-since': at(-1) }, 'proceed'],
    ['If-Match fails before If-None-Match is read', { 'if-match': '"v2"', 'if-none-match': '"v1"' }, 'failed'],
    ['both hold', { 'if-match': '"v1"', 'if-none-match': '"v1"' }, 'not-modified'],
  ])('%s', (_, fields, outcome) => {
    expect(asked(fields as unknown as Record<string, string>)).toBe(outcome);
  });

  test('a weak stored tag never satisfies If-Match', () => {
    expect(asked({ 'if-match': 'W/"v1"' }, { etag: 'W/"v1"' })).toBe('failed');
  });
});

test('a stored response other than 2xx is sent whatever the conditions', () => {
  expect(asked({ 'if-none-match': '*' }, { status: 404 })).toBe('proceed');
  expect(asked({ 'if-match': '"v2"' }, { status: 301 })).toBe('proceed');
});

describe('rangeApplies (If-Range)', () => {
  test.each([
    ['the strong tag', '"v1"', {}, true],
    ['another tag', '"v2"', {}, false],
    ['the tag as weak', 'W/"v1"', {}, false],
    ['a weak tag against the same weak tag', 'W/"v1"', { etag: 'W/"v1"' }, false],
    ['exactly Last-Modified', at(0), {}, true],
    ['an older date', at(-1), {}, false],
    ['a newer date', at(1), {}, false],
    ['Last-Modified less than a minute before Date', at(0), { dateMillis: MODIFIED + 59_000 }, false],
    ['Last-Modified a minute before Date', at(0), { dateMillis: MODIFIED + 60_000 }, true],
    ['a date without Last-Modified', at(0), { lastModifiedMillis: undefined }, false],
    ['a tag without ETag', '"v1"', { etag: undefined }, false],
    ['junk', 'v1', {}, false],
    ['an unterminated tag', '"v1', { etag: '"v1' }, false],
  ])('%s', (_, value, over, applies) => {
    expect(rangeApplies(value as string, representation(over as Partial<Representation>))).toBe(applies);
  });

  test('without If-Range the range applies', () => {
    expect(rangeApplies(undefined, representation())).toBe(true);
  });
});

test('a tag is found in any list that holds it, at any place', () => {
  const tag = fc.string({ unit: fc.constantFrom('a', 'b', ',', ' ', '/', '!') }).map((text) => `"${text}"`);
  fc.assert(
    fc.property(fc.array(tag), tag, fc.array(tag), (before, own, after) => {
      expect(entityTag(own)).toBe(true);
      const list = [...before, own, ...after].join(', ');
      expect(asked({ 'if-none-match': list }, { etag: own })).toBe('not-modified');
      const without = [...before, ...after].filter((other) => other !== own);
      if (without.length > 0) expect(asked({ 'if-none-match': without.join(',') }, { etag: own })).toBe('proceed');
    }),
  );
});

test('no text in a condition throws, and none gives a 304 where If-Match has failed', () => {
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom('"a"', 'W/"a"', '*', '"a', '"a", "b"', ',', 'Sun, 06 Nov 1994 08:49:37 GMT', '0'),
  ); // prettier-ignore
  const names = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'] as const;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...names), value), { maxLength: 5 }),
      value,
      (conditions, ifRange) => {
        const fields = new Fields(conditions.flat());
        const held = { status: 200, etag: '"a"', lastModifiedMillis: 784_111_777_000, dateMillis: 1_700_000_000_000 };
        const { kind } = preconditions(fields, held);
        const ifMatch = new Fields([
          ...fields.flat.flatMap((one, i) => (one === 'if-match' ? [one, fields.flat[i + 1]!] : [])),
        ]);
        if (preconditions(ifMatch, held).kind === 'failed') expect(kind).toBe('failed');
        rangeApplies(ifRange, held);
      },
    ),
    { numRuns: 1000 },
  );
});
