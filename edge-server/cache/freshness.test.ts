import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { freshnessOf, initialAge, type ReceivedResponse } from './freshness.ts';
import { type CachePolicy, cachePolicy, RFC_POLICY, SAFE_POLICY } from './policy.ts';
import { NOW, received } from './sample-responses.ts';
import { effectiveDirectives } from './targeted.ts';

const DAY = 86_400_000;
const of = (response: ReceivedResponse, policy: CachePolicy = SAFE_POLICY) =>
  freshnessOf(response, effectiveDirectives(response.fields, policy.surrogateControl), policy);
type Entry = [string, string | number];
const life = (entries: Entry[], status = 200, policy: CachePolicy = SAFE_POLICY) => {
  const { lifetimeMillis, from } = of(received(status, ...entries), policy);
  return [lifetimeMillis, from];
};

describe('the freshness lifetime', () => {
  test.each<[string, Entry[], [number, string]]>([
    ['s-maxage before max-age', [['cache-control', 'max-age=1, s-maxage=60']], [60_000, 's-maxage']],
    [
      'max-age before Expires',
      [
        ['expires', -60],
        ['cache-control', 'max-age=60'],
        ['date', 0],
      ],
      [60_000, 'max-age'],
    ],
    [
      'max-age before a malformed Expires',
      [
        ['expires', '0'],
        ['cache-control', 'max-age=60'],
      ],
      [60_000, 'max-age'],
    ],
    [
      'Expires minus Date',
      [
        ['date', -10],
        ['expires', 20],
      ],
      [30_000, 'expires'],
    ],
    ['Expires without Date, from receipt', [['expires', 20]], [20_000, 'expires']],
    [
      'Expires with a malformed Date, from receipt',
      [
        ['date', 'foo'],
        ['expires', 20],
      ],
      [20_000, 'expires'],
    ],
    [
      'Expires before Date',
      [
        ['date', 400],
        ['expires', 300],
      ],
      [0, 'expires'],
    ],
    [
      'Expires: 0',
      [
        ['expires', '0'],
        ['last-modified', -864_000],
      ],
      [0, 'expires'],
    ],
    [
      'Expires: -1',
      [
        ['expires', '-1'],
        ['last-modified', -864_000],
      ],
      [0, 'expires'],
    ],
    [
      'two Expires',
      [
        ['expires', 60],
        ['expires', 70],
      ],
      [0, 'expires'],
    ],
    [
      'the targeted field before all',
      [
        ['cdn-cache-control', 'max-age=60'],
        ['cache-control', 'no-store, s-maxage=1'],
        ['expires', -60],
      ],
      [60_000, 'cdn-cache-control'],
    ],
    [
      'a targeted max-age of 0 before a future Expires',
      [
        ['cdn-cache-control', 'max-age=0'],
        ['expires', 60],
      ],
      [0, 'cdn-cache-control'],
    ],
    [
      'a tenth of its age by heuristics',
      [
        ['date', 0],
        ['last-modified', -1000],
      ],
      [100_000, 'heuristic'],
    ],
    [
      'heuristics are capped at a day',
      [
        ['date', 0],
        ['last-modified', -8_640_000],
      ],
      [DAY, 'heuristic'],
    ],
    ['nothing said', [], [0, 'none']],
    [
      'no-cache alone',
      [
        ['cache-control', 'no-cache'],
        ['last-modified', -1000],
      ],
      [0, 'none'],
    ],
  ])('%s', (_, entries, expected) => {
    expect(life(entries)).toEqual(expected);
  });

  test.each([200, 203, 204, 300, 301, 308, 404, 405, 410, 501])('heuristics apply to %d', (status) => {
    expect(life([['last-modified', -1000]], status)).toEqual([100_000, 'heuristic']);
  });

  test.each([201, 202, 302, 303, 307, 400, 403, 418, 500, 502, 503, 504, 599])('but not to %d', (status) => {
    expect(life([['last-modified', -1000]], status)).toEqual([0, 'none']);
    expect(
      life(
        [
          ['last-modified', -1000],
          ['cache-control', 'public'],
        ],
        status,
      )[1],
    ).toBe('heuristic');
  });

  test('what is not there is remembered for 5 s, unless the origin says something', () => {
    expect(life([], 404)).toEqual([5_000, 'negative']);
    expect(life([['expires', -5]], 404)).toEqual([0, 'expires']);
    expect(life([], 503)).toEqual([0, 'none']);
    expect(life([], 403)).toEqual([0, 'none']);
  });

  test('the default lifetime is for what says nothing: it never beats no-cache, and is not for errors', () => {
    const policy = cachePolicy('safe', { defaultTtlMillis: 1_000_000 });
    expect(life([], 200, policy)).toEqual([1_000_000, 'default']);
    expect(life([['cache-control', 'no-cache']], 200, policy)).toEqual([0, 'none']);
    expect(life([['cache-control', 'max-age=0']], 200, policy)).toEqual([0, 'max-age']);
    expect(life([], 404, policy)).toEqual([5_000, 'negative']);
    expect(life([], 500, policy)).toEqual([0, 'none']);
  });

  test('the service’s bounds hold, but never turn a lifetime of 0 into one', () => {
    const policy = cachePolicy('safe', { minTtlMillis: 10_000, maxTtlMillis: 20_000 });
    expect(life([['cache-control', 'max-age=1']], 200, policy)).toEqual([10_000, 'override']);
    expect(life([['cache-control', 'max-age=60']], 200, policy)).toEqual([20_000, 'override']);
    expect(life([['cache-control', 'max-age=15']], 200, policy)).toEqual([15_000, 'max-age']);
    expect(life([['cache-control', 'max-age=0']], 200, policy)).toEqual([0, 'max-age']);
    expect(life([['cache-control', 'max-age=1']], 503, policy)).toEqual([1_000, 'max-age']);
  });

  test('an error of one request is kept for a minute at most, where it is kept at all', () => {
    expect(life([['last-modified', -10_000]], 414, RFC_POLICY)).toEqual([60_000, 'heuristic']);
    expect(life([['cache-control', 'max-age=100000']], 400, RFC_POLICY)).toEqual([60_000, 'max-age']);
  });
});

