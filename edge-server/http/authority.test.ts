import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { authorityProblem, splitTarget } from './authority.ts';

describe('authority', () => {
  test.each([
    'example.org',
    'EXAMPLE.org:80',
    'example.org:',
    'a_b.example.org',
    '127.0.0.1:65535',
    '[::1]',
    '[2001:db8::1]:8080',
    'x',
    'example.org:080',
  ])('%s is one', (text) => {
    expect(authorityProblem(text)).toBeUndefined();
  });

  test.each([
    ['', 'empty-host'],
    [':80', 'empty-host'],
    ['a, b', 'host-syntax'],
    ['a,b', 'host-syntax'],
    ['a:b:c', 'port-syntax'],
    ['a:1:2', 'port-syntax'],
    ['user@example.org', 'host-syntax'],
    ['a/b', 'host-syntax'],
    ['a b', 'host-syntax'],
    ['a\\b', 'host-syntax'],
    ['caf\xe9.example.org', 'host-syntax'],
    ['a:65536', 'port-syntax'],
    ['a:+80', 'port-syntax'],
    ['a:000080', 'port-syntax'],
    ['[::1', 'host-syntax'],
    ['[]', 'host-syntax'],
    ['[::1]x', 'host-syntax'],
    ['[::g]', 'host-syntax'],
    ['a?b', 'host-syntax'],
    ['a#b', 'host-syntax'],
    [`${'a'.repeat(256)}`, 'host-too-long'],
    [`${'a'.repeat(300)}`, 'host-too-long'],
  ])('%j is refused: %s', (text, problem) => {
    expect(authorityProblem(text)).toBe(problem);
  });

  test('whatever is accepted, a URL parser reads the same host from it', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'abc.-_~:@/?#[]0129, %\\'), maxLength: 12 }), (text) => {
        if (authorityProblem(text) !== undefined) return;
        const url = URL.parse(`http://${text}/`);
        // WHATWG refuses some hosts that we leave to the service table (`1..2`); it never reads more or less.
        if (url !== null) expect(url.pathname + url.search + url.hash + url.username).toBe('/');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('request target', () => {
  test.each([
    ['GET', '/a/b?c=d', '/a/b?c=d', undefined],
    ['GET', '/', '/', undefined],
    ['GET', '//x', '//x', undefined],
    ['GET', 'http://example.org/a?b', '/a?b', 'example.org'],
    ['GET', 'HTTP://example.org:8080', '/', 'example.org:8080'],
    ['GET', 'http://example.org?q', '/?q', 'example.org'],
    ['OPTIONS', '*', '*', undefined],
    ['OPTIONS', 'http://example.org', '*', 'example.org'],
  ])('%s %s is %s', (method, raw, target, authority) => {
    expect(splitTarget(method, raw, 'http')).toEqual({ kind: 'target', target, authority });
  });

  test.each([
    ['GET', '*', 'target-syntax'],
    ['GET', 'a', 'target-syntax'],
    ['GET', '', 'target-syntax'],
    ['GET', '/a#b', 'target-fragment'],
    ['GET', '/a b', 'target-syntax'],
    ['GET', '/a\x7f', 'target-syntax'],
    ['GET', '/caf\xe9', 'target-syntax'],
    ['GET', 'ftp://example.org/', 'target-syntax'],
    ['GET', 'https://example.org/', 'scheme-mismatch'],
    ['GET', 'http:///x', 'empty-host'],
    ['GET', 'http://user@example.org/', 'host-syntax'],
    ['GET', 'example.org:443', 'target-syntax'],
  ])('%s %j is refused: %s', (method, raw, reason) => {
    expect(splitTarget(method, raw, 'http')).toEqual({ kind: 'refused', reason });
  });
});
