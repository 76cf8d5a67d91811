/** A cache server under measurement: ours, or one to compare with, at each of several settings. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault } from '../../runtime/errors.ts';
import type { Scenario } from '../scenarios.ts';

export interface Running {
  /** Base URL in the scenario's protocol. */
  readonly url: string;
  /** The process whose tree's CPU time is the server's. */
  readonly pid: number;
  stop(): Promise<void>;
}

export interface StartOptions {
  /** One of the peer's settings for this scenario. */
  readonly setting: string;
  readonly scenario: Scenario;
  readonly upstream: string;
  /** Its own, on a file system of memory. */
  readonly folder: string;
  /** PEM files. */
  readonly certificate: string;
  readonly key: string;
}

export interface Peer {
  readonly name: string;
  /** Settings tried in this row, of which the bench takes the best; none where the server can't serve it. */
  settings(scenario: Scenario): readonly string[];
  start(options: StartOptions): Promise<Running>;
}

/** The server under measurement has the first processor; load and origin have the second. */
export const SERVER_CPU = '0';
export const LOAD_CPU = '1';

/** Bytes that each server may keep on disk: all of them fill their caches while misses are measured. */
export const DISK_BYTES = 2 * 1024 ** 3;
export const MEMORY_BYTES = 1024 ** 3;

export function serverCpus({ cores }: Scenario): string {
  return cores === 1 ? SERVER_CPU : `${SERVER_CPU},${LOAD_CPU}`;
}

export function loadCpus({ cores }: Scenario): string {
  return cores === 1 ? LOAD_CPU : `${SERVER_CPU},${LOAD_CPU}`;
}

export interface Pinned {
  readonly cpus: string;
  /** Where it answers over cleartext. */
  readonly url: string;
  readonly stopSignal?: NodeJS.Signals;
  readonly env?: NodeJS.ProcessEnv;
}

/** Starts a pinned process and waits until it answers; on failure its output is in the fault. */
export async function startPinned(argv: readonly string[], pinned: Pinned): Promise<Running> {
  const child = spawn('taskset', ['-c', pinned.cpus, ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...pinned.env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-2000);
    });
  let failed = false;
  child.once('error', (error) => {
    failed = true;
    output += error.message;
  });
  const stop = () => ended(child, pinned.stopSignal ?? 'SIGTERM');
  const deadline = Date.now() + 15_000;
  while (Date.now() < deadline && child.exitCode === null && !failed) {
    const answered = await fetch(`${pinned.url}/bytes/1`, { signal: AbortSignal.timeout(5000) }).then(
      async (response) => (await response.arrayBuffer()).byteLength === 1,
      () => false,
    );
    // taskset becomes what it starts.
    if (answered) return { url: pinned.url, pid: child.pid!, stop };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop();
  throw new Fault('peer-start', `${argv[0]} did not answer at ${pinned.url}: ${output}`, {
    source: 'operator',
    fix: 'install it, or leave it out of --against',
  });
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const kill = (how: NodeJS.Signals) => {
    try {
      process.kill(-child.pid!, how);
    } catch {
      // The group has ended by itself, which is what was wanted.
    }
  };
  kill(signal);
  const timer = setTimeout(() => kill('SIGKILL'), 3000);
  await gone;
  clearTimeout(timer);
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
