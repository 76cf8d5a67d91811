/**
 * What the health machine knows of one appliance, its signals, and its numbers. Types and constants;
 * what follows from them is `health.ts` and `health-reasons.ts`.
 */
import type { HealthState } from './api.ts';

export const HEARTBEAT_MILLIS = 1000;
/** Three missed, and half of one for the jitter of a busy machine. */
export const HEARTBEATS_MISSED_MILLIS = 3.5 * HEARTBEAT_MILLIS;
export const FALL = 2;
export const RISE = 3;
/** A probe that fails every other time never fails twice running: so many of the last `WINDOW` are enough too. */
export const WINDOW = 7;
export const WINDOW_FAILURES = 4;
export const HOLD_MILLIS = 30_000;
export const HOLD_MAX_MILLIS = 300_000;
export const FORGET_MILLIS = 600_000;
export const RAMP_MILLIS = 60_000;
export const PASSIVE_MILLIS = 10_000;
export const PASSIVE_TOTAL = 100;
export const PASSIVE_SHARE = 0.1;
export const PASSIVE_CONSECUTIVE = 5;

/** Why a probe failed. */
export type ProbeFailure =
  /** The host answered that nobody listens, or cut the connection: evidence from the appliance itself. */
  | 'refused'
  | 'reset'
  /** Nothing came: the appliance, or the way to it, or this monitor. */
  | 'timeout'
  | 'unreachable'
  | 'status'
  | 'garbage'
  | 'wrong-appliance'
  | 'short-body'
  | 'wrong-digest';

export type ProbeResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly why: ProbeFailure; readonly detail: string };

export type Order = 'none' | 'draining' | 'maintenance';

export type Signal =
  | {
      readonly kind: 'heartbeat';
      readonly boot: string;
      readonly draining: boolean;
      readonly answers: { readonly total: number; readonly errors: number };
    }
  /** The connection that brought the heartbeats was closed by the other side. */
  | { readonly kind: 'connection-lost' }
  | { readonly kind: 'probe'; readonly probe: 'light' | 'deep'; readonly result: ProbeResult }
  | { readonly kind: 'order'; readonly order: Order }
  | { readonly kind: 'tick' };

export type MachineState = 'unknown' | 'healthy' | 'suspect' | 'unhealthy' | 'recovering';

/** Why a state was entered; the same word stands in the log line, the history and the counter's label. */
export type Because =
  | ProbeFailure
  | 'new'
  | 'heartbeats-missed'
  | 'flapping-probes'
  | 'errors-in-a-row'
  | 'error-share'
  | 'answers-again'
  | 'ramp-over'
  | 'order'
  | 'order-lifted'
  | 'own-wish';

export interface Health {
  readonly machine: MachineState;
  readonly because: Because;
  /** One sentence with value and threshold. */
  readonly why: string;
  readonly since: number;
  readonly order: Order;
  readonly ownDraining: boolean;
  readonly boot: string | undefined;
  readonly heartbeatAt: number | undefined;
  readonly connectionLost: boolean;
  /** Newest first, at most `WINDOW`; true: good. */
  readonly window: readonly boolean[];
  readonly lightGood: number;
  readonly lightBad: number;
  readonly lightLast: ProbeResult | undefined;
  readonly deepBad: number;
  readonly deepLast: ProbeResult | undefined;
  readonly answers: readonly { readonly at: number; readonly total: number; readonly errors: number }[];
  /** How often it fell lately; the hold-down is a multiple of it. */
  readonly outages: number;
  readonly outageEndedAt: number | undefined;
  readonly holdUntil: number;
  readonly rampAt: number;
}

export interface Transition {
  readonly from: HealthState;
  readonly to: HealthState;
  readonly because: Because;
  readonly why: string;
  /** Newest probe first, 1 good, 0 bad. */
  readonly window: string;
  /** How long the state before had lasted. */
  readonly lastedMillis: number;
}

export function newHealth(now: number, order: Order = 'none'): Health {
  return {
    machine: 'unknown',
    because: 'new',
    why: 'not yet probed',
    since: now,
    order,
    ownDraining: false,
    boot: undefined,
    heartbeatAt: undefined,
    connectionLost: false,
    window: [],
    lightGood: 0,
    lightBad: 0,
    lightLast: undefined,
    deepBad: 0,
    deepLast: undefined,
    answers: [],
    outages: 0,
    outageEndedAt: undefined,
    holdUntil: 0,
    rampAt: 0,
  };
}
