/**
 * The one health state machine, for one appliance: signals in, state and reason out. Pure: `now` is an argument, in
 * milliseconds of a monotonic clock. Numbers are those of conventions §4. Making the signals is left to `monitor.ts`
 * and the heartbeats, what a whole site or fleet of states means to `panic.ts`.
 *
 * An operator's order (drain, maintenance) lies over the machine, which goes on underneath: draining is not unhealthy,
 * and an appliance whose order is lifted is at once what it really is.
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
  readonly errorsInARow: number;
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
    errorsInARow: 0,
    outages: 0,
    outageEndedAt: undefined,
    holdUntil: 0,
    rampAt: 0,
  };
}

/** What the appliance is to everybody else: an order first, then the machine. */
export function stateOf(health: Health): HealthState {
  if (health.order !== 'none') return health.order;
  // An appliance that drains by itself is going away; once it is gone it is no longer draining.
  if (health.ownDraining && health.machine !== 'unhealthy') return 'draining';
  return health.machine;
}

/** Share of its usual load that it may take: 10, then 50, then 100 % in a minute after recovery. */
export function weightOf(health: Health, now: number): number {
  if (health.machine !== 'recovering') return 1;
  return now - health.rampAt < RAMP_MILLIS / 2 ? 0.1 : 0.5;
}

/** True when all that is known is silence: probes time out and heartbeats are missing, so it may be the way to it. */
export function isSilent(health: Health, now: number): boolean {
  const last = health.lightLast;
  const unheard = last?.ok === false && (last.why === 'timeout' || last.why === 'unreachable');
  return unheard && heartbeatsMissed(health, now);
}

/** One step of the machine. `transition` is there when the state that others see has changed. */
export function step(before: Health, signal: Signal, now: number): { health: Health; transition?: Transition } {
  const health = evaluate(noted(before, signal, now), now);
  const from = stateOf(before);
  const to = stateOf(health);
  if (from === to) return { health };
  const overlaid = overlayReason(before, health);
  const shown = { because: health.because, why: health.why, ...overlaid };
  const after = { ...health, since: now };
  const window = health.window.map((good) => (good ? '1' : '0')).join('');
  return { health: after, transition: { from, to, ...shown, window, lastedMillis: now - before.since } };
}

/** Why it is in the state that others see. */
export function whyOf(health: Health): string {
  if (health.order !== 'none') return `${health.order} by order${below(health)}`;
  if (stateOf(health) === 'draining') return `it drains by itself${below(health)}`;
  return health.why;
}

function below(health: Health): string {
  return health.machine === 'healthy' ? '' : `; underneath ${health.machine}: ${health.why}`;
}

function overlayReason(before: Health, after: Health): { because: Because; why: string } | undefined {
  if (before.order !== after.order)
    return { because: after.order === 'none' ? 'order-lifted' : 'order', why: whyOf(after) };
  if (before.ownDraining !== after.ownDraining && before.machine === after.machine)
    return { because: after.ownDraining ? 'own-wish' : 'answers-again', why: whyOf(after) };
  return undefined;
}

/** Takes a signal down, without yet deciding what it means. */
function noted(health: Health, signal: Signal, now: number): Health {
  switch (signal.kind) {
    case 'heartbeat':
      return heartbeatNoted(health, signal, now);
    case 'connection-lost':
      return { ...health, connectionLost: true };
    case 'probe':
      return signal.probe === 'light' ? lightNoted(health, signal.result) : deepNoted(health, signal.result);
    case 'order':
      return { ...health, order: signal.order };
    case 'tick':
      return health;
  }
}

function heartbeatNoted(health: Health, signal: Extract<Signal, { kind: 'heartbeat' }>, now: number): Health {
  const { total, errors } = signal.answers;
  const answers = health.answers.filter(({ at }) => now - at < PASSIVE_MILLIS);
  if (total > 0) answers.push({ at: now, total, errors });
  // Within one heartbeat the order is not known: only one that brought nothing but errors continues the row.
  const errorsInARow = total === 0 ? health.errorsInARow : errors === total ? health.errorsInARow + errors : 0;
  const same = { ...health, heartbeatAt: now, connectionLost: false, ownDraining: signal.draining };
  if (health.boot === signal.boot || health.boot === undefined)
    return { ...same, boot: signal.boot, answers, errorsInARow };
  // A new boot: what was seen of the process before says nothing about this one. After a first outage it need not
  // sit out the hold-down, which is there against flapping; from the second outage on a restart is a part of the flapping.
  return {
    ...same,
    boot: signal.boot,
    window: [],
    lightGood: 0,
    lightBad: 0,
    lightLast: undefined,
    deepBad: 0,
    deepLast: undefined,
    answers: [],
    errorsInARow: 0,
    holdUntil: health.outages <= 1 ? now : health.holdUntil,
  };
}

function lightNoted(health: Health, result: ProbeResult): Health {
  const good = result.ok;
  return {
    ...health,
    window: [good, ...health.window].slice(0, WINDOW),
    lightGood: good ? health.lightGood + 1 : 0,
    lightBad: good ? 0 : health.lightBad + 1,
    lightLast: result,
  };
}

function deepNoted(health: Health, result: ProbeResult): Health {
  return { ...health, deepBad: result.ok ? 0 : health.deepBad + 1, deepLast: result };
}

