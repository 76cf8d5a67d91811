/**
 * One worker process of an edge server: its composition root. Opens the store, the upstreams and the listeners, joins
 * them in the handler, reports once a second, and ends when the supervisor says so or is gone.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FillAgent } from '../fill/agent.ts';
import { fillSettings } from '../fill/options.ts';
import { systemClock } from '../runtime/clock.ts';
import { Closing, endWithParent } from '../runtime/closing.ts';
import { EXIT, Fault, listenFault } from '../runtime/errors.ts';
import { createLog } from '../runtime/log.ts';
import { addressText } from '../runtime/options.ts';
import { Flights } from './cache/collapse.ts';
import { connectionLimits } from './connection-limits.ts';
import { FillTarget } from './fill-target.ts';
import type { Handler } from './http/exchange.ts';
import { createListener } from './http/listener.ts';
import { refusedConnections } from './http/roster.ts';
import { Certificates } from './http/tls.ts';
import { workerBudget } from './memory-budget.ts';
import { OverloadWatch } from './overload-watch.ts';
import { ownerOf } from './owner.ts';
import { PurgeAnswers } from './purge-answers.ts';
import { purgesOf } from './purge-scopes.ts';
import { scrubbing } from './scrubbing.ts';
import { AccessLog } from './serve/access-log.ts';
import type { Fetched } from './serve/context.ts';
import { BackOffMemory, KeyMemory } from './serve/memory.ts';
import { relayed } from './serve/relay.ts';
import { Services, type SharedContext, upstreamLimits } from './services.ts';
import type { Purge } from './store/contract.ts';
import { openStore } from './store/open-store.ts';
import { Upstreams } from './upstream/upstreams.ts';
import type { FromWorker, ToWorker, WorkerReport, WorkerStart } from './worker-messages.ts';

const REPORT_MILLIS = 1000;
const LEADERS = 3;
/** Event-loop delay at which fills stand back for clients. */
const BUSY_DELAY_MILLIS = 30;

/** The supervisor's first message. It comes once; what follows it is for `main`. */
function started(): Promise<WorkerStart> {
  return new Promise((resolve) => {
    process.once('message', (message: ToWorker) => {
      if (message.kind === 'start') resolve(message.start);
    });
  });
}

function tell(message: FromWorker): void {
  if (process.connected) process.send!(message, undefined, {}, () => {});
}

