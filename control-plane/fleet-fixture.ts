/** For tests: a control plane on ports of its own, and appliances that answer probes and send heartbeats by hand. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import {
  type ClientRequestArgs,
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type Server,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NO_FILL } from '../fill/progress.ts';
import { silentLog } from '../runtime/log.ts';
import { parseOptions } from '../runtime/options.ts';
import type { ApplianceView, Heartbeat, HeartbeatAnswer } from './api.ts';
import { type RunningControlPlane, startControlPlane } from './control-plane.ts';
import { CONTROL_OPTIONS } from './options.ts';

export const TOPOLOGY = `sites:
  - {id: a, name: ISP A, prefixes: [127.0.0.0/16, 127.1.0.0/16], next: [b]}
  - {id: b, name: ISP B, prefixes: [127.2.0.0/16]}
`;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** One request on a connection of its own; `from` is the client's address. */
export function call(
  url: string,
  options: ClientRequestArgs & { from?: string; body?: unknown } = {},
): Promise<Answer> {
  const { from, body, ...rest } = options;
  return new Promise((resolve, reject) => {
    const headers = { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...rest.headers };
    const request = httpRequest(
      url,
      { agent: false, timeout: 10_000, ...rest, ...(from === undefined ? {} : { localAddress: from }), headers },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode!, headers: response.headers, text: Buffer.concat(chunks).toString() }),
        );
        response.on('error', reject);
      },
    );
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

export function heartbeat(changes: Partial<Heartbeat> = {}): Heartbeat {
  return {
    site: 'a',
    role: 'edge',
    url: 'http://127.0.0.1:1',
    admin: 'http://127.0.0.1:2',
    pid: 1,
    boot: 'boot-1',
    version: 'test',
    atMillis: 0,
    load: { connections: 0, requestsPerSecond: 0, bytesPerSecond: 0, eventLoopDelayMillis: 0, used: 0 },
    store: { state: 'ok', why: undefined, bytes: 0, budgetBytes: 1e9 },
    answers: { total: 0, errors: 0 },
    purgeLogNumber: 0,
    fill: NO_FILL,
    draining: false,
    ...changes,
  };
}

/** A server that says that it is the appliance, and serves `files`. */
export class FakeAppliance {
  readonly id: string;
  readonly site: string;
  #server: Server | undefined;
  #port = 0;

  constructor(id: string, site: string) {
    this.id = id;
    this.site = site;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    this.#server = createServer((request, response) => {
      if (request.url === '/healthz') response.end(JSON.stringify({ status: 'ok', appliance: this.id }));
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => this.#server!.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** As kill -9 would: nobody listens any more. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve));
    this.#server?.closeAllConnections();
    await closed;
  }
}

export class ControlFixture {
  readonly folder: string;
  #running: RunningControlPlane | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<ControlFixture> {
    const folder = await mkdtemp(join(tmpdir(), 'nearcast-control-'));
    await writeFile(join(folder, 'topology.yaml'), TOPOLOGY);
    return new ControlFixture(folder);
  }

  async start(...more: string[]): Promise<void> {
    const argv = [
      ...['--listen', '127.0.0.1:0', '--steering', '127.0.0.1:0', '--state', join(this.folder, 'state')],
      ...['--topology', join(this.folder, 'topology.yaml'), '--origin', 'http://127.0.0.1:9'],
      ...['--standby', 'http://standby.example.org', ...more],
    ];
    this.#running = await startControlPlane(parseOptions(CONTROL_OPTIONS, { part: 'control', argv }), silentLog());
  }

  async stop(): Promise<void> {
    await this.#running?.close();
    this.#running = undefined;
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  get control(): string {
    return `http://127.0.0.1:${this.#running!.controlPort}`;
  }

  get steering(): string {
    return `http://127.0.0.1:${this.#running!.steeringPort}`;
  }

  async beat(appliance: FakeAppliance, changes: Partial<Heartbeat> = {}): Promise<HeartbeatAnswer> {
    const body = heartbeat({ site: appliance.site, url: appliance.url, ...changes });
    const answer = await call(`${this.control}/v1/appliances/${appliance.id}/heartbeat`, { method: 'POST', body });
    if (answer.status !== 200) throw new Error(answer.text);
    return JSON.parse(answer.text) as HeartbeatAnswer;
  }

  async views(): Promise<ApplianceView[]> {
    return JSON.parse((await call(`${this.control}/v1/appliances`)).text) as ApplianceView[];
  }

  /** Resolves with the first event whose text matches, of those already there or to come. */
  event(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = httpRequest(`${this.control}/v1/events?limit=500`, { agent: false }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
          const line = text.split('\n').find((one) => one.startsWith('data: ') && pattern.test(one));
          if (line === undefined) return;
          clearTimeout(timer);
          request.destroy();
          resolve(line);
        });
      });
      const timer = setTimeout(() => {
        request.destroy();
        reject(new Error(`no event ${pattern} in 15 s`));
      }, 15_000);
      request.on('error', () => {}); // destroyed by us, or the test fails by the timer
      request.end();
    });
  }
}
