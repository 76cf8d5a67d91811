import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backOffMillis, retryAfterMillis } from './back-off.ts';

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
