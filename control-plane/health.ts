/**
 * The one health state machine, for one appliance: signals in, state and reason out. Pure: `now` is an argument, in
 * milliseconds of a monotonic clock. Making the signals is left to `monitor.ts`
 * and the heartbeats, what a whole site or fleet of states means to `panic.ts`.
 *
 * An operator's order (drain, maintenance) lies over the machine, which goes on underneath: draining is not unhealthy,
 * and an appliance whose order is lifted is at once what it really is.
 */
import type { HealthState } from './api.ts';
import { doubtReason, fallReason, heartbeatsMissed } from './health-reasons.ts';
import {
  type Because,
  FORGET_MILLIS,
  type Health,
  HOLD_MAX_MILLIS,
  HOLD_MILLIS,
  type MachineState,
  PASSIVE_MILLIS,
  type ProbeResult,
  RAMP_MILLIS,
  RISE,
  type Signal,
  type Transition,
  WINDOW,
} from './health-record.ts';

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
  const same = { ...health, heartbeatAt: now, connectionLost: false, ownDraining: signal.draining };
  if (health.boot === signal.boot || health.boot === undefined) return { ...same, boot: signal.boot, answers };
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
      // It did not fail, it was stopped or not yet started: back as a new one.
      if (health.outages === 0 && health.lightGood >= 1 && !missed && health.deepBad === 0)
        return entered(health, 'healthy', 'answers-again', 'probe and heartbeat good');
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
  // One that said that it was going has not failed, nor has one that we never saw well.
  const failed = !health.ownDraining && health.machine !== 'unknown';
  const outages = (forgotten ? 0 : health.outages) + (failed ? 1 : 0);
  const holdMillis = Math.min(HOLD_MILLIS * outages, HOLD_MAX_MILLIS);
  return {
    ...entered(health, 'unhealthy', reason.because, reason.why),
    outages,
    holdUntil: now + holdMillis,
    lightGood: 0,
    answers: [],
  };
}
