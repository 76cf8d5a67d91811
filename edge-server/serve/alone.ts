/**
 * Requests that go forward for their client alone: HEAD without a stored response, bodies, unsafe methods, and what is
 * known not to be shareable. The client's own conditions and ranges go with them; nothing of the answer is stored. A
 * successful unsafe request removes what it makes invalid before its client hears of it (RFC 9111 §4.4).
 */
import { appendedStatus, cacheStatus, type ForwardedWhy } from '../cache/cache-status.ts';
import { invalidatedKeys, unsafeMethod } from '../cache/invalidation.ts';
import { keyRule, policyAt } from '../cache/policy.ts';
import { loops } from '../cache/request-fields.ts';
import { clientFields } from '../cache/response-fields.ts';
import { storability } from '../cache/storability.ts';
import type { CacheOutcome } from '../counters.ts';
import type { ResponseSink } from '../http/exchange.ts';
import type { Fields } from '../http/fields.ts';
import type { UpstreamCall, UpstreamFault, UpstreamHead, UpstreamListener } from '../upstream/upstreams.ts';
import { type Ask, nameOf, type ServeContext } from './context.ts';
import { failureAnswer, sendOwn } from './errors.ts';
import { maxForwards } from './max-forwards.ts';
import { Pass } from './pass.ts';
import { StoredPost } from './stored-post.ts';
import { upstreamFields } from './upstream-fields.ts';

export interface AloneOptions {
  readonly why: ForwardedWhy;
  readonly detail: string | undefined;
  readonly outcome: CacheOutcome;
}

export function forwardAlone(context: ServeContext, ask: Ask, sink: ResponseSink, options: AloneOptions): void {
  new Alone(context, ask, sink, options).begin();
}

class Alone implements UpstreamListener {
  readonly #context: ServeContext;
  readonly #ask: Ask;
  readonly #sink: ResponseSink;
  readonly #options: AloneOptions;
  readonly #startedMillis: number;
  #call: UpstreamCall | undefined;
  #pass: Pass | undefined;
  /** The invalidation that must be done before the client hears of success. */
  #held: Promise<void> | undefined;
  #storing: StoredPost | undefined;

  constructor(context: ServeContext, ask: Ask, sink: ResponseSink, options: AloneOptions) {
    this.#context = context;
    this.#ask = ask;
    this.#sink = sink;
    this.#options = options;
    this.#startedMillis = context.clock.now();
  }

  begin(): void {
    const { request, target } = this.#ask;
    const name = nameOf(this.#context);
    if (loops(request.fields, name) >= 2) return this.#own(508, 'the request came here before', 'loop', []);
    const fields = upstreamFields(this.#context, this.#ask, { purpose: 'pass' });
    const length = request.fields.get('content-length');
    const hops = request.method === 'OPTIONS' ? maxForwards(request.fields.get('max-forwards')) : undefined;
    if (hops?.kind === 'forward') fields.set('max-forwards', String(hops.left));
    if (request.body !== undefined && length !== undefined) fields.append('content-length', length);
    this.#context.counts.upstreamRequests += 1;
    this.#call = this.#context.upstreams.forward({ method: request.method, target, fields, body: request.body }, this);
    this.#sink.onClose((whole) => {
      if (!whole) this.#call?.abort();
    });
  }

  inform(status: number, fields: Fields): void {
    if (status === 103 && !this.#sink.started) this.#sink.inform(status, clientFields(fields, false));
  }

  head(head: UpstreamHead): void {
    const keys = unsafeMethod(this.#ask.request.method) ? this.#invalidated(head) : [];
    if (keys.length === 0) return this.#send(head);
    this.#call?.pause();
    this.#held = this.#context
      .purge(keys.map((key) => ({ scope: { kind: 'url', key }, soft: false })))
      .catch((error: unknown) => {
        // The origin has acted: its client must hear so; what is stored may be old until it ends.
        this.#context.log.error({ error: String(error), keys }, 'invalidation failed');
      });
    void this.#held.then(() => {
      this.#storing = StoredPost.of(this.#context, this.#ask, head);
      this.#send(head);
      this.#call?.resume();
    });
  }

  piece(chunk: Buffer): void {
    this.#context.counts.upstreamBytes += chunk.length;
    if (this.#pass !== undefined) return this.#carry(chunk);
    const kept = Buffer.from(chunk);
    void this.#held?.then(() => this.#carry(kept));
  }

  end(): void {
    if (this.#pass === undefined) void this.#held?.then(() => this.#finish());
    else this.#finish();
  }

  #carry(chunk: Buffer): void {
    this.#storing?.piece(chunk);
    this.#pass?.piece(chunk);
  }

  #finish(): void {
    this.#storing?.end();
    this.#pass?.end();
  }

  fail(fault: UpstreamFault, detail: string): void {
    this.#context.counts.faults[fault] += 1;
    if (this.#pass !== undefined) return this.#pass.fail(fault);
    if (this.#held !== undefined) return void this.#held.then(() => this.#pass?.fail(fault));
    if (this.#sink.closed) return;
    const { status, text, fields } = failureAnswer(nameOf(this.#context), fault, detail);
    this.#context.counts.ownErrors += 1;
    this.#own(status, text, fault, fields);
  }

  #send(received: UpstreamHead): void {
    if (this.#sink.closed) return;
    const head = this.#asGotten(received);
    const { why, detail, outcome } = this.#options;
    const name = nameOf(this.#context);
    const fields = clientFields(head.fields, this.#context.policy.forwardSurrogateFields);
    const own = cacheStatus(name, { kind: 'forwarded', why, status: head.status, detail });
    fields.append('via', `1.1 ${name}`);
    const status = appendedStatus(fields.get('cache-status'), own);
    fields.set('cache-status', status);
    this.#onClosed(outcome, head.status);
    this.#pass = new Pass({
      sink: this.#sink,
      call: () => this.#call!,
      method: this.#ask.request.method,
      status: head.status,
      fields,
      contentLength: head.contentLength,
    });
  }

  /** A HEAD says what GET would: a response that is compressed when it is stored is so described. */
  #asGotten(head: UpstreamHead): UpstreamHead {
    const { compression, policy } = this.#context;
    const { request, key, path } = this.#ask;
    if (compression === undefined || request.method !== 'HEAD') return head;
    const planned = compression.planned(request.fields, head).head;
    const asGet = { method: 'GET', fields: request.fields, hasBody: false, url: key };
    return storability(asGet, planned, policyAt(policy, path)).store ? planned : head;
  }

  #invalidated(head: UpstreamHead): string[] {
    const { method, scheme, authority, target } = this.#ask.request;
    return invalidatedKeys(
      { method, scheme, authority, target, status: head.status, fields: head.fields },
      keyRule(this.#context.policy),
    );
  }

  #own(status: number, text: string, detail: string, more: readonly string[]): void {
    const { request } = this.#ask;
    this.#onClosed('error', status);
    const own = cacheStatus(nameOf(this.#context), { kind: 'forwarded', why: this.#options.why, detail });
    sendOwn(this.#sink, request.method, status, text, [...more, 'cache-status', own]);
  }

  #onClosed(outcome: CacheOutcome, status: number): void {
    const { counts, accessLog, clock } = this.#context;
    const firstByteMillis = clock.now();
    this.#sink.onClose(() => {
      counts.answer(outcome, status, this.#sink.bytesWritten);
      accessLog?.write(this.#ask.request, this.#sink, {
        status,
        outcome,
        detail: this.#options.detail,
        tier: undefined,
        startedMillis: this.#startedMillis,
        firstByteMillis,
      });
    });
  }
}
