import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HostTable, hostName, hostPattern } from './host-table.ts';

const label = fc.stringMatching(/^[a-z]{1,3}$/);
const host = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'));
const pattern = fc.oneof(
  host,
  host.map((name) => `*.${name}`),
  fc.constant('*'),
);

/** The meaning, as a search over every pattern: an exact name, else the longest suffix, else `*`. */
function expected(patterns: readonly string[], name: string): string | undefined {
  if (patterns.includes(name)) return name;
  const wild = patterns.filter((one) => one.startsWith('*.') && name.endsWith(one.slice(1)) && name !== one.slice(2));
  wild.sort((a, b) => b.length - a.length);
  return wild[0] ?? patterns.find((one) => one === '*');
}

describe('the host table', () => {
  test('finds what a search over all patterns would', () => {
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 12 }), fc.array(host, { maxLength: 12 }), (patterns, names) => {
        const table = new HostTable<string>();
        for (const one of patterns) table.add(one, one);
        for (const name of [...names, ...patterns.map((one) => one.replace('*', 'x'))])
          expect(table.find(name)).toBe(expected(patterns, name));
      }),
    );
  });

  test('a wildcard is every name below it, at any depth, and not the name itself', () => {
    const table = new HostTable<number>();
    table.add('*.example.org', 1);
    table.add('*.deep.example.org', 2);
    const found = ['a.example.org', 'a.b.example.org', 'x.deep.example.org', 'deep.example.org', 'example.org'];
    expect(found.map((name) => table.find(name))).toEqual([1, 1, 2, 1, undefined]);
  });

  test('the first one that names a pattern keeps it', () => {
    const table = new HostTable<number>();
    expect([table.add('a.example.org', 1), table.add('a.example.org', 2)]).toEqual([1, 1]);
  });
});

test.each([
  ['A.Example.ORG', 'a.example.org'],
  ['a.example.org:8080', 'a.example.org'],
  ['a.example.org.:80', 'a.example.org'],
  ['[::1]:443', '[::1]'],
  ['[::1]', '[::1]'],
  ['', undefined],
  [':80', undefined],
])('the name of %j is %j', (authority, name) => expect(hostName(authority)).toBe(name));

test.each([
  ['*.Example.org', '*.example.org'],
  ['*', '*'],
  ['[::1]', '[::1]'],
  ['localhost', 'localhost'],
  ['a.example.org:80', undefined],
  ['*.*.example.org', undefined],
  ['a*.example.org', undefined],
  ['a..b', undefined],
  ['-a.example.org', undefined],
  ['a b', undefined],
  ['', undefined],
])('as a pattern %j is %j', (text, normal) => expect(hostPattern(text)).toBe(normal));

test('no text breaks either', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const name = hostName(text);
      new HostTable().find(name ?? '');
      const normal = hostPattern(text);
      if (normal !== undefined) expect(hostPattern(normal)).toBe(normal);
    }),
  );
});
