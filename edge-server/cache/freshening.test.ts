import { describe, expect, test } from 'vitest';
import { Fields } from '../http/fields.ts';
import { freshened } from './freshening.ts';
import { cachePolicy, SAFE_POLICY } from './policy.ts';
import { ageSeconds, reuse } from './reuse.ts';
import { FRESH_MINUTE, fieldsOf, NOW, stored } from './sample-responses.ts';
import type { StoredResponse } from './stored-response.ts';

type Entry = [string, string | number];
const LATER = NOW + 100_000;

const by304 = (old: StoredResponse, entries: Entry[], policy = SAFE_POLICY) =>
  freshened(old, { status: 304, fields: fieldsOf(...entries), requestMillis: LATER, responseMillis: LATER }, policy, 7);
const result = (old: StoredResponse, entries: Entry[], policy = SAFE_POLICY): StoredResponse => {
  const outcome = by304(old, entries, policy);
  if (outcome.kind !== 'freshened') throw new Error(outcome.kind);
  return outcome.response;
};
const having = (...flat: string[]) => stored({ fields: flat });
const linesOf = (response: StoredResponse, name: string) => new Fields([...response.fields]).lines(name);

test('a 304 makes it fresh again, with an age counted from the 304', () => {
  const response = result(stored(), [
    ['cache-control', 'max-age=60'],
    ['date', 100],
  ]);
  expect(reuse(response, undefined, LATER + 2_000, SAFE_POLICY)).toEqual({ use: 'fresh', ttlMillis: 58_000 });
  expect(ageSeconds(response, LATER + 2_000)).toBe(2);
  expect(response.purgeNumber).toBe(7);
  expect(response.id).toBe('1');
});

test('a 304 without Date does not leave it as old as the stored one', () => {
  const response = result(having('cache-control', 'max-age=60', 'date', 'Wed, 01 Jul 2026 00:00:00 GMT'), []);
  expect(ageSeconds(response, LATER)).toBe(0);
  expect(linesOf(response, 'date')).toEqual(['Wed, 01 Jul 2026 00:01:40 GMT']);
});

test('the Age of the 304 counts', () => {
  expect(ageSeconds(result(stored(), [['age', '30']]), LATER)).toBe(30);
});

describe('fields', () => {
  test('each field of the 304 replaces all lines of that name, others stay', () => {
    const old = having('foo', 'a', 'bar', 'b', 'foo', 'b');
    const response = result(old, [
      ['foo', 'c'],
      ['foo', 'd'],
      ['new', '1'],
    ]);
    expect(linesOf(response, 'foo')).toEqual(['c', 'd']);
    expect(linesOf(response, 'bar')).toEqual(['b']);
    expect(linesOf(response, 'new')).toEqual(['1']);
    expect(linesOf(result(old, []), 'foo')).toEqual(['a', 'b']);
  });

  test('what describes the body stays as it was', () => {
    const response = result(stored({ etag: '"foo"', fields: ['etag', '"foo"', 'content-type', 'text/plain'] }), [
      ['etag', 'W/"foo"'],
      ['content-encoding', 'gzip'],
      ['content-type', 'text/html'],
      ['content-length', '3'],
      ['content-range', 'bytes 0-1/2'],
    ]);
    expect(linesOf(response, 'etag')).toEqual(['"foo"']);
    expect(linesOf(response, 'content-type')).toEqual(['text/plain']);
    for (const name of ['content-encoding', 'content-length', 'content-range'])
      expect(linesOf(response, name)).toEqual([]);
    expect(response.etag).toBe('"foo"');
  });

  test('hop-by-hop fields and Age do not enter', () => {
    const response = result(stored(), [
      ['connection', 'x-hop'],
      ['x-hop', '1'],
      ['age', '1'],
      ['keep-alive', 'x'],
    ]);
    for (const name of ['connection', 'x-hop', 'age', 'keep-alive']) expect(linesOf(response, name)).toEqual([]);
  });

  test('a field that private="…" keeps out stays out, whether the stored or the new directive names it', () => {
    const old = having('cache-control', 'max-age=60, private="X-A"', 'x-b', '2');
    expect(linesOf(result(old, [['x-a', '1']]), 'x-a')).toEqual([]);
    const renamed = result(old, [
      ['cache-control', 'max-age=60, no-cache="x-b"'],
      ['x-b', '3'],
    ]);
    expect(linesOf(renamed, 'x-b')).toEqual([]);
  });

  test('a cookie does not enter by a 304', () => {
    expect(linesOf(result(stored(), [['set-cookie', 's=A']]), 'set-cookie')).toEqual([]);
    const store = cachePolicy('safe', { setCookie: 'store' });
    expect(linesOf(result(stored(), [['set-cookie', 's=A']], store), 'set-cookie')).toEqual(['s=A']);
  });

  test('tags are the 304’s, or stay', () => {
    const old = stored({ tags: ['a'] });
    expect(result(old, []).tags).toEqual(['a']);
    expect(result(old, [['surrogate-key', 'b c']]).tags).toEqual(['b', 'c']);
  });
});

test('freshness follows the new directives, and the stored ones where the 304 has none', () => {
  const old = having('cache-control', 'max-age=60');
  expect(result(old, [['cache-control', 'max-age=5']]).freshness.lifetimeMillis).toBe(5_000);
  expect(result(old, []).freshness.lifetimeMillis).toBe(60_000);
  expect(result(old, [['cache-control', 'no-cache']]).freshness.alwaysValidate).toBe(true);
});

test('a lifetime that came from Surrogate-Control, which is not kept, outlives a 304 that does not repeat it', () => {
  const old = stored({
    fields: ['cache-control', 'no-store'],
    freshness: { ...FRESH_MINUTE, from: 'cdn-cache-control' },
  });
  expect(result(old, []).freshness.lifetimeMillis).toBe(60_000);
  expect(result(old, [['surrogate-control', 'max-age=5']]).freshness.lifetimeMillis).toBe(5_000);
});

describe('a 304 that is not about what is stored changes nothing', () => {
  test('another ETag', () => {
    expect(by304(stored(), [['etag', '"v2"']])).toEqual({ kind: 'mismatch', why: 'etag' });
  });

  test('other selecting fields', () => {
    expect(by304(stored(), [['vary', 'foo']])).toEqual({ kind: 'mismatch', why: 'vary' });
    expect(by304(stored({ vary: ['foo'] }), [['vary', '*']])).toEqual({ kind: 'mismatch', why: 'vary' });
    expect(by304(stored({ vary: ['foo'] }), [['vary', 'Foo']]).kind).toBe('freshened');
    expect(by304(stored({ vary: ['foo'] }), []).kind).toBe('freshened');
  });
});

test('a 304 with no-store or private answers once', () => {
  expect(by304(stored(), [['cache-control', 'no-store']])).toMatchObject({ kind: 'used-once', why: 'no-store' });
  expect(by304(stored(), [['cache-control', 'private']])).toMatchObject({ kind: 'used-once', why: 'private' });
});
