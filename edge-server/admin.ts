/**
 * The admin listener of an edge: liveness, readiness, metrics, and the store's figures. Read-only, loopback by default;
 * clients never come here. Not a hot path, so `node:http` as it is.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { FILL_METRICS, tallyProgress } from '../fill/counters.ts';
import { mergedProgress } from '../fill/progress.ts';
import { listenFault } from '../runtime/errors.ts';
import { Registry, Tally } from '../runtime/metrics.ts';
import type { ListenAddress } from '../runtime/options.ts';
import { addressText } from '../runtime/options.ts';
import { EDGE_COUNTERS } from './counters.ts';
import type { ConfigFigures } from './reload.ts';
import type { CertificateFigures } from './tls-material.ts';
import type { WorkerReport } from './worker-messages.ts';

export interface AdminSources {
  readonly appliance: string;
  readonly version: string;
  ready(): boolean;
  draining(): boolean;
  reports(): WorkerReport[];
  configuration(): ConfigFigures;
  certificates(): CertificateFigures;
}

export class Admin {
  readonly #sources: AdminSources;
  readonly #server: Server;
  readonly #registry = new Registry();
  readonly #tally = new Tally(EDGE_COUNTERS);
  readonly #fill = new Tally(FILL_METRICS);

  constructor(sources: AdminSources) {
    this.#sources = sources;
    this.#tally.register(this.#registry, 'nearcast_edge');
    this.#fill.register(this.#registry, 'nearcast_fill');
    this.#server = createServer(
      { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 5_000 },
      (request, response) => {
        request.resume();
        if (request.method !== 'GET' && request.method !== 'HEAD')
          return text(response, 405, 'only GET\n', { allow: 'GET, HEAD' });
        this.#answer(new URL(request.url ?? '/', 'http://admin').pathname, response);
      },
    );
  }

  /** Listens; returns the port. Throws the fault that names the address when it can't. */
  async start(address: ListenAddress): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenFault(error, addressText(address), 'admin')));
      this.#server.listen(address.port, address.host, () => resolve());
    });
    const bound = this.#server.address();
    return bound !== null && typeof bound === 'object' ? bound.port : address.port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #answer(path: string, response: ServerResponse): void {
    const { appliance, version } = this.#sources;
    switch (path) {
      case '/healthz':
        return json(response, 200, { status: 'ok', appliance, version });
      case '/readyz': {
        const ready = this.#sources.ready();
        return json(response, ready ? 200 : 503, {
          status: ready ? 'ready' : this.#sources.draining() ? 'draining' : 'starting',
          appliance,
        });
      }
      case '/metrics':
        return void this.#metrics(response);
      case '/v1/stat':
        return json(response, 200, {
          appliance,
          configuration: this.#sources.configuration(),
          certificates: this.#sources.certificates(),
          workers: this.#sources.reports(),
        });
      default:
        return text(response, 404, 'here are /healthz, /readyz, /metrics and /v1/stat\n');
    }
  }

  async #metrics(response: ServerResponse): Promise<void> {
    const reports = this.#sources.reports();
    gather(this.#tally, reports);
    gatherServices(this.#tally, reports);
    gatherConfiguration(this.#tally, this.#sources.configuration(), this.#sources.certificates());
    tallyProgress(this.#fill, mergedProgress(reports.map(({ fill }) => fill)));
    text(response, 200, await this.#registry.metrics(), { 'content-type': this.#registry.contentType });
  }
}

/** Adds the workers' counters; what all workers share, as the disk tier, counts once, and a delay is the worst one's. */
function gather(tally: Tally<typeof EDGE_COUNTERS>, reports: readonly WorkerReport[]): void {
  for (const [name, spec] of Object.entries(EDGE_COUNTERS)) {
    const key = name as keyof typeof EDGE_COUNTERS;
    for (const label of 'label' in spec ? spec.label.values : ['']) {
      let sum = 0;
      for (const { counters } of reports) {
        const value = counters[name];
        sum += (typeof value === 'object' ? value[label] : value) ?? 0;
      }
      tally.set(key, sum, label);
    }
  }
  tally.set(
    'connections',
    reports.reduce((sum, report) => sum + report.connections, 0),
  );
  tally.set(
    'memory_bytes',
    reports.reduce((sum, { store }) => sum + store.memory.bytes, 0),
  );
  tally.set('disk_bytes', Math.max(0, ...reports.map(({ store }) => store.disk.bytes)));
  tally.set(
    'volumes_failed',
    Math.max(0, ...reports.map(({ store }) => store.volumes.filter(({ state }) => state === 'failed').length)),
  );
  tally.set(
    'corrupt_slices_total',
    reports.reduce((sum, { store }) => sum + store.corruptSlices, 0),
  );
  const worst = (of: (report: WorkerReport) => number) => Math.max(0, ...reports.map(of));
  tally.set(
    'overload_level',
    worst(({ overload }) => overload.shedLevel),
  );
  tally.set(
    'memory_level',
    worst(({ overload }) => overload.memoryLevel),
  );
  tally.set(
    'resident_memory_bytes',
    worst(({ overload }) => overload.residentBytes),
  );
  tally.set('event_loop_delay_seconds', Math.max(0, ...reports.map((report) => report.eventLoopDelayMillis)) / 1000);
}

function gatherServices(tally: Tally<typeof EDGE_COUNTERS>, reports: readonly WorkerReport[]): void {
  const names = new Set(reports.flatMap(({ services }) => Object.keys(services)));
  for (const name of names) {
    const sum = (what: keyof WorkerReport['services'][string]) =>
      reports.reduce((total, { services }) => total + (services[name]?.[what] ?? 0), 0);
    tally.set('service_requests_total', sum('requests'), name);
    tally.set('service_hits_total', sum('hits'), name);
    tally.set('service_response_bytes_total', sum('bytes'), name);
    tally.set('service_hit_bytes_total', sum('hitBytes'), name);
    tally.set('service_errors_total', sum('errors'), name);
  }
}

function gatherConfiguration(
  tally: Tally<typeof EDGE_COUNTERS>,
  configuration: ConfigFigures,
  certificates: CertificateFigures,
): void {
  tally.set('config_loads_total', configuration.loaded, 'loaded');
  tally.set('config_loads_total', configuration.refused, 'refused');
  tally.set('config_good', configuration.good ? 1 : 0);
  tally.set('config_loaded_timestamp_seconds', configuration.loadedMillis / 1000);
  tally.set('config_restart_needed', configuration.restartNeeded.length > 0 ? 1 : 0);
  tally.set('certificates', certificates.configured);
  tally.set('certificates_failed', certificates.failed);
  tally.set('certificate_loads_total', certificates.loaded, 'loaded');
  tally.set('certificate_loads_total', certificates.refused, 'refused');
  tally.set('certificate_expiry_timestamp_seconds', (certificates.soonestExpiryMillis ?? 0) / 1000);
  tally.set('ticket_rotations_total', certificates.ticketRotations);
}

function text(response: ServerResponse, status: number, body: string, fields: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', ...fields });
  response.end(body);
}

function json(response: ServerResponse, status: number, body: unknown): void {
  text(response, status, `${JSON.stringify(body)}\n`, { 'content-type': 'application/json' });
}
