import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fields } from '../http/fields.ts';
import { deltaMillis, noDirectives, requestDirectives, responseDirectives } from './directives.ts';

const lines = (...values: string[]) => responseDirectives(new Fields(values.flatMap((v) => ['cache-control', v])));
const asked = (value: string) => requestDirectives(Fields.of({ 'cache-control': value }));

describe('max-age', () => {
  test.each([
    ['max-age=60', 60_000],
    ['MaX-aGe=60', 60_000],
    ['max-age=0060', 60_000],
    ['max-age="60"', 60_000],
    ['foobar, max-age=60', 60_000],
    ['max-age=2147483648', 2 ** 31 * 1000],
    ['max-age=99999999999999999999', 2 ** 31 * 1000],
    ['max-age=100, max-age=1', 100_000],
    ['max-age=-1', 0],
    ['max-age=1.5', 0],
    ['max-age=abc', 0],
    ['max-age=60a', 0],
    ['max-age=', 0],
    ['max-age', 0],
    ['max-age =60', 0],
    ['max-age= 60', 0],
    ["max-age='60'", 0],
    ['max-age=60; no-store', 0],
    ['max-age=abc, max-age=60', 0],
    ['ext="max-age=3600", max-age=1', 1_000],
    ['max-age=1, ext="max-age=3600"', 1_000],
    ['ext="a\\", max-age=3600", max-age=1', 1_000],
    ['public', undefined],
  ])('%s', (value, millis) => {
    expect(lines(value).maxAgeMillis).toBe(millis);
  });
});

describe('what restricts', () => {
  test('counts on any of several lines', () => {
    expect(lines('max-age=60', 'no-store').noStore).toBe(true);
    expect(lines('no-store', 'max-age=60').noStore).toBe(true);
    expect(lines('public', 'max-age=60', 'No-StOrE', 'immutable').noStore).toBe(true);
  });

  test('counts with junk behind it', () => {
    expect(lines('no-store;x').noStore).toBe(true);
    expect(lines('private=foo').private).toBe(true);
    expect(lines('no-cache foo').noCache).toBe(true);
    expect(lines('private=""').private).toBe(true);
    expect(lines('private=aX-A"')).toMatchObject({ private: true, omittedFields: [] });
    expect(lines('private="X-A"x')).toMatchObject({ private: true, omittedFields: [] });
    expect(lines('private="a b"').private).toBe(true);
  });

  test('does not count inside a quoted string', () => {
    expect(lines('ext="no-store, private", max-age=60')).toMatchObject({ noStore: false, private: false });
  });

  test('can not hide behind a quote that never closes', () => {
    expect(lines('private="x, no-store')).toMatchObject({ private: true, noStore: true });
  });
});

test('qualified no-cache and private name fields, from all occurrences, and do not restrict the rest', () => {
  const said = lines('max-age=60, private="X-A"', 'private="X-C, x-d", no-cache="Set-Cookie"');
  expect(said.omittedFields).toEqual(['x-a', 'x-c', 'x-d', 'set-cookie']);
  expect(said).toMatchObject({ private: false, noCache: false });
  expect(lines('private="X-A", private')).toMatchObject({ private: true, omittedFields: ['x-a'] });
});

test('what is not said is not read', () => {
  expect(lines('foo, bar=1')).toEqual(noDirectives());
  expect(Object.values(lines('foo')).filter((value) => value === true)).toEqual([]);
});

test('every other directive is read', () => {
  expect(
    lines('public, must-revalidate, proxy-revalidate, must-understand, no-transform, immutable, s-maxage=1'),
  ).toMatchObject({
    public: true,
    mustRevalidate: true,
    proxyRevalidate: true,
    mustUnderstand: true,
    noTransform: true,
    immutable: true,
    sharedMaxAgeMillis: 1_000,
  });
  expect(lines('stale-while-revalidate=5, stale-if-error=6')).toMatchObject({
    staleWhileRevalidateMillis: 5_000,
    staleIfErrorMillis: 6_000,
  });
  expect(lines('stale-while-revalidate=x').staleWhileRevalidateMillis).toBeUndefined();
});

describe('requestDirectives', () => {
  test('none without Cache-Control', () => {
    expect(requestDirectives(Fields.of({ pragma: 'no-cache' }))).toBeUndefined();
  });

  test('reads each of them', () => {
    expect(asked('no-cache, no-store, only-if-cached, max-age=1, max-stale=2, min-fresh=3, stale-if-error=4')).toEqual({
      noCache: true,
      noStore: true,
      onlyIfCached: true,
      maxAgeMillis: 1_000,
      maxStaleMillis: 2_000,
      minFreshMillis: 3_000,
      staleIfErrorMillis: 4_000,
    });
  });

  test('a bare max-stale has no bound, a malformed one allows nothing', () => {
    expect(asked('max-stale')?.maxStaleMillis).toBe(Number.POSITIVE_INFINITY);
    expect(asked('max-stale=x')?.maxStaleMillis).toBeUndefined();
  });
});

test('no text makes the reader throw, loop or lose a no-store at the end', () => {
  const piece = fc.constantFrom('"', '\\', ',', '=', ' ', 'max-age', 'no-store', 'private', '1', ';', 'é');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const text = pieces.join('');
      const said = lines(text);
      for (const millis of [said.maxAgeMillis, said.sharedMaxAgeMillis])
        if (millis !== undefined) expect(millis).toBeGreaterThanOrEqual(0);
      expect(lines(text, 'max-age=1').noStore || !/^no-store$/.test(text)).toBe(true);
      if (!text.includes('"')) expect(lines(`${text}, no-store`).noStore).toBe(true);
    }),
  );
});

test('a hostile value of 16 KiB is read in time that grows with its length only', () => {
  const started = performance.now();
  lines('"\\'.repeat(8_192));
  lines('"a\\"'.repeat(4_096));
  expect(performance.now() - started).toBeLessThan(200);
});

test('deltaMillis takes digits only', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 80n }), (seconds) => {
      expect(deltaMillis(String(seconds))).toBe(Math.min(Number(seconds), 2 ** 31) * 1000);
      expect(deltaMillis(`-${seconds}`)).toBeUndefined();
      expect(deltaMillis(`${seconds}.0`)).toBeUndefined();
    }),
  );
});
