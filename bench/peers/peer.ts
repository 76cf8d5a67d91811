/** A cache server under measurement: ours, or one to compare with, at each of several settings. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault } from '../../runtime/errors.ts';

export interface Running {
  readonly url: string;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** Settings tried; the bench takes the best for each row. */
  readonly settings: readonly string[];
  /** Debian package that brings it. */
  readonly package: string | undefined;
  start(setting: string, upstream: string, folder: string): Promise<Running>;
}

/** Processor that every server under measurement is pinned to; load and origin run on the others. */
export const SERVER_CPU = '0';

/** Starts a pinned process and waits until it answers; on failure its output is in the fault. */
export async function startPinned(
  argv: readonly string[],
  url: string,
  stopSignal: NodeJS.Signals = 'SIGTERM',
): Promise<Running> {
  const child = spawn('taskset', ['-c', SERVER_CPU, ...argv], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-2000);
    });
  const stop = () => ended(child, stopSignal);
  const deadline = Date.now() + 15_000;
  while (Date.now() < deadline && child.exitCode === null) {
    const answered = await fetch(`${url}/bytes/1`).then(
      (response) => response.status === 200,
      () => false,
    );
    if (answered) return { url, stop };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop();
  throw new Fault('peer-start', `${argv[0]} did not answer at ${url}: ${output}`, {
    source: 'operator',
    fix: 'install it, or leave it out with --against',
  });
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return;
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
