/**
 * One JSON line a request, by pino, asynchronous: in batches off the serving path, dropped rather than waited for.
 * Client addresses are truncated (/24, /48), query strings are not written: they may carry tokens.
 */
import { destination, type Logger, pino } from 'pino';
import type { CacheOutcome } from '../counters.ts';
import type { EdgeRequest, ResponseSink } from '../http/exchange.ts';

export interface AccessLogOptions {
  /** A file, `-` for stdout, or `none`. */
  readonly target: string;
  readonly appliance: string;
  /** One of so many successful requests is written; errors always. */
  readonly sample: number;
}

export interface AccessLine {
  readonly status: number;
  readonly outcome: CacheOutcome;
  readonly detail: string | undefined;
  readonly tier: string | undefined;
  readonly startedMillis: number;
  readonly firstByteMillis: number;
}

export class AccessLog {
  readonly #log: Logger;
  readonly #sample: number;
  readonly #stream: ReturnType<typeof destination>;
  #seen = 0;
  #id = 0;

  /** `undefined` when the log is off, so that the hot path tests one variable. */
  static open(options: AccessLogOptions): AccessLog | undefined {
    return options.target === 'none' ? undefined : new AccessLog(options);
  }

  private constructor(options: AccessLogOptions) {
    this.#sample = options.sample;
    this.#stream = destination({
      dest: options.target === '-' ? 1 : options.target,
      sync: false,
      minLength: 16_384,
      maxLength: 8 << 20,
      mkdir: true,
    });
    this.#log = pino(
      { base: { appliance: options.appliance }, timestamp: false, formatters: { level: () => ({}) } },
      this.#stream,
    );
  }

  write(request: EdgeRequest, sink: ResponseSink, line: AccessLine): void {
    this.#seen += 1;
    if (line.status < 400 && this.#seen % this.#sample !== 0) return;
    const { target } = request;
    const question = target.indexOf('?');
    this.#id += 1;
    this.#log.info({
      ts: new Date(line.startedMillis).toISOString(),
      client: truncated(request.clientAddress),
      method: request.method,
      host: request.authority,
      path: question < 0 ? target : target.slice(0, question),
      status: line.status,
      bytes: sink.bytesWritten,
      ttfb_ms: Math.max(0, line.firstByteMillis - line.startedMillis),
      cache: line.outcome,
      detail: line.detail,
      tier: line.tier,
      http: request.httpVersion,
      ua: request.fields.get('user-agent'),
      range: request.fields.get('range'),
      id: `${process.pid}-${this.#id}`,
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#stream.once('close', () => resolve());
      this.#stream.end();
    });
  }
}

/** /24 of IPv4, /48 of IPv6. */
export function truncated(address: string): string {
  const four = address.startsWith('::ffff:') ? address.slice(7) : address;
  if (four.includes('.')) return four.replace(/\.\d+$/, '.0');
  return `${four.split(':').slice(0, 3).join(':')}::`;
}
