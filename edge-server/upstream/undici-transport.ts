/**
 * What our own HTTP/1.1 connections don't do, through undici's dispatcher: HTTPS (HTTP/2 where the upstream offers it)
 * and requests with a body.
 */
import { type Dispatcher, Pool } from 'undici';
import type { Exchange, Transport, TransportLimits, UpstreamRequest } from './transport.ts';
import { faultOf, fieldsOf, lengthInTrailers } from './upstream-head.ts';

const MOST_HEAD_BYTES = 64 * 1024;
const IDLE_MILLIS = 30_000;

export class UndiciTransport implements Transport {
  readonly #pool: Pool;
  /** Connects anew for each request. */
  readonly #fresh: Pool;

  constructor(url: string, limits: TransportLimits, socketPath: string | undefined) {
    const pool = (pipelining: 0 | 1) =>
      new Pool(url, {
        connections: limits.connections,
        connectTimeout: limits.connectMillis,
        headersTimeout: limits.headMillis,
        bodyTimeout: limits.betweenBytesMillis,
        maxHeaderSize: MOST_HEAD_BYTES,
        pipelining,
        keepAliveTimeout: IDLE_MILLIS,
        ...(socketPath === undefined ? {} : { socketPath }),
      });
    this.#pool = pool(1);
    this.#fresh = pool(0);
  }

  dispatch({ method, target, fields, body }: UpstreamRequest, exchange: Exchange, fresh: boolean): void {
    const pool = fresh ? this.#fresh : this.#pool;
    pool.dispatch(
      { path: target, method: method as Dispatcher.HttpMethod, headers: fields.flat, body: body ?? null },
      new Handler(exchange),
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.destroy(), this.#fresh.destroy()]);
  }
}

/** undici's handler for one exchange. */
class Handler implements Dispatcher.DispatchHandler {
  readonly #exchange: Exchange;
  #started = false;
  /** The body's end is told by its chunks alone. */
  #chunked = false;
  #over = false;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#exchange.began({
      pause: () => controller.pause(),
      resume: () => controller.resume(),
      abort: () => {
        this.#over = true;
        controller.abort(new Error('aborted'));
      },
    });
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#over) return;
    const fields = fieldsOf(controller.rawHeaders);
    if (status < 200) return this.#exchange.inform(status, fields);
    this.#started = true;
    this.#chunked = fields.has('transfer-encoding') && !fields.has('content-length');
    this.#exchange.head(status, fields);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#over) this.#exchange.data(chunk);
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = true;
    this.#exchange.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#chunked && lengthInTrailers(error)) return this.#exchange.end();
    const read = (error as { socket?: { bytesRead?: number } }).socket?.bytesRead ?? 0;
    this.#exchange.error(faultOf(error, this.#started), error.message, read > 0);
  }
}
