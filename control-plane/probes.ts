/**
 * One probe of an appliance over its serving port, as a client would reach it: a new connection each time, one
 * deadline over everything. Says what came of it; when to probe is `monitor.ts`, what it means `health.ts`.
 */
import { createHash } from 'node:crypto';
import { Agent, request } from 'undici';
import type { Clock } from '../runtime/clock.ts';
import type { CatalogueAsset } from './api.ts';
import type { ProbeFailure, ProbeResult } from './health-record.ts';

export const PROBE_DEADLINE_MILLIS = 2000;
const HEALTH_BYTES = 64 * 1024;

/** What a deep probe fetches. */
export type ProbeSample = Pick<CatalogueAsset, 'path' | 'bytes' | 'sha256' | 'etag'>;

/** `inconclusive`: it says nothing about this appliance, e.g. the origin behind it is down, or the object has changed. */
export type DeepResult = ProbeResult | { readonly ok: 'inconclusive'; readonly detail: string };

type Fetched =
  | {
      readonly ok: true;
      readonly status: number;
      readonly headers: Record<string, string | string[] | undefined>;
      readonly body: Buffer;
    }
  | { readonly ok: false; readonly why: ProbeFailure; readonly detail: string };

export class Prober {
  readonly #clock: Clock;
  /** `pipelining: 0` is undici's word for no keep-alive. */
  readonly #agent = new Agent({ pipelining: 0, connect: { timeout: PROBE_DEADLINE_MILLIS } });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `/healthz`: 200, and it is the appliance that we think it is. */
  async light(url: string, appliance: string): Promise<ProbeResult> {
    const fetched = await this.#fetch(`${url}/healthz`, HEALTH_BYTES);
    if (!fetched.ok) return fetched;
    if (fetched.status !== 200) return failed('status', `status ${fetched.status}`);
    let body: unknown;
    try {
      body = JSON.parse(fetched.body.toString('utf8'));
    } catch {
      return failed('garbage', 'its health answer is not JSON');
    }
    const name = (body as { appliance?: unknown } | null)?.appliance;
    if (typeof name !== 'string') return failed('garbage', 'its health answer names no appliance');
    if (name !== appliance) return failed('wrong-appliance', `'${name}' answers there`);
    return { ok: true };
  }

  /** A real object, its digest checked. */
  async deep(url: string, sample: ProbeSample): Promise<DeepResult> {
    const fetched = await this.#fetch(url + sample.path, sample.bytes);
    if (!fetched.ok) return fetched;
    const { status, headers, body } = fetched;
    // Its upstreams' fault, or the object is gone: a shared dependency takes no appliance out.
    if ([404, 410, 502, 503, 504].includes(status)) return { ok: 'inconclusive', detail: `status ${status}` };
    if (status !== 200) return failed('status', `status ${status} for ${sample.path}`);
    const etag = headers.etag;
    if (typeof etag !== 'string') return failed('garbage', `${sample.path} came without an ETag`);
    // Another version than the catalogue's, older or newer, is what caches are for.
    if (bareTag(etag) !== bareTag(sample.etag)) return { ok: 'inconclusive', detail: 'another version of the object' };
    if (body.length !== sample.bytes)
      return failed('short-body', `${body.length} of ${sample.bytes} bytes of ${sample.path}`);
    const digest = createHash('sha256').update(body).digest('hex');
    if (digest !== sample.sha256)
      return failed('wrong-digest', `${sample.path} has other bytes than the catalogue says`);
    return { ok: true };
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #fetch(url: string, limitBytes: number): Promise<Fetched> {
    const controller = new AbortController();
    const timer = this.#clock.after(PROBE_DEADLINE_MILLIS, () => controller.abort());
    try {
      const response = await request(url, {
        dispatcher: this.#agent,
        signal: controller.signal,
        headers: { 'user-agent': 'nearcast-monitor', accept: '*/*' },
      });
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > limitBytes) return failed('garbage', `more than the ${limitBytes} bytes expected`);
        chunks.push(chunk);
      }
      return { ok: true, status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
    } catch (error) {
      if (controller.signal.aborted) return failed('timeout', `no answer within ${PROBE_DEADLINE_MILLIS / 1000} s`);
      return failure(error as NodeJS.ErrnoException);
    } finally {
      timer.cancel();
      controller.abort();
    }
  }
}

function failed(why: ProbeFailure, detail: string): { ok: false; why: ProbeFailure; detail: string } {
  return { ok: false, why, detail };
}

function failure(error: NodeJS.ErrnoException): { ok: false; why: ProbeFailure; detail: string } {
  const code = error.code ?? error.name;
  switch (code) {
    case 'ECONNREFUSED':
      return failed('refused', 'connection refused');
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
      return failed('reset', 'connection cut');
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return failed('timeout', `no answer (${code})`);
    default:
      if (error.name === 'HTTPParserError' || code.startsWith('HPE_') || code.startsWith('UND_ERR'))
        return failed('garbage', `not HTTP (${code})`);
      return failed('unreachable', code);
  }
}

function bareTag(etag: string): string {
  return etag.replace(/^W\//, '').replaceAll('"', '');
}
