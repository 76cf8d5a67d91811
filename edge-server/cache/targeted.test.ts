import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fieldsOf } from './sample-responses.ts';
import { parseDictionary } from './structured-fields.ts';
import { effectiveDirectives, targetedDirectives } from './targeted.ts';

const effective = (...entries: [string, string][]) => effectiveDirectives(fieldsOf(...entries), true);

describe('CDN-Cache-Control', () => {
  test('is in force alone when it is valid', () => {
    const { source, directives } = effective(['cache-control', 'no-store'], ['cdn-cache-control', 'max-age=60']);
    expect(source).toBe('cdn-cache-control');
    expect(directives).toMatchObject({ noStore: false, maxAgeMillis: 60_000 });
  });

  test.each([
    ['an invalid item', 'max-age=60, foo=}'],
    ['an unknown type', 'max-age=10000, &&&&&'],
    ['a string where a number belongs', 'max-age="60"'],
    ['a decimal', 'max-age=1.5'],
    ['a number where a flag belongs', 'no-store=1'],
    ['a token where a list belongs', 'private=x'],
    ['space before the equals sign', 'max-age =100'],
    ['space after the equals sign', 'max-age= 100'],
    ['an upper-case key', 'MaX-aGe=3600'],
    ['a trailing comma', 'max-age=60,'],
    ['nothing', ''],
    ['an unterminated string', 'private="x'],
  ])('is ignored as a whole for %s', (_, value) => {
    const { source, directives } = effective(['cdn-cache-control', value], ['cache-control', 'no-store']);
    expect(source).toBe('cache-control');
    expect(directives.noStore).toBe(true);
  });

  test.each([
    ['no-store', { noStore: true }],
    ['private', { private: true }],
    ['max-age=0', { maxAgeMillis: 0 }],
    ['max-age=-1', { maxAgeMillis: 0 }],
    ['max-age=99999999999', { maxAgeMillis: 2 ** 31 * 1000 }],
    ['no-store=?0, max-age=5', { noStore: false, maxAgeMillis: 5_000 }],
    ['private="X-A, x-b"', { private: false, omittedFields: ['x-a', 'x-b'] }],
    ['foobar, max-age=5;why="because", other=(a b);c', { maxAgeMillis: 5_000 }],
    ['max-age=1, max-age=2', { maxAgeMillis: 2_000 }],
  ])('%s', (value, said) => {
    expect(targetedDirectives(value)).toMatchObject(said);
  });
});

describe('Surrogate-Control', () => {
  test('comes after CDN-Cache-Control and before Cache-Control', () => {
    expect(effective(['surrogate-control', 'max-age=60'], ['cache-control', 'no-store'])).toMatchObject({
      source: 'surrogate-control',
      directives: { noStore: false, maxAgeMillis: 60_000 },
    });
    expect(effective(['surrogate-control', 'max-age=60'], ['cdn-cache-control', 'no-store'])).toMatchObject({
      source: 'cdn-cache-control',
      directives: { noStore: true },
    });
  });

  test('gives a staleness after the plus sign, and forbids', () => {
    expect(effective(['surrogate-control', 'content="ESI/1.0", max-age=60+30'])).toMatchObject({
      directives: { maxAgeMillis: 60_000, staleWhileRevalidateMillis: 30_000, staleIfErrorMillis: 30_000 },
    });
    expect(effective(['surrogate-control', 'no-store'], ['cache-control', 'max-age=9'])).toMatchObject({
      directives: { noStore: true },
    });
  });

  test('without a word about caching changes nothing, nor does it when it is switched off', () => {
    expect(effective(['surrogate-control', 'content="ESI/1.0"'], ['cache-control', 'no-store']).source).toBe(
      'cache-control',
    );
    expect(effectiveDirectives(fieldsOf(['surrogate-control', 'max-age=60']), false).source).toBe('cache-control');
  });
});

describe('parseDictionary', () => {
  test.each([
    ['a=1, b=-2.5, c="x\\"y", d=tok/en:x, e=:aGk=:, f=?1, g=?0, h, i=@1659578233, j=%"f%c3%bc", k=(1 "a");x=1'],
  ])('reads every type: %s', (text) => {
    const members = parseDictionary(text);
    expect([...members!.values()].map(({ type }) => type)).toEqual([
      'integer',
      'decimal',
      'string',
      'token',
      'bytes',
      'boolean',
      'boolean',
      'boolean',
      'date',
      'display-string',
      'inner-list',
    ]);
    expect(members!.get('c')).toEqual({ type: 'string', value: 'x"y' });
  });

  test.each([
    'a=',
    'A=1',
    '1a=1',
    'a=1 b=2',
    'a=?2',
    'a=1.',
    'a=1.2345',
    'a=1234567890123456',
    'a="\x01"',
    'a=(1',
    'a;',
  ])('refuses %j', (text) => {
    expect(parseDictionary(text)).toBeUndefined();
  });

  test('reads back integers, strings and flags that were written', () => {
    const key = fc.stringMatching(/^[a-z*][a-z0-9_.*-]{0,8}$/);
    const item = fc.oneof(
      fc.integer().map((value) => [String(value), { type: 'integer', value }] as const),
      fc
        .stringMatching(/^[\x20-\x7e]{0,12}$/)
        .map((value) => [`"${value.replace(/["\\]/g, '\\$&')}"`, { type: 'string', value }] as const),
      fc.boolean().map((value) => [value ? '?1' : '?0', { type: 'boolean', value }] as const),
    );
    fc.assert(
      fc.property(fc.dictionary(key, item, { noNullPrototype: false }), (written) => {
        const pairs = Object.entries(written);
        const text = pairs.map(([name, [value]]) => `${name}=${value}`).join(' ,\t');
        const read = parseDictionary(text);
        expect([...read!.entries()]).toEqual(pairs.map(([name, [, value]]) => [name, value]));
      }),
    );
  });

  test('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseDictionary(text)));
  });
});
