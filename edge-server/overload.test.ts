import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AT_REST, delayRule, type LadderRule, levelOf, memoryRule, step } from './overload.ts';

const RULE = delayRule(100, 500);

/** Levels after each reading, one a second. */
function levels(readings: readonly number[], rule: LadderRule = RULE): number[] {
  let state = AT_REST;
  return readings.map((reading, second) => {
    state = step(state, reading, second * 1000, rule);
    return levelOf(state);
  });
}

describe('the level of overload', () => {
  test('begins with the third of four readings at the threshold, not with a pause or two', () => {
    expect(levels([0, 900, 0, 0, 0, 900, 900, 0, 0])).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(levels([120, 0, 120, 120])).toEqual([0, 0, 0, 1]);
    expect(levels([99, 99, 99, 99, 99])).toEqual([0, 0, 0, 0, 0]);
  });

  test('rises by what most readings reach, to the highest at once', () => {
    expect(levels([600, 600, 600])).toEqual([0, 0, 2]);
    expect(levels([600, 600, 120, 120, 600, 600, 600])).toEqual([0, 0, 1, 1, 1, 1, 2]);
  });

  test('ends five calm seconds after the last reading near the threshold, a level at a time', () => {
    expect(levels([600, 600, 600, 120, 120, 120, 120, 120, 0, 0, 0, 0, 0])).toEqual([
      0, 0, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0,
    ]);
    // 90 ms is no reason to begin, and no reason to end.
    expect(levels([120, 120, 120, ...Array<number>(20).fill(90)]).slice(2)).toEqual(Array<number>(21).fill(1));
  });

  test('of memory is by percentages of the budget; no budget, no level', () => {
    const rule = memoryRule(1000, [85, 92, 95]);
    expect(levels([849, 849, 849, 850, 850, 850, 920, 920, 920, 950, 950, 950], rule)).toEqual([
      0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3,
    ]);
    expect(levels([9e9, 9e9, 9e9, 9e9], memoryRule(0, [85, 92, 95]))).toEqual([0, 0, 0, 0]);
  });

  test('switched off, a threshold does nothing and the others go on', () => {
    expect(levels([900, 900, 900, 900], delayRule(0, 0))).toEqual([0, 0, 0, 0]);
    expect(levels([900, 900, 900, 900], delayRule(100, 0))).toEqual([0, 0, 1, 1]);
    expect(levels([900, 900, 900, 900], delayRule(0, 500))).toEqual([0, 0, 2, 2]);
  });

  const readings = fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 200 });

  test('never rises above what three of four readings of late have reached', () => {
    fc.assert(
      fc.property(readings, (all) => {
        const seen = levels(all);
        seen.forEach((level, at) => {
          if (level <= (seen[at - 1] ?? 0)) return;
          const threshold = RULE.thresholds[level - 1]!;
          const recent = all.slice(Math.max(0, at - 3), at + 1);
          expect(recent.filter((one) => one >= threshold).length).toBeGreaterThanOrEqual(3);
        });
      }),
    );
  });

  test('does not flap: what has begun lasts five seconds after its last near reading', () => {
    fc.assert(
      fc.property(readings, (all) => {
        const seen = levels(all);
        seen.forEach((level, at) => {
          const before = seen[at - 1] ?? 0;
          if (level >= before) return;
          for (const threshold of RULE.thresholds.slice(level, before))
            expect(Math.max(...all.slice(at - 4, at + 1))).toBeLessThan(threshold * RULE.release);
        });
      }),
    );
  });

  test('is none after calm, whatever was before', () => {
    fc.assert(
      fc.property(readings, (all) => {
        expect(levels([...all, 0, 0, 0, 0, 0, 0, 0, 0]).at(-1)).toBe(0);
      }),
    );
  });
});
