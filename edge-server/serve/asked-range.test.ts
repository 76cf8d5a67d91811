import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fields } from '../http/fields.ts';
import { SLICE_BYTES } from '../store/contract.ts';
import { askedRange } from './asked-range.ts';

const asked = (range: string) => askedRange(Fields.of({ range }));

describe('the range asked of an upstream', () => {
  it.each([
    ['bytes=0-0', 'bytes=0-1048575'],
    ['bytes=1048576-1048576', 'bytes=1048576-2097151'],
    ['bytes=1048575-1048576', 'bytes=0-2097151'],
    ['bytes=5-', 'bytes=0-'],
    ['bytes=-1', 'bytes=-2097152'],
    ['bytes=3-9,20-30', 'bytes=0-1048575'],
  ])('%s asks for %s', (range, wanted) => {
    expect(asked(range)).toBe(wanted);
  });

  it.each(['bytes=5-2', 'bytes=-0', 'items=0-1', 'bytes', 'bytes=abc', 'bytes=-'])('%s asks for the whole', (range) => {
    expect(asked(range)).toBeUndefined();
  });

  it('covers what the client wants, in whole slices, with less than two slices too much', () => {
    const byte = fc.integer({ min: 0, max: 2 ** 40 });
    fc.assert(
      fc.property(byte, byte, (a, b) => {
        const [first, last] = a < b ? [a, b] : [b, a];
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(asked(`bytes=${first}-${last}`)!)!.map(Number);
        expect(from! % SLICE_BYTES).toBe(0);
        expect((to! + 1) % SLICE_BYTES).toBe(0);
        expect(from! <= first && to! >= last).toBe(true);
        expect(to! - from! - (last - first)).toBeLessThan(2 * SLICE_BYTES);
      }),
    );
  });
});
