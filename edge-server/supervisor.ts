/**
 * The supervisor of one edge server: starts the workers, restarts a dead one, keeps the link to the control plane,
 * answers the admin listener. It carries no traffic and never opens the store (architecture §3.2).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FillManifest, PurgeEntry } from '../control-plane/api.ts';
import { Fault, type FaultSource } from '../runtime/errors.ts';
import type { Logger } from '../runtime/log.ts';
import type { EdgeConfiguration } from './configuration.ts';
import type { EdgeOptions } from './options.ts';
import type { Purge } from './store/contract.ts';
import type { TlsMaterial } from './tls-material.ts';
import type { FromWorker, ToWorker, WorkerReport, WorkerStart } from './worker-messages.ts';

/** Followed by the supervisor's process id. */
const SOCKET_FOLDER = 'nearcast-edge-';
const RESTART_BASE_MILLIS = 200;
const RESTART_MAX_MILLIS = 10_000;
const START_DEADLINE_MILLIS = 30_000;
const ASK_DEADLINE_MILLIS = 5_000;

interface Worker {
  readonly index: number;
  child: ChildProcess;
  /** What its process began with, to see what has changed until it serves. */
  start: WorkerStart;
  ready: boolean;
  report: WorkerReport | undefined;
  restarts: number;
}

/**
 * glibc takes huge pages for what malloc asks of the kernel, where they may be had for the asking: bodies that are new in
 * memory cost a page fault for each 4 KiB otherwise (64 KiB misses: 28 % less of a core). Not beside TLS, whose buffers
 * are mostly untouched: 69 instead of 34 KiB an idle connection. An operator's own setting wins.
 */
const MALLOC = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };

export class Supervisor {
  #configuration: EdgeConfiguration;
  readonly #tls: Pick<TlsMaterial, 'pairs' | 'ticketKeys'>;
  readonly #log: Logger;
  readonly #workers: Worker[] = [];
  readonly #asked = new Map<
    number,
    { resolve: (purges: readonly Purge[]) => void; reject: (error: Error) => void; timer: NodeJS.Timeout }
  >();
  #socketFolder = '';
  #ports: { readonly port: number; readonly tlsPort: number | undefined } = { port: 0, tlsPort: undefined };
  /** A read-only disk can't remember that it was set aside; we do, for restarted workers. */
  readonly #aside = new Map<string, string>();
  #standby: string | undefined;
  #nextAsk = 1;
  #closing = false;

  constructor(configuration: EdgeConfiguration, tls: Pick<TlsMaterial, 'pairs' | 'ticketKeys'>, log: Logger) {
    this.#configuration = configuration;
    this.#tls = tls;
    this.#log = log;
  }

