/** Whether what came in as a heartbeat is one: types and bounds of what we read, unknown fields ignored. Pure. */
import type { Outcome } from '../runtime/outcome.ts';
import type { Heartbeat } from './api.ts';

const TEXT_LENGTH = 2048;
const POPULARITY_PATHS = 1000;

/** The heartbeat, cut to what the protocol allows; or which field is wrong. */
export function checkedHeartbeat(value: unknown): Outcome<Heartbeat, 'not-a-heartbeat'> {
  const wrong = wrongField(value);
  if (wrong !== undefined) return { ok: false, reason: 'not-a-heartbeat', detail: wrong };
  const heartbeat = value as Heartbeat;
  const popularity = checkedPopularity(heartbeat.popularity);
  const fill = { ...heartbeat.fill, failures: heartbeat.fill.failures.slice(-20) };
  return { ok: true, value: { ...heartbeat, fill, ...(popularity === undefined ? {} : { popularity }) } };
}

function wrongField(value: unknown): string | undefined {
  if (!isMap(value)) return 'the body';
  for (const key of ['site', 'url', 'admin', 'boot', 'version'] as const) if (!isText(value[key])) return key;
  if (!/^https?:\/\//.test(value.url as string)) return 'url';
  if (value.role !== 'edge' && value.role !== 'region') return 'role';
  for (const key of ['pid', 'atMillis', 'purgeLogNumber'] as const) if (!isCount(value[key])) return key;
  if (typeof value.draining !== 'boolean') return 'draining';
  const { load, store, answers, fill } = value;
  if (!isMap(load)) return 'load';
  for (const key of ['connections', 'requestsPerSecond', 'bytesPerSecond', 'eventLoopDelayMillis', 'used'])
    if (!isAmount(load[key])) return `load.${key}`;
  if (!isMap(store) || (store.state !== 'ok' && store.state !== 'degraded')) return 'store.state';
  for (const key of ['bytes', 'budgetBytes']) if (!isAmount(store[key])) return `store.${key}`;
  if (!isMap(answers) || !isCount(answers.total) || !isCount(answers.errors)) return 'answers';
  return wrongFill(fill);
}

function wrongFill(fill: unknown): string | undefined {
  if (!isMap(fill)) return 'fill';
  for (const key of ['manifestVersion', 'assetsPlanned', 'assetsDone', 'bytesPlanned', 'bytesDone'])
    if (!isAmount(fill[key])) return `fill.${key}`;
  if (!['idle', 'filling', 'done', 'paused'].includes(fill.state as string)) return 'fill.state';
  const by = fill.bytesBySource;
  if (!isMap(by) || !isAmount(by.peer) || !isAmount(by.region) || !isAmount(by.origin)) return 'fill.bytesBySource';
  return Array.isArray(fill.failures) ? undefined : 'fill.failures';
}

/** Demand is a hint: what is not right in it is left out. */
function checkedPopularity(popularity: unknown): Heartbeat['popularity'] {
  if (!isMap(popularity)) return undefined;
  const kept: Record<string, readonly [number, number]> = Object.create(null) as Record<
    string,
    readonly [number, number]
  >;
  for (const [path, pair] of Object.entries(popularity).slice(0, POPULARITY_PATHS))
    if (path.startsWith('/') && Array.isArray(pair) && isAmount(pair[0]) && isAmount(pair[1]))
      kept[path] = [pair[0], pair[1]];
  return kept;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value.length <= TEXT_LENGTH;
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isCount(value: unknown): value is number {
  return isAmount(value) && Number.isSafeInteger(value);
}
