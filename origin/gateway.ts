/**
 * The HTTP face over S3: one GET or HEAD becomes one object of the bucket, streamed with back-pressure. It owns the
 * listener and each answer; what a target, a condition and a failure mean is decided in `object-key.ts`,
 * `conditions.ts` and `s3-failure.ts`. Clients' query, Authorization and X-Amz-* fields go no further than here.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { listenFault } from '../runtime/errors.ts';
import type { Logger } from '../runtime/log.ts';
import type { Tally } from '../runtime/metrics.ts';
import { addressText, type ListenAddress } from '../runtime/options.ts';
import { conditionPlan, isSuffix, judgement, type S3Conditions } from './conditions.ts';
import type { ORIGIN_COUNTERS } from './counters.ts';
import { objectKey } from './object-key.ts';
import type { ObjectHead, ObjectStore } from './object-store.ts';
import { type CacheDefaults, OPEN_FIELDS, objectFields, PREFLIGHT_FIELDS } from './response-head.ts';
import { FAILURE_ANSWERS, type S3FailureReason, s3FailureReason } from './s3-failure.ts';

type Outcome = (typeof ORIGIN_COUNTERS.responses_total.label.values)[number];

export interface GatewayOptions extends CacheDefaults {
  readonly store: Pick<ObjectStore, 'head' | 'get'>;
  readonly tally: Tally<typeof ORIGIN_COUNTERS>;
  readonly log: Logger;
  readonly missingCacheControl: string;
  readonly s3BodyTimeout: number;
  readonly sendTimeout: number;
  readonly connections: number;
  /** Hex SHA-256 of a whole object that is known although S3 does not carry it. */
  digest(key: string, etag: string): string | undefined;
  /** Told of every failure that is S3's, so that readiness need not wait for the next look. */
  storageFailed(reason: S3FailureReason): void;
}

interface Asked {
  readonly method: 'GET' | 'HEAD';
  readonly key: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly signal: AbortSignal;
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #server: Server;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#server = createServer(
      {
        headersTimeout: 10_000,
        requestTimeout: 15_000,
        keepAliveTimeout: 65_000,
        connectionsCheckingInterval: 1000,
        maxHeaderSize: 16 * 1024,
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = options.connections;
    this.#server.setTimeout(options.sendTimeout);
  }

