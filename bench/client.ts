/** Asks for the objects of a row one by one, over the row's protocol, and compares every byte's digest before any load. */
import { createHash } from 'node:crypto';
import { get as getHttp, Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { get as getHttps, Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import { Fault } from '../runtime/errors.ts';
import { contentDigest } from './content.ts';
import { pathOf, rangeStarts, type Scenario } from './scenarios.ts';

const AT_ONCE = 16;
const TIMEOUT_MILLIS = 30_000;

interface Got {
  readonly status: number;
  readonly digest: string;
}

type Fetch = (path: string, fields: Readonly<Record<string, string>>) => Promise<Got>;

export interface Client {
  /**
   * Asks once for each object as a whole, so that the server stores it, then twice as the row asks, a few ranges of it
   * where the row asks for ranges; rejects at the first answer with another status or other bytes than the origin has.
   */
  fill(scenario: Scenario): Promise<void>;
  /** Asks for these paths, whole; rejects as `fill` does. */
  ask(scenario: Scenario, paths: readonly string[]): Promise<void>;
  close(): void;
}

/** Once `signal` is aborted every answer rejects. */
export function openClient(url: string, scenario: Scenario, signal: AbortSignal): Client {
  const { fetch, close } = scenario.protocol === 'h2' ? overHttp2(url, signal) : overHttp1(url, signal);
  const whole = contentDigest(0, scenario.bytes);
  const ask = (paths: readonly string[]) =>
    eachOf(paths, async (path) => check(path, await fetch(path, {}), { status: 200, digest: whole }));
  return {
    ask: (_, paths) => ask(paths),
    close,
    async fill(row) {
      const paths = Array.from({ length: row.objects }, (_, i) => pathOf(row, i));
      await ask(paths);
      // Twice: what comes from disk may enter memory at its second use.
      for (let again = 0; again < 2; again++) {
        if (row.status === 200 && row.from === 'memory') await ask(paths);
        for (const expected of row.status === 200 ? [] : expectations(row)) {
          const path = pathOf(row, 0);
          check(path, await fetch(path, expected.fields), expected);
        }
      }
    },
  };
}

/** What a row's own requests must bring where that is not the whole object. */
function expectations(row: Scenario): (Got & { fields: Record<string, string> })[] {
  const { rangeBytes } = row;
  if (rangeBytes === undefined) return [{ status: row.status, digest: contentDigest(0, 0), fields: { ...row.fields } }];
  return rangeStarts(row, 20).map((from) => ({
    status: row.status,
    digest: contentDigest(from, rangeBytes),
    fields: { ...row.fields, range: `bytes=${from}-${from + rangeBytes - 1}` },
  }));
}

function check(path: string, got: Got, expected: Got): void {
  if (got.status !== expected.status || got.digest !== expected.digest)
    throw new Fault(
      'wrong-answer',
      `${path}: status ${got.status} (${expected.status}), SHA-256 ${got.digest} (${expected.digest})`,
      {
        source: 'internal',
        fix: 'the server does not serve what the origin has; no rate of it means anything',
      },
    );
}

async function eachOf(paths: readonly string[], act: (path: string) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < paths.length) await act(paths[next++]!);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

function overHttp1(url: string, end: AbortSignal): { fetch: Fetch; close: () => void } {
  const tls = url.startsWith('https:');
  const options = { keepAlive: true, maxSockets: AT_ONCE };
  const agent = tls ? new HttpsAgent({ ...options, rejectUnauthorized: false }) : new HttpAgent(options);
  const get = tls ? getHttps : getHttp;
  return {
    fetch: (path, headers) =>
      new Promise((resolve, reject) => {
        const signal = AbortSignal.any([end, AbortSignal.timeout(TIMEOUT_MILLIS)]);
        get(url + path, { agent, headers, signal }, (response: IncomingMessage) =>
          digested(response).then((digest) => resolve({ status: response.statusCode!, digest }), reject),
        ).once('error', reject);
      }),
    close: () => agent.destroy(),
  };
}

function overHttp2(url: string, end: AbortSignal): { fetch: Fetch; close: () => void } {
  const session: ClientHttp2Session = connectHttp2(url, { rejectUnauthorized: false });
  let broken: Error | undefined;
  session.on('error', (error) => {
    broken = error;
  });
  return {
    fetch: (path, headers) =>
      new Promise((resolve, reject) => {
        if (broken !== undefined) return void reject(broken);
        const stream = session.request(
          { ':path': path, ...headers },
          { signal: AbortSignal.any([end, AbortSignal.timeout(TIMEOUT_MILLIS)]) },
        );
        stream.once('error', reject);
        stream.once('response', (fields) =>
          digested(stream).then((digest) => resolve({ status: Number(fields[':status']), digest }), reject),
        );
      }),
    close: () => session.destroy(),
  };
}

async function digested(body: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of body) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
