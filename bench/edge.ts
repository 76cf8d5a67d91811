/**
 * The edge under load, alone or beside other caches. One worker each; every row alternates the servers within one run,
 * each at its best setting, and prints medians and ratios. The origin's count proves that hits were hits.
 */

import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, Fault } from '../runtime/errors.ts';
import { helpText, type OptionTable, parseOptions } from '../runtime/options.ts';
import { type BenchOrigin, startOrigin } from './bench-origin.ts';
import { byAutocannon, byWrk, type Loader, type Measured } from './load.ts';
import { nearcast } from './peers/nearcast.ts';
import { nginx } from './peers/nginx.ts';
import type { Peer, Running } from './peers/peer.ts';
import { varnish } from './peers/varnish.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { median, print, type Row } from './table.ts';

const PEERS: Readonly<Record<string, Peer>> = { nginx, varnish };

const OPTIONS = {
  against: { kind: 'list', default: [], placeholder: 'PEER', help: 'Caches to compare with: nginx, varnish.' },
  rows: { kind: 'string', default: '', placeholder: 'TEXT', help: 'Only rows whose name contains this.' },
  seconds: { kind: 'integer', default: 4, min: 1, max: 60, help: 'Seconds a run.' },
  rounds: { kind: 'integer', default: 3, min: 1, max: 21, help: 'Runs a row and server; the median is printed.' },
  connections: { kind: 'integer', default: 64, min: 1, max: 1000, help: 'Keep-alive connections.' },
  load: {
    kind: 'string',
    default: '',
    values: ['', 'autocannon', 'wrk'],
    placeholder: 'autocannon|wrk',
    help: 'What makes the load: autocannon when alone, wrk beside others.',
  },
  json: { kind: 'boolean', default: false, help: 'JSON on stdout, and kept under bench/results/.' },
} as const satisfies OptionTable;

export async function run(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) {
    process.stdout.write(`npm run bench -- edge --against nginx,varnish\n\n${helpText(OPTIONS, 'bench')}`);
    return;
  }
  const options = parseOptions(OPTIONS, { part: 'bench', argv, env: process.env });
  const peers = [nearcast, ...options.against.map(peerNamed)];
  const loader = options.load === 'wrk' || (options.load === '' && peers.length > 1) ? byWrk : byAutocannon;
  const scenarios = SCENARIOS.filter(({ name }) => name.includes(options.rows));
  // tmpdir is a disk on most machines; the comparison is of servers, not of disks.
  const folder = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'nearcast-bench-'));
  // Varnish reads as a user of its own.
  await chmod(folder, 0o755);
  const origin = await startOrigin();
  const rig: Rig = { folder, origin, loader, seconds: options.seconds, connections: options.connections };
  try {
    const rows: Row[] = [];
    for (const scenario of scenarios) rows.push(...(await measured(rig, peers, scenario, options.rounds)));
    print(rows, options.json);
    if (options.json) await keep(rows);
  } finally {
    origin.close();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Rig {
  readonly folder: string;
  readonly origin: BenchOrigin;
  readonly loader: Loader;
  readonly seconds: number;
  readonly connections: number;
}

function peerNamed(name: string): Peer {
  const peer = PEERS[name];
  if (peer === undefined)
    throw new Fault('unknown-peer', `'${name}' is none of ${Object.keys(PEERS).join(', ')}`, {
      source: 'operator',
      fix: 'correct --against',
      exit: EXIT.usage,
    });
  return peer;
}

/** Each peer's best setting for this row by one short run each, then `rounds` runs in turn. */
async function measured(rig: Rig, peers: readonly Peer[], scenario: Scenario, rounds: number): Promise<Row[]> {
  const chosen: { peer: Peer; setting: string; running: Running; results: Measured[]; asked: number }[] = [];
  try {
    for (const peer of peers) {
      const setting = await bestSetting(rig, peer, scenario);
      chosen.push({ peer, setting, running: await started(rig, peer, setting, scenario), results: [], asked: 0 });
    }
    for (let round = 0; round < rounds; round++)
      for (const one of chosen) {
        const before = rig.origin.requests;
        one.results.push(await load(rig, one.running, scenario, rig.seconds));
        one.asked += rig.origin.requests - before;
      }
  } finally {
    for (const { running } of chosen) await running.stop();
  }
  return chosen.map(({ peer, setting, results, asked }) => ({
    scenario: scenario.name,
    server: peer.name,
    setting,
    requestsPerSecond: median(results.map((one) => one.requestsPerSecond)),
    megabytesPerSecond: median(results.map((one) => one.bytesPerSecond)) / 1e6,
    p50Millis: median(results.map((one) => one.p50Millis)),
    p99Millis: median(results.map((one) => one.p99Millis)),
    errors: results.reduce((sum, one) => sum + one.errors, 0),
    originRequests: asked,
    ratio: ratioOf(chosen[0]!.results, results),
  }));
}

/** Ours over theirs, pair by pair. */
function ratioOf(ours: readonly Measured[], theirs: readonly Measured[]): number {
  return median(ours.map((one, i) => one.requestsPerSecond / theirs[i]!.requestsPerSecond));
}

async function bestSetting(rig: Rig, peer: Peer, scenario: Scenario): Promise<string> {
  let best = peer.settings[0]!;
  let most = -1;
  if (peer.settings.length === 1) return best;
  for (const setting of peer.settings) {
    const running = await started(rig, peer, setting, scenario);
    const { requestsPerSecond } = await load(rig, running, scenario, 2).finally(() => running.stop());
    if (requestsPerSecond > most) [best, most] = [setting, requestsPerSecond];
  }
  return best;
}

/** A fresh server whose cache holds what the row asks for. */
async function started(rig: Rig, peer: Peer, setting: string, scenario: Scenario): Promise<Running> {
  const folder = await mkdtemp(join(rig.folder, `${peer.name}-`));
  const running = await peer.start(setting, rig.origin.url, folder);
  if (scenario.kind === 'hit') {
    const fields = { ...scenario.fields };
    // The whole object first, then the row's own request until it is a hit in whatever tier the server serves it from.
    await (await fetch(running.url + scenario.path)).arrayBuffer();
    for (let i = 0; i < 3; i++) await (await fetch(running.url + scenario.path, { headers: fields })).arrayBuffer();
  }
  return running;
}

function load(rig: Rig, running: Running, scenario: Scenario, seconds: number): Promise<Measured> {
  const large = scenario.path.endsWith('/100000000') && scenario.status === 200;
  return rig.loader(running.url, scenario, {
    seconds,
    folder: rig.folder,
    connections: large ? Math.min(8, rig.connections) : rig.connections,
  });
}

async function keep(rows: readonly Row[]): Promise<void> {
  const folder = join(import.meta.dirname, 'results');
  await mkdir(folder, { recursive: true });
  const at = new Date().toISOString();
  await writeFile(
    join(folder, `edge-${at.slice(0, 10)}.json`),
    `${JSON.stringify({ at, node: process.version, rows }, undefined, 2)}\n`,
  );
}
