import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CacheKeyOutcome, cacheKey, cacheKeyOfUrl, canonicalHost, type KeyRule, type QueryRule } from './key.ts';

const KEEP: KeyRule = { query: { kind: 'keep' } };
const at = (target: string, rule: KeyRule = KEEP) =>
  cacheKey({ scheme: 'http', authority: 'example.org', target }, rule);
const under = (query: QueryRule, target: string) => keyText(at(target, { query }));

function keyText(outcome: CacheKeyOutcome): string {
  return outcome.ok ? outcome.key : outcome.reason;
}

describe('the path', () => {
  test.each([
    ['/', '/'],
    ['/a/b.mp4', '/a/b.mp4'],
    ['/%7Euser/%61', '/~user/a'],
    ['/%4a%4A%39%6F', '/JJ9o'],
    ['/a%2fb', '/a%2Fb'],
    ['/a%2Fb', '/a%2Fb'],
    ['/a%3fb%23c', '/a%3Fb%23c'],
    ['/%2B+', '/%2B+'],
    ['/%2541', '/%2541'],
    ['/caf%c3%a9', '/caf%C3%A9'],
    ['/a|b{c}', '/a%7Cb%7Bc%7D'],
    ['/./a/./b/.', '/a/b/'],
    ['/static/../private', '/private'],
    ['/static/%2e%2E/private', '/private'],
    ['/static/.%2e/private', '/private'],
    ['/../../x', '/x'],
    ['/a/b/..', '/a/'],
    ['/a//../b', '/a/b'],
    ['/..%2fx', '/..%2Fx'],
    ['/.hidden', '/.hidden'],
    ['/...', '/...'],
    ['/..;/x', '/..;/x'],
    ['//x', '//x'],
    ['/a//b', '/a//b'],
    ['/a%5cb', '/a%5Cb'],
  ])('%s → %s', (target, path) => {
    const outcome = at(target);
    expect(outcome).toMatchObject({ ok: true, path, query: undefined, key: `http://example.org${path}` });
  });

  test.each([
    ['/a#b', 'fragment'],
    ['/a.png#/../admin', 'fragment'],
    ['/a\\..\\b', 'backslash'],
    ['/a\0', 'control'],
    ['/a%00.css', 'control'],
    ['/a b', 'control'],
    ['/a\x7f', 'control'],
    ['/caf\u00e9', 'non-ascii'],
    ['/a%zz', 'percent-encoding'],
    ['/a%4', 'percent-encoding'],
    ['*', 'not-origin-form'],
    ['', 'not-origin-form'],
    ['http://example.org/', 'not-origin-form'],
  ])('%j is refused: %s', (target, reason) => {
    expect(at(target)).toEqual({ ok: false, reason });
  });
});

describe('the query', () => {
  test.each([
    ['/a?', 'http://example.org/a?'],
    ['/a?b=%7e&c=%2f', 'http://example.org/a?b=~&c=%2F'],
    ['/a?b=/../c?d', 'http://example.org/a?b=/../c?d'],
    ['/a?100%', 'http://example.org/a?100%25'],
    ['/a?x=%00', 'http://example.org/a?x=%00'],
    ['/a?q="<|>', 'http://example.org/a?q=%22%3C%7C%3E'],
    ['/../a?b', 'http://example.org/a?b'],
  ])('is kept in normal form: %s', (target, key) => {
    expect(keyText(at(target))).toBe(key);
  });

  test('holds no fragment, control or non-ASCII character', () => {
    expect(keyText(at('/a?b#c'))).toBe('fragment');
    expect(keyText(at('/a?b\r\nc'))).toBe('control');
    expect(keyText(at('/a?\u00fc'))).toBe('non-ascii');
  });

  test('follows the rule of the service', () => {
    expect(under({ kind: 'drop' }, '/a?x=1')).toBe('http://example.org/a');
    expect(under({ kind: 'sort' }, '/a?b=2&a=2&&b=1&a=1')).toBe('http://example.org/a?a=2&a=1&b=2&b=1');
    expect(under({ kind: 'only', names: new Set(['v', 'a']) }, '/a?x=1&v=2&a=3')).toBe('http://example.org/a?a=3&v=2');
    expect(under({ kind: 'only', names: new Set(['v']) }, '/a?x=1')).toBe('http://example.org/a');
    expect(under({ kind: 'except', names: new Set(['token']) }, '/a?z=1&token=s3cret&b')).toBe(
      'http://example.org/a?z=1&b',
    );
  });

  test('a name can not escape the rule by its encoding', () => {
    expect(under({ kind: 'except', names: new Set(['token']) }, '/a?%74oken=x')).toBe('http://example.org/a');
  });
});

describe('distinct resources have distinct keys', () => {
  test.each([
    ['/get?name=x', '/?getname=x'],
    ['/a', '/a/'],
    ['//x', '/x'],
    ['/a//b', '/a/b'],
    ['/a%2fb', '/a/b'],
    ['/a?b', '/a%3fb'],
    ['/a', '/A'],
    ['/a+b', '/a%2Bb'],
    ['/a?', '/a'],
  ])('%s and %s', (a, b) => {
    expect(keyText(at(a))).not.toBe(keyText(at(b)));
  });

  test('host and path, host and host, scheme and scheme', () => {
    const key = (scheme: 'http' | 'https', authority: string, target: string) =>
      keyText(cacheKey({ scheme, authority, target }, KEEP));
    expect(key('http', 'a.b', '/c')).not.toBe(key('http', 'a', '/.b/c'));
    expect(key('http', 'a', '/')).not.toBe(key('http', 'b', '/'));
    expect(key('http', 'a', '/')).not.toBe(key('https', 'a', '/'));
    expect(key('http', 'a', '/')).not.toBe(key('http', 'a:8080', '/'));
  });
});

