import { expect, test } from 'vitest';
import type { FillProgress } from '../control-plane/api.ts';
import { Backlog } from './backlog.ts';
import { mergedProgress, NO_FILL } from './progress.ts';

const part = (changes: Partial<FillProgress>): FillProgress => ({
  ...NO_FILL,
  manifestVersion: 3,
  state: 'done',
  assetsPlanned: 2,
  assetsDone: 2,
  bytesPlanned: 20,
  bytesDone: 20,
  bytesBySource: { peer: 1, region: 2, origin: 3 },
  ...changes,
});

test('the workers of an appliance add up', () => {
  const failures = [{ path: '/a', why: 'region r1: refused (404)' }];
  expect(mergedProgress([part({}), part({ assetsDone: 1, failures })])).toEqual({
    manifestVersion: 3,
    state: 'done',
    assetsPlanned: 4,
    assetsDone: 3,
    bytesPlanned: 40,
    bytesDone: 40,
    bytesBySource: { peer: 2, region: 4, origin: 6 },
    failures,
  });
});

test('an appliance is done when every worker is, and of one version', () => {
  expect(mergedProgress([part({}), part({ state: 'filling' })]).state).toBe('filling');
  expect(mergedProgress([part({}), part({ state: 'paused' })]).state).toBe('paused');
  const behind = mergedProgress([part({ manifestVersion: 2 }), part({})]);
  expect(behind).toMatchObject({ manifestVersion: 3, state: 'filling', assetsPlanned: 2 });
  expect(mergedProgress([part({}), NO_FILL]).state).toBe('filling');
});

test('no workers, or none with a manifest, is idle', () => {
  expect(mergedProgress([])).toEqual(NO_FILL);
  expect(mergedProgress([NO_FILL, NO_FILL])).toEqual(NO_FILL);
});

test('a backlog gives its entries in order, and deferred ones first once they are due, each wait longer', () => {
  const backlog = new Backlog(['a', 'b', 'c']);
  expect(backlog.take(0)).toBe('a');
  backlog.defer('a', 1, 0);
  expect(backlog.take(249)).toBe('b');
  expect(backlog.take(250)).toBe('a');
  backlog.defer('a', 2, 250);
  backlog.defer('b', 99, 250);
  expect(backlog.take(250)).toBe('c');
  expect(backlog.take(250)).toBeUndefined();
  expect(backlog.dueAt()).toBe(750);
  expect(backlog.take(750)).toBe('a');
  expect(backlog.dueAt()).toBe(5250);
  expect(backlog.take(5250)).toBe('b');
  expect(backlog.dueAt()).toBeUndefined();
});
