import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { afterFailure, afterSuccess, EJECTION, type EjectionState, ejected, NEVER_EJECTED } from './ejection.ts';

const failing = (state: EjectionState, times: number, now: number): EjectionState => {
  for (let i = 0; i < times; i++) state = afterFailure(state, EJECTION, now);
  return state;
};

describe('passive ejection', () => {
  it('four failures in a row keep an upstream, the fifth ejects it for 30 s', () => {
    expect(ejected(failing(NEVER_EJECTED, 4, 1000), 1000)).toBe(false);
    const out = failing(NEVER_EJECTED, 5, 1000);
    expect(ejected(out, 30_999)).toBe(true);
    expect(ejected(out, 31_000)).toBe(false);
  });

  it('one success between failures starts the count again', () => {
    const state = afterSuccess(failing(NEVER_EJECTED, 4, 0), EJECTION, 0);
    expect(ejected(failing(state, 4, 0), 0)).toBe(false);
  });

  it('each further ejection lasts 30 s longer, never over 300 s, whatever the history', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), (rounds) => {
        let state: EjectionState = NEVER_EJECTED;
        let now = 1_000_000;
        for (let round = 1; round <= rounds; round++) {
          state = failing(state, 5, now);
          expect(state.untilMillis - now).toBe(Math.min(30_000 * round, 300_000));
          now = state.untilMillis;
        }
      }),
    );
  });

  it('ten quiet minutes forgive earlier ejections', () => {
    const once = failing(NEVER_EJECTED, 5, 1000);
    const later = once.untilMillis + 600_001;
    expect(failing(once, 5, later).untilMillis - later).toBe(30_000);
  });
});
