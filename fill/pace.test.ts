import fc from 'fast-check';
import { expect, test } from 'vitest';
import { VirtualClock } from '../runtime/clock.ts';
import { Pace, wait } from './pace.ts';

const never = new AbortController().signal;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('without a cap nothing waits', async () => {
  const clock = new VirtualClock();
  const pace = new Pace({ clock, bytesPerSecond: undefined });
  await pace.take(1e12, never);
  expect(clock.now()).toBe(1_700_000_000_000);
});

test('over any ten seconds no more than the cap, a quarter second of it and the chunks in hand pass, and over a minute no less than 0.95 of it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 100_000, max: 10_000_000 }),
      fc.array(fc.integer({ min: 1, max: 65_536 }), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 4 }),
      async (cap, sizes, takers) => {
        const clock = new VirtualClock(0);
        const pace = new Pace({ clock, bytesPerSecond: cap });
        const end = new AbortController();
        const passed: { at: number; bytes: number }[] = [];
        const chunk = Math.ceil(cap / 50);
        const take = async (first: number) => {
          for (let i = first; !end.signal.aborted; i++) {
            const bytes = Math.max(chunk, sizes[i % sizes.length]!);
            await pace.take(bytes, end.signal);
            passed.push({ at: clock.now(), bytes });
          }
        };
        const running = Array.from({ length: takers }, (_, i) => take(i));
        for (let step = 0; step < 2400; step++) {
          clock.advance(25);
          await turn();
        }
        end.abort();
        await Promise.all(running);
        const within = (from: number, to: number) =>
          passed.filter(({ at }) => at >= from && at < to).reduce((sum, { bytes }) => sum + bytes, 0);
        const largest = Math.max(chunk, ...sizes);
        for (let from = 0; from < 50_000; from += 2500)
          expect(within(from, from + 10_000)).toBeLessThanOrEqual(cap * 10 * 1.025 + largest * takers);
        expect(within(0, 60_000)).toBeGreaterThan(cap * 60 * 0.95);
      },
    ),
    { numRuns: 10 },
  );
});

test('takers are served in the order in which they came', async () => {
  const clock = new VirtualClock();
  const pace = new Pace({ clock, bytesPerSecond: 1000 });
  const order: string[] = [];
  for (const [name, bytes] of [
    ['first', 1000],
    ['second', 10],
    ['third', 10],
  ] as const)
    void pace.take(bytes, never).then(() => order.push(name));
  clock.advance(760);
  await turn();
  expect(order).toEqual(['first', 'second']);
  clock.advance(10);
  await turn();
  expect(order).toEqual(['first', 'second', 'third']);
});

test('while clients are served slowly it steps aside, but moves a chunk a second', async () => {
  const clock = new VirtualClock();
  let busy = true;
  const pace = new Pace({ clock, bytesPerSecond: undefined, busy: () => busy });
  let taken = 0;
  const take = () => void pace.take(1, never).then(() => taken++);
  const pass = async (millis: number) => {
    for (let i = 0; i < millis; i += 25) {
      clock.advance(25);
      await turn();
    }
  };
  take();
  await pass(975);
  expect(taken).toBe(0);
  await pass(25);
  expect(taken).toBe(1);
  take();
  await pass(100);
  busy = false;
  await pass(25);
  expect(taken).toBe(2);
});

test('an abort ends every wait at once', async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const pace = new Pace({ clock, bytesPerSecond: 1 });
  const waits = [pace.take(1_000_000, stop.signal), wait(clock, 1e9, stop.signal)];
  stop.abort();
  await Promise.all(waits);
  await wait(clock, 1e9, stop.signal);
});
