/**
 * One forwarded request of a key that may be stored: settles what the upstream says (architecture §3.1 step 6) and
 * tells its asker and its flight in exactly one way. 304 freshens; an error falls back on stale; a storable response is
 * shared while it arrives; everything else passes through to the asker alone.
 */
import type { Flight } from '../cache/collapse.ts';
import type { Coding } from '../cache/compression.ts';
import { requestDirectives } from '../cache/directives.ts';
import { freshened, headSpeaksOf } from '../cache/freshening.ts';
import type { ReceivedResponse } from '../cache/freshness.ts';
import { policyAt } from '../cache/policy.ts';
import { failureStatus, staleOnError } from '../cache/reuse.ts';
import { partialStorability, type StorableParts, storability } from '../cache/storability.ts';
import type { StoredResponse } from '../cache/stored-response.ts';
import type { Fields } from '../http/fields.ts';
import type { StoredEntry } from '../store/contract.ts';
import type { UpstreamCall, UpstreamFault, UpstreamHead, UpstreamListener } from '../upstream/upstreams.ts';
import type { Ask, Fetched, ServeContext } from './context.ts';
import { headOnly, stored } from './fetched.ts';
import { askers, share } from './share.ts';
import type { Taker } from './taker.ts';
import { versionId } from './version-id.ts';

/** Why there is no response to give. */
export type FetchFailure = UpstreamFault | 'unsolicited_304' | 'unsolicited_206';

/** Who asked. Exactly one of these is called, once. */
export interface Asker {
  /** A storable response is arriving. */
  fetched(fetched: Fetched): void;
  /** The stale response that was held is good (again). */
  validated(entry: StoredEntry): void;
  /** The upstream failed and the stale response may stand in. */
  stale(entry: StoredEntry, why: string): void;
  /** Not to be shared: takes the body from here on. `undefined`: not wanted, the call is ended. */
  pass(head: UpstreamHead, why: string): Taker | undefined;
  failed(why: FetchFailure, detail: string): void;
  inform?(status: number, fields: Fields): void;
}

export interface FetchOptions {
  readonly ask: Ask;
  /** What goes upstream, made by the caller: conditional when `stale` has a validator, ranged when `ranged`. */
  readonly fields: Fields;
  /** The same without conditions, for when the stale response turns out to be of no use. */
  readonly unconditional: () => Fields;
  readonly method: string;
  readonly stale: StoredEntry | undefined;
  /** `fields` carry validators of `stale`. */
  readonly conditional: boolean;
  readonly ranged: boolean;
  /** `undefined`: goes alone. */
  readonly flight: Flight<Fetched> | undefined;
  readonly asker: Asker;
}

/** What goes into the store: the bytes of `response` from `firstByte` to `endByte`, where that is known. */
interface Storing {
  readonly store: true;
  readonly response: StoredResponse;
  readonly firstByte: number;
  readonly endByte: number | undefined;
}

/** How long a key that was not cacheable is remembered as such; Varnish's hit-for-miss default is two minutes. */
const UNCACHEABLE_MILLIS = 10_000;

export class Fetch implements UpstreamListener {
  readonly #context: ServeContext;
  readonly #options: FetchOptions;
  readonly #purgeNumber: number;
  #call: UpstreamCall | undefined;
  #taker: Taker | undefined;
  /** The rest of the body does not matter. */
  #settled = false;

