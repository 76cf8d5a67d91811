/** The admin listener of the gateway: catalogue, liveness, readiness, metrics. Loopback by default; clients never come. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { listenFault } from '../runtime/errors.ts';
import { Registry, type Tally } from '../runtime/metrics.ts';
import { addressText, type ListenAddress } from '../runtime/options.ts';
import type { CatalogueKeeper } from './catalogue.ts';
import type { ORIGIN_COUNTERS } from './counters.ts';

export interface AdminSources {
  readonly catalogue: Pick<CatalogueKeeper, 'complete' | 'json'>;
  readonly tally: Tally<typeof ORIGIN_COUNTERS>;
  /** Why it is not ready; undefined when it is. */
  notReady(): string | undefined;
}

export class Admin {
  readonly #sources: AdminSources;
  readonly #registry = new Registry();
  readonly #server: Server;

  constructor(sources: AdminSources) {
    this.#sources = sources;
    sources.tally.register(this.#registry, 'nearcast_origin');
    this.#server = createServer(
      { requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 65_000 },
      (request, response) => {
        request.resume();
        if (request.method !== 'GET' && request.method !== 'HEAD')
          return json(response, 405, { status: 'only GET' }, { allow: 'GET, HEAD' });
        this.#answer(request, response);
      },
    );
  }

  /** Listens; answers the port. Throws the fault that names the address when it can't. */
  async start(address: ListenAddress): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenFault(error, addressText(address), 'admin')));
      this.#server.listen(address.port, address.host, resolve);
    });
    return (this.#server.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    switch ((request.url ?? '/').split('?', 1)[0]) {
      case '/healthz':
        return json(response, 200, { status: 'ok' });
      case '/readyz': {
        const why = this.#sources.notReady();
        return why === undefined
          ? json(response, 200, { status: 'ready' })
          : json(response, 503, { status: 'not ready', why });
      }
      case '/metrics':
        return void this.#metrics(response);
      case '/v1/catalogue':
        return this.#catalogue(request, response);
      default:
        return json(response, 404, { status: 'here are /v1/catalogue, /healthz, /readyz and /metrics' });
    }
  }

  #catalogue(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#sources.catalogue.complete)
      return json(response, 503, { status: 'the bucket is being listed' }, { 'retry-after': '1' });
    const { version, body } = this.#sources.catalogue.json();
    const etag = `"${version}"`;
    const fields = { etag, 'cache-control': 'no-cache', 'content-type': 'application/json' };
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304, fields).end();
    response.writeHead(200, { ...fields, 'content-length': body.length }).end(body);
  }

  async #metrics(response: ServerResponse): Promise<void> {
    const text = await this.#registry.metrics();
    response.writeHead(200, { 'content-type': this.#registry.contentType, 'cache-control': 'no-store' }).end(text);
  }
}

function json(response: ServerResponse, status: number, body: unknown, fields: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...fields });
  response.end(`${JSON.stringify(body)}\n`);
}
