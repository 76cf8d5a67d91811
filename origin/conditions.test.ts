import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { conditionPlan, isSuffix, judgement, singleRange } from './conditions.ts';

const MODIFIED = 'Sun, 01 Mar 2026 10:00:00 GMT';
const NOW = { etag: '"v1"', lastModifiedMillis: Date.parse(MODIFIED) };

describe('a range goes to S3 only when it is one, and well formed', () => {
  test.each([
    ['bytes=0-0', 'bytes=0-0'],
    ['bytes=999-', 'bytes=999-'],
    ['bytes=-5000', 'bytes=-5000'],
    ['bytes=0-18446744073709551615', `bytes=0-${Number.MAX_SAFE_INTEGER}`],
    ['bytes=5-2', undefined],
    ['bytes=0-1,5-6', undefined],
    ['bytes 0-1', undefined],
    ['items=0-1', undefined],
    ['bytes=abc', undefined],
    ['bytes=-', undefined],
    ['10', undefined],
    [undefined, undefined],
  ])('%s → %s', (text, range) => {
    expect(singleRange(text)).toBe(range);
  });

  test('what comes out is always one range with first ≤ last', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'bytes=0123456789-, ') }), (text) => {
        const range = singleRange(text);
        if (range === undefined) return;
        const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(range)!;
        if (first !== '' && last !== '') expect(Number(first)).toBeLessThanOrEqual(Number(last));
      }),
    );
  });

  test('only a suffix with a length is one', () => {
    expect(isSuffix('bytes=-5')).toBe(true);
    expect(isSuffix('bytes=-0')).toBe(false);
    expect(isSuffix('bytes=0-')).toBe(false);
  });
});

describe('S3 decides what it can', () => {
  test.each([
    [{}, 'GET', {}],
    [{ range: 'bytes=0-9' }, 'GET', { range: 'bytes=0-9' }],
    [{ range: 'bytes=0-9' }, 'HEAD', {}],
    [{ 'if-match': '"v1"', range: 'bytes=0-9' }, 'GET', { ifMatch: '"v1"', range: 'bytes=0-9' }],
    [{ 'if-none-match': 'W/"v1"' }, 'GET', { ifNoneMatch: '"v1"' }],
    [{ 'if-none-match': '"v1"', 'if-modified-since': MODIFIED }, 'GET', { ifNoneMatch: '"v1"' }],
    [{ 'if-modified-since': MODIFIED }, 'GET', { ifModifiedSince: new Date(MODIFIED) }],
    [{ 'if-modified-since': 'yesterday' }, 'GET', {}],
    [{ 'if-range': '"v1"' }, 'GET', {}],
  ] as const)('%o by %s', (fields, method, conditions) => {
    expect(conditionPlan(fields, method)).toEqual({ kind: 'direct', conditions });
  });

  test.each([
    [{ 'if-match': '"a", "b"' }],
    [{ 'if-match': '*' }],
    [{ 'if-match': 'W/"v1"' }],
    [{ 'if-none-match': '"a", "b"' }],
    [{ 'if-none-match': '*' }],
    [{ 'if-none-match': '"a' }],
    [{ range: 'bytes=0-9', 'if-range': '"v1"' }],
  ])('%o is decided against the head', (fields) => {
    expect(conditionPlan(fields, 'GET')).toEqual({ kind: 'look first' });
  });
});

describe('judgement in the order of RFC 9110 §13.2.2', () => {
  const send = { kind: 'send', range: undefined };
  test.each([
    [{ 'if-none-match': '"z", "v1"' }, { kind: 'not-modified' }],
    [{ 'if-none-match': 'W/"v1"' }, { kind: 'not-modified' }],
    [{ 'if-none-match': '*' }, { kind: 'not-modified' }],
    [{ 'if-none-match': '"a,v1"' }, send],
    [{ 'if-none-match': '"v1' }, send],
    [{ 'if-none-match': '"z"', 'if-modified-since': MODIFIED }, send],
    [{ 'if-match': '"z"' }, { kind: 'precondition-failed' }],
    [{ 'if-match': 'W/"v1"' }, { kind: 'precondition-failed' }],
    [{ 'if-match': '"z", "v1"' }, send],
    [{ 'if-match': '"z"', 'if-none-match': '"v1"' }, { kind: 'precondition-failed' }],
    [{ 'if-unmodified-since': 'Sun, 01 Mar 2026 09:59:59 GMT' }, { kind: 'precondition-failed' }],
    [
      { range: 'bytes=0-3', 'if-range': '"v1"' },
      { kind: 'send', range: 'bytes=0-3' },
    ],
    [{ range: 'bytes=0-3', 'if-range': 'W/"v1"' }, send],
    [{ range: 'bytes=0-3', 'if-range': '"other"' }, send],
    [
      { range: 'bytes=0-3', 'if-range': MODIFIED },
      { kind: 'send', range: 'bytes=0-3' },
    ],
    [{ range: 'bytes=0-3', 'if-range': 'Sun, 01 Mar 2026 10:00:01 GMT' }, send],
  ])('%o → %o', (fields, verdict) => {
    expect(judgement(fields, 'GET', NOW)).toEqual(verdict);
  });
});