function evaluate(health: Health, now: number): Health {
  const missed = heartbeatsMissed(health, now);
  const fall = health.machine === 'unhealthy' ? undefined : fallReason(health, now);
  if (fall !== undefined) return fallen(health, fall, now);
  switch (health.machine) {
    case 'unknown':
      if (health.lightGood >= 1 && !missed)
        return entered(health, 'healthy', 'answers-again', 'probe and heartbeat good');
      // It serves, only its heartbeats do not reach us (we may have just started): better than nothing.
      if (health.lightGood >= RISE)
        return entered(health, 'suspect', 'heartbeats-missed', `${RISE} good probes, but no heartbeat`);
      return health;
    case 'healthy':
    case 'suspect': {
      const doubt = doubtReason(health, now);
      if (doubt !== undefined)
        return health.machine === 'suspect'
          ? { ...health, ...doubt }
          : entered(health, 'suspect', doubt.because, doubt.why);
      if (health.machine === 'healthy') return health;
      return entered(health, 'healthy', 'answers-again', 'probe and heartbeat good');
    }
    case 'unhealthy': {
      if (now < health.holdUntil || health.lightGood < RISE || missed || health.deepBad > 0) return health;
      const why = `${health.lightGood} good probes (needed ${RISE}), hold-down over; 10 % of its load at first`;
      return { ...entered(health, 'recovering', 'answers-again', why), rampAt: now, outageEndedAt: now };
    }
    case 'recovering':
      if (now - health.rampAt < RAMP_MILLIS) return health;
      return entered(health, 'healthy', 'ramp-over', `well for ${RAMP_MILLIS / 1000} s after recovery`);
  }
}

function entered(health: Health, machine: MachineState, because: Because, why: string): Health {
  return { ...health, machine, because, why };
}

function fallen(health: Health, reason: { because: Because; why: string }, now: number): Health {
  const forgotten = health.outageEndedAt !== undefined && now - health.outageEndedAt >= FORGET_MILLIS;
  // One that said that it was going has not failed.
  const outages = (forgotten ? 0 : health.outages) + (health.ownDraining ? 0 : 1);
  const holdMillis = Math.min(HOLD_MILLIS * outages, HOLD_MAX_MILLIS);
  return {
    ...entered(health, 'unhealthy', reason.because, reason.why),
    outages,
    holdUntil: now + holdMillis,
    lightGood: 0,
    answers: [],
    errorsInARow: 0,
  };
}

/** Enough to take it out of every new answer. */
function fallReason(health: Health, now: number): { because: Because; why: string } | undefined {
  const { lightLast, deepLast, lightBad, deepBad } = health;
  if (lightLast?.ok === false) {
    const heard = heartbeatText(health, now);
    if (lightBad >= FALL)
      return {
        because: lightLast.why,
        why: `light probe: ${lightLast.detail}, ${lightBad} in a row (limit ${FALL}), ${heard}`,
      };
    // Two witnesses of its death that do not depend on each other need no second look.
    const dead = lightLast.why === 'refused' || lightLast.why === 'reset';
    if (dead && (health.connectionLost || heartbeatsMissed(health, now)))
      return { because: lightLast.why, why: `light probe: ${lightLast.detail}, and ${heard}` };
    const bad = health.window.filter((good) => !good).length;
    if (bad >= WINDOW_FAILURES)
      return {
        because: 'flapping-probes',
        why: `${bad} of ${health.window.length} light probes bad (limit ${WINDOW_FAILURES})`,
      };
  }
  if (deepLast?.ok === false && deepBad >= FALL)
    return { because: deepLast.why, why: `deep probe: ${deepLast.detail}, ${deepBad} in a row (limit ${FALL})` };
  if (health.errorsInARow >= PASSIVE_CONSECUTIVE)
    return {
      because: 'errors-in-a-row',
      why: `${health.errorsInARow} of its answers in a row were 5xx (limit ${PASSIVE_CONSECUTIVE})`,
    };
  const recent = health.answers.filter(({ at }) => now - at < PASSIVE_MILLIS);
  const total = recent.reduce((sum, one) => sum + one.total, 0);
  const errors = recent.reduce((sum, one) => sum + one.errors, 0);
  if (total >= PASSIVE_TOTAL && errors >= total * PASSIVE_SHARE)
    return {
      because: 'error-share',
      why: `${errors} of ${total} answers in 10 s were 5xx (limit ${PASSIVE_SHARE * 100} % of ${PASSIVE_TOTAL})`,
    };
  return undefined;
}

/** Enough to look twice. */
function doubtReason(health: Health, now: number): { because: Because; why: string } | undefined {
  if (health.lightLast?.ok === false)
    return { because: health.lightLast.why, why: `light probe: ${health.lightLast.detail}, once (limit ${FALL})` };
  if (health.deepLast?.ok === false)
    return { because: health.deepLast.why, why: `deep probe: ${health.deepLast.detail}, once (limit ${FALL})` };
  if (heartbeatsMissed(health, now))
    return { because: 'heartbeats-missed', why: `${heartbeatText(health, now)}, three missed; probes are good` };
  return undefined;
}

function heartbeatsMissed(health: Health, now: number): boolean {
  return health.heartbeatAt === undefined || now - health.heartbeatAt >= HEARTBEATS_MISSED_MILLIS;
}

function heartbeatText(health: Health, now: number): string {
  if (health.heartbeatAt === undefined) return 'no heartbeat yet';
  const lost = health.connectionLost ? ', its connection closed' : '';
  return `last heartbeat ${((now - health.heartbeatAt) / 1000).toFixed(1)} s ago${lost}`;
}
