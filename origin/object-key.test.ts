import fc from 'fast-check';
import { expect, test } from 'vitest';
import { objectKey, pathOfKey } from './object-key.ts';

test.each([
  ['/film/master.m3u8', 'film/master.m3u8'],
  ['/a//b.ts', 'a//b.ts'],
  ['//b.ts', '/b.ts'],
  ['/a%2Bb+c.bin', 'a+b+c.bin'],
  ['/a%20b.bin', 'a b.bin'],
  ['/a%2520b.bin', 'a%20b.bin'],
  ['/a%2fb', 'a/b'],
  ['/gr%C3%BC%C3%9Fe.mp4', 'grüße.mp4'],
  ['/x.bin?X-Amz-Signature=abc&list-type=2', 'x.bin'],
  ['http://origin.example.org/x.bin', 'x.bin'],
])('%s names the key %s: decoded exactly once', (target, key) => {
  expect(objectKey(target)).toEqual({ ok: true, value: key });
});

test.each([
  ['/', 'empty'],
  ['http://origin.example.org', 'empty'],
  ['*', 'malformed'],
  ['/a#b', 'malformed'],
  ['/a%zz', 'malformed'],
  ['/a%ff', 'malformed'],
  ['/a%00.css', 'control-character'],
  ['/a%0d%0ab', 'control-character'],
  ['/a/../b', 'dot-segment'],
  ['/a/%2e%2e/b', 'dot-segment'],
  ['/a/..%2fb', 'dot-segment'],
  [`/${'a'.repeat(1025)}`, 'too-long'],
])('%s is no object: %s', (target, reason) => {
  expect(objectKey(target)).toEqual({ ok: false, reason });
});

test('every key that a path can name is found again by its path', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), (key) => {
      const found = objectKey(pathOfKey(key));
      if (found.ok) expect(found.value).toBe(key);
      else expect(['control-character', 'dot-segment', 'too-long']).toContain(found.reason);
      expect(pathOfKey(key)).toMatch(/^\/[!$&'()*+,;=:@/%A-Za-z0-9._~-]*$/);
    }),
  );
});

test('any target gives a key or a reason, never an exception', () => {
  fc.assert(fc.property(fc.string(), (target) => typeof objectKey(target).ok === 'boolean'));
});
