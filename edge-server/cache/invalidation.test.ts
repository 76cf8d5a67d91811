import { describe, expect, test } from 'vitest';
import { Fields } from '../http/fields.ts';
import { invalidatedKeys, unsafeMethod } from './invalidation.ts';
import type { KeyRule } from './key.ts';

const KEEP: KeyRule = { query: { kind: 'keep' } };
const OWN = 'http://example.org/a';
const keys = (method: string, status: number, fields: Record<string, string> = {}, authority = 'example.org') =>
  invalidatedKeys({ method, status, fields: Fields.of(fields), scheme: 'http', authority, target: '/a' }, KEEP);

test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH'])('a successful %s invalidates its target', (method) => {
  expect(keys(method, 200)).toEqual([OWN]);
  expect(keys(method, 303)).toEqual([OWN]);
});

test.each([400, 404, 500, 503])('a %d changes nothing', (status) => {
  expect(keys('POST', status, { location: '/b' })).toEqual([]);
});

test('safe methods change nothing', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE']) {
    expect(unsafeMethod(method)).toBe(false);
    expect(keys(method, 200)).toEqual([]);
  }
});

describe('Location and Content-Location', () => {
  test.each([
    ['/b', 'http://example.org/b'],
    ['b?c', 'http://example.org/b?c'],
    ['http://EXAMPLE.org:80/b#x', 'http://example.org/b'],
  ])('%s on the same host is invalidated too', (location, key) => {
    expect(keys('POST', 201, { location })).toEqual([OWN, key]);
    expect(keys('POST', 201, { 'content-location': location })).toEqual([OWN, key]);
  });

  test.each(['http://evil.example.org/b', '//evil.example.org/b', 'https://example.org/b', 'http://[', 'mailto:x'])(
    '%s is not ours to invalidate',
    (location) => {
      expect(keys('POST', 201, { location })).toEqual([OWN]);
    },
  );

  test('the same key is named once', () => {
    expect(keys('PUT', 200, { location: '/a', 'content-location': '/./a' })).toEqual([OWN]);
  });
});

test('a service with a canonical host is invalidated under it', () => {
  const rule: KeyRule = { query: { kind: 'keep' }, canonicalHost: 'video.example.org' };
  const exchange = { method: 'POST', status: 200, scheme: 'http', authority: 'x.example.org', target: '/a' } as const;
  expect(invalidatedKeys({ ...exchange, fields: Fields.of({ location: '/b' }) }, rule)).toEqual([
    'http://video.example.org/a',
    'http://video.example.org/b',
  ]);
});
