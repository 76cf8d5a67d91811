import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fields } from '../http/fields.ts';
import { requestDirectives } from './directives.ts';
import { RFC_POLICY, SAFE_POLICY } from './policy.ts';
import {
  ageSeconds,
  currentAgeMillis,
  failureStatus,
  forwardingForbidden,
  freshMillisLeft,
  reuse,
  staleOnError,
} from './reuse.ts';
import { FRESH_MINUTE, NOW, stored } from './sample-responses.ts';
import type { Freshness } from './stored-response.ts';

const having = (freshness: Partial<Freshness>, initialAgeMillis = 0) =>
  stored({ freshness: { ...FRESH_MINUTE, ...freshness }, initialAgeMillis });
const asking = (value: string | undefined) =>
  value === undefined ? undefined : requestDirectives(Fields.of({ 'cache-control': value }));
const aged = (seconds: number, freshness: Partial<Freshness> = {}, request?: string, policy = RFC_POLICY) =>
  reuse(having(freshness), asking(request), NOW + seconds * 1000, policy);

describe('the current age', () => {
  test('grows with time from the initial age', () => {
    expect(currentAgeMillis(stored({ initialAgeMillis: 5_000 }), NOW + 1_500)).toBe(6_500);
    expect(ageSeconds(stored({ initialAgeMillis: 5_000 }), NOW + 1_500)).toBe(6);
  });

  test('never falls below the initial age when the clock is set back', () => {
    expect(currentAgeMillis(stored({ initialAgeMillis: 5_000 }), NOW - 100_000)).toBe(5_000);
  });
});

describe('reuse', () => {
  test('is fresh until the lifetime is over, counted from the age at receipt', () => {
    expect(aged(59)).toEqual({ use: 'fresh', ttlMillis: 1_000 });
    expect(aged(60)).toEqual({ use: 'validate', why: 'stale' });
    expect(reuse(having({}, 59_000), undefined, NOW + 2_000, RFC_POLICY)).toEqual({ use: 'validate', why: 'stale' });
    expect(freshMillisLeft(stored(), NOW + 1_000)).toBe(59_000);
  });

  test('a response with no-cache is validated at each use', () => {
    expect(aged(0, { alwaysValidate: true })).toEqual({ use: 'validate', why: 'no-cache' });
    expect(freshMillisLeft(having({ alwaysValidate: true }), NOW)).toBeLessThan(0);
  });

  test('stale-while-revalidate serves within its window and no longer', () => {
    expect(aged(61, { staleWhileRevalidateMillis: 5_000 })).toEqual({
      use: 'stale-while-revalidate',
      staleMillis: 1_000,
    });
    expect(aged(65, { staleWhileRevalidateMillis: 5_000 })).toEqual({ use: 'validate', why: 'stale' });
  });

  test('a soft purge makes it stale at once', () => {
    expect(reuse(stored(), undefined, NOW, SAFE_POLICY, true)).toEqual({ use: 'validate', why: 'purged' });
    expect(reuse(having({ staleWhileRevalidateMillis: 1 }), undefined, NOW, SAFE_POLICY, true)).toEqual({
      use: 'stale-while-revalidate',
      staleMillis: 0,
    });
  });

  test.each([
    ['no-cache', 1, 'request-no-cache'],
    ['max-age=0', 1, 'request-max-age'],
    ['max-age=5', 6, 'request-max-age'],
    ['min-fresh=60', 1, 'request-min-fresh'],
  ])('a request with %s is validated', (request, seconds, why) => {
    expect(aged(seconds, {}, request)).toEqual({ use: 'validate', why });
  });

  test('a request that is content with the age gets it', () => {
    expect(aged(5, {}, 'max-age=5, min-fresh=55')).toMatchObject({ use: 'fresh' });
  });

  test('a reload does not force validation of what is immutable, no-cache does', () => {
    expect(aged(5, { immutable: true }, 'max-age=0')).toMatchObject({ use: 'fresh' });
    expect(aged(5, { immutable: true }, 'no-cache')).toEqual({ use: 'validate', why: 'request-no-cache' });
    expect(aged(61, { immutable: true }, 'max-age=0')).toMatchObject({ use: 'validate' });
  });

  test('clients have no say where the policy does not honour them', () => {
    for (const request of ['no-cache', 'max-age=0', 'min-fresh=9999'])
      expect(aged(5, {}, request, SAFE_POLICY)).toMatchObject({ use: 'fresh' });
    expect(aged(61, {}, 'max-stale', SAFE_POLICY)).toEqual({ use: 'validate', why: 'stale' });
  });

  test('max-stale allows up to its bound, bare any staleness', () => {
    expect(aged(70, {}, 'max-stale')).toEqual({ use: 'stale-allowed', staleMillis: 10_000 });
    expect(aged(70, {}, 'max-stale=10')).toMatchObject({ use: 'stale-allowed' });
    expect(aged(70, {}, 'max-stale=1')).toEqual({ use: 'validate', why: 'stale' });
  });

  test('max-stale never unlocks what the origin forbade', () => {
    expect(aged(70, { staleForbidden: true }, 'max-stale=99999')).toMatchObject({ use: 'validate' });
    expect(aged(70, { alwaysValidate: true }, 'max-stale=99999')).toMatchObject({ use: 'validate' });
    expect(reuse(stored(), asking('max-stale'), NOW, RFC_POLICY, true)).toMatchObject({ use: 'validate' });
  });

  test('no request directive ever gives a stale response that the origin forbade', () => {
    const request = fc.constantFrom(undefined, 'max-stale', 'max-stale=99999', 'stale-if-error=99999', 'max-age=9999');
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(200_000), request, fc.boolean(), (swr, passed, text, always) => {
        const forbidden = { staleForbidden: true, alwaysValidate: always, staleWhileRevalidateMillis: swr };
        const outcome = reuse(having(forbidden), asking(text), NOW + passed, RFC_POLICY);
        if (passed >= 60_000 || always) expect(outcome.use).toBe('validate');
      }),
    );
  });
});

