/**
 * The numbered log of purges and who has applied how much of it. What a purge means to a stored response is the
 * edge's; here are its form, its order and its acknowledgements.
 */
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Tally } from '../runtime/metrics.ts';
import type { Outcome } from '../runtime/outcome.ts';
import type { PurgeEntry } from './api.ts';
import type { CONTROL_COUNTERS } from './counters.ts';
import type { Fleet } from './fleet.ts';
import type { History } from './history.ts';
import type { PurgeRequest, State } from './state.ts';

const ANSWER_ENTRIES = 1000;
const SETTLE_MILLIS = 500;
const SELECTORS_MOST = 1000;
const SELECTOR_LENGTH = 8192;

const SELECTOR_KEYS = ['urls', 'prefixes', 'tags', 'hosts', 'service', 'everything'] as const;

export interface PurgeStatus extends PurgeRequest {
  readonly done: boolean;
  readonly appliances: readonly {
    readonly id: string;
    readonly state: 'applied' | 'waiting';
    readonly number: number;
  }[];
}

export interface PurgeLogParts {
  readonly state: State;
  readonly fleet: Fleet;
  readonly history: History;
  readonly clock: Clock;
  readonly tally: Tally<typeof CONTROL_COUNTERS>;
}

export class PurgeLog {
  readonly #parts: PurgeLogParts;
  #newest = 0;
  #open: PurgeRequest[] = [];
  #timer: Timer | undefined;

