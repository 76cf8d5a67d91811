/**
 * The edge under load, alone or beside other caches: chooses rows and servers, runs them one row after the other, prints
 * one table with every bar. How a row is measured is `measure.ts`, what its figures say `verdict.ts`.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { certificateFolder } from '../edge-server/http/test-certificate.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import { nearest } from '../runtime/nearest.ts';
import { helpText, type OptionsOf, type OptionTable, parseOptions } from '../runtime/options.ts';
import { type BenchOrigin, startOrigin } from './bench-origin.ts';
import { byAutocannon } from './load.ts';
import { measureRow, type Rig } from './measure.ts';
import { startNginxOrigin } from './nginx-origin.ts';
import { nearcast } from './peers/nearcast.ts';
import { nginx } from './peers/nginx.ts';
import type { Peer } from './peers/peer.ts';
import { trafficserver } from './peers/trafficserver.ts';
import { varnish } from './peers/varnish.ts';
import { keep, machine, type Run, versions } from './results.ts';
import { quick, SCENARIOS, type Scenario } from './scenarios.ts';
import { progressLine, type Row, tableText } from './table.ts';
import { verdictOf } from './verdict.ts';
import { byWrk } from './wrk.ts';

const PEERS: Readonly<Record<string, Peer>> = { nginx, varnish, trafficserver };

/** Rows at a time where nothing is measured. */
const QUICK_AT_ONCE = 4;

export const OPTIONS = {
  against: {
    kind: 'list',
    default: [],
    placeholder: 'PEER',
    help: `Caches to compare with: ${Object.keys(PEERS).join(', ')}.`,
  },
  only: {
    kind: 'list',
    default: [],
    placeholder: 'ROW',
    help: `Only these rows: ${SCENARIOS.map(({ name }) => name).join(', ')}.`,
  },
  seconds: { kind: 'integer', default: 2, min: 1, max: 60, help: 'Seconds a round.' },
  rounds: {
    kind: 'integer',
    default: 7,
    min: 1,
    max: 21,
    help: 'Rounds of each server in each row; medians are printed.',
  },
  load: {
    kind: 'string',
    default: '',
    values: ['', 'autocannon', 'wrk'],
    placeholder: 'autocannon|wrk',
    help: 'What makes the load over HTTP/1.1: autocannon when alone, wrk beside others; HTTP/2 and latency take h2load.',
  },
  quick: {
    kind: 'boolean',
    default: false,
    help: 'Shows that every row works: few objects, one round of a second, first settings.',
  },
  json: {
    kind: 'boolean',
    default: false,
    help: 'JSON on stdout, the table on stderr; kept under bench/results/ unless --quick.',
  },
} as const satisfies OptionTable;

export type EdgeBenchOptions = OptionsOf<typeof OPTIONS>;

export async function run(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) {
    process.stdout.write(
      `npm run bench -- edge --against nginx,varnish,trafficserver --json\n\n${helpText(OPTIONS, 'bench')}`,
    );
    return;
  }
  const options = parseOptions(OPTIONS, { part: 'bench', argv, env: process.env });
  const begun = Date.now();
  const [where, what] = [machine(), await versions()];
  const rows = await untilSignal((signal) => measureEdge(options, signal));
  (options.json ? process.stderr : process.stdout).write(tableText(rows));
  if (options.json) {
    const result: Run = {
      at: new Date(begun).toISOString(),
      minutes: Math.round((Date.now() - begun) / 6000) / 10,
      command: `npm run bench -- edge ${argv.join(' ')}`,
      machine: where,
      versions: what,
      settings: options,
      rows,
    };
    process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
    if (!options.quick) process.stderr.write(`kept: ${await keep(result)}\n`);
  }
  const failed = rows.filter(({ failure }) => failure !== undefined).map(({ scenario }) => scenario.name);
  if (failed.length > 0)
    throw new Fault('rows-failed', `no figures for ${failed.join(', ')}`, {
      source: 'internal',
      fix: 'see the lines above; run them again with --only',
    });
}

