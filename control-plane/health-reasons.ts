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
export function doubtReason(health: Health, now: number): { because: Because; why: string } | undefined {
  if (health.lightLast?.ok === false)
    return { because: health.lightLast.why, why: `light probe: ${health.lightLast.detail}, once (limit ${FALL})` };
  if (health.deepLast?.ok === false)
    return { because: health.deepLast.why, why: `deep probe: ${health.deepLast.detail}, once (limit ${FALL})` };
  if (heartbeatsMissed(health, now))
    return { because: 'heartbeats-missed', why: `${heartbeatText(health, now)}, three missed; probes are good` };
  return undefined;
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
