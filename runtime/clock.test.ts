import { expect, test } from 'vitest';
import { systemClock, VirtualClock } from './clock.ts';

test('a virtual clock stands still until it is advanced, and runs timers in order, each at its own time', () => {
  const clock = new VirtualClock(1000);
  const ran: string[] = [];
  const note = (name: string) => () => ran.push(`${name} at ${clock.now()}`);
  clock.after(300, note('late'));
  clock.after(100, note('early'));
  clock.after(100, note('same time, set later'));
  const every = clock.every(120, note('every'));
  expect([clock.now(), ran]).toEqual([1000, []]);
  clock.advance(99);
  expect(ran).toEqual([]);
  clock.advance(201);
  expect(ran).toEqual([
    'early at 1100',
    'same time, set later at 1100',
    'every at 1120',
    'every at 1240',
    'late at 1300',
  ]);
  every.cancel();
  clock.advance(10_000);
  expect(ran).toHaveLength(5);
  expect(clock.now()).toBe(11_300);
});

test('a timer set by a timer runs in the same advance when it falls due', () => {
  const clock = new VirtualClock(0);
  const ran: number[] = [];
  clock.after(10, () => clock.after(10, () => ran.push(clock.now())));
  clock.advance(20);
  expect(ran).toEqual([20]);
});

test('a cancelled timer does not run, also when an earlier one cancels it', () => {
  const clock = new VirtualClock(0);
  let ran = false;
  const later = clock.after(20, () => {
    ran = true;
  });
  clock.after(10, () => later.cancel());
  clock.advance(100);
  expect(ran).toBe(false);
});

test('setting the wall clock moves no timer', () => {
  const clock = new VirtualClock(0);
  const ran: number[] = [];
  clock.after(100, () => ran.push(clock.now()));
  clock.step(1_000_000);
  expect(ran).toEqual([]);
  clock.advance(99);
  expect(ran).toEqual([]);
  clock.advance(1);
  expect(ran).toEqual([1_000_100]);
});

test('the system clock calls back, and its timers can be cancelled', async () => {
  const before = systemClock.monotonic();
  const cancelled = systemClock.after(1, () => expect.unreachable('it was cancelled'));
  cancelled.cancel();
  let times = 0;
  await new Promise<void>((resolve) => {
    const timer = systemClock.every(2, () => {
      if (++times < 3) return;
      timer.cancel();
      resolve();
    });
    setTimeout(() => resolve(), 5000).unref();
  });
  expect(times).toBe(3);
  expect(systemClock.monotonic()).toBeGreaterThan(before);
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1000);
});
