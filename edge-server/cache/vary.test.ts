import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fields } from '../http/fields.ts';
import { RFC_POLICY, SAFE_POLICY } from './policy.ts';
import { reducedAcceptEncoding, upstreamAcceptEncoding, variantOf, varyOf } from './vary.ts';

const NO_IGNORED = new Set<string>();
const vary = (...lines: string[]) => varyOf(new Fields(lines.flatMap((line) => ['vary', line])), NO_IGNORED);
const names = (...list: string[]) => ({ kind: 'names', names: list });
const safe = (fields: [string, string][], ...on: string[]) =>
  variantOf(on, new Fields(fields.flat()), SAFE_POLICY.vary);
const rfc = (fields: [string, string][], ...on: string[]) => variantOf(on, new Fields(fields.flat()), RFC_POLICY.vary);

describe('varyOf', () => {
  test('reads every line, sorted, in lower case, without repeats', () => {
    expect(vary('X-R', 'Accept-Encoding, x-r,')).toEqual(names('accept-encoding', 'x-r'));
    expect(vary()).toEqual(names());
    expect(vary('')).toEqual(names());
  });

  test.each([
    [['*']],
    [['*, *']],
    [['*', '*']],
    [[', *']],
    [['', '*']],
    [['*, Foo']],
    [['Foo, *']],
    [['foo bar', '*']],
  ])('%j is a star', (lines) => {
    expect(vary(...lines)).toEqual({ kind: 'star', why: 'star' });
  });

  test.each([['foo bar'], ['x'.repeat(200)], ['a"b'], [Array.from({ length: 17 }, (_, i) => `f${i}`).join()]])(
    '%j counts as a star',
    (line) => {
      expect(vary(line)).toEqual({ kind: 'star', why: 'unparsable' });
    },
  );

  test('leaves out fields that never reach the origin', () => {
    expect(varyOf(Fields.of({ vary: 'Cookie, Origin' }), new Set(['cookie']))).toEqual(names('origin'));
  });
});

describe('variantOf', () => {
  test('is empty without Vary', () => {
    expect(safe([['cookie', 'a=b']])).toBe('');
  });

  test('absent matches absent, and nothing else', () => {
    expect(safe([], 'foo')).toBe(safe([['bar', '1']], 'foo'));
    expect(safe([], 'foo')).not.toBe(safe([['foo', '']], 'foo'));
    expect(safe([], 'foo')).not.toBe(safe([['foo', '1']], 'foo'));
  });

  test('differs with the value of any of its fields, not with others', () => {
    expect(safe([['foo', '1']], 'bar', 'foo')).not.toBe(safe([['foo', '2']], 'bar', 'foo'));
    expect(safe([['foo', '1']], 'bar', 'foo')).not.toBe(safe([['bar', '1']], 'bar', 'foo'));
    expect(
      safe(
        [
          ['foo', '1'],
          ['x', '1'],
        ],
        'foo',
      ),
    ).toBe(
      safe(
        [
          ['x', '2'],
          ['foo', '1'],
        ],
        'foo',
      ),
    );
  });

  test('several lines are one list', () => {
    expect(
      safe(
        [
          ['foo', '1'],
          ['foo', '2'],
        ],
        'foo',
      ),
    ).toBe(safe([['foo', '1, 2']], 'foo'));
  });

  test('space in a field that is not known to be a list counts, unless the policy says not', () => {
    const strict = (value: string) =>
      variantOf(['foo'], new Fields(['foo', value]), { ...SAFE_POLICY.vary, listSpace: 'known-lists' });
    expect(strict('1,2')).not.toBe(strict('1, 2'));
    expect(rfc([['foo', '1,2']], 'foo')).toBe(rfc([['foo', ' 1, 2 ']], 'foo'));
    expect(rfc([['foo', '"1,2"']], 'foo')).not.toBe(rfc([['foo', '"1, 2"']], 'foo'));
    expect(rfc([['foo', '"a\\",b"']], 'foo')).not.toBe(rfc([['foo', '"a\\", b"']], 'foo'));
    expect(rfc([['foo', 'ab']], 'foo')).not.toBe(rfc([['foo', 'a b']], 'foo'));
    expect(rfc([['foo', 'ab']], 'foo')).not.toBe(rfc([['foo', 'ac']], 'foo'));
    expect(rfc([['foo', 'ab']], 'foo')).not.toBe(rfc([['foo', 'a,b']], 'foo'));
    expect(safe([['accept', 'a/b,c/d']], 'accept')).toBe(safe([['accept', 'a/b , c/d']], 'accept'));
  });

  test('holds no cookie text, whatever its length', () => {
    const variant = safe(
      [
        ['cookie', 'sid=s3cret'],
        ['authorization', 'Bearer s3cret'],
      ],
      'authorization',
      'cookie',
    );
    expect(variant).not.toContain('s3cret');
    expect(variant.length).toBeLessThan(150);
    expect(safe([['accept-language', 'x'.repeat(5_000)]], 'accept-language').length).toBeLessThan(100);
  });

  test('two requests have one variant exactly when every named field is equal', () => {
    const value = fc.option(fc.stringMatching(/^[a-c:-]{0,3}$/), { nil: undefined });
    const request = fc.tuple(value, value).map(([a, b]) => {
      const fields: [string, string][] = [];
      if (a !== undefined) fields.push(['a', a]);
      if (b !== undefined) fields.push(['b', b]);
      return { a, b, fields };
    });
    fc.assert(
      fc.property(request, request, (x, y) => {
        expect(safe(x.fields, 'a', 'b') === safe(y.fields, 'a', 'b')).toBe(x.a === y.a && x.b === y.b);
      }),
    );
  });
});

