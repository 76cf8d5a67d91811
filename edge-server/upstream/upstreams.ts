/**
 * The upstreams of a service, in order (peer, region, origin): which one is asked, retries before the first byte of the
 * response head, passive ejection, and our own count of body bytes. Built on undici's dispatcher; architecture §3.1
 * step 5, conventions §1 Upstream. What is forwarded and what the answer means belongs to the request handler.
 */
import type { Readable } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
import type { Clock } from '../../runtime/clock.ts';
import { Fields } from '../http/fields.ts';
import {
  afterFailure,
  afterSuccess,
  EJECTION,
  type EjectionRules,
  type EjectionState,
  ejected,
  NEVER_EJECTED,
} from './ejection.ts';

export interface UpstreamLimits {
  readonly connectMillis: number;
  readonly headMillis: number;
  readonly betweenBytesMillis: number;
  readonly connections: number;
  /** Further tries of a GET or HEAD before the first byte, each with the next usable upstream. */
  readonly retries: number;
}

export interface UpstreamRequest {
  readonly method: string;
  /** Origin-form target. */
  readonly target: string;
  readonly fields: Fields;
  readonly body: Readable | undefined;
  /** Upstreams not to ask, by name: those that this request has come through. */
  readonly not?: string | undefined;
}

export interface UpstreamHead {
  readonly status: number;
  readonly fields: Fields;
  /** Declared length, when there is exactly one valid Content-Length. */
  readonly contentLength: number | undefined;
  readonly upstream: string;
  /** Wall clock. */
  readonly requestMillis: number;
  readonly responseMillis: number;
}

/** Why there is no (whole) response; the same word stands in Proxy-Status, the log and the counter's label. */
export type UpstreamFault =
  | 'connection_refused'
  | 'connection_timeout'
  | 'connection_terminated'
  | 'dns_error'
  | 'tls_error'
  | 'http_response_timeout'
  | 'http_response_incomplete'
  | 'http_protocol_error'
  | 'aborted';

export interface UpstreamListener {
  /** 103 and other informational heads, before the final one. */
  inform?(status: number, fields: Fields): void;
  head(head: UpstreamHead): void;
  /** The chunk is the listener's to keep. */
  piece(chunk: Buffer): void;
  /** The body came whole: its length is what was declared. */
  end(): void;
  /** No (more) response. Called at most once, and never after `end`. */
  fail(fault: UpstreamFault, detail: string): void;
}

/** One request under way. */
export interface UpstreamCall {
  pause(): void;
  resume(): void;
  /** Ends it; the listener hears `fail('aborted')` unless it has ended. */
  abort(): void;
}

interface Upstream {
  readonly name: string;
  readonly pool: Pool;
  ejection: EjectionState;
}

export interface UpstreamsOptions {
  /** Base URLs in order; each name is its host and port. */
  readonly urls: readonly string[];
  readonly limits: UpstreamLimits;
  readonly clock: Clock;
  readonly rules?: EjectionRules;
  /** Unix socket instead of TCP, for a worker's owner. */
  readonly socketPath?: string;
}

export class Upstreams {
  readonly #upstreams: Upstream[];
  readonly #limits: UpstreamLimits;
  readonly #clock: Clock;
  readonly #rules: EjectionRules;