  static begin(context: ServeContext, options: FetchOptions): Fetch {
    const fetch = new Fetch(context, options);
    context.counts.upstreamRequests += 1;
    const { request, target } = options.ask;
    fetch.#call = context.upstreams.forward(
      { method: options.method, target, fields: options.fields, body: request.body },
      fetch,
    );
    return fetch;
  }

  private constructor(context: ServeContext, options: FetchOptions) {
    this.#context = context;
    this.#options = options;
    this.#purgeNumber = context.store.purgeNumber;
  }

  inform(status: number, fields: Fields): void {
    if (status !== 100 && status !== 101) this.#options.asker.inform?.(status, fields);
  }

  head(head: UpstreamHead): void {
    const { stale, conditional, ranged, asker, flight } = this.#options;
    const received: ReceivedResponse = head;
    if (head.status === 304) {
      if (stale === undefined || !conditional)
        return this.#refuse('unsolicited_304', 'a 304 to a request without a condition');
      return this.#freshen(stale, received);
    }
    if (failureStatus(head.status) && stale !== undefined && this.#fallBack(stale, `status-${head.status}`, head))
      return this.#drop();
    const planned = this.#context.compression?.planned(this.#options.ask.request.fields, head);
    if (this.#options.method === 'HEAD') return this.#settleHead(planned?.head ?? head, head);
    if (head.status === 206 && !ranged) return this.#refuse('unsolicited_206', 'a 206 to a request without a range');
    const decided = this.#decide(planned?.head ?? head);
    if (decided.store) return this.#share(planned?.head ?? head, decided, planned?.coding);
    // What is not shared because the upstream is unwell may be shared in a moment.
    if (!failureStatus(head.status) && head.status !== 416)
      this.#context.uncacheable.remember(this.#options.ask.key, this.#context.clock.now() + UNCACHEABLE_MILLIS);
    flight?.uncacheable();
    this.#taker = asker.pass(head, decided.why);
    if (this.#taker === undefined) this.#drop();
  }

  piece(chunk: Buffer): void {
    this.#context.counts.upstreamBytes += chunk.length;
    if (!this.#settled) this.#taker?.piece(chunk);
  }

  end(): void {
    if (!this.#settled) this.#taker?.end();
  }

  fail(fault: UpstreamFault, detail: string): void {
    if (this.#settled) return;
    this.#context.counts.faults[fault] += 1;
    if (fault !== 'aborted') this.#context.log.warn({ fault, detail, host: this.#options.ask.host }, 'upstream failed');
    if (this.#taker !== undefined) return this.#taker.fail(fault);
    const { stale, asker, flight } = this.#options;
    if (stale !== undefined && this.#fallBack(stale, fault, undefined)) return;
    flight?.fail(fault);
    asker.failed(fault, detail);
  }

  /** The client has gone: ends the request unless others want its response. */
  leave(): void {
    if (this.#taker === undefined && (this.#options.flight?.waiting ?? 0) === 0) this.#call?.abort();
  }

  pause(): void {
    this.#call?.pause();
  }

  resume(): void {
    this.#call?.resume();
  }

  abort(): void {
    this.#call?.abort();
  }

  #decide(head: UpstreamHead): Storing | { store: false; why: string } {
    const { ask, method } = this.#options;
    const policy = policyAt(this.#context.policy, ask.path);
    const request = { method, fields: ask.request.fields, hasBody: ask.request.body !== undefined, url: ask.key };
    if (head.status === 206) {
      const partial = partialStorability(request, head, policy);
      if (!partial.store) return partial;
      const { start, end, length } = partial.range;
      if (head.contentLength !== undefined && head.contentLength !== end - start + 1)
        return { store: false, why: 'partial-unusable' };
      return { store: true, response: this.#stored(partial.parts, length), firstByte: start, endByte: end + 1 };
    }
    const whole = storability(request, head, policy);
    if (!whole.store) return whole;
    const length = head.status === 204 ? 0 : (head.contentLength ?? -1);
    return {
      store: true,
      response: this.#stored(whole.parts, length),
      firstByte: 0,
      endByte: length < 0 ? undefined : length,
    };
  }

  /**
   * A HEAD brings no body to store; what it says freshens what is stored, or ends it (RFC 9111 §4.3.5). `head` is as it
   * would be stored, `received` as it came.
   */
  #settleHead(head: UpstreamHead, received: UpstreamHead): void {
    const { ask, asker, flight, stale } = this.#options;
    const { slices } = this.#context;
    if (stale !== undefined && head.status === 200) {
      const about = headSpeaksOf(stale.response, head.fields, head.contentLength);
      if (about === 'same') return this.#freshen(stale, head);
      if (about === 'other') slices.supersede(stale.response);
    }
    const request = { method: 'GET', fields: ask.request.fields, hasBody: false, url: ask.key };
    const whole = storability(request, head, policyAt(this.#context.policy, ask.path));
    if (whole.store) {
      const response = this.#stored(whole.parts, head.contentLength ?? -1);
      asker.fetched(headOnly(askers(this.#context, response, head), head));
      flight?.join(headOnly(response, head));
      flight?.over();
      this.#settled = true;
      return;
    }
    flight?.uncacheable();
    this.#taker = asker.pass(received, whole.why);
    if (this.#taker === undefined) this.#drop();
  }

  #stored(parts: StorableParts, length: number): StoredResponse {
    return {
      ...parts,
      id: versionId(),
      key: this.#options.ask.key,
      bodyLength: length,
      purgeNumber: this.#purgeNumber,
      sha256: undefined,
    };
  }

  #share(head: UpstreamHead, storing: Storing, coding: Coding | undefined): void {
    const { ask, flight, asker } = this.#options;
    this.#context.uncacheable.forget(ask.key);
    this.#context.backOff.forget(ask.key);
    const fetched = (fetched: Fetched) => asker.fetched(fetched);
    this.#taker = share(this.#context, { ask, head, ...storing, coding, call: this.#call!, flight, fetched });
  }

  #freshen(stale: StoredEntry, received: ReceivedResponse): void {
    const { store, backOff } = this.#context;
    const { ask, flight, asker } = this.#options;
    // A purge that came while we asked: what the 304 speaks of is gone, and must be fetched whole.
    const current = store.shelf(ask.key)?.variant(stale.response.variant)?.response.id === stale.response.id;
    if (!current || store.purged(stale.response) === 'hard') return this.#again();
    const { compression, policy } = this.#context;
    const fields = compression?.notModified(received.fields, stale.response.vary) ?? received.fields;
    const rules = policyAt(policy, ask.path);
    const outcome = freshened(stale.response, { ...received, fields }, rules, this.#purgeNumber);
    if (outcome.kind === 'mismatch') return this.#again();
    const entry = store.freshen(stale, outcome.response);
    if (outcome.kind === 'used-once') store.remove(entry);
    backOff.forget(ask.key);
    asker.validated(entry);
    flight?.join(stored(this.#context, ask, entry));
    flight?.over();
    this.#settled = true;
  }

  /** Fetches the whole response, without conditions, for the same asker and flight. */
  #again(): void {
    this.#settled = true;
    Fetch.begin(this.#context, {
      ...this.#options,
      stale: undefined,
      conditional: false,
      fields: this.#options.unconditional(),
    });
  }

  #fallBack(stale: StoredEntry, why: string, head: UpstreamHead | undefined): boolean {
    const { policy, clock, backOff } = this.#context;
    const { ask, asker, flight } = this.#options;
    const now = clock.now();
    backOff.failed(ask.key, head?.fields.get('retry-after'), now);
    if (staleOnError(stale.response, requestDirectives(ask.request.fields), now, policy).use !== 'stale-if-error')
      return false;
    asker.stale(stale, why);
    flight?.join(stored(this.#context, ask, stale));
    flight?.over();
    return true;
  }

  #refuse(why: FetchFailure, detail: string): void {
    this.#options.flight?.fail(why);
    this.#options.asker.failed(why, detail);
    this.#drop();
  }

  #drop(): void {
    this.#settled = true;
    this.#call?.abort();
  }
}
