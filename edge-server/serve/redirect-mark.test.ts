import fc from 'fast-check';
import { expect, test } from 'vitest';
import { withMark, withoutMark } from './redirect-mark.ts';

test('the mark is one parameter among others, and taking it off leaves the rest as it was', () => {
  expect(withMark('/a')).toBe('/a?nearcast-redirected=1');
  expect(withMark('/a?b=1')).toBe('/a?b=1&nearcast-redirected=1');
  expect(withoutMark('/a?nearcast-redirected=1')).toBe('/a');
  expect(withoutMark('/a?nearcast-redirected=1&b=1&nearcast-redirected=1')).toBe('/a?b=1');
});

test('what only looks like it stays', () => {
  for (const target of ['/nearcast-redirected=1', '/a?x-nearcast-redirected=1', '/a?nearcast-redirected=10', '/a'])
    expect(withoutMark(target)).toBeUndefined();
});

test('on and off is nothing', () => {
  const parameters = fc.array(fc.constantFrom('a=1', 'b', 'nearcast-redirected', 'nearcast-redirected=2', 'c=d=e'));
  fc.assert(
    fc.property(fc.constantFrom('/', '/a/b', '/a%20b'), parameters, (path, query) => {
      const target = query.length === 0 ? path : `${path}?${query.join('&')}`;
      expect(withoutMark(withMark(target))).toBe(target);
    }),
  );
});
