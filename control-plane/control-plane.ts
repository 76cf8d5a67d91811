/**
 * The composition root: one control plane with all its roles (api, steering, monitor) in one process, from options.
 * Opens in order, closes in reverse.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { Closing } from '../runtime/closing.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import { makeFolder } from '../runtime/folder.ts';
import type { Logger } from '../runtime/log.ts';
import { Registry, Tally } from '../runtime/metrics.ts';
import type { ListenAddress } from '../runtime/options.ts';
import { ApplianceApi } from './api-appliances.ts';
import { EventApi } from './api-events.ts';
import { fleetRoutes } from './api-fleet.ts';
import { CatalogueReader } from './catalogue.ts';
import { consoleRoutes } from './console-pages.ts';
import { CONTROL_COUNTERS } from './counters.ts';
import { FillPlans } from './fill-plans.ts';
import { Fleet } from './fleet.ts';
import { History } from './history.ts';
import { problem, type Route, RouteServer } from './http-routes.ts';
import { Monitor } from './monitor.ts';
import type { ControlOptions } from './options.ts';
import { Playlists } from './playlists.ts';
import { parsePrefix } from './prefixes.ts';
import { Prober } from './probes.ts';
import { PurgeLog } from './purge-log.ts';
import { SnapshotPublisher } from './snapshot-publisher.ts';
import { SnapshotStore } from './snapshot-store.ts';
import { SqliteState } from './sqlite-state.ts';
import { SteeringServer } from './steering-server.ts';
import { readTopology } from './topology.ts';

const TOKEN_LENGTH = 16;

export interface RunningControlPlane {
  readonly controlPort: number;
  readonly steeringPort: number;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Starts everything; resolves when both listeners answer. Closes what it opened when something fails. */
export async function startControlPlane(
  options: ControlOptions,
  log: Logger,
  clock: Clock = systemClock,
): Promise<RunningControlPlane> {
  const closing = new Closing();
  try {
    return await open(options, log, clock, closing);
  } catch (error) {
    await closing.close();
    throw error;
  }
}

async function open(
  options: ControlOptions,
  log: Logger,
  clock: Clock,
  closing: Closing,
): Promise<RunningControlPlane> {
  const token = await tokenOf(options);
  for (const text of options.trustClientFrom) {
    const prefix = parsePrefix(text);
    if ('wrong' in prefix)
      throw new Fault('option-value', `--trust-client-from: ${prefix.wrong}`, {
        source: 'operator',
        fix: 'give prefixes as 127.0.0.0/8',
        exit: EXIT.usage,
      });
  }
  const sites = options.topology === undefined ? undefined : await readTopology(options.topology);
  try {
    makeFolder(options.state);
  } catch (error) {
    throw new Fault('state-unusable', `${options.state}: ${(error as NodeJS.ErrnoException).code}`, {
      source: 'operator',
      fix: 'give a folder that this user may write with --state',
      cause: error,
    });
  }

  const tally = new Tally(CONTROL_COUNTERS);
  const registry = new Registry();
  tally.register(registry, 'nearcast_control');
  const standby = { id: options.standbyName, url: options.standby };
  const rankedTtlSeconds = Math.ceil(options.rankedTtl / 1000);
  const contentSteeringTtlSeconds = Math.ceil(options.contentSteeringTtl / 1000);

  const state = new SqliteState(join(options.state, 'control.sqlite'));
  closing.add('state', state, () => state.close());
  if (sites !== undefined) await state.putSites(sites);
  const history = new History(state, clock, log);
  closing.add('history', history, () => history.close());
  await history.start();
  const snapshots = new SnapshotStore(join(options.state, 'snapshots'), log);
  await snapshots.start();
  closing.add('snapshots', snapshots, () => snapshots.close());

  const settings = { standby, rankedTtlSeconds, contentSteeringTtlSeconds };
  const publisher = new SnapshotPublisher({ state, snapshots, history, clock, tally });
  closing.add('snapshot publisher', publisher, () => publisher.close());
  await publisher.start();
  const fleet = new Fleet({ state, publisher, history, clock, tally, settings });
  closing.add('fleet', fleet, () => fleet.close());
  await fleet.start();
  const catalogue = new CatalogueReader({ url: options.originAdmin, clock, log, tally });
  closing.add('catalogue', catalogue, () => catalogue.close());
  catalogue.start();
  const purges = new PurgeLog({ state, fleet, history, clock, tally });
  closing.add('purges', purges, () => purges.close());
  await purges.start();
  const fillPlans = new FillPlans({ state, fleet, catalogue, history, clock, origin: options.origin });
  closing.add('fill plans', fillPlans, () => fillPlans.close());
  await fillPlans.start();
  const prober = new Prober(clock);
  closing.add('prober', prober, () => prober.close());
  const sample = () => catalogue.sample();
  const monitor = new Monitor({ fleet, clock, tally, prober, sample, random: Math.random });
  closing.add('monitor', monitor, () => monitor.close());
  monitor.start();

  const playlists = new Playlists(clock);
  closing.add('playlists', playlists, () => playlists.close());
  const steering = new SteeringServer({
    ...settings,
    snapshots,
    playlists,
    tally,
    log,
    origin: options.origin,
    trusted: options.trustClientFrom,
  });
  closing.add('steering', steering, () => steering.close());
  const steeringPort = await steering.start(options.steering);

  const appliances = new ApplianceApi({ fleet, purges, fillPlans, snapshots, history });
  const steeringUrl = () => options.steeringUrl ?? `http://${reachable(options.steering, steeringPort)}`;
  const server = new RouteServer({
    token,
    log,
    onConnectionClosed: (socket) => appliances.connectionClosed(socket),
    routes: [
      ...appliances.routes(),
      ...fleetRoutes({ fleet, purges, fillPlans, snapshots, history, tally, clock, host: options.host }),
      ...new EventApi({ history, clock }).routes(),
      ...(await consoleRoutes({ catalogue, steeringUrl, standby, service: options.service })),
      ...ownRoutes(registry, snapshots),
    ],
  });
  closing.add('control API', server, () => server.close());
  const controlPort = await server.start(options.listen, 'listen');
  history.record('control', `control plane started, snapshot ${snapshots.index?.snapshot.number ?? 0}`);
  return {
    controlPort,
    steeringPort,
    close: async () => {
      for (const { name, ended, error } of await closing.close())
        if (ended !== 'closed') log.error({ err: error, name, ended }, 'did not close well');
    },
  };
}

