/** A real box for tests: on free ports, in a temporary folder, with a deadline; every process ends with the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Endpoints } from '../../deploy/box.ts';
import { killMarked, marked, markedProcesses } from './processes.ts';
import { until } from './until.ts';

const ROOT = join(import.meta.dirname, '../..');
const START_MILLIS = 90_000;
const PORTS = 18;

export interface TestBox {
  readonly endpoints: Endpoints;
  readonly state: string;
  readonly portBase: number;
  /** The launcher, as `npm start` runs it. */
  readonly launcher: ChildProcess;
  /** What it printed so far. */
  output(): string;
  /** endpoints.json as it is now. */
  read(): Promise<Endpoints>;
  /** Every process of the box that lives. */
  processes(): Promise<{ pid: number; command: string }[]>;
  /** Ends all and removes the folder; idempotent. */
  close(): Promise<void>;
}

export interface BoxOptions {
  /** Further words for `nearcast up`. */
  readonly argv?: readonly string[];
  /** A folder to keep; else one that is removed at the end. */
  readonly state?: string;
  readonly portBase?: number;
}

/** Starts a box and waits until all of it serves. */
export async function startBox(options: BoxOptions = {}): Promise<TestBox> {
  const state = options.state ?? (await mkdtemp(join(tmpdir(), 'nearcast-box-')));
  const portBase = options.portBase ?? (await freePortBase());
  const { mark, env } = marked();
  const words = ['up', '--state', state, '--port-base', String(portBase), ...(options.argv ?? [])];
  const launcher = spawn(process.execPath, [join(ROOT, 'deploy/nearcast.js'), ...words], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed: string[] = [];
  for (const stream of [launcher.stdout, launcher.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => printed.push(text));
  let closing: Promise<void> | undefined;
  const close = async () => {
    if (launcher.exitCode === null && launcher.signalCode === null) {
      const ended = new Promise((resolve) => launcher.once('exit', resolve));
      launcher.kill('SIGTERM');
      const timer = setTimeout(() => launcher.kill('SIGKILL'), 15_000);
      await ended;
      clearTimeout(timer);
    }
    await killMarked(mark);
    if (options.state === undefined) await rm(state, { recursive: true, force: true });
  };
  const read = async () => JSON.parse(await readFile(join(state, 'endpoints.json'), 'utf8')) as Endpoints;
  try {
    const endpoints = await until('the box serves', START_MILLIS, async () => {
      if (launcher.exitCode !== null) throw new Error(`the box ended with ${launcher.exitCode}: ${printed.join('')}`);
      // Written once all of it serves.
      const found = await read().catch(() => undefined);
      return found !== undefined && printed.join('').includes('Ctrl-C ends it all') ? found : undefined;
    });
    return {
      endpoints,
      state,
      portBase,
      launcher,
      output: () => printed.join(''),
      read,
      processes: () => markedProcesses(mark),
      close: () => {
        closing ??= close();
        return closing;
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The first of 18 neighbouring ports that are free now. */
export async function freePortBase(): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    // Below the ports that the system gives to outgoing connections (32768 and up on Linux).
    const base = 19_000 + Math.floor(Math.random() * 600) * 20;
    const free = await Promise.all(Array.from({ length: PORTS }, (_, offset) => isFree(base + offset)));
    if (free.every(Boolean)) return base;
  }
  throw new Error('no free ports for a box');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
