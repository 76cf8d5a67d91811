/**
 * Between the workers of one appliance: a worker that does not own a key passes its request to the owner over a local
 * socket and relays the answer as it comes (architecture §3.2). What the owner said, Cache-Status and all, is the answer.
 */
import { endToEndFields } from '../cache/response-fields.ts';
import { type EdgeRequest, HeadIdentity, type ResponseSink } from '../http/exchange.ts';
import { Fields } from '../http/fields.ts';
import type { UpstreamCall, UpstreamFault, UpstreamHead, UpstreamListener } from '../upstream/upstreams.ts';
import { type Ask, nameOf, type ServeContext } from './context.ts';
import { failureAnswer, sendOwn } from './errors.ts';
import { Pass } from './pass.ts';
import { withMark } from './redirect-mark.ts';

/** Says on the workers' own sockets who really asked; means nothing anywhere else. */
const ASKED_BY = 'nearcast-asked-by';

/** The request as the client made it, read back by the owner; only for what came over a worker's socket. */
export function relayed(request: EdgeRequest): EdgeRequest {
  const asked = request.fields.get(ASKED_BY)?.split(' ') ?? [];
  const [scheme, httpVersion, clientAddress] = asked;
  const fields = request.fields.clone();
  fields.delete(ASKED_BY);
  return {
    ...request,
    fields,
    scheme: scheme === 'https' ? 'https' : 'http',
    httpVersion: httpVersion === '2' ? '2' : '1.1',
    clientAddress: clientAddress ?? request.clientAddress,
    method: request.method,
    authority: request.authority,
    target: request.target,
    body: request.body,
    headIdentity: new HeadIdentity(),
  };
}

export function relay(context: ServeContext, ask: Ask, sink: ResponseSink): void {
  new Relay(context, ask, sink).begin();
}

class Relay implements UpstreamListener {
  readonly #context: ServeContext;
  readonly #ask: Ask;
  readonly #sink: ResponseSink;
  #call: UpstreamCall | undefined;
  #pass: Pass | undefined;

  constructor(context: ServeContext, ask: Ask, sink: ResponseSink) {
    this.#context = context;
    this.#ask = ask;
    this.#sink = sink;
  }

  begin(): void {
    const { request, key } = this.#ask;
    const fields = new Fields(endToEndFields(request.fields).flat);
    fields.set(ASKED_BY, `${request.scheme} ${request.httpVersion} ${request.clientAddress}`);
    fields.set('host', request.authority);
    const owner = this.#context.ownerOf(key);
    if (owner === undefined) return this.fail('connection_refused', 'no owner');
    const target = this.#ask.redirected ? withMark(request.target) : request.target;
    this.#call = owner.forward({ method: request.method, target, fields, body: undefined }, this);
    this.#sink.onClose((whole) => {
      if (!whole) this.#call?.abort();
    });
  }

  inform(status: number, fields: Fields): void {
    if (status === 103 && !this.#sink.started) this.#sink.inform(status, endToEndFields(fields));
  }

  head(head: UpstreamHead): void {
    if (this.#sink.closed) return;
    const { counts } = this.#context;
    this.#sink.onClose(() => counts.answer('relay', head.status, this.#sink.bytesWritten));
    this.#pass = new Pass({
      sink: this.#sink,
      call: () => this.#call!,
      method: this.#ask.request.method,
      status: head.status,
      fields: endToEndFields(head.fields),
      contentLength: head.contentLength,
    });
  }

  piece(chunk: Buffer): void {
    this.#pass?.piece(chunk);
  }

  end(): void {
    this.#pass?.end();
  }

  fail(fault: UpstreamFault, detail: string): void {
    if (this.#pass !== undefined) return this.#pass.fail(fault);
    if (this.#sink.closed) return;
    const { status, text, fields } = failureAnswer(nameOf(this.#context), fault, `worker: ${detail}`);
    this.#context.counts.answer('error', status, 0);
    sendOwn(this.#sink, this.#ask.request.method, status, text, fields);
  }
}