  /** Listens; answers the port. Throws the fault that names the address when it can't. */
  async start(address: ListenAddress): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenFault(error, addressText(address), 'listen')));
      this.#server.listen(address.port, address.host, resolve);
    });
    return (this.#server.address() as { port: number }).port;
  }

  /** Lets requests under way finish for so long, then ends their connections. */
  async close(drainMillis: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), drainMillis);
    await closed;
    clearTimeout(timer);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const aborted = new AbortController();
    response.once('close', () => aborted.abort());
    response.on('error', () => {}); // The client left; the write side is counted where it is awaited.
    let outcome: Outcome;
    try {
      outcome = await this.#outcome(request, response, aborted.signal);
    } catch (error) {
      outcome = this.#failed(response, aborted.signal, error);
    }
    this.#options.tally.add('responses_total', 1, outcome);
  }

  async #outcome(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<Outcome> {
    if (request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0) {
      text(response, 400, 'a request carries no body here', { connection: 'close' });
      return 'bad-method';
    }
    const { method } = request;
    if (method === 'OPTIONS') {
      response.writeHead(204, PREFLIGHT_FIELDS).end();
      return 'whole';
    }
    if (method !== 'GET' && method !== 'HEAD') {
      text(response, 405, 'only GET and HEAD', { allow: 'GET, HEAD, OPTIONS' });
      return 'bad-method';
    }
    const key = objectKey(request.url ?? '');
    if (!key.ok && key.reason === 'empty') return this.#refuse(response, 'not-found');
    if (!key.ok) {
      text(response, 400, `the path names no object: ${key.reason}`, { 'cache-control': 'no-store' });
      return 'bad-target';
    }
    return this.#object({ method, key: key.value, request, response, signal });
  }

  async #object(asked: Asked): Promise<Outcome> {
    const plan = conditionPlan(asked.request.headers, asked.method);
    if (plan.kind === 'direct') return this.#fetch(asked, plan.conditions);
    const head = await this.#options.store.head(asked.key, {}, asked.signal);
    const verdict = judgement(asked.request.headers, asked.method, head);
    if (verdict.kind === 'not-modified') return this.#notModified(asked, head);
    if (verdict.kind === 'precondition-failed') return this.#refuse(asked.response, 'precondition-failed');
    // The object that was judged, or none: it may have been replaced since.
    const conditions = verdict.range === undefined ? {} : { range: verdict.range };
    return this.#fetch(asked, { ifMatch: head.etag, ...conditions });
  }

  async #fetch(asked: Asked, conditions: S3Conditions): Promise<Outcome> {
    const { store } = this.#options;
    try {
      if (asked.method === 'HEAD') {
        const head = await store.head(asked.key, conditions, asked.signal);
        asked.response.writeHead(200, { ...this.#fields(asked.key, head), 'content-length': head.bytes }).end();
        return 'whole';
      }
      const { head, body } = await store.get(asked.key, conditions, asked.signal);
      return await this.#send(asked, head, body);
    } catch (error) {
      const reason = s3FailureReason(error);
      if (asked.response.headersSent) throw error;
      if (reason === 'not-modified') return this.#notModified(asked, await store.head(asked.key, {}, asked.signal));
      if (reason === 'unsatisfiable') return this.#unsatisfiable(asked, conditions.range ?? '');
      throw error;
    }
  }

  async #send(asked: Asked, head: ObjectHead, body: Readable): Promise<Outcome> {
    const part = head.contentRange !== undefined;
    const { response } = asked;
    try {
      response.writeHead(part ? 206 : 200, { ...this.#fields(asked.key, head), 'content-length': head.bytes });
    } catch (error) {
      body.destroy();
      throw error;
    }
    // `pipeline` destroys the response when the body fails or ends early: never a short answer that looks whole.
    await pipeline(body, (chunks: AsyncIterable<Buffer>) => this.#counted(body, chunks, head.bytes), response);
    return part ? 'part' : 'whole';
  }

  /** Passes chunks on, and fails on silence and on a length that is not the announced one. */
  async *#counted(body: Readable, chunks: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
    const silence = setTimeout(() => {
      body.destroy(Object.assign(new Error('S3 went silent in a body'), { code: 'ETIMEDOUT' }));
    }, this.#options.s3BodyTimeout);
    let sent = 0;
    try {
      for await (const chunk of chunks) {
        sent += chunk.length;
        this.#options.tally.add('body_bytes_total', chunk.length);
        yield chunk;
        silence.refresh(); // A slow client is the send timeout's; the clock runs from when more is asked for.
      }
    } finally {
      clearTimeout(silence);
    }
    if (sent !== bytes) throw Object.assign(new Error(`S3 sent ${sent} of ${bytes} bytes`), { code: 'ECONNRESET' });
  }

  #notModified(asked: Asked, head: ObjectHead): Outcome {
    const { 'content-type': _type, 'repr-digest': _digest, ...fields } = this.#fields(asked.key, head);
    asked.response.writeHead(304, fields).end();
    return 'not-modified';
  }

  /** S3 says 416 before it looks at much; preconditions come first, and a suffix of nothing is all of it. */
  async #unsatisfiable(asked: Asked, range: string): Promise<Outcome> {
    const head = await this.#options.store.head(asked.key, {}, asked.signal);
    const verdict = judgement(asked.request.headers, asked.method, head);
    if (verdict.kind === 'not-modified') return this.#notModified(asked, head);
    if (verdict.kind === 'precondition-failed') return this.#refuse(asked.response, 'precondition-failed');
    if (head.bytes === 0 && isSuffix(range)) {
      asked.response.writeHead(200, { ...this.#fields(asked.key, head), 'content-length': 0 }).end();
      return 'whole';
    }
    text(asked.response, 416, 'the range lies outside', { 'content-range': `bytes */${head.bytes}`, etag: head.etag });
    return 'unsatisfiable';
  }

  #failed(response: ServerResponse, signal: AbortSignal, error: unknown): Outcome {
    const reason = s3FailureReason(error);
    if (response.headersSent || response.destroyed) {
      const gone = signal.aborted && (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE';
      response.destroy();
      if (gone) return 'client-gone';
      if (signal.aborted && reason === 's3-timeout') return 'client-gone';
      this.#options.log.warn({ reason, err: String(error) }, 'a body of S3 was cut short');
      return 'cut';
    }
    if (reason.startsWith('s3-')) {
      this.#options.log.warn({ reason, err: String(error) }, 'S3 failed');
      this.#options.storageFailed(reason);
    }
    if (reason === 'not-modified' || reason === 'unsatisfiable') return this.#refuse(response, 's3-failed');
    return this.#refuse(response, reason);
  }

  #refuse(response: ServerResponse, reason: keyof typeof FAILURE_ANSWERS): Outcome {
    const { status, text: words, retryAfterSeconds } = FAILURE_ANSWERS[reason];
    const fields: Record<string, string> = {
      'cache-control': reason === 'not-found' ? this.#options.missingCacheControl : 'no-store',
    };
    if (retryAfterSeconds !== undefined) fields['retry-after'] = String(retryAfterSeconds);
    text(response, status, words, fields);
    return reason === 's3-no-bucket' || reason === 's3-no-credentials' ? 's3-credentials' : reason;
  }

  #fields(key: string, head: ObjectHead): Record<string, string> {
    return objectFields(key, head, head.sha256 ?? this.#options.digest(key, head.etag), this.#options);
  }
}

function text(response: ServerResponse, status: number, body: string, fields: Record<string, string>): void {
  const bytes = Buffer.from(`${body}\n`);
  response.writeHead(status, {
    ...OPEN_FIELDS,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': bytes.length,
    ...fields,
  });
  response.end(bytes);
}