describe('staleness', () => {
  const said = (value: string, policy: CachePolicy = SAFE_POLICY, status = 200) =>
    of(received(status, ['cache-control', value]), policy);

  test('takes the origin’s windows', () => {
    expect(said('max-age=1, stale-while-revalidate=2, stale-if-error=3')).toMatchObject({
      staleWhileRevalidateMillis: 2_000,
      staleIfErrorMillis: 3_000,
      staleForbidden: false,
    });
  });

  test.each(['must-revalidate', 'proxy-revalidate', 's-maxage=1', 'no-cache'])('%s allows none', (directive) => {
    expect(said(`max-age=1, ${directive}`)).toMatchObject({ staleWhileRevalidateMillis: 0, staleIfErrorMillis: 0 });
  });

  test('must-revalidate beats the windows written beside it', () => {
    expect(said('max-age=1, must-revalidate, stale-if-error=60')).toMatchObject({
      staleIfErrorMillis: 0,
      staleForbidden: true,
    });
  });

  test('s-maxage beside a window allows it in the safe profile and forbids it by the letter of the RFC', () => {
    const value = 's-maxage=1, stale-while-revalidate=60';
    expect(said(value, SAFE_POLICY)).toMatchObject({ staleForbidden: false, staleWhileRevalidateMillis: 60_000 });
    expect(said(value, RFC_POLICY)).toMatchObject({ staleForbidden: true, staleWhileRevalidateMillis: 0 });
  });

  test('the policy’s grace is for what is not an error, and gives way to a window of 0', () => {
    const policy = cachePolicy('safe', { staleIfErrorMillis: 5, staleWhileRevalidateMillis: 6 });
    expect(said('max-age=1', policy)).toMatchObject({ staleIfErrorMillis: 5, staleWhileRevalidateMillis: 6 });
    expect(said('max-age=1, stale-if-error=0', policy)).toMatchObject({ staleIfErrorMillis: 0 });
    expect(said('max-age=1', policy, 503)).toMatchObject({ staleIfErrorMillis: 0, staleWhileRevalidateMillis: 0 });
    expect(said('max-age=1', policy, 404)).toMatchObject({ staleIfErrorMillis: 0 });
  });
});

describe('the initial age', () => {
  const age = (entries: Entry[], delay = 0) => initialAge({ ...received(200, ...entries), requestMillis: NOW - delay });

  test.each<[string, Entry[], number]>([
    [
      'the Age field',
      [
        ['date', 0],
        ['age', '59'],
      ],
      59_000,
    ],
    [
      'apparent age when it is greater',
      [
        ['date', -100],
        ['age', '59'],
      ],
      100_000,
    ],
    [
      'a Date in the future is now',
      [
        ['date', 100],
        ['age', '5'],
      ],
      5_000,
    ],
    ['no Date', [], 0],
    ['a malformed Date', [['date', 'Sat, 01 Oct 2022 7:19:16 GMT']], 0],
    [
      'the first of several Ages',
      [
        ['date', 0],
        ['age', '7200, 0'],
      ],
      7_200_000,
    ],
    [
      'the first line of several',
      [
        ['age', '0'],
        ['age', '7200'],
      ],
      0,
    ],
    ['words', [['age', 'abc']], 0],
    ['a negative', [['age', '-7200']], 0],
    ['a fraction', [['age', '7200.0']], 0],
    ['beyond 2^31', [['age', '99999999999']], 2 ** 31 * 1000],
  ])('%s', (_, entries, millis) => {
    expect(age(entries)).toBe(millis);
  });

  test('the time on the way counts on top of Age', () => {
    expect(
      age(
        [
          ['date', 0],
          ['age', '10'],
        ],
        3_000,
      ),
    ).toBe(13_000);
    expect(age([], 3_000)).toBe(3_000);
  });

  test('a clock that was set back meanwhile gives no negative age', () => {
    expect(age([], -5_000)).toBe(0);
  });

  test('is finite and never negative, whatever the fields say', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.integer(), (date, ageText, delay) => {
        const millis = age(
          [
            ['date', date],
            ['age', ageText],
          ],
          delay,
        );
        expect(Number.isFinite(millis) && millis >= 0).toBe(true);
      }),
    );
  });
});

describe('a lifetime by status', () => {
  const policy = cachePolicy('safe', {
    statusTtlMillis: new Map([
      [404, 60_000],
      [302, 30_000],
      [200, 0],
    ]),
  });
  test.each<[string, Entry[], number, [number, string]]>([
    ['of a status that has none by default', [], 302, [30_000, 'default']],
    ['before the negative one', [], 404, [60_000, 'negative']],
    ['of 0, before heuristics', [['last-modified', -1000]], 200, [0, 'none']],
    ['never before what the origin says', [['cache-control', 'max-age=5']], 404, [5_000, 'max-age']],
    ['never before no-cache', [['cache-control', 'no-cache']], 404, [0, 'none']],
    ['and not for another status', [], 410, [5_000, 'negative']],
  ])('%s', (_, entries, status, expected) => expect(life(entries, status, policy)).toEqual(expected));
});