function ownRoutes(registry: Registry, snapshots: SnapshotStore): Route[] {
  return [
    {
      method: 'GET',
      path: '/metrics',
      access: 'read',
      handle: async () => ({
        status: 200,
        body: await registry.metrics(),
        fields: { 'content-type': registry.contentType },
      }),
    },
    { method: 'GET', path: '/healthz', access: 'read', handle: () => ({ status: 200, body: { status: 'ok' } }) },
    {
      method: 'GET',
      path: '/readyz',
      access: 'read',
      handle: () =>
        snapshots.index === undefined
          ? problem(503, 'starting', 'nothing is published yet')
          : { status: 200, body: { status: 'ready', snapshot: snapshots.index.snapshot.number } },
    },
  ];
}

/** The token that writes need. Beyond loopback there must be one: whoever can write here decides where clients go. */
async function tokenOf({ listen, tokenFile }: ControlOptions): Promise<string | undefined> {
  if (tokenFile === undefined) {
    if (isLoopback(listen)) return undefined;
    throw new Fault('token-missing', `--listen ${listen.host} is not loopback, and there is no token for writes`, {
      source: 'operator',
      fix: 'give --token-file FILE with a long random text, or listen on 127.0.0.1',
      exit: EXIT.usage,
    });
  }
  const text = await readFile(tokenFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Fault('token-unreadable', `${tokenFile}: ${error.code}`, {
      source: 'operator',
      fix: 'name a file that this user may read with --token-file',
      exit: EXIT.usage,
      cause: error,
    });
  });
  const token = text.trim();
  if (token.length >= TOKEN_LENGTH && !/\s/.test(token)) return token;
  throw new Fault('token-weak', `${tokenFile}: the token must be one word of at least ${TOKEN_LENGTH} characters`, {
    source: 'operator',
    fix: 'write one with: openssl rand -hex 32',
    exit: EXIT.usage,
  });
}

function isLoopback({ host }: ListenAddress): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

/** An address that a browser on this machine can use: listening on all of them is not a name for one. */
function reachable({ host }: ListenAddress, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `127.0.0.1:${port}`;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