  constructor(parts: PurgeLogParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    this.#newest = await this.#parts.state.newestPurge();
    this.#timer = this.#parts.clock.every(SETTLE_MILLIS, () => this.#settle());
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** What an appliance that has applied up to `number` still needs, for the answer to its heartbeat. */
  async missing(number: number): Promise<readonly PurgeEntry[]> {
    const { state } = this.#parts;
    if (number > this.#newest) {
      // It knows more of the log than we do: our database was lost. New entries must not carry numbers that it has seen.
      this.#newest = number;
      await state.raisePurgeNumber(number);
    }
    return number >= this.#newest ? [] : state.purgesAfter(number, ANSWER_ENTRIES);
  }

  async append(selectors: readonly PurgeEntry['selector'][], soft: boolean): Promise<PurgeRequest> {
    const { state, clock, tally, history } = this.#parts;
    const atMillis = clock.now();
    const { request } = await state.appendPurges(selectors.map((selector) => ({ selector, soft, atMillis })));
    this.#newest = Math.max(this.#newest, request.last);
    this.#open.push(request);
    tally.add('purges_total', selectors.length);
    const first = selectors[0]!;
    const more = selectors.length > 1 ? ` and ${selectors.length - 1} more` : '';
    history.record('purge', `purge=${request.id} asked ${soft ? 'soft' : 'hard'} ${selectorText(first)}${more}`);
    return request;
  }

  async status(id: string): Promise<PurgeStatus | undefined> {
    const request = await this.#parts.state.purgeRequest(id);
    return request === undefined ? undefined : this.#statusOf(request);
  }

  #statusOf(request: PurgeRequest): PurgeStatus {
    const appliances = this.#parts.fleet.views().map(({ id }) => {
      const number = this.#parts.fleet.heartbeatOf(id)?.purgeLogNumber ?? 0;
      return { id, state: number >= request.last ? ('applied' as const) : ('waiting' as const), number };
    });
    return { ...request, done: appliances.every(({ state }) => state === 'applied'), appliances };
  }

  /** Says once of each purge that everybody has it. */
  #settle(): void {
    const { fleet, tally, history, clock } = this.#parts;
    const numbers = fleet
      .views()
      .filter(({ state }) => state === 'healthy' || state === 'suspect' || state === 'recovering')
      .map(({ id }) => fleet.heartbeatOf(id)?.purgeLogNumber ?? 0);
    tally.set('purge_lag_entries', numbers.length === 0 ? 0 : Math.max(0, this.#newest - Math.min(...numbers)));
    if (this.#open.length === 0) return;
    const done = this.#open.filter((request) => this.#statusOf(request).done);
    for (const { id, atMillis } of done)
      history.record('purge', `purge=${id} applied by every appliance after ${clock.now() - atMillis} ms`);
    this.#open = this.#open.filter((request) => !done.includes(request)).slice(-1000);
  }
}

export type PurgeRefusal = 'no-selector' | 'several-selectors' | 'bad-selector' | 'not-confirmed' | 'unknown-key';

/**
 * The body of `POST /v1/purge`: exactly one of urls, prefixes, tags, hosts, service, everything (with `confirm`);
 * `soft` is the default. An empty or absent selector is refused: nothing never means all. Pure.
 */
export function purgeSelectors(
  body: unknown,
  host: string,
): Outcome<{ readonly selectors: readonly PurgeEntry['selector'][]; readonly soft: boolean }, PurgeRefusal> {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    return { ok: false, reason: 'no-selector', detail: 'the body must be a JSON object' };
  const given = new Map(Object.entries(body));
  const soft = given.get('soft') ?? true;
  if (typeof soft !== 'boolean') return { ok: false, reason: 'bad-selector', detail: 'soft must be true or false' };
  for (const key of given.keys())
    if (key !== 'soft' && key !== 'confirm' && !SELECTOR_KEYS.includes(key as never))
      return { ok: false, reason: 'unknown-key', detail: key };
  const chosen = SELECTOR_KEYS.filter((key) => given.has(key));
  if (chosen.length === 0) return { ok: false, reason: 'no-selector' };
  if (chosen.length > 1) return { ok: false, reason: 'several-selectors', detail: chosen.join(', ') };
  const key = chosen[0]!;
  const value: unknown = given.get(key);
  const bad = (detail: string) => ({ ok: false as const, reason: 'bad-selector' as const, detail });
  switch (key) {
    case 'everything':
      if (value !== true) return bad('everything must be true');
      if (given.get('confirm') !== true) return { ok: false, reason: 'not-confirmed' };
      return { ok: true, value: { selectors: [{ kind: 'everything' }], soft } };
    case 'service':
      if (!isText(value)) return bad('service must be a name');
      return { ok: true, value: { selectors: [{ kind: 'service', service: value }], soft } };
    default: {
      if (!Array.isArray(value) || value.length === 0)
        return { ok: false, reason: 'no-selector', detail: `${key} is empty` };
      if (value.length > SELECTORS_MOST) return bad(`more than ${SELECTORS_MOST} at a time`);
      const selectors: PurgeEntry['selector'][] = [];
      for (const one of value) {
        if (!isText(one)) return bad(`${key} must be texts of at most ${SELECTOR_LENGTH} characters`);
        const selector = listed(key, one, host);
        if (selector === undefined) return bad(`'${one.slice(0, 100)}' is neither an http URL nor a path`);
        selectors.push(selector);
      }
      return { ok: true, value: { selectors, soft } };
    }
  }
}

function listed(
  key: 'urls' | 'prefixes' | 'tags' | 'hosts',
  text: string,
  host: string,
): PurgeEntry['selector'] | undefined {
  if (key === 'tags') return { kind: 'tag', tag: text };
  if (key === 'hosts') return { kind: 'host', host: text.toLowerCase() };
  // A bare path is meant at the service's own host.
  const url = text.startsWith('/') && !text.startsWith('//') ? `http://${host}${text}` : text;
  const parsed = URL.parse(url);
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) return undefined;
  return { kind: key === 'urls' ? 'url' : 'prefix', url };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= SELECTOR_LENGTH;
}

function selectorText(selector: PurgeEntry['selector']): string {
  switch (selector.kind) {
    case 'everything':
      return 'everything';
    case 'service':
      return `service ${selector.service}`;
    case 'host':
      return `host ${selector.host}`;
    case 'tag':
      return `tag ${selector.tag}`;
    case 'prefix':
    case 'url':
      return `${selector.kind} ${selector.url}`;
  }
}