describe('the host', () => {
  test.each(['example.org', 'EXAMPLE.org', 'example.org:80', 'example.org:080', 'example.org:', 'example.org.'])(
    '%s is one',
    (authority) => {
      expect(canonicalHost(authority, 'http')).toBe('example.org');
    },
  );

  test('keeps another port, and the other scheme’s default', () => {
    expect(canonicalHost('example.org:8080', 'http')).toBe('example.org:8080');
    expect(canonicalHost('example.org:443', 'http')).toBe('example.org:443');
    expect(canonicalHost('example.org:443', 'https')).toBe('example.org');
    expect(canonicalHost('[::1]:80', 'http')).toBe('[::1]');
  });

  test.each(['', 'a, b', 'a:b:c', 'a@b', 'a/b', 'a b', ':80', 'a:99999', '.', 'a%00', 'a\\b', 'a?b', 'é'])(
    '%j is none',
    (authority) => {
      expect(canonicalHost(authority, 'http')).toBeUndefined();
      expect(cacheKey({ scheme: 'http', authority, target: '/' }, KEEP)).toEqual({ ok: false, reason: 'authority' });
    },
  );

  test('gives way to the service’s canonical host', () => {
    const rule: KeyRule = { query: { kind: 'keep' }, canonicalHost: 'video.example.org' };
    expect(cacheKey({ scheme: 'http', authority: '127.0.0.1:9', target: '/a' }, rule)).toMatchObject({
      key: 'http://video.example.org/a',
      host: 'video.example.org',
    });
  });
});

describe('cacheKeyOfUrl', () => {
  test('gives the key of the request for that URL', () => {
    expect(keyText(cacheKeyOfUrl('HTTP://Example.org:80/a/%2e/b?c', KEEP))).toBe(keyText(at('/a/b?c')));
    expect(keyText(cacheKeyOfUrl('http://example.org', KEEP))).toBe(keyText(at('/')));
    expect(keyText(cacheKeyOfUrl('http://example.org?a', KEEP))).toBe(keyText(at('/?a')));
  });

  test.each(['/a', 'ftp://example.org/a', 'example.org/a', 'http://a@b/', 'http:///a', 'http://example.org/a#b'])(
    'refuses %s',
    (url) => {
      expect(cacheKeyOfUrl(url, KEEP).ok).toBe(false);
    },
  );
});

const rules: QueryRule[] = [
  { kind: 'keep' },
  { kind: 'drop' },
  { kind: 'sort' },
  { kind: 'only', names: new Set(['a', 'b']) },
  { kind: 'except', names: new Set(['a']) },
];
const piece = fc.constantFrom(
  ...['/', '.', '..', '/.', '%2e', '%2E', '%2f', '%41', '%25', '%', '%4', '?', '&', '=', 'a', 'b', 'é', '\\', '#'],
  ...['%00', '//', '|', '"', '+', ';', ' ', '~', '%7e', '%5c', '%zz'],
);
const target = fc.array(piece, { maxLength: 14 }).map((pieces) => `/${pieces.join('')}`);

test('normalising is idempotent: the canonical URL has itself as key, under every rule', () => {
  fc.assert(
    fc.property(target, fc.constantFrom(...rules), (text, query) => {
      const once = at(text, { query });
      if (!once.ok) return;
      const again = at(once.query === undefined ? once.path : `${once.path}?${once.query}`, { query });
      expect(again).toEqual(once);
      expect(cacheKeyOfUrl(once.url, { query })).toEqual(once);
    }),
    { numRuns: 2_000 },
  );
});

test('a canonical path has no dot segment, is plain ASCII and names one host', () => {
  fc.assert(
    fc.property(target, (text) => {
      const outcome = at(text);
      if (!outcome.ok) return;
      expect(outcome.path).toMatch(/^\/[!$&'()*+,;=:@/\w\-.~%]*$/);
      expect(outcome.path.split('/').filter((segment) => segment === '.' || segment === '..')).toEqual([]);
      expect(outcome.path.replace(/%[0-9A-F]{2}/g, '')).not.toContain('%');
      expect(new URL(outcome.url).host).toBe('example.org');
    }),
    { numRuns: 1_000 },
  );
});

test('encoding what need not be encoded changes no key; another letter always does', () => {
  const segment = fc.stringMatching(/^[A-Za-z0-9_~-]{1,8}$/);
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.nat(), fc.boolean(), (segments, where, upper) => {
      const plain = `/${segments.join('/')}?q=${segments[0]}`;
      const letters = [...plain].flatMap((letter, i) => (/[A-Za-z0-9_~-]/.test(letter) ? [i] : []));
      const i = letters[where % letters.length]!;
      const code = plain.charCodeAt(i).toString(16);
      const encoded = `${plain.slice(0, i)}%${upper ? code.toUpperCase() : code}${plain.slice(i + 1)}`;
      expect(at(encoded)).toEqual(at(plain));
      const other = `${plain.slice(0, i)}${plain[i] === 'x' ? 'y' : 'x'}${plain.slice(i + 1)}`;
      expect(at(other)).not.toEqual(at(plain));
    }),
  );
});