  constructor(options: UpstreamsOptions) {
    this.#limits = options.limits;
    this.#clock = options.clock;
    this.#rules = options.rules ?? EJECTION;
    this.#upstreams = options.urls.map((url) => ({
      name: new URL(url).host,
      ejection: NEVER_EJECTED,
      pool: new Pool(url, {
        connections: options.limits.connections,
        connectTimeout: options.limits.connectMillis,
        headersTimeout: options.limits.headMillis,
        bodyTimeout: options.limits.betweenBytesMillis,
        maxHeaderSize: 64 * 1024,
        pipelining: 1,
        keepAliveTimeout: 30_000,
        ...(options.socketPath === undefined ? {} : { socketPath: options.socketPath }),
      }),
    }));
  }

  /** Sends the request; the listener hears exactly one of: head … end, head … fail, fail. */
  forward(request: UpstreamRequest, listener: UpstreamListener): UpstreamCall {
    const call = new Forwarding(
      request,
      listener,
      this.#limits,
      this.#clock,
      this.#order(request.not),
      (upstream, good) => this.#judge(upstream, good),
    );
    call.start();
    return call;
  }

  /** Each upstream's name and whether it is ejected now. */
  view(): { name: string; ejected: boolean }[] {
    const now = this.#clock.now();
    return this.#upstreams.map(({ name, ejection }) => ({ name, ejected: ejected(ejection, now) }));
  }

  async close(): Promise<void> {
    await Promise.all(this.#upstreams.map(({ pool }) => pool.destroy()));
  }

  /** Usable ones first, in order; when all are ejected the last one stays usable. */
  #order(not: string | undefined): Upstream[] {
    const now = this.#clock.now();
    const candidates = this.#upstreams.filter((upstream) => upstream.name !== not);
    const usable = candidates.filter((upstream) => !ejected(upstream.ejection, now));
    return usable.length > 0 ? usable : candidates.slice(-1);
  }

  #judge(upstream: Upstream, good: boolean): void {
    const now = this.#clock.now();
    const next = good ? afterSuccess : afterFailure;
    upstream.ejection = next(upstream.ejection, this.#rules, now);
  }
}

/** A request on its way through the candidates, as undici's dispatch handler. */
class Forwarding implements UpstreamCall {
  readonly #request: UpstreamRequest;
  readonly #listener: UpstreamListener;
  readonly #limits: UpstreamLimits;
  readonly #clock: Clock;
  readonly #candidates: Upstream[];
  readonly #judge: (upstream: Upstream, good: boolean) => void;
  #tries = 0;
  #ended = false;
  #started = false;
  #controller: Dispatcher.DispatchController | undefined;
  #received = 0;
  #declared: number | undefined;

  constructor(
    request: UpstreamRequest,
    listener: UpstreamListener,
    limits: UpstreamLimits,
    clock: Clock,
    candidates: Upstream[],
    judge: (upstream: Upstream, good: boolean) => void,
  ) {
    this.#request = request;
    this.#listener = listener;
    this.#limits = limits;
    this.#clock = clock;
    this.#candidates = candidates;
    this.#judge = judge;
  }

