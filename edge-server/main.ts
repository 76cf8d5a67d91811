/**
 * `nearcast edge`: parses options, finds the ports, starts the supervisor, the admin listener and, in a fleet, the link
 * to the control plane. SIGTERM drains, SIGINT ends fast, SIGHUP reads configuration and certificates again.
 */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Heartbeat } from '../control-plane/api.ts';
import { fillSettings } from '../fill/options.ts';
import { mergedProgress } from '../fill/progress.ts';
import { systemClock } from '../runtime/clock.ts';
import { Closing, endWithParent, onSignals } from '../runtime/closing.ts';
import { EXIT, Fault, listenFault } from '../runtime/errors.ts';
import { createLog } from '../runtime/log.ts';
import { addressText, helpText, type ListenAddress } from '../runtime/options.ts';
import { version } from '../runtime/version.ts';
import { Admin } from './admin.ts';
import { type EdgeConfiguration, readConfiguration } from './configuration.ts';
import { ControlLink } from './control-link.ts';
import { Load } from './load.ts';
import { EDGE_OPTIONS, type EdgeOptions } from './options.ts';
import { Reload } from './reload.ts';
import { Supervisor } from './supervisor.ts';
import { TlsMaterial } from './tls-material.ts';

const HELP = `nearcast edge: one cache server, alone as a caching reverse proxy or as an appliance of a fleet

  npx nearcast edge --listen 127.0.0.1:8080 --admin 127.0.0.1:9080 --upstream http://127.0.0.1:8000 --cache-dir DIR

Ready when GET /readyz on the admin address is 200. SIGTERM drains, SIGINT ends fast, SIGHUP reloads services,
policies, upstreams and certificates. Services by host are in the file of --config: see nearcast config schema.

options:
`;

/** Runs an edge until a signal ends it; resolves when it serves. */
export async function run(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) {
    process.stdout.write(HELP + helpText(EDGE_OPTIONS, 'edge'));
    process.exit(EXIT.done);
  }
  const configuration = readConfiguration(argv, process.env);
  const { options } = configuration;
  fillSettings(options, 1);
  const log = createLog({ part: 'edge', instance: options.appliance });
  const closing = new Closing();
  const tls = new TlsMaterial({
    clock: systemClock,
    log,
    rotationMillis: options.ticketRotation,
    onCertificates: (pairs) => supervisor.tell({ kind: 'certificates', pairs }),
    onTicketKeys: (keys) => supervisor.tell({ kind: 'ticket-keys', keys }),
  });
  const supervisor = new Supervisor(bare(configuration), tls, log);
  const reload = new Reload({
    clock: systemClock,
    log,
    read: () => bare(readConfiguration(argv, process.env)),
    running: () => supervisor.configuration,
    apply: async (fresh) => {
      await tls.configure(fresh.certificates);
      supervisor.tell({ kind: 'certificates', pairs: tls.pairs });
      await supervisor.configure(fresh);
    },
  });
  let draining = false;
  const end = async (drain: boolean) => {
    draining = drain;
    link?.draining();
    await supervisor.close(drain);
    await closing.close();
  };
  let link: { link: ControlLink; draining: () => void } | undefined;
  try {
    if (options.listenTls !== undefined) await usableCertificate(tls, configuration);
    const port = await freePort(options.listen, 'listen');
    const tlsPort = options.listenTls === undefined ? undefined : await freePort(options.listenTls, 'listen-tls');
    const admin = new Admin({
      appliance: options.appliance,
      version,
      ready: () => supervisor.ready,
      draining: () => supervisor.draining,
      reports: () => supervisor.reports(),
      configuration: () => reload.figures,
      certificates: () => tls.figures,
    });
    const adminPort = await admin.start(options.admin);
    closing.add('admin', admin, () => admin.close());
    onSignals({ drain: () => end(true), fast: () => end(false), reload: () => void reload.again() });
    endWithParent(() => void end(false).then(() => process.exit(EXIT.failed)));
    await supervisor.start({ port, tlsPort });
    tls.start();
    closing.add('tls', tls, () => tls.close());
    const url = options.publicUrl ?? `http://${addressText({ host: options.listen.host, port })}`;
    const adminUrl = `http://${addressText({ host: options.admin.host, port: adminPort })}`;
    if (options.control !== undefined) {
      link = await joinFleet(options, supervisor, { url, admin: adminUrl, draining: () => draining, log });
      closing.add('control link', link, () => link!.link.close());
    }
    log.info(
      {
        url,
        ...(tlsPort === undefined ? {} : { tls: addressText({ host: options.listenTls!.host, port: tlsPort }) }),
        admin: adminUrl,
        workers: supervisor.count,
        upstream: options.upstream,
        services: configuration.services.map(({ name }) => name),
        volumes: options.cacheDir,
      },
      'serving',
    );
  } catch (error) {
    await supervisor.close(false);
    await closing.close();
    throw error;
  }
}

