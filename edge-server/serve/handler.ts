/**
 * The one request handler of an edge: what a request asks for, what the store has, and who answers (architecture §3.1,
 * steps 2 to 4). Reads as the seven steps do: key, look up, hit, else a turn that forwards.
 */

import { cacheStatus, type ForwardedWhy } from '../cache/cache-status.ts';
import type { KeyRule } from '../cache/key.ts';
import { ifRangeOf } from '../cache/parts.ts';
import { keyRule } from '../cache/policy.ts';
import { freshMillisLeft, reuse } from '../cache/reuse.ts';
import { variantOf } from '../cache/vary.ts';
import type { EdgeRequest, Handler, ResponseSink } from '../http/exchange.ts';
import type { StoredEntry } from '../store/contract.ts';
import { forwardAlone } from './alone.ts';
import { type AskOutcome, askOf } from './ask.ts';
import { type Ask, nameOf, type ServeContext } from './context.ts';
import { sendOwn } from './errors.ts';
import { Hits } from './hits.ts';
import { maxForwards } from './max-forwards.ts';
import { Refresh } from './refresh.ts';
import { relay } from './relay.ts';
import { shed, shedMiss, shedsAll, shedsMisses } from './shedding.ts';
import { Turn } from './turn.ts';

/** Makes the handler of a worker. */
export function createHandler(context: ServeContext): Handler {
  return new EdgeHandler(context).handle;
}

class EdgeHandler {
  readonly #context: ServeContext;
  readonly #hits: Hits;
  readonly #rule: KeyRule;

  constructor(context: ServeContext) {
    this.#context = context;
    this.#hits = new Hits(context);
    this.#hits.lookUpAgain = (ask, sink) => this.#lookUp(ask, sink);
    this.#rule = keyRule(context.policy);
  }

