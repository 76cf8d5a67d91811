import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type BackOff, backedOff, backOffMillis, retryAfterMillis } from './back-off.ts';

const NOW = Date.UTC(2026, 6, 1);

test('a failing origin is asked once a second at first, then less and less', () => {
  expect([1, 2, 3, 5, 6, 50].map((failures) => backOffMillis(failures, undefined, NOW))).toEqual([
    1_000, 2_000, 4_000, 16_000, 30_000, 30_000,
  ]);
});

test('Retry-After lengthens the pause, within reason', () => {
  expect(backOffMillis(1, '20', NOW)).toBe(20_000);
  expect(backOffMillis(6, '1', NOW)).toBe(30_000);
  expect(backOffMillis(1, 'Wed, 01 Jul 2026 00:00:10 GMT', NOW)).toBe(10_000);
  expect(backOffMillis(1, '99999999999999999999', NOW)).toBe(300_000);
  expect(backOffMillis(1, 'soon', NOW)).toBe(1_000);
  expect(retryAfterMillis('Wed, 01 Jul 2020 00:00:10 GMT', NOW)).toBe(0);
  expect(retryAfterMillis('-5', NOW)).toBeUndefined();
});

test('the pause is at least a second and at most five minutes, whatever comes', () => {
  fc.assert(
    fc.property(fc.integer(), fc.oneof(fc.string(), fc.nat().map(String)), (failures, value) => {
      const millis = backOffMillis(failures, value, NOW);
      expect(millis >= 1_000 && millis <= 300_000).toBe(true);
    }),
  );
});

test('each failure in a row doubles the pause up to half a minute, and a long silence ends the row', () => {
  let state: BackOff | undefined;
  let now = NOW;
  const pauses = Array.from({ length: 7 }, () => {
    state = backedOff(state, undefined, now);
    const pause = state.untilMillis - now;
    now = state.untilMillis;
    return pause;
  });
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  expect(backedOff(state, undefined, now + 60_000)).toEqual({ failures: 1, untilMillis: now + 61_000 });
});

test('failures of what was asked before the pause began are one failure', () => {
  const first = backedOff(undefined, '20', NOW);
  expect(backedOff(first, undefined, NOW + 5)).toEqual({ failures: 1, untilMillis: NOW + 20_000 });
});