describe('staleOnError', () => {
  const failing = (seconds: number, freshness: Partial<Freshness>, request?: string, policy = RFC_POLICY) =>
    staleOnError(having(freshness), asking(request), NOW + seconds * 1000, policy);

  test('serves within the window, with or without a validator', () => {
    expect(failing(61, { staleIfErrorMillis: 60_000 })).toEqual({ use: 'stale-if-error', staleMillis: 1_000 });
    expect(
      staleOnError(
        stored({ etag: undefined, freshness: { ...FRESH_MINUTE, staleIfErrorMillis: 60_000 } }),
        undefined,
        NOW + 61_000,
        SAFE_POLICY,
      ),
    ).toMatchObject({ use: 'stale-if-error' });
    expect(failing(120, { staleIfErrorMillis: 60_000 })).toEqual({ use: 'error', why: 'window-over' });
  });

  test('never serves what the origin forbade', () => {
    expect(failing(61, { staleForbidden: true, staleIfErrorMillis: 99_000 })).toEqual({
      use: 'error',
      why: 'forbidden',
    });
    expect(failing(1, { alwaysValidate: true, staleIfErrorMillis: 99_000 })).toEqual({ use: 'error', why: 'no-cache' });
  });

  test('what is still fresh answers when only the client or a soft purge wanted validation', () => {
    expect(failing(1, { staleForbidden: true })).toEqual({ use: 'stale-if-error', staleMillis: 0 });
  });

  test('a request can widen the window where it is honoured', () => {
    expect(failing(70, {}, 'stale-if-error=60')).toMatchObject({ use: 'stale-if-error' });
    expect(failing(70, {}, 'stale-if-error=60', SAFE_POLICY)).toMatchObject({ use: 'error' });
  });
});

test('only 500, 502, 503 and 504 are failures', () => {
  expect([200, 404, 429, 500, 501, 502, 503, 504, 505].filter(failureStatus)).toEqual([500, 502, 503, 504]);
});

test('only-if-cached forbids forwarding', () => {
  expect(forwardingForbidden(asking('only-if-cached'))).toBe(true);
  expect(forwardingForbidden(asking('no-cache'))).toBe(false);
  expect(forwardingForbidden(undefined)).toBe(false);
});
