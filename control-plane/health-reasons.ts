/**
 * What is enough to take an appliance out, and what is enough to look twice. Pure. The states are `health.ts`.
 */
import {
  type Because,
  FALL,
  HEARTBEATS_MISSED_MILLIS,
  type Health,
  PASSIVE_CONSECUTIVE,
  PASSIVE_MILLIS,
  PASSIVE_SHARE,
  PASSIVE_TOTAL,
  WINDOW_FAILURES,
} from './health-record.ts';

/** Enough to take it out of every new answer. */
export function fallReason(health: Health, now: number): { because: Because; why: string } | undefined {
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
  // What its answers say needs a probe that says the same: a relayed error of the origin, or a peer's question for what
  // is not here, looks the same in a count, and a shared cause must not take out the fleet.
  const passive = deepLast?.ok === false ? passiveReason(health, now) : undefined;
  if (passive !== undefined && deepLast?.ok === false)
    return { because: passive.because, why: `${passive.why}, and deep probe: ${deepLast.detail}` };
  return undefined;
}

/** What its own answers to clients say. */
function passiveReason(health: Health, now: number): { because: Because; why: string } | undefined {
  const recent = health.answers.filter(({ at }) => now - at < PASSIVE_MILLIS);
  // Within one heartbeat the order is not known: only those that brought nothing but errors make a row.
  const row = recent.slice(recent.findLastIndex(({ total, errors }) => errors < total) + 1);
  const inARow = row.reduce((sum, one) => sum + one.errors, 0);
  if (inARow >= PASSIVE_CONSECUTIVE)
    return {
      because: 'errors-in-a-row',
      why: `${inARow} of its answers in a row were 5xx (limit ${PASSIVE_CONSECUTIVE})`,
    };
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
export function doubtReason(health: Health, now: number): { because: Because; why: string } | undefined {
  if (health.lightLast?.ok === false)
    return { because: health.lightLast.why, why: `light probe: ${health.lightLast.detail}, once (limit ${FALL})` };
  if (health.deepLast?.ok === false)
    return { because: health.deepLast.why, why: `deep probe: ${health.deepLast.detail}, once (limit ${FALL})` };
  if (heartbeatsMissed(health, now))
    return { because: 'heartbeats-missed', why: `${heartbeatText(health, now)}, three missed; probes are good` };
  return passiveReason(health, now);
}

/** Three in a row did not come. */
export function heartbeatsMissed(health: Health, now: number): boolean {
  return health.heartbeatAt === undefined || now - health.heartbeatAt >= HEARTBEATS_MISSED_MILLIS;
}

function heartbeatText(health: Health, now: number): string {
  if (health.heartbeatAt === undefined) return 'no heartbeat yet';
  const lost = health.connectionLost ? ', its connection closed' : '';
  return `last heartbeat ${((now - health.heartbeatAt) / 1000).toFixed(1)} s ago${lost}`;
}
