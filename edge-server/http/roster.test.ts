import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Clock } from '../../runtime/clock.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { createHttpCounters, Roster } from './roster.ts';

/** A roster whose ticks come when the test says. */
function roster() {
  let now = 5_000;
  let tick = () => {};
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    after: () => ({ cancel: () => {} }),
    every(_millis, callback) {
      tick = callback;
      return { cancel: () => {} };
    },
  };
  const one = new Roster(DEFAULT_LIMITS, clock, createHttpCounters());
  one.start();
  return {
    one,
    pass(millis: number) {
      now += millis;
      return now;
    },
    tick: () => tick(),
  };
}

const { tickMillis } = DEFAULT_LIMITS;

test('a deadline comes at most one tick late, and early only by what a tick was late', () => {
  const ticks = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 2, maxLength: 80 });
  fc.assert(
    fc.property(ticks, fc.nat(tickMillis - 1), fc.nat(79), (lates, offset, place) => {
      const { one, pass, tick } = roster();
      const noting = place % (lates.length - 1);
      let noted = 0;
      let truly = 0;
      const counted: { byMember: number; byClock: number }[] = [];
      one.add({
        tick: (nowMillis) => {
          if (truly > 0) counted.push({ byMember: nowMillis - noted, byClock: nowMillis - truly });
        },
        drain: () => {},
        destroy: () => {},
      });
      lates.forEach((late, at) => {
        const into = at === noting ? offset : 0;
        truly = at === noting ? pass(into) : truly;
        if (at === noting) noted = one.nowMillis;
        pass(tickMillis + late - into);
        tick();
      });
      const latest = Math.max(...lates);
      for (const { byMember, byClock } of counted) {
        expect(byMember).toBeLessThanOrEqual(byClock + latest);
        expect(byMember).toBeGreaterThan(byClock - tickMillis);
      }
    }),
  );
});

test('under pressure an idle time is shortened and never lengthened, and nothing new is admitted', () => {
  const { one } = roster();
  expect([one.idleMillis, one.keepsAlive]).toEqual([DEFAULT_LIMITS.idleMillis, true]);
  one.press({ idleMillis: 5_000, keepAlive: false, accepts: false });
  expect([one.idleMillis, one.keepsAlive, one.admit('a')]).toEqual([5_000, false, 'under-pressure']);
  one.press({ idleMillis: DEFAULT_LIMITS.idleMillis * 2, keepAlive: true, accepts: true });
  expect([one.idleMillis, one.keepsAlive, one.admit('a')]).toEqual([DEFAULT_LIMITS.idleMillis, true, 'admitted']);
});