  start(): void {
    const upstream = this.#candidates[Math.min(this.#tries, this.#candidates.length - 1)];
    if (upstream === undefined) return this.#fail('connection_refused', 'no upstream to ask');
    this.#tries += 1;
    this.#send(upstream);
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(): void {
    if (this.#ended) return;
    this.#fail('aborted', 'no longer wanted');
    this.#controller?.abort(new Error('aborted'));
  }

  #send(upstream: Upstream): void {
    const { method, target, fields, body } = this.#request;
    const requestMillis = this.#clock.now();
    const headOnly = method === 'HEAD';
    upstream.pool.dispatch(
      { path: target, method: method as Dispatcher.HttpMethod, headers: fields.flat, body: body ?? null },
      {
        onRequestStart: (controller) => {
          this.#controller = controller;
          if (this.#ended) controller.abort(new Error('aborted'));
        },
        onResponseStart: (controller, status) => {
          if (this.#ended) return;
          const arrived = fieldsOf(controller.rawHeaders);
          if (status < 200) return this.#listener.inform?.(status, arrived);
          if (status > 999) return this.#refuse(upstream, controller, `status ${status}`);
          const lengths = declaredLength(arrived);
          if (lengths === 'conflict') return this.#refuse(upstream, controller, 'conflicting Content-Length');
          this.#started = true;
          this.#declared = headOnly || status === 204 || status === 304 ? undefined : lengths;
          this.#judge(upstream, status < 500);
          const responseMillis = this.#clock.now();
          this.#listener.head({
            status,
            fields: arrived,
            contentLength: lengths,
            upstream: upstream.name,
            requestMillis,
            responseMillis,
          });
        },
        onResponseData: (controller, chunk) => {
          if (this.#ended) return;
          this.#received += chunk.length;
          if (this.#declared !== undefined && this.#received > this.#declared)
            return this.#refuse(upstream, controller, 'more bytes than Content-Length');
          this.#listener.piece(chunk);
        },
        onResponseEnd: () => {
          if (this.#ended) return;
          if (this.#declared !== undefined && this.#received !== this.#declared)
            return this.#fail('http_response_incomplete', `${this.#received} of ${this.#declared} bytes`);
          this.#ended = true;
          this.#listener.end();
        },
        onResponseError: (_controller, error) => this.#onError(upstream, error),
      },
    );
  }

  #onError(upstream: Upstream, error: Error): void {
    if (this.#ended) return;
    this.#judge(upstream, false);
    const fault = faultOf(error, this.#started);
    // A retry is safe only before any byte of the response, and for methods without effect (RFC 9110 §9.2.2).
    const { method, body } = this.#request;
    const repeatable = (method === 'GET' || method === 'HEAD') && body === undefined;
    const retry =
      !this.#started &&
      repeatable &&
      this.#tries <= this.#limits.retries &&
      (fault !== 'http_response_timeout' || this.#tries < this.#candidates.length);
    if (retry) this.start();
    else this.#fail(fault, error.message);
  }

  #refuse(upstream: Upstream, controller: Dispatcher.DispatchController, detail: string): void {
    this.#judge(upstream, false);
    this.#fail('http_protocol_error', detail);
    controller.abort(new Error(detail));
  }

  #fail(fault: UpstreamFault, detail: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#listener.fail(fault, detail);
  }
}

/** undici's raw header list (Buffers over HTTP/1.1, an object over HTTP/2), as fields. */
function fieldsOf(raw: Dispatcher.DispatchController['rawHeaders']): Fields {
  const fields = new Fields();
  if (raw === null || raw === undefined) return fields;
  if (Array.isArray(raw)) {
    for (let i = 0; i + 1 < raw.length; i += 2) fields.append(latin1(raw[i]!), latin1(raw[i + 1]!));
    return fields;
  }
  for (const [name, value] of Object.entries(raw)) {
    if (name.startsWith(':') || value === undefined) continue;
    for (const line of Array.isArray(value) ? value : [value]) fields.append(name, String(line));
  }
  return fields;
}

function latin1(value: Buffer | string): string {
  return typeof value === 'string' ? value : value.toString('latin1');
}

/** The one length that all Content-Length lines agree on (RFC 9110 §8.6). */
function declaredLength(fields: Fields): number | undefined | 'conflict' {
  const lines = fields.lines('content-length');
  if (lines.length === 0) return undefined;
  if (fields.has('transfer-encoding')) return undefined;
  const values = new Set(lines.flatMap((line) => line.split(',')).map((one) => one.trim()));
  const [only] = values;
  if (values.size !== 1 || only === undefined || !/^\d{1,15}$/.test(only)) return 'conflict';
  return Number(only);
}

function faultOf(error: Error, started: boolean): UpstreamFault {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  switch (code) {
    case 'ECONNREFUSED':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ENOENT':
      return 'connection_refused';
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return 'connection_timeout';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'dns_error';
    case 'UND_ERR_HEADERS_TIMEOUT':
      return 'http_response_timeout';
    case 'UND_ERR_BODY_TIMEOUT':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return 'http_response_incomplete';
    default:
      if (
        code.startsWith('ERR_TLS') ||
        code.startsWith('ERR_SSL') ||
        code.startsWith('CERT_') ||
        code.includes('SELF_SIGNED')
      )
        return 'tls_error';
      if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW') return 'http_protocol_error';
      return started ? 'http_response_incomplete' : 'connection_terminated';
  }
}