  get #options(): EdgeOptions {
    return this.#configuration.options;
  }

  /** What workers run with, also one that is started from now on. */
  get configuration(): EdgeConfiguration {
    return this.#configuration;
  }

  get count(): number {
    return this.#options.workers === 0 ? availableParallelism() : this.#options.workers;
  }

  /**
   * Starts every worker; resolves when all serve. A fault of the first start (port, folder, certificate) is the caller's.
   * Ports were found by the caller: workers share them, which would hide that another process has them.
   */
  async start(ports: { readonly port: number; readonly tlsPort: number | undefined }): Promise<void> {
    this.#ports = ports;
    this.#socketFolder = await mkdtemp(join(tmpdir(), `${SOCKET_FOLDER}${process.pid}-`));
    await sweepSocketFolders();
    for (let index = 0; index < this.count; index++) {
      const worker: Worker = { index, ...this.#fork(index), ready: false, report: undefined, restarts: 0 };
      this.#workers.push(worker);
      // The first worker alone first: it reports a taken port or an unusable folder once, not once per core.
      await this.#untilReady(worker);
      this.#watch(worker);
    }
  }

  /** Every worker serves. */
  get ready(): boolean {
    return !this.#closing && this.#workers.length === this.count && this.#workers.every((worker) => worker.ready);
  }

  get draining(): boolean {
    return this.#closing;
  }

  reports(): WorkerReport[] {
    return this.#workers.flatMap((worker) => (worker.report === undefined ? [] : [worker.report]));
  }

  /** Applies entries of the control plane's log; resolves when they are durable and in force in every worker. */
  async purge(entries: readonly PurgeEntry[]): Promise<void> {
    const [first] = this.#workers;
    const purges = await this.#ask(first!, { kind: 'apply-purges', ask: 0, entries });
    await this.#tellOthers(first!.index, purges);
  }

  /** Tells every worker its manifest. */
  manifest(manifest: FillManifest): void {
    for (const worker of this.#workers) this.#send(worker, { kind: 'manifest', manifest });
  }

  /** Puts services, policies and upstreams in force in running workers; resolves when each has them. */
  async configure(configuration: EdgeConfiguration): Promise<void> {
    this.#configuration = configuration;
    const ready = this.#workers.filter((worker) => worker.ready);
    await Promise.all(ready.map((worker) => this.#ask(worker, { kind: 'configure', ask: 0, configuration })));
  }

  /** Where clients go that this server can't serve, for every worker and those that start from now on. */
  standby(url: string): void {
    this.#standby = url;
    for (const worker of this.#workers) this.#send(worker, { kind: 'next-target', url });
  }

  /** New certificates or ticket keys, for every worker. */
  tell(message: Extract<ToWorker, { kind: 'certificates' | 'ticket-keys' }>): void {
    for (const worker of this.#workers) this.#send(worker, message);
  }

  /** Ends the workers: `drain` lets requests under way finish, within the option's deadline. */
  async close(drain: boolean): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const ended = this.#workers.map(({ child }) => exit(child));
    for (const worker of this.#workers) this.#send(worker, { kind: 'close', drain });
    const deadline = (drain ? this.#options.drainTimeout : 0) + 5000;
    const timer = setTimeout(() => {
      for (const { child } of this.#workers) child.kill('SIGKILL');
    }, deadline);
    await Promise.all(ended);
    clearTimeout(timer);
    for (const { timer: asked } of this.#asked.values()) clearTimeout(asked);
    await rm(this.#socketFolder, { recursive: true, force: true });
  }

  #fork(index: number): { child: ChildProcess; start: WorkerStart } {
    const start: WorkerStart = {
      configuration: this.#configuration,
      index,
      count: this.count,
      socketFolder: this.#socketFolder,
      ...this.#ports,
      aside: Object.fromEntries(this.#aside),
      standby: this.#standby,
      ticketKeys: this.#tls.ticketKeys,
      certificates: this.#tls.pairs,
    };
    const child = fork(new URL('./worker.ts', import.meta.url), [], {
      env: { ...(this.#ports.tlsPort === undefined ? MALLOC : {}), ...process.env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child.send({ kind: 'start', start } satisfies ToWorker, () => {});
    child.on('message', (message: FromWorker) => this.#hear(index, message));
    return { child, start };
  }

  async #untilReady(worker: Worker): Promise<void> {
    const { child } = worker;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        end(
          new Fault('worker-start', `worker ${worker.index} was not ready within ${START_DEADLINE_MILLIS / 1000} s`, {
            source: 'internal',
            fix: 'look at the log above',
          }),
        );
      }, START_DEADLINE_MILLIS);
      const end = (fault: Fault | undefined) => {
        clearTimeout(timer);
        child.off('message', heard);
        child.off('exit', gone);
        if (fault === undefined) resolve();
        else reject(fault);
      };
      const heard = (message: FromWorker) => {
        if (message.kind === 'ready') end(undefined);
        else if (message.kind === 'fault')
          end(
            new Fault(message.code, message.message, {
              source: message.source as FaultSource,
              exit: message.exit,
              ...(message.fix === undefined ? {} : { fix: message.fix }),
            }),
          );
      };
      const gone = (code: number | null, signal: string | null) =>
        end(
          new Fault('worker-start', `worker ${worker.index} ended at start (${signal ?? `exit code ${code}`})`, {
            source: 'internal',
            fix: 'look at the log above',
          }),
        );
      child.on('message', heard);
      child.on('exit', gone);
    });
    worker.ready = true;
    this.#catchUp(worker);
  }

  /** A reload, a certificate or a rotation while it started was not for it to hear. */
  #catchUp(worker: Worker): void {
    const { configuration, certificates, ticketKeys } = worker.start;
    const { pairs, ticketKeys: keys } = this.#tls;
    if (ticketKeys !== keys) this.#send(worker, { kind: 'ticket-keys', keys });
    if (JSON.stringify(certificates) !== JSON.stringify(pairs)) this.#send(worker, { kind: 'certificates', pairs });
    if (configuration === this.#configuration) return;
    this.#ask(worker, { kind: 'configure', ask: 0, configuration: this.#configuration }).catch((error: unknown) =>
      this.#log.error({ worker: worker.index, error: String(error) }, 'worker runs with a former configuration'),
    );
  }

  #watch(worker: Worker): void {
    worker.child.once('exit', (code, signal) => {
      worker.ready = false;
      worker.report = undefined;
      if (this.#closing) return;
      const wait = Math.min(RESTART_BASE_MILLIS * 2 ** worker.restarts, RESTART_MAX_MILLIS);
      worker.restarts += 1;
      this.#log.error({ worker: worker.index, code, signal, restartInMillis: wait }, 'worker ended');
      setTimeout(() => this.#restart(worker), wait).unref();
    });
  }

  #restart(worker: Worker): void {
    if (this.#closing) return;
    Object.assign(worker, this.#fork(worker.index));
    this.#watch(worker);
    this.#untilReady(worker).then(
      () => {
        this.#log.info({ worker: worker.index }, 'worker restarted');
        setTimeout(() => {
          worker.restarts = 0;
        }, 60_000).unref();
      },
      (error: Fault) => this.#log.error({ worker: worker.index, why: error.message }, 'worker did not restart'),
    );
  }

  #hear(index: number, message: FromWorker): void {
    switch (message.kind) {
      case 'report':
        this.#workers[index]!.report = message.report;
        return;
      case 'answer': {
        const asked = this.#asked.get(message.ask);
        this.#asked.delete(message.ask);
        clearTimeout(asked?.timer);
        if (message.error === undefined) asked?.resolve(message.purges);
        else asked?.reject(new Fault('worker-failed', message.error, { source: 'internal', retry: true }));
        return;
      }
      case 'purged-here':
        this.#tellOthers(index, message.purges).then(
          () => this.#send(this.#workers[index]!, { kind: 'purged', ask: message.ask, ok: true }),
          (error: unknown) => {
            this.#log.error({ error: String(error) }, 'a purge is not in force in every worker');
            this.#send(this.#workers[index]!, { kind: 'purged', ask: message.ask, ok: false });
          },
        );
        return;
      case 'volume-failed':
        this.#aside.set(message.path, message.why);
        this.#sendOthers(index, message);
        return;
      case 'changed':
        this.#sendOthers(index, message);
        return;
      case 'ready':
      case 'fault':
        return;
    }
  }

  #sendOthers(index: number, message: ToWorker): void {
    for (const worker of this.#workers) if (worker.index !== index) this.#send(worker, message);
  }

  /** A worker that is down meanwhile reads the purge log when it starts. */
  async #tellOthers(index: number, purges: readonly Purge[]): Promise<void> {
    const others = this.#workers.filter((worker) => worker.index !== index && worker.ready);
    await Promise.all(others.map((worker) => this.#ask(worker, { kind: 'purges-changed', ask: 0, purges })));
  }

  #ask(
    worker: Worker,
    message: Extract<ToWorker, { kind: 'apply-purges' | 'purges-changed' | 'configure' }>,
  ): Promise<readonly Purge[]> {
    return new Promise((resolve, reject) => {
      const ask = this.#nextAsk++;
      const timer = setTimeout(() => {
        this.#asked.delete(ask);
        reject(
          new Fault('worker-silent', `worker ${worker.index} did not answer within ${ASK_DEADLINE_MILLIS} ms`, {
            source: 'internal',
            retry: true,
          }),
        );
      }, ASK_DEADLINE_MILLIS);
      this.#asked.set(ask, { resolve, reject, timer });
      this.#send(worker, { ...message, ask });
    });
  }

  #send(worker: Worker, message: ToWorker): void {
    if (worker.child.connected) worker.child.send(message, () => {});
  }
}

/** Takes away the socket folders of supervisors that were killed. */
async function sweepSocketFolders(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(SOCKET_FOLDER) ? Number(name.slice(SOCKET_FOLDER.length).split('-')[0]) : Number.NaN;
    if (Number.isInteger(pid) && !alive(pid)) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, as somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function exit(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}