/** Every chosen row beside every chosen peer that can serve it. A row that fails says so and the others go on. */
export async function measureEdge(options: EdgeBenchOptions, signal: AbortSignal): Promise<Row[]> {
  const peers = options.against.map((name) => named(name, PEERS, 'unknown-peer', '--against'));
  const byName = Object.fromEntries(SCENARIOS.map((scenario) => [scenario.name, scenario]));
  const chosen =
    options.only.length === 0 ? SCENARIOS : options.only.map((name) => named(name, byName, 'unknown-row', '--only'));
  const wrk = options.load === 'wrk' || (options.load === '' && peers.length > 0);
  // autocannon is what a machine without any of the programs has; it speaks HTTP/1.1 in cleartext.
  const scenarios = chosen.filter(({ protocol, figure }) => wrk || (protocol === 'http' && figure === 'rate'));
  const certificates = certificateFolder();
  try {
    const { certificate, key } = wrk ? certificates.make('bench', ['bench.example.org']) : { certificate: '', key: '' };
    const { seconds, rounds } = options.quick ? { seconds: 1, rounds: 1 } : options;
    const settings = { seconds, rounds, tryAll: !options.quick, loader: wrk ? byWrk : byAutocannon };
    const rows: Row[] = [];
    const waiting = [...scenarios.entries()];
    const lane = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [place, scenario] = next;
        const row = options.quick ? quick(scenario) : scenario;
        const able = [nearcast, ...peers].filter((peer) => peer.settings(row).length > 0);
        rows[place] = await measuredOrFailed(row, able, { ...settings, certificate, key, signal });
      }
    };
    // Alone on the machine where figures count.
    await Promise.all(Array.from({ length: options.quick ? QUICK_AT_ONCE : 1 }, lane));
    return rows;
  } finally {
    certificates.remove();
  }
}

async function measuredOrFailed(
  scenario: Scenario,
  peers: readonly Peer[],
  settings: Omit<Rig, 'folder' | 'origin'>,
): Promise<Row> {
  // tmpdir is a disk on most machines; the comparison is of servers, not of disks.
  const folder = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'nearcast-bench-'));
  let origin: BenchOrigin | undefined;
  try {
    // Varnish reads as a user of its own.
    await chmod(folder, 0o755);
    origin = await (settings.loader === byAutocannon
      ? startOrigin()
      : startNginxOrigin(join(folder, 'origin'), scenario.bytes));
    const results = await measureRow({ ...settings, folder, origin }, peers, scenario);
    const row = { scenario, results, verdict: verdictOf(scenario, results), failure: undefined };
    process.stderr.write(`${progressLine(row)}\n`);
    return row;
  } catch (error) {
    settings.signal.throwIfAborted();
    const failure = error instanceof Fault ? error.line() : String(error);
    process.stderr.write(`${scenario.title}: ${failure}\n`);
    return { scenario, results: [], verdict: undefined, failure };
  } finally {
    await origin?.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** SIGINT and SIGTERM end the servers under measurement too: they are in process groups of their own. */
async function untilSignal<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ending = new AbortController();
  const end = (name: NodeJS.Signals) =>
    ending.abort(new Fault('interrupted', `ended by ${name}`, { source: 'operator', fix: 'run it again' }));
  process.once('SIGINT', end).once('SIGTERM', end);
  try {
    return await work(ending.signal);
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end);
  }
}

function named<T>(name: string, all: Readonly<Record<string, T>>, code: string, place: string): T {
  const found = Object.hasOwn(all, name) ? all[name] : undefined;
  if (found !== undefined) return found;
  const close = nearest(name, Object.keys(all));
  throw new Fault(code, `${place}: '${name}' is none of ${Object.keys(all).join(', ')}`, {
    source: 'operator',
    fix: close === undefined ? `correct ${place}` : `did you mean ${close}?`,
    exit: EXIT.usage,
  });
}
