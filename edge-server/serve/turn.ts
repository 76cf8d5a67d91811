/**
 * One client's turn when the store alone can't answer: it leads a fetch, waits for another's, or goes alone, and then
 * answers its client in exactly one way. Forwarding, collapsed (architecture §3.1 step 5).
 */

import { appendedStatus, type CacheHandling, cacheStatus, type ForwardedWhy } from '../cache/cache-status.ts';
import type { Flight, WaitEnding } from '../cache/collapse.ts';
import { loops } from '../cache/request-fields.ts';
import { clientFields } from '../cache/response-fields.ts';
import { ageSeconds, forwardingForbidden, freshMillisLeft, reuse, staleOnError } from '../cache/reuse.ts';
import { variantOf } from '../cache/vary.ts';
import type { CacheOutcome } from '../counters.ts';
import type { ResponseSink } from '../http/exchange.ts';
import type { Fields } from '../http/fields.ts';
import type { StoredEntry } from '../store/contract.ts';
import type { UpstreamHead } from '../upstream/upstreams.ts';
import { forwardAlone } from './alone.ts';
import { answer, type Ends } from './answer.ts';
import { askedRange } from './asked-range.ts';
import { type Ask, type Fetched, nameOf, type ServeContext } from './context.ts';
import { failureAnswer, sendOwn } from './errors.ts';
import { type Asker, Fetch, type FetchFailure } from './fetch.ts';
import { stored } from './fetched.ts';
import type { Hits } from './hits.ts';
import { Pass } from './pass.ts';
import type { Taker } from './taker.ts';
import { upstreamFields } from './upstream-fields.ts';

export interface TurnOptions {
  readonly ask: Ask;
  readonly sink: ResponseSink;
  readonly why: ForwardedWhy;
  /** Refines `why`, as in `detail=purged`. */
  readonly detail: string | undefined;
  /** Stored but not usable without validation. */
  readonly stale: StoredEntry | undefined;
  /** Key and, where the key has variants, the one asked for. */
  readonly flightKey: string;
}

/** Before the key of a flight that HEADs lead; no key begins so. */
const HEAD_FLIGHT = 'HEAD\n';

export class Turn implements Asker {
  readonly #context: ServeContext;
  readonly #options: TurnOptions;
  readonly #hits: Hits;
  readonly #startedMillis: number;
  #fetch: Fetch | undefined;
  /** What it joined turned out to be gone before a byte was sent: it leads now, and joins nothing more. */
  #again = false;

  static take(context: ServeContext, hits: Hits, options: TurnOptions): void {
    new Turn(context, hits, options).#begin();
  }

  private constructor(context: ServeContext, hits: Hits, options: TurnOptions) {
    this.#context = context;
    this.#hits = hits;
    this.#options = options;
    this.#startedMillis = context.clock.now();
  }

