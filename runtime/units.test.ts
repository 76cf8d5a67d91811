import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nearest } from './nearest.ts';
import { parseAddress, parseBytes, parseMillis } from './units.ts';

test.each([
  ['4096', 4096],
  ['1kB', 1000],
  ['1KiB', 1024],
  ['1k', 1024],
  ['256MiB', 268_435_456],
  ['1.5GiB', 1_610_612_736],
  ['10 GB', 10_000_000_000],
  ['2tib', 2 ** 41],
  ['0', 0],
])('%s is %d bytes', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

test.each([
  ['250', 250],
  ['500ms', 500],
  ['10s', 10_000],
  ['1.5m', 90_000],
  ['12h', 43_200_000],
  ['1d', 86_400_000],
])('%s is %d milliseconds', (text, millis) => expect(parseMillis(text)).toBe(millis));

test.each(['', '-1', '1e3', 'ten', '1 2', '5 XB', '.5', '1.', 'constructor'])(
  '%j is neither a size nor a time',
  (text) => {
    expect(parseBytes(text)).toBeUndefined();
    expect(parseMillis(text)).toBeUndefined();
  },
);

test.each([
  ['127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
  ['edge.example.org:0', { host: 'edge.example.org', port: 0 }],
  ['[::1]:8080', { host: '::1', port: 8080 }],
  [':8080', { host: '::', port: 8080 }],
  ['127.0.0.1', undefined],
  ['::1:8080', undefined],
  ['a:65536', undefined],
  ['a:-1', undefined],
  ['a b:1', undefined],
])('%s as an address is %j', (text, address) => expect(parseAddress(text)).toEqual(address));

test('a mistyped word finds the right one, another word finds none', () => {
  const known = ['listen', 'memory', 'memory-max', 'upstream'];
  expect(nearest('memroy', known)).toBe('memory');
  expect(nearest('upsteam', known)).toBe('upstream');
  expect(nearest('zzzzzz', known)).toBeUndefined();
  expect(nearest('listen', [])).toBeUndefined();
});

test('a word with one letter changed is always found among distant ones', () => {
  const words = ['cache-dir', 'workers', 'upstream', 'memory'];
  fc.assert(
    fc.property(fc.constantFrom(...words), fc.nat(), fc.constantFrom('x', 'q', '9'), (word, at, letter) => {
      const i = at % word.length;
      expect(nearest(word.slice(0, i) + letter + word.slice(i + 1), words)).toBe(word);
      expect(nearest(word.slice(0, i) + word.slice(i + 1), words)).toBe(word);
    }),
  );
});
