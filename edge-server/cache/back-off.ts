/**
 * How long a failing origin is left alone for a key while stale answers serve: a second, longer each time it fails
 * again, or what it says in Retry-After (RFC 9110 §10.2.3). Who remembers it, and per which key, is the handler's.
 */
import { parseHttpDate } from '../http/dates.ts';

const FIRST_MILLIS = 1_000;
const LONGEST_MILLIS = 30_000;
/** An origin's Retry-After is heard up to here, so that a wrong one does not take a key away for hours. */
const LONGEST_ASKED_MILLIS = 300_000;

/** Pause before the next attempt after `failures` failures in a row (1 for the first). */
export function backOffMillis(failures: number, retryAfter: string | undefined, nowMillis: number): number {
  const grown = Math.min(FIRST_MILLIS * 2 ** Math.min(Math.max(failures - 1, 0), 10), LONGEST_MILLIS);
  return Math.max(grown, retryAfterMillis(retryAfter, nowMillis) ?? 0);
}

/** How often in a row a key's origin has failed, and until when it is left alone. */
export interface BackOff {
  readonly failures: number;
  readonly untilMillis: number;
}

/** After one more failure. A row is broken by a success, or by a silence of twice the longest pause. */
export function backedOff(before: BackOff | undefined, retryAfter: string | undefined, nowMillis: number): BackOff {
  const inRow = before !== undefined && nowMillis - before.untilMillis < 2 * LONGEST_MILLIS;
  // A failure of what was asked before the pause began is part of the failure that began it.
  const failures = !inRow ? 1 : nowMillis < before.untilMillis ? before.failures : before.failures + 1;
  const untilMillis = nowMillis + backOffMillis(failures, retryAfter, nowMillis);
  return { failures, untilMillis: inRow ? Math.max(before.untilMillis, untilMillis) : untilMillis };
}

/** Retry-After as milliseconds from now, at most five minutes; `undefined` when absent or malformed. */
export function retryAfterMillis(value: string | undefined, nowMillis: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  const asked = /^\d+$/.test(text) ? Number(text) * 1000 : parseHttpDate(text, nowMillis);
  if (asked === undefined) return undefined;
  const millis = /^\d+$/.test(text) ? asked : asked - nowMillis;
  return Math.min(Math.max(millis, 0), LONGEST_ASKED_MILLIS);
}
