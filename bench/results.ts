/** Keeps a run under `bench/results/`: the machine, versions, settings and every round, so that it can be judged later. */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Row } from './table.ts';

/** How each program tells its version, on either stream. */
const VERSIONS: Readonly<Record<string, readonly string[]>> = {
  nginx: ['nginx', '-v'],
  varnish: ['varnishd', '-V'],
  trafficserver: ['traffic_server', '-V'],
  wrk: ['wrk', '-v'],
  h2load: ['h2load', '--version'],
};

export interface Run {
  readonly at: string;
  readonly minutes: number;
  readonly command: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly rows: readonly Row[];
}

/** Load averages at the beginning are the caller's to take: its own run raises them. */
export function machine(): Run['machine'] {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    loadAverage: loadavg()[0]!.toFixed(2),
  };
}

/** First line that each installed program says of itself. */
export async function versions(): Promise<Run['versions']> {
  const found: Record<string, string> = { node: process.version };
  for (const [name, [program, ...args]] of Object.entries(VERSIONS)) {
    // wrk tells its version and exits with 1; a program that is not here is left out.
    const said = await promisify(execFile)(program!, args).catch(
      (error: { stdout?: string; stderr?: string }) => error,
    );
    const line = `${said.stdout ?? ''}${said.stderr ?? ''}`.split('\n').find((text) => text.trim() !== '');
    if (line !== undefined) found[name] = line.trim().slice(0, 80);
  }
  return found;
}

/** Writes the run; answers the path. */
export async function keep(run: Run): Promise<string> {
  const folder = join(import.meta.dirname, 'results');
  await mkdir(folder, { recursive: true });
  const path = join(folder, `edge-${run.at.slice(0, 16).replace(':', '')}.json`);
  await writeFile(path, `${JSON.stringify(run, undefined, 1)}\n`);
  return path;
}
