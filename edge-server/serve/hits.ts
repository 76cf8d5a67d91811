/**
 * Answers from a stored response: the hot path. Budget: no allocation for a small hit that was served in the same
 * second before, one write, one addition per counter; `bench/edge.ts` guards it. Heads are prepared once a second per
 * entry, since Age and ttl change by the second.
 */

import { cacheStatus } from '../cache/cache-status.ts';
import { notModifiedFields } from '../cache/response-fields.ts';
import { ageSeconds, freshMillisLeft } from '../cache/reuse.ts';
import { type EdgeRequest, ResponseHead, type ResponseSink } from '../http/exchange.ts';
import { Fields } from '../http/fields.ts';
import type { StoredEntry } from '../store/contract.ts';
import { answer, answerPlan, type Ends } from './answer.ts';
import { type Ask, nameOf, type ServeContext } from './context.ts';
import { stored } from './fetched.ts';
import type { PathCount } from './popularity.ts';

/** What is kept on a stored entry. */
class Prepared {
  second = -1;
  extra: string[] = [];
  whole: ResponseHead | undefined;
  headOnly: ResponseHead | undefined;
  notModified: ResponseHead | undefined;
  readonly count: PathCount;

  constructor(path: string) {
    this.count = { path, requests: 0, bytes: 0, listed: false };
  }
}

interface HitEnds extends Ends {
  /** Another answer was given, before a byte of this one. */
  replaced: boolean;
}

export class Hits {
  readonly #context: ServeContext;
  readonly #name: string;
  /** Answers anew where a stored body turned out not to be there any more; set once, by the handler. */
  lookUpAgain: (ask: Ask, sink: ResponseSink) => void = () => {};
  /** Those whose second answer it is: there is no third. */
  readonly #again = new WeakSet<ResponseSink>();

  constructor(context: ServeContext) {
    this.#context = context;
    this.#name = nameOf(context);
  }

  /** A fresh hit. `nowMillis` is wall clock. */
  fresh(ask: Ask, sink: ResponseSink, entry: StoredEntry, nowMillis: number): void {
    const prepared = this.#prepared(ask, entry, nowMillis);
    const { body, response } = entry;
    if (ask.plain && body !== undefined) {
      prepared.whole ??= this.#head(entry, prepared, response.bodyLength);
      sink.sendWhole(prepared.whole, body.length === 0 ? undefined : body);
      this.#counted(ask, sink, prepared, response.status, body.length, entry);
      return;
    }
    this.#selective(ask.request, ask, sink, entry, prepared);
  }

  /** A usable stale response, with the word for why it may be used. */
  stale(ask: Ask, sink: ResponseSink, entry: StoredEntry, nowMillis: number, detail: string): void {
    const ttlMillis = freshMillisLeft(entry.response, nowMillis);
    const status = cacheStatus(this.#name, {
      kind: 'hit',
      ttlMillis: Number.isFinite(ttlMillis) ? ttlMillis : 0,
      detail,
    });
    const extra = [
      'age',
      String(ageSeconds(entry.response, nowMillis)),
      'via',
      `1.1 ${this.#name}`,
      'cache-status',
      status,
    ];
    const ends = this.#ends(ask, sink);
    const sent = answer(ask.request, sink, stored(this.#context, ask, entry), extra, ends);
    this.#onClosed(ask, sink, ends, { status: sent, outcome: 'stale', detail, entry });
  }

  #selective(request: EdgeRequest, ask: Ask, sink: ResponseSink, entry: StoredEntry, prepared: Prepared): void {
    const { response } = entry;
    const plan = answerPlan(request, response, response.bodyLength);
    if (plan.kind === 'not-modified') {
      prepared.notModified ??= new ResponseHead(
        304,
        new Fields([...notModifiedFields(response.fields), ...prepared.extra]),
        undefined,
        true,
      );
      sink.sendWhole(prepared.notModified, undefined);
      this.#counted(ask, sink, prepared, 304, 0, entry);
      return;
    }
    if (plan.kind === 'whole' && request.method === 'HEAD') {
      prepared.headOnly ??= this.#head(entry, prepared, response.bodyLength);
      sink.sendWhole(prepared.headOnly, undefined);
      this.#counted(ask, sink, prepared, response.status, 0, entry);
      return;
    }
    const ends = this.#ends(ask, sink);
    const status = answer(request, sink, stored(this.#context, ask, entry), prepared.extra, ends);
    this.#onClosed(ask, sink, ends, { status, outcome: 'hit', detail: undefined, entry });
  }

  #prepared(ask: Ask, entry: StoredEntry, nowMillis: number): Prepared {
    const prepared = (entry.prepared as Prepared | undefined) ?? new Prepared(ask.path);
    entry.prepared = prepared;
    const second = Math.floor(nowMillis / 1000);
    if (prepared.second === second) return prepared;
    prepared.second = second;
    prepared.whole = undefined;
    prepared.headOnly = undefined;
    prepared.notModified = undefined;
    const status = cacheStatus(this.#name, { kind: 'hit', ttlMillis: freshMillisLeft(entry.response, nowMillis) });
    prepared.extra = [
      'age',
      String(ageSeconds(entry.response, nowMillis)),
      'via',
      `1.1 ${this.#name}`,
      'cache-status',
      status,
    ];
    return prepared;
  }

  #head(entry: StoredEntry, prepared: Prepared, length: number): ResponseHead {
    const { status, fields } = entry.response;
    return new ResponseHead(status, new Fields(fields.concat(prepared.extra)), length, true);
  }

  #counted(ask: Ask, sink: ResponseSink, prepared: Prepared, status: number, bytes: number, entry: StoredEntry): void {
    const { counts, popularity, accessLog } = this.#context;
    counts.answer('hit', status, bytes);
    popularity.add(prepared.count, bytes);
    if (accessLog === undefined) return;
    const startedMillis = this.#context.clock.now();
    sink.onClose(() =>
      accessLog.write(ask.request, sink, {
        status,
        outcome: 'hit',
        detail: undefined,
        tier: entry.tier,
        startedMillis,
        firstByteMillis: startedMillis,
      }),
    );
  }

  #onClosed(
    ask: Ask,
    sink: ResponseSink,
    ends: HitEnds,
    line: { status: number; outcome: 'hit' | 'stale'; detail: string | undefined; entry: StoredEntry },
  ): void {
    const { counts, popularity, accessLog, clock } = this.#context;
    const startedMillis = clock.now();
    sink.onClose(() => {
      // The answer that was given instead counts itself.
      if (ends.replaced) return;
      counts.answer(line.outcome, line.status, sink.bytesWritten);
      popularity.add({ path: ask.path, requests: 0, bytes: 0, listed: false }, sink.bytesWritten);
      accessLog?.write(ask.request, sink, {
        ...line,
        tier: line.entry.tier,
        startedMillis,
        firstByteMillis: startedMillis,
      });
    });
  }

  #ends(ask: Ask, sink: ResponseSink): HitEnds {
    const lost = (why: string) => this.#lost(why);
    if (this.#again.has(sink)) return { replaced: false, lost };
    const ends: HitEnds = {
      replaced: false,
      lost,
      again: () => {
        ends.replaced = true;
        this.#again.add(sink);
        this.lookUpAgain(ask, sink);
      },
    };
    return ends;
  }

  #lost(why: string): void {
    this.#context.counts.aborted += 1;
    this.#context.log.warn({ why }, 'a stored body could not be completed');
  }
}