  #begin(): void {
    const { ask, sink, stale, flightKey } = this.#options;
    const context = this.#context;
    const name = nameOf(context);
    if (forwardingForbidden(ask.directives))
      return this.#own(504, 'only-if-cached, and not here', 'error', {
        kind: 'forwarded',
        why: this.#options.why,
        detail: 'only-if-cached',
      });
    if (loops(ask.request.fields, name) >= 2)
      return this.#own(508, 'the request came here before', 'error', {
        kind: 'forwarded',
        why: 'bypass',
        detail: 'loop',
      });
    if (stale !== undefined && context.backOff.holds(ask.key, this.#startedMillis) && this.#mayStandIn(stale))
      return this.#hits.stale(ask, sink, stale, this.#startedMillis, 'back-off');
    // A response to Authorization is rarely for others, and one known to be uncacheable never: nobody should wait for it.
    const alone = ask.request.fields.has('authorization') || context.uncacheable.holds(ask.key, this.#startedMillis);
    if (alone) return this.#goAlone();
    const own = this.#ownKey(flightKey);
    const flight = context.flights.find(flightKey) ?? context.flights.find(own);
    if (flight === undefined) return this.#lead(context.flights.lead(own));
    if (flight.fetched === undefined) return this.#wait(flight);
    if (this.#mayUse(flight.fetched)) return this.#join(flight.fetched);
    this.#lead(context.flights.lead(own));
  }

  /** A HEAD waits for a GET that is under way, but no GET for a HEAD: those collapse among themselves. */
  #ownKey(key: string): string {
    return this.#options.ask.request.method === 'HEAD' ? `${HEAD_FLIGHT}${key}` : key;
  }

  /** Who comes after the response did is not one who waited for it: it must be fresh for this request too (RFC 9111 §4). */
  #mayUse({ response }: Fetched): boolean {
    const { use } = reuse(response, this.#options.ask.directives, this.#startedMillis, this.#context.policy);
    return use === 'fresh' || use === 'stale-allowed' || use === 'stale-while-revalidate';
  }

  #mayStandIn(stale: StoredEntry): boolean {
    return (
      staleOnError(stale.response, this.#options.ask.directives, this.#startedMillis, this.#context.policy).use ===
      'stale-if-error'
    );
  }

  #lead(flight: Flight<Fetched> | undefined): void {
    const { ask, stale, sink } = this.#options;
    // Whoever inherits the lead of a GET that others wait for asks by GET too.
    const byHead = ask.request.method === 'HEAD' && (flight === undefined || flight.key.startsWith(HEAD_FLIGHT));
    const range = stale === undefined && ask.request.method === 'GET' ? askedRange(ask.request.fields) : undefined;
    const validators =
      stale === undefined
        ? undefined
        : { etag: stale.response.etag, lastModifiedMillis: stale.response.lastModifiedMillis };
    const conditional =
      validators !== undefined && (validators.etag !== undefined || validators.lastModifiedMillis !== undefined);
    this.#fetch = Fetch.begin(this.#context, {
      ask,
      method: byHead ? 'HEAD' : 'GET',
      fields: upstreamFields(this.#context, ask, { validators, range }),
      unconditional: () => upstreamFields(this.#context, ask),
      stale,
      conditional,
      ranged: range !== undefined,
      flight,
      asker: this,
    });
    sink.onClose((whole) => {
      if (!whole) this.#fetch?.leave();
    });
  }

  #wait(flight: Flight<Fetched>): void {
    const wait = flight.wait((ending) => {
      this.#context.counts.waits[ending.kind] += 1;
      if (!this.#options.sink.closed) this.#afterWait(ending);
      else if (ending.kind === 'lead') ending.flight.fail('client-gone');
    });
    this.#options.sink.onClose(() => wait.cancel());
  }

  #afterWait(ending: WaitEnding<Fetched>): void {
    switch (ending.kind) {
      case 'joined':
        return this.#join(ending.fetched);
      case 'lead':
        return this.#lead(ending.flight);
      case 'uncacheable':
      case 'deadline':
        return this.#goAlone();
      case 'failed':
        return this.failed('connection_terminated', `the request that this one waited for failed: ${ending.why}`);
    }
  }

  /** Reads what another request fetches, if it is for this one too. */
  #join(fetched: Fetched): void {
    const { ask } = this.#options;
    const { response } = fetched;
    const mine = variantOf(response.vary, ask.request.fields, this.#context.policy.vary) === response.variant;
    if (!mine || !fetched.joinable() || this.#context.store.purged(response) === 'hard')
      return this.#leadApart(response.vary);
    this.#send(fetched, 'collapsed', { kind: 'forwarded', why: this.#options.why, collapsed: true });
  }

  /** Another variant than the one under way: its own flight, so that its own kind collapses too. */
  #leadApart(vary: readonly string[]): void {
    const { ask } = this.#options;
    const key = this.#ownKey(`${ask.key}\n${variantOf(vary, ask.request.fields, this.#context.policy.vary)}`);
    const flight = this.#context.flights.find(key);
    if (flight === undefined || flight.fetched !== undefined) this.#lead(this.#context.flights.lead(key));
    else this.#wait(flight);
  }

  #goAlone(): void {
    if (this.#options.ask.request.method === 'GET') this.#lead(undefined);
    else this.#passAlong(undefined);
  }

  /** Forwards the client's own request and passes the answer through. */
  #passAlong(detail: string | undefined): void {
    const { ask, sink, why } = this.#options;
    forwardAlone(this.#context, ask, sink, { why, detail: detail ?? this.#options.detail, outcome: 'pass' });
  }

  // The asker's side: exactly one of these follows a lead.

  fetched(fetched: Fetched): void {
    const { response } = fetched;
    const ttlMillis = response.freshness.lifetimeMillis - response.initialAgeMillis;
    const { why, detail } = this.#options;
    this.#send(fetched, 'miss', {
      kind: 'forwarded',
      why,
      status: fetched.forwardStatus,
      stored: fetched.headOnly !== true,
      ttlMillis,
      detail,
    });
  }

  validated(entry: StoredEntry): void {
    const ttlMillis = entry.response.freshness.lifetimeMillis - entry.response.initialAgeMillis;
    this.#sendEntry(entry, 'revalidated', {
      kind: 'forwarded',
      why: 'stale',
      status: 304,
      stored: true,
      ttlMillis,
      detail: this.#options.detail,
    });
  }

  stale(entry: StoredEntry, why: string): void {
    const ttlMillis = freshMillisLeft(entry.response, this.#startedMillis);
    const status = why.startsWith('status-') ? Number(why.slice(7)) : undefined;
    this.#sendEntry(entry, 'stale', {
      kind: 'forwarded',
      why: 'stale',
      status,
      ttlMillis: Number.isFinite(ttlMillis) ? ttlMillis : 0,
      detail: 'stale-if-error',
    });
  }

  pass(head: UpstreamHead, why: string): Taker | undefined {
    const { ask, sink } = this.#options;
    if (sink.closed) return undefined;
    if (head.status === 206 || head.status === 416) {
      // Asked for whole slices, which this client did not: it gets the answer to its own range.
      this.#passAlong(why);
      return undefined;
    }
    const fields = clientFields(head.fields, this.#context.policy.forwardSurrogateFields);
    const own = cacheStatus(nameOf(this.#context), {
      kind: 'forwarded',
      why: this.#options.why,
      status: head.status,
      detail: why,
    });
    this.#stamp(fields, appendedStatus(fields.get('cache-status'), own));
    this.#onClosed('miss', head.status, why);
    return new Pass({
      sink,
      call: () => this.#fetch!,
      method: ask.request.method,
      status: head.status,
      fields,
      contentLength: head.contentLength,
    });
  }

  failed(why: FetchFailure, detail: string): void {
    if (this.#options.sink.closed) return;
    const { status, text, fields } = failureAnswer(nameOf(this.#context), why, detail);
    this.#context.counts.ownErrors += 1;
    this.#own(status, text, 'error', { kind: 'forwarded', why: this.#options.why, detail: why }, fields);
  }

  inform(status: number, fields: Fields): void {
    if (!this.#options.sink.started) this.#options.sink.inform(status, clientFields(fields, false));
  }

  #sendEntry(entry: StoredEntry, outcome: CacheOutcome, handling: CacheHandling): void {
    this.#send(stored(this.#context, this.#options.ask, entry), outcome, handling);
  }

  #send(fetched: Fetched, outcome: CacheOutcome, handling: CacheHandling): void {
    const { ask, sink } = this.#options;
    if (sink.closed) return;
    const { response } = fetched;
    const age = ageSeconds(response, this.#context.clock.now());
    const status = appendedStatus(fetched.upstreamStatus, cacheStatus(nameOf(this.#context), handling));
    const extra = ['via', `1.1 ${nameOf(this.#context)}`, 'cache-status', status];
    if (age > 0 || outcome !== 'miss') extra.push('age', String(age));
    const ends: Ends & { replaced?: boolean } = { lost: (why) => this.#lost(why) };
    if (outcome === 'collapsed' && !this.#again)
      ends.again = () => {
        ends.replaced = true;
        this.#again = true;
        this.#lead(this.#context.flights.lead(this.#ownKey(this.#options.flightKey)));
      };
    const sent = answer(ask.request, sink, fetched, extra, ends);
    this.#onClosed(outcome, sent, undefined, ends);
  }

  #lost(why: string): void {
    this.#context.counts.aborted += 1;
    this.#context.log.warn({ why, host: this.#options.ask.host }, 'a body could not be completed');
  }

  #own(
    status: number,
    text: string,
    outcome: CacheOutcome,
    handling: CacheHandling,
    more: readonly string[] = [],
  ): void {
    const { ask, sink } = this.#options;
    this.#onClosed(outcome, status, handling.detail);
    sendOwn(sink, ask.request.method, status, text, [
      ...more,
      'cache-status',
      cacheStatus(nameOf(this.#context), handling),
    ]);
  }

  #stamp(fields: Fields, status: string): void {
    fields.append('via', `1.1 ${nameOf(this.#context)}`);
    fields.set('cache-status', status);
  }

  #onClosed(
    outcome: CacheOutcome,
    status: number,
    detail: string | undefined,
    ends?: { readonly replaced?: boolean },
  ): void {
    const { ask, sink } = this.#options;
    const { counts, popularity, accessLog, clock } = this.#context;
    const firstByteMillis = clock.now();
    sink.onClose(() => {
      // The answer that was given instead counts itself.
      if (ends?.replaced === true) return;
      counts.answer(outcome, status, sink.bytesWritten);
      popularity.add({ path: ask.path, requests: 0, bytes: 0, listed: false }, sink.bytesWritten);
      accessLog?.write(ask.request, sink, {
        status,
        outcome,
        detail,
        tier: undefined,
        startedMillis: this.#startedMillis,
        firstByteMillis,
      });
    });
  }
}