/** What workers are told: without places and sources, which are for messages. */
function bare({ options, services, certificates }: EdgeConfiguration): EdgeConfiguration {
  return { options, services, certificates };
}

/** At the start one certificate must be good; the others are told in the log and a metric. */
async function usableCertificate(tls: TlsMaterial, { certificates }: EdgeConfiguration): Promise<void> {
  await tls.configure(certificates);
  if (tls.pairs.length > 0) return;
  throw new Fault('certificate', tls.problems[0] ?? 'none is given', {
    source: 'operator',
    fix: 'give --tls-cert and --tls-key (or tls: in the file) a PEM certificate chain and its key',
    exit: EXIT.usage,
  });
}

/** The port to listen on, tried alone first: workers that share a port would not notice another process on it. */
async function freePort(address: ListenAddress, option: string): Promise<number> {
  const trial = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      trial.once('error', reject);
      trial.listen({ host: address.host, port: address.port, exclusive: true }, resolve);
    });
    const bound = trial.address();
    return bound !== null && typeof bound === 'object' ? bound.port : address.port;
  } catch (error) {
    throw listenFault(error, addressText(address), option);
  } finally {
    await new Promise((resolve) => trial.close(resolve));
  }
}

async function joinFleet(
  options: EdgeOptions,
  supervisor: Supervisor,
  self: { url: string; admin: string; draining: () => boolean; log: ReturnType<typeof createLog> },
): Promise<{ link: ControlLink; draining: () => void }> {
  const token =
    options.controlTokenFile === undefined ? undefined : (await readFile(options.controlTokenFile, 'utf8')).trim();
  const boot = randomUUID();
  const load = new Load(systemClock, options.connections);
  const collect = (): Heartbeat => {
    const reports = supervisor.reports();
    const measured = load.measure(reports);
    const [report] = reports;
    const failed = report?.store.volumes.find((volume) => volume.state === 'failed');
    return {
      site: options.site,
      role: options.role as Heartbeat['role'],
      url: self.url,
      admin: self.admin,
      pid: process.pid,
      boot,
      version,
      atMillis: systemClock.now(),
      load: measured.load,
      store: {
        state: failed === undefined && supervisor.ready ? 'ok' : 'degraded',
        why: failed !== undefined ? `${failed.path}: ${failed.why}` : supervisor.ready ? undefined : 'a worker is down',
        bytes: report?.store.disk.bytes ?? 0,
        budgetBytes: options.disk,
      },
      answers: measured.answers,
      purgeLogNumber: Math.min(
        ...reports.map((one) => one.purgeLogNumber),
        reports.length === 0 ? 0 : Number.POSITIVE_INFINITY,
      ),
      fill: mergedProgress(reports.map((one) => one.fill)),
      popularity: measured.popularity,
      draining: self.draining(),
    };
  };
  const link = new ControlLink({
    control: options.control!,
    appliance: options.appliance,
    token,
    clock: systemClock,
    log: self.log,
    collect,
    applyPurges: (entries) => supervisor.purge(entries),
    takeManifest: (manifest) => supervisor.manifest(manifest),
    takeStandby: (url) => supervisor.standby(url),
  });
  link.start();
  return { link, draining: () => link.beat() };
}
