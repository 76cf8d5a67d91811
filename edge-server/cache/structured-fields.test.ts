import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDictionary } from './structured-fields.ts';

const piece = fc.constantFrom(
  'a',
  'b1',
  '*',
  '=',
  ',',
  ';',
  ' ',
  '\t',
  '"',
  '\\',
  '(',
  ')',
  ':',
  '?1',
  '?',
  '1',
  '-',
  '1.5',
  '@',
  '%',
  'é',
  '\0',
); // prettier-ignore
const text = fc.oneof(
  fc.string(),
  fc.array(piece, { maxLength: 30 }).map((parts) => parts.join('')),
);

test('no text makes the reader throw, and every name that it gives is a key', () => {
  fc.assert(
    fc.property(text, (field) => {
      for (const name of parseDictionary(field)?.keys() ?? []) expect(name).toMatch(/^[a-z*][a-z0-9_.*-]*$/);
    }),
    { numRuns: 2000 },
  );
});

test('a member before what is well formed, or after it, does not change what is read of it', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/);
  const names = fc.uniqueArray(name, { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(names, fc.nat(999_999), (all, value) => {
      const read = parseDictionary(all.map((one) => `${one}=${value}`).join(', '));
      expect([...(read?.keys() ?? [])]).toEqual(all);
      const repeated = parseDictionary(`${all[0]}=0, ${all.map((one) => `${one}=${value}`).join(',\t')}`);
      expect(repeated).toEqual(read);
    }),
  );
});
