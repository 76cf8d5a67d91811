/**
 * Passive ejection of an upstream, pure: five failures in a row take it out for 30 s × n, at most 300 s; n is forgotten
 * after ten minutes without an ejection. Numbers from Envoy's outlier detection. The last upstream is never ejected:
 * that rule is the list's, which knows how many there are.
 */

export interface EjectionRules {
  /** Failures in a row that eject; 0 switches ejection off. */
  readonly consecutiveFailures: number;
  readonly baseMillis: number;
  readonly maxMillis: number;
  readonly forgetMillis: number;
}

export const EJECTION: EjectionRules = {
  consecutiveFailures: 5,
  baseMillis: 30_000,
  maxMillis: 300_000,
  forgetMillis: 600_000,
};

export interface EjectionState {
  readonly failuresInRow: number;
  /** How many times in sequence it was ejected. */
  readonly times: number;
  readonly untilMillis: number;
}

export const NEVER_EJECTED: EjectionState = { failuresInRow: 0, times: 0, untilMillis: 0 };

export function afterSuccess(state: EjectionState, rules: EjectionRules, nowMillis: number): EjectionState {
  if (state.failuresInRow === 0 && state.times === 0) return state;
  const forgotten = nowMillis - state.untilMillis > rules.forgetMillis;
  return { failuresInRow: 0, times: forgotten ? 0 : state.times, untilMillis: state.untilMillis };
}

export function afterFailure(state: EjectionState, rules: EjectionRules, nowMillis: number): EjectionState {
  const failuresInRow = state.failuresInRow + 1;
  if (rules.consecutiveFailures === 0 || failuresInRow < rules.consecutiveFailures) return { ...state, failuresInRow };
  const times = nowMillis - state.untilMillis > rules.forgetMillis ? 1 : state.times + 1;
  return { failuresInRow: 0, times, untilMillis: nowMillis + Math.min(rules.baseMillis * times, rules.maxMillis) };
}

export function ejected(state: EjectionState, nowMillis: number): boolean {
  return nowMillis < state.untilMillis;
}
