/**
 * When a worker is overloaded, and how far: from readings of its event-loop delay and of its memory to a level each.
 * Pure: the state goes in with a reading and its time, and a new state comes out. Who reads, and what a level does to
 * requests and connections, is left to `overload-watch.ts`, `serve/shedding.ts` and `http/roster.ts`.
 *
 * Hysteresis: a level begins when three of the last four readings reach its threshold, so that one pause (a large
 * collection, a slow system call) does nothing; it ends when no reading came near the threshold for a while.
 */

/** What is shed, by event-loop delay: nothing; what would be forwarded; all but health. */
export const SHED_LEVELS = ['none', 'misses', 'all'] as const;
export type ShedLevel = (typeof SHED_LEVELS)[number];

/** What memory does to connections: nothing; a short idle time; no keep-alive; no new ones. Each includes those before. */
export const MEMORY_LEVELS = ['none', 'short-idle', 'no-keep-alive', 'refuse'] as const;
export type MemoryLevel = (typeof MEMORY_LEVELS)[number];

export interface LadderRule {
  /** Least reading of each level above the first; 0 switches that level off. */
  readonly thresholds: readonly number[];
  /** A level holds while readings reach this share of its threshold. */
  readonly release: number;
  /** How long all readings must stay below that before it ends. */
  readonly calmMillis: number;
}

export interface LadderState {
  /** At most the last four, newest last. */
  readonly readings: readonly number[];
  /** For each level whether it holds. */
  readonly holds: readonly boolean[];
  /** When a reading last came near its threshold. */
  readonly nearMillis: readonly number[];
}

export const AT_REST: LadderState = Object.freeze({ readings: [], holds: [], nearMillis: [] });

const READINGS = 4;
const AGREEING = 3;

/** The state after a reading; `nowMillis` is monotonic. */
export function step(before: LadderState, reading: number, nowMillis: number, rule: LadderRule): LadderState {
  const readings = [...before.readings.slice(1 - READINGS), reading];
  const holds: boolean[] = [];
  const nearMillis: number[] = [];
  rule.thresholds.forEach((threshold, level) => {
    const near = reading >= threshold * rule.release;
    const since = near ? nowMillis : (before.nearMillis[level] ?? nowMillis);
    const began = readings.filter((one) => one >= threshold).length >= AGREEING;
    const held = before.holds[level] === true && nowMillis - since < rule.calmMillis;
    holds.push(threshold > 0 && (began || held));
    nearMillis.push(since);
  });
  return { readings, holds, nearMillis };
}

/** The highest level that holds: 0 for none, else one more than the place of its threshold. */
export function levelOf(state: LadderState): number {
  return state.holds.lastIndexOf(true) + 1;
}

/** Delay falls at once with the load: four fifths of the threshold is calm. */
export function delayRule(missesMillis: number, allMillis: number): LadderRule {
  return { thresholds: [missesMillis, allMillis], release: 0.8, calmMillis: 5_000 };
}

/** Resident memory moves slowly and in small steps. Percentages of `budgetBytes`; 0 bytes for no budget. */
export function memoryRule(budgetBytes: number, percentages: readonly number[]): LadderRule {
  const thresholds = percentages.map((percent) => Math.ceil((budgetBytes * percent) / 100));
  return { thresholds, release: 0.97, calmMillis: 5_000 };
}
