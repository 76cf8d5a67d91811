import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OverheadAllowance, TokenBucket } from './http2-allowance.ts';

test('a bucket gives what it holds at once, then what time gives back, and never more than it holds', () => {
  const bucket = new TokenBucket(3, 2, 0);
  expect([bucket.take(3), bucket.take(1)]).toEqual([true, false]);
  bucket.refill(500);
  expect(bucket.take(1)).toBe(false);
  bucket.refill(60_000);
  expect([bucket.take(3), bucket.take(1)]).toEqual([true, false]);
});

test('bytes that nothing accounts for are within the allowance up to its burst, and then by its rate', () => {
  const allowance = new OverheadAllowance(1000, 100, 0);
  expect(allowance.within(0, 1000, 0)).toBe(true);
  expect(allowance.within(1000, 1100, 0)).toBe(true);
  expect(allowance.within(2000, 1201, 0)).toBe(false);
});

test('requests, and acknowledgements of what was sent, cost nothing; acknowledgements may come a look later', () => {
  const allowance = new OverheadAllowance(100, 0, 0);
  allowance.earn(5000);
  expect(allowance.within(1000, 5000, 0)).toBe(true);
  // 320,000 bytes went out: 10,000 bytes of WINDOW_UPDATE may come back, in the next second as well.
  expect(allowance.within(2000, 5000, 320_000)).toBe(true);
  expect(allowance.within(3000, 15_000, 320_000)).toBe(true);
  expect(allowance.within(4000, 15_101, 320_000)).toBe(false);
});

test('what was earned and not used is gone after a look at which time has passed', () => {
  const allowance = new OverheadAllowance(100, 0, 0);
  allowance.earn(10_000);
  expect(allowance.within(1000, 0, 0)).toBe(true);
  expect(allowance.within(2000, 0, 0)).toBe(true);
  expect(allowance.within(3000, 101, 0)).toBe(false);
});

test('a frame may be charged for more than its bytes', () => {
  const allowance = new OverheadAllowance(100, 0, 0);
  allowance.charge(60);
  expect(allowance.within(0, 40, 0)).toBe(true);
  allowance.charge(1);
  expect(allowance.within(0, 40, 0)).toBe(false);
});

test('however often it is looked at, a client that sends no more than it earns and the rate stays within', () => {
  const look = fc.record({
    millis: fc.integer({ min: 0, max: 2000 }),
    request: fc.nat(50_000),
    written: fc.nat(1 << 20),
    acknowledges: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(look, { maxLength: 50 }), (looks) => {
      const allowance = new OverheadAllowance(1024, 100, 0);
      let [now, read, written] = [0, 0, 0];
      for (const one of looks) {
        now += one.millis;
        allowance.earn(one.request);
        written += one.written;
        read += one.request + (one.acknowledges ? Math.floor(one.written / 32) : 0);
        if (!allowance.within(now, read, written)) return false;
      }
      return true;
    }),
  );
});