async function main(): Promise<void> {
  const start = await started();
  const { index, count } = start;
  const { options } = start.configuration;
  const log = createLog({ part: 'edge', instance: count > 1 ? `${options.appliance}/${index}` : options.appliance });
  const closing = new Closing();
  const store = await openStore({
    memoryBytes: Math.floor(options.memory / count),
    diskBytes: options.disk,
    volumes: options.cacheDir,
    workerIndex: index,
    workerCount: count,
    log,
    onChange: (keys) => tell({ kind: 'changed', keys }),
    asideVolumes: new Map(Object.entries(start.aside)),
    onVolumeState: (path, _state, why) => tell({ kind: 'volume-failed', path, why }),
  });
  closing.add('store', store, () => store.close());
  const limits = upstreamLimits(options);
  const socketOf = (worker: number) => join(start.socketFolder, `worker-${worker}.sock`);
  const owners = Array.from({ length: count }, (_, worker) =>
    worker === index
      ? undefined
      : new Upstreams({
          urls: [`http://worker-${worker}`],
          limits: { ...limits, retries: 0 },
          clock: systemClock,
          socketPath: socketOf(worker),
          rules: { consecutiveFailures: 0, baseMillis: 0, maxMillis: 0, forgetMillis: 0 },
        }),
  );
  closing.add('owners', owners, async () => void (await Promise.all(owners.map((owner) => owner?.close()))));
  const accessLog = AccessLog.open({
    target: options.accessLog,
    appliance: options.appliance,
    sample: options.accessLogSample,
  });
  if (accessLog !== undefined) closing.add('access log', accessLog, () => accessLog.close());

  const purged = new PurgeAnswers(tell);
  let draining = false;
  const overload = new OverloadWatch({
    clock: systemClock,
    log,
    options,
    budgetBytes: workerBudget(options.memoryLimit, count),
    diskLost: () => {
      const { volumes } = store.stat();
      return volumes.length > 0 && volumes.every(({ state }) => state === 'failed');
    },
    onPressure: (pressure) => listener.press(pressure),
  });
  const shared: SharedContext = {
    appliance: options.appliance,
    store,
    flights: new Flights<Fetched>({ clock: systemClock, deadlineMillis: options.collapseTimeout, maxLeaders: LEADERS }),
    accessLog,
    uncacheable: new KeyMemory(),
    backOff: new BackOffMemory(),
    clock: systemClock,
    log,
    overload,
    owns: count === 1 ? () => true : (key) => ownerOf(key, count) === index,
    ownerOf: (key) => owners[ownerOf(key, count)],
    async purge(purges: readonly Purge[]): Promise<void> {
      await store.applyPurges(purges);
      services.purged(purges.length);
      if (count > 1) await purged.inEveryWorker(purges);
    },
    health: () =>
      options.control === undefined
        ? undefined
        : {
            status: draining ? 503 : 200,
            body: JSON.stringify({
              status: draining ? 'draining' : 'ok',
              appliance: options.appliance,
              site: options.site,
            }),
          },
  };
  const services = new Services(shared, start, start.configuration);
  closing.add('services', services, () => services.close());
  const { handle: handler } = services;
  const listener = createListener({
    handler,
    clock: systemClock,
    limits: connectionLimits(options),
    report: (what, details) => log.error(details, what),
  });
  closing.add('listener', listener, () => (draining ? listener.drain(options.drainTimeout) : listener.close()));
  if (count > 1) {
    const fromWorkers: Handler = (request, sink) => handler(relayed(request), sink);
    await rm(socketOf(index), { force: true });
    await listener.listenPath(socketOf(index), fromWorkers);
  }

  const agent = new FillAgent({
    store: new FillTarget({
      store,
      filled: () => services.fill,
      owns: shared.owns,
    }),
    clock: systemClock,
    log,
    ownAppliance: options.appliance,
    ...fillSettings(options, count),
    busy: () => overload.figures.delayMillis > BUSY_DELAY_MILLIS,
  });
  closing.add('fill agent', agent, () => agent.close());

  if (options.scrubRate > 0) {
    const scrub = scrubbing(store, Math.ceil(options.scrubRate / count), log);
    closing.add('scrub', scrub, () => scrub.cancel());
  }

  overload.start();
  closing.add('overload watch', overload, () => overload.close());
  const reports = setInterval(() => {
    const report: WorkerReport = {
      counters: {
        ...services.snapshot(),
        http2_floods_total: listener.counters.resetFloods + listener.counters.overheadFloods,
        connections_refused_total: refusedConnections(listener.counters),
      },
      services: services.figures(),
      connections: listener.counters.open,
      eventLoopDelayMillis: overload.figures.delayMillis,
      overload: overload.figures,
      store: store.stat(),
      purgeLogNumber: store.purgeLogNumber,
      fill: agent.progress(),
      popularity: services.takePopularity(),
    };
    tell({ kind: 'report', report });
  }, REPORT_MILLIS);
  closing.add('reports', reports, () => clearInterval(reports));

  const reusePort = count > 1;
  try {
    await listener.listen({ host: options.listen.host, port: start.port, reusePort });
  } catch (error) {
    throw listenFault(error, addressText({ host: options.listen.host, port: start.port }), 'listen');
  }
  const certificates =
    options.listenTls === undefined
      ? undefined
      : new Certificates(start.certificates, Buffer.from(start.ticketKeys, 'base64'));
  if (options.listenTls !== undefined && certificates !== undefined) {
    try {
      await listener.listenTls({ host: options.listenTls.host, port: start.tlsPort!, reusePort }, certificates);
    } catch (error) {
      throw listenFault(error, addressText(options.listenTls), 'listen-tls');
    }
  }

  const close = async (drain: boolean) => {
    draining = drain;
    overload.draining = drain;
    const outcomes = await closing.close((drain ? options.drainTimeout : 0) + 5000);
    for (const outcome of outcomes) if (outcome.ended !== 'closed') log.error(outcome, 'not closed cleanly');
    process.exit(EXIT.done);
  };
  const answer = (ask: number, work: Promise<readonly Purge[]>) => {
    work.then(
      (purges) => tell({ kind: 'answer', ask, error: undefined, purges }),
      (error: unknown) => tell({ kind: 'answer', ask, error: String(error), purges: [] }),
    );
  };
  process.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'apply-purges': {
        const purges = message.entries.flatMap((entry) => purgesOf(entry, services.purgeTargets));
        services.purged(purges.length);
        return answer(
          message.ask,
          store.applyPurges(purges).then(() => purges),
        );
      }
      case 'purges-changed':
        if (options.cacheDir.length === 0)
          return answer(
            message.ask,
            store.applyPurges(message.purges).then(() => []),
          );
        store.purgesChanged();
        return answer(message.ask, Promise.resolve([]));
      case 'purged':
        return purged.heard(message.ask, message.ok);
      case 'manifest':
        return agent.obey(message.manifest);
      case 'changed':
        return store.changed(message.keys);
      case 'volume-failed':
        return store.volumeFailed(message.path, message.why);
      case 'start':
        return;
      case 'configure':
        services.apply(message.configuration);
        return answer(message.ask, Promise.resolve([]));
      case 'next-target':
        services.standby = message.url;
        return;
      case 'certificates':
        if (message.pairs.length > 0) certificates?.replace(message.pairs);
        return listener.renewTls();
      case 'ticket-keys':
        certificates?.rotateTicketKeys(Buffer.from(message.keys, 'base64'));
        return listener.renewTls();
      case 'close':
        return void close(message.drain);
    }
  });
  tell({ kind: 'ready' });
}

// A terminal's Ctrl-C reaches every process of the group: the supervisor decides how workers end.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('SIGHUP', () => {});
endWithParent(() => process.exit(EXIT.failed));

main().catch((error: unknown) => {
  const fault =
    error instanceof Fault
      ? error
      : new Fault('internal', error instanceof Error ? (error.stack ?? error.message) : String(error), {
          source: 'internal',
        });
  tell({
    kind: 'fault',
    code: fault.code,
    message: fault.message,
    fix: fault.fix,
    source: fault.source,
    exit: fault.exit,
  });
  setTimeout(() => process.exit(EXIT.failed), 100);
});
