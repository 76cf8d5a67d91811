import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { type Candidate, victim } from './eviction.ts';
import { troubleOf } from './volume-state.ts';

function extents(count: number, over: (i: number) => Partial<Candidate> = () => ({})): Candidate[] {
  return Array.from({ length: count }, (_, i) => ({
    ...{ number: i + 1, segment: 0, bodyBytes: 100, deadBytes: 0, uses: 0, busy: 0, sealed: true, ...over(i) },
  }));
}
const none = () => false;

describe('the victim', () => {
  it('is the oldest where nothing else speaks', () => {
    expect(victim(extents(12), none)!.number).toBe(1);
  });

  it('is the least used of the older quarter, never a young one for being unused', () => {
    const all = extents(12, (i) => ({ uses: i === 1 ? 1 : i < 3 ? 9 : 0 }));
    expect(victim(all, none)!.number).toBe(2);
  });

  it('is one that is mostly dead, at any age', () => {
    expect(
      victim(
        extents(12, (i) => ({ uses: 5, deadBytes: i === 10 ? 90 : 0 })),
        none,
      )!.number,
    ).toBe(11);
  });

  it('is never one that is open, busy or passed over', () => {
    const all = extents(4, (i) => ({ sealed: i !== 0, busy: i === 1 ? 1 : 0 }));
    expect(victim(all, (one) => one.number === 3)!.number).toBe(4);
    expect(victim(all, () => true)).toBeUndefined();
    expect(victim([], none)).toBeUndefined();
  });
});

describe('what a disk’s error means', () => {
  it.each([
    [{ code: 'ENOSPC' }, 'no-space'],
    [{ code: 'EDQUOT' }, 'no-space'],
    [{ message: 'MDB_MAP_FULL: Environment mapsize limit reached' }, 'no-space'],
    [{ code: constants.errno.ENOSPC, message: 'No space left on device: Attempting to write page' }, 'no-space'],
    [{ code: 'EIO' }, 'broken'],
    [{ code: 'EROFS' }, 'broken'],
    [{ message: 'MDB_CORRUPTED: Located page was wrong type' }, 'broken'],
    [{ code: constants.errno.EIO, message: 'Input/output error' }, 'broken'],
    [{ code: 'EMFILE' }, 'passing'],
    [new TypeError('a fault of ours'), 'passing'],
    [undefined, 'passing'],
  ])('%o is %s', (error, trouble) => {
    expect(troubleOf(error)).toBe(trouble);
  });
});
