import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ownerOf } from './owner.ts';

const KEYS = Array.from({ length: 4000 }, (_, i) => `http://example.org/film/${i}.m4s`);

describe('the owner of a key', () => {
  it('is always one of the workers, and always the same', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 64 }), (key, count) => {
        const owner = ownerOf(key, count);
        expect(owner).toBeGreaterThanOrEqual(0);
        expect(owner).toBeLessThan(count);
        expect(ownerOf(key, count)).toBe(owner);
      }),
    );
  });

  it('is spread evenly over the workers', () => {
    const owned = [0, 0, 0, 0];
    for (const key of KEYS) owned[ownerOf(key, 4)]! += 1;
    for (const count of owned) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('changes for few keys when a worker is added', () => {
    const moved = KEYS.filter((key) => ownerOf(key, 4) !== ownerOf(key, 5));
    expect(moved.length / KEYS.length).toBeLessThan(0.25);
    for (const key of moved) expect(ownerOf(key, 5)).toBe(4);
  });
});