describe('Accept-Language', () => {
  test('case, space and a weight of 1 never count', () => {
    const variant = safe([['accept-language', 'en, de;q=0.5']], 'accept-language');
    expect(safe([['accept-language', ' eN;q=1.0 ,  DE ; q=0.50']], 'accept-language')).toBe(variant);
  });

  test('the order of equal weights counts unless the policy says not', () => {
    expect(safe([['accept-language', 'en, de']], 'accept-language')).not.toBe(
      safe([['accept-language', 'de, en']], 'accept-language'),
    );
    expect(rfc([['accept-language', 'en, de']], 'accept-language')).toBe(
      rfc([['accept-language', 'de, en']], 'accept-language'),
    );
    expect(rfc([['accept-language', 'en, de']], 'accept-language')).not.toBe(
      rfc([['accept-language', 'en, de;q=0.5']], 'accept-language'),
    );
  });
});

describe('Accept-Encoding', () => {
  test.each([
    [undefined, 'identity'],
    ['', 'identity'],
    ['identity', 'identity'],
    ['deflate', 'identity'],
    ['gzip', 'gzip'],
    ['x-gzip', 'gzip'],
    ['gzip, br', 'br, gzip'],
    ['br,gzip', 'br, gzip'],
    ['gzip, deflate, br, zstd', 'br, gzip, zstd'],
    ['gzip,deflate,br,zstd', 'br, gzip, zstd'],
    ['gzip, deflate, br', 'br, gzip'],
    ['br, gzip, deflate', 'br, gzip'],
    ['gzip, deflate', 'gzip'],
    ['GZIP;q=0.5 , br;q=1.0', 'br, gzip'],
    ['br;q=0, gzip', 'gzip'],
    ['gzip;q=0', 'identity'],
    ['*', 'br, gzip, zstd'],
    ['*, br;q=0', 'gzip, zstd'],
    ['gzip, *;q=0', 'gzip, identity;q=0'],
    ['gzip, identity;q=0', 'gzip, identity;q=0'],
    ['identity, *;q=0', 'identity'],
    ['*;q=0', 'identity;q=0'],
    ['gzip;q=x', 'identity'],
  ])('%j is reduced to %j', (value, normal) => {
    expect(reducedAcceptEncoding(value)).toBe(normal);
    expect(reducedAcceptEncoding(normal)).toBe(normal);
  });

  test('lines, order and space do not count', () => {
    const variant = safe([['accept-encoding', 'gzip, br']], 'accept-encoding');
    expect(safe([['accept-encoding', 'gzip,br']], 'accept-encoding')).toBe(variant);
    expect(
      safe(
        [
          ['accept-encoding', 'br'],
          ['accept-encoding', 'gzip'],
        ],
        'accept-encoding',
      ),
    ).toBe(variant);
    expect(safe([], 'accept-encoding')).not.toBe(variant);
  });

  test('requests of one variant send one value upstream, so that the origin can not tell them apart', () => {
    const coding = fc.constantFrom('gzip', 'br', 'zstd', 'deflate', 'identity', '*', 'GZIP;q=0', 'br;q=0.2', '*;q=0');
    const field = fc.option(
      fc.array(coding, { maxLength: 4 }).map((codings) => codings.join(', ')),
      { nil: undefined },
    );
    const request = (value: string | undefined): [string, string][] =>
      value === undefined ? [] : [['accept-encoding', value]];
    fc.assert(
      fc.property(field, field, (a, b) => {
        const same = safe(request(a), 'accept-encoding') === safe(request(b), 'accept-encoding');
        expect(same).toBe(upstreamAcceptEncoding(a, SAFE_POLICY.vary) === upstreamAcceptEncoding(b, SAFE_POLICY.vary));
      }),
    );
  });

  test('is left as it is when the policy says so', () => {
    expect(upstreamAcceptEncoding('deflate', { acceptEncoding: 'exact' })).toBe('deflate');
    expect(upstreamAcceptEncoding(undefined, { acceptEncoding: 'exact' })).toBeUndefined();
  });
});

test('where list space does not count, nothing but space around commas is lost', () => {
  const value = fc.string({ unit: fc.constantFrom('a', 'b', ',', ' '), maxLength: 6 });
  const members = (text: string) =>
    JSON.stringify(
      text
        .split(',')
        .map((m) => m.trim())
        .filter((m) => m !== ''),
    );
  fc.assert(
    fc.property(value, value, (a, b) => {
      const same = rfc([['foo', a]], 'foo') === rfc([['foo', b]], 'foo');
      expect(same).toBe(members(a) === members(b));
    }),
  );
});
