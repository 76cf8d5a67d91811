/**
 * An upstream response on its way to one client, not stored: streamed with back-pressure, ended as whole only when it
 * came whole. For uncacheable responses, unsafe methods, and answers that a worker relays from a key's owner.
 */
import { ResponseHead, type ResponseSink } from '../http/exchange.ts';
import type { Fields } from '../http/fields.ts';
import type { UpstreamCall } from '../upstream/upstreams.ts';

export class Pass {
  readonly #sink: ResponseSink;
  readonly #call: () => UpstreamCall;
  readonly #bodiless: boolean;
  #paused = false;

  /** Sends the head at once. `call` is read when back-pressure begins, by when it exists. */
  constructor(options: {
    sink: ResponseSink;
    call: () => UpstreamCall;
    method: string;
    status: number;
    fields: Fields;
    contentLength: number | undefined;
  }) {
    const { sink, method, status, fields } = options;
    this.#sink = sink;
    this.#call = options.call;
    this.#bodiless = method === 'HEAD' || status === 204 || status === 304 || options.contentLength === 0;
    const head = new ResponseHead(status, fields, options.contentLength);
    if (this.#bodiless) sink.sendWhole(head, undefined);
    else sink.start(head);
    sink.onClose((whole) => {
      if (!whole) this.#call().abort();
    });
  }

  piece(chunk: Buffer): void {
    if (this.#bodiless || this.#sink.closed) return;
    // The sink keeps what it is given until it has left; the chunk is the upstream connection's.
    if (this.#sink.write(Buffer.from(chunk)) || this.#paused) return;
    this.#paused = true;
    this.#call().pause();
    void this.#sink.drained().then(() => {
      this.#paused = false;
      this.#call().resume();
    });
  }

  end(): void {
    if (!this.#bodiless && !this.#sink.closed) this.#sink.end();
  }

  fail(why: string): void {
    if (!this.#bodiless && !this.#sink.closed) this.#sink.abort(why);
  }
}
