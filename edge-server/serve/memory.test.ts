import { expect, test } from 'vitest';
import { BackOffMemory, KeyMemory } from './memory.ts';

test('a key is left alone for twice as long after each failure, and at once no more when it has answered', () => {
  const memory = new BackOffMemory();
  let now = 1_000_000;
  for (const pause of [1_000, 2_000, 4_000]) {
    memory.failed('k', undefined, now);
    expect([memory.holds('k', now + pause - 1), memory.holds('k', now + pause)]).toEqual([true, false]);
    now += pause;
  }
  expect(memory.holds('other', now)).toBe(false);
  memory.failed('k', '60', now);
  expect(memory.holds('k', now + 59_000)).toBe(true);
  memory.forget('k');
  expect(memory.holds('k', now)).toBe(false);
  memory.failed('k', undefined, now);
  expect(memory.holds('k', now + 1_000)).toBe(false);
});

test('both memories are bounded: the key longest unused is forgotten', () => {
  const [keys, backOff] = [new KeyMemory(2), new BackOffMemory(2)];
  for (const key of ['a', 'b', 'c']) {
    keys.remember(key, 10);
    backOff.failed(key, undefined, 0);
  }
  expect(['a', 'b', 'c'].map((key) => keys.holds(key, 0))).toEqual([false, true, true]);
  expect(['a', 'b', 'c'].map((key) => backOff.holds(key, 0))).toEqual([false, true, true]);
});