  readonly handle: Handler = (request, sink) => {
    try {
      this.#serve(request, sink);
    } catch (error) {
      this.#context.log.error(
        { error: error instanceof Error ? error.stack : String(error), target: request.target },
        'request handler threw',
      );
      this.#context.counts.ownErrors += 1;
      if (sink.started || sink.closed) sink.abort('internal');
      else
        sendOwn(sink, request.method, 500, 'internal error', [
          'cache-status',
          `${nameOf(this.#context)}; detail=internal`,
        ]);
    }
  };

  #serve(request: EdgeRequest, sink: ResponseSink): void {
    if (request.method === 'GET' || request.method === 'HEAD') {
      if (request.target === '/healthz' && this.#healthy(request, sink)) return;
      return this.#cacheable(request, sink);
    }
    if (request.method === 'PURGE') return this.#purge(request, sink);
    const { methods } = this.#context;
    if (request.method === 'CONNECT' || request.method === 'TRACE' || methods?.has(request.method) === false)
      return this.#refuse(request, sink, 405, 'method', ['allow', allowed(methods)]);
    // About this server as a whole, not about a resource of the origin (RFC 9110 §9.3.7), or to be answered by it (§7.6.2).
    const last = request.method === 'OPTIONS' && maxForwards(request.fields.get('max-forwards')).kind === 'answer-here';
    if (request.target === '*' || last) return this.#options(request, sink);
    const asked = askOf(request, this.#rule);
    if (!asked.ok) return this.#refuse(request, sink, 400, asked.reason);
    if (shedsMisses(this.#context)) return shed(this.#context, asked.ask, sink, 'method');
    forwardAlone(this.#context, asked.ask, sink, { why: 'method', detail: undefined, outcome: 'pass' });
  }

  #cacheable(request: EdgeRequest, sink: ResponseSink): void {
    let asked = request.headIdentity.workedOut as AskOutcome | undefined;
    if (asked === undefined) {
      asked = askOf(request, this.#rule);
      request.headIdentity.workedOut = asked;
    }
    if (!asked.ok) return this.#refuse(request, sink, 400, asked.reason);
    const { ask } = asked;
    if (shedsAll(this.#context)) return shed(this.#context, ask, sink, 'bypass');
    // A body on GET means nothing that a key could hold: its client gets its own answer, and nobody else does.
    if (request.body !== undefined && shedsMisses(this.#context)) return shed(this.#context, ask, sink, 'request');
    if (request.body !== undefined)
      return forwardAlone(this.#context, ask, sink, { why: 'request', detail: 'request-body', outcome: 'pass' });
    this.#lookUp(ask, sink);
  }

  #lookUp(ask: Ask, sink: ResponseSink): void {
    const { store, clock, policy } = this.#context;
    const shelf = store.shelf(ask.key);
    if (shelf === undefined) return this.#forward(ask, sink, { why: 'uri-miss', flightKey: ask.key });
    const variant = shelf.vary.length === 0 ? '' : variantOf(shelf.vary, ask.request.fields, policy.vary);
    const flightKey = variant === '' ? ask.key : `${ask.key}\n${variant}`;
    const entry = shelf.variant(variant);
    if (entry === undefined) return this.#forward(ask, sink, { why: 'vary-miss', flightKey });
    const purged = store.purged(entry.response);
    if (purged === 'hard') return this.#forward(ask, sink, { why: 'uri-miss', detail: 'purged', flightKey });
    if (!entry.complete) {
      if (!this.#context.owns(ask.key)) return relay(this.#context, ask, sink);
      // Its upstream has another version; it goes as soon as what still arrives of it has.
      if (this.#context.slices.superseded(entry.response))
        return this.#forward(ask, sink, { why: 'uri-miss', detail: 'superseded', flightKey });
      // It was whole, has lost bytes, and nothing says that others would be of the same version.
      if (ifRangeOf(entry.response) === undefined)
        return this.#forward(ask, sink, { why: 'uri-miss', detail: 'incomplete', flightKey });
    }
    const now = clock.now();
    if (purged === 'no' && ask.directives === undefined && freshMillisLeft(entry.response, now) > 0)
      return this.#hits.fresh(ask, sink, entry, now);
    const may = reuse(entry.response, ask.directives, now, policy, purged === 'soft');
    switch (may.use) {
      case 'fresh':
        return this.#hits.fresh(ask, sink, entry, now);
      case 'stale-allowed':
        return this.#hits.stale(ask, sink, entry, now, 'max-stale');
      case 'stale-while-revalidate':
        if (shedsMisses(this.#context)) return this.#hits.stale(ask, sink, entry, now, 'stale-while-revalidate');
        if (!this.#context.owns(ask.key)) return relay(this.#context, ask, sink);
        this.#hits.stale(ask, sink, entry, now, 'stale-while-revalidate');
        return Refresh.begin(this.#context, ask, entry, flightKey);
      case 'validate': {
        const why: ForwardedWhy = may.why.startsWith('request-') ? 'request' : 'stale';
        return this.#forward(ask, sink, {
          why,
          detail: may.why === 'stale' ? undefined : may.why,
          stale: entry,
          flightKey,
        });
      }
    }
  }

  #forward(
    ask: Ask,
    sink: ResponseSink,
    miss: { why: ForwardedWhy; detail?: string | undefined; stale?: StoredEntry; flightKey: string },
  ): void {
    if (shedMiss(this.#context, this.#hits, { ask, sink, why: miss.why, stale: miss.stale })) return;
    if (!this.#context.owns(ask.key)) return relay(this.#context, ask, sink);
    Turn.take(this.#context, this.#hits, {
      ask,
      sink,
      why: miss.why,
      detail: miss.detail,
      stale: miss.stale,
      flightKey: miss.flightKey,
    });
  }

  #healthy(request: EdgeRequest, sink: ResponseSink): boolean {
    const health = this.#context.health();
    if (health === undefined) return false;
    this.#context.counts.answer('control', health.status, 0);
    sendOwn(sink, request.method, health.status, health.body);
    return true;
  }

  #options(request: EdgeRequest, sink: ResponseSink): void {
    this.#context.counts.answer('control', 200, 0);
    sendOwn(sink, request.method, 200, 'options of this server', ['allow', allowed(this.#context.methods)]);
  }

  #purge(request: EdgeRequest, sink: ResponseSink): void {
    if (!this.#context.mayPurge(request.clientAddress)) return this.#refuse(request, sink, 403, 'purge-not-allowed');
    const asked = askOf(request, this.#rule);
    if (!asked.ok) return this.#refuse(request, sink, 400, asked.reason);
    const { key } = asked.ask;
    const soft = request.fields.get('nearcast-soft-purge') === '1';
    this.#context.purge([{ scope: { kind: 'url', key }, soft }]).then(
      () => {
        this.#context.counts.answer('control', 200, 0);
        if (!sink.closed) sendOwn(sink, request.method, 200, `purged ${key}`);
      },
      (error: unknown) => {
        this.#context.log.error({ error: String(error) }, 'purge failed');
        if (!sink.closed) this.#refuse(request, sink, 500, 'purge-failed');
      },
    );
  }

  #refuse(request: EdgeRequest, sink: ResponseSink, status: number, why: string, more: readonly string[] = []): void {
    this.#context.counts.answer('refused', status, 0);
    const own = cacheStatus(nameOf(this.#context), { kind: 'forwarded', why: 'bypass', detail: why });
    sendOwn(sink, request.method, status, `refused: ${why}`, [...more, 'cache-status', own]);
  }
}

function allowed(methods: ReadonlySet<string> | undefined): string {
  return ['GET', 'HEAD', ...(methods ?? ['OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'])].join(', ');
}
