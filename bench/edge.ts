/**
 * One edge server, one worker, under autocannon. The origin counts what it is asked, so that a hit is known to be one.
 * autocannon is a Node program and the limit for small answers on two cores: read the 1 KiB row as a floor.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import autocannon from 'autocannon';
import { Fault } from '../runtime/errors.ts';
import { type OptionTable, parseOptions } from '../runtime/options.ts';

const OPTIONS = {
  duration: { kind: 'integer', default: 5, min: 1, max: 60, help: 'Seconds a row.' },
  connections: { kind: 'integer', default: 64, min: 1, max: 1000, help: 'Keep-alive connections.' },
  rounds: { kind: 'integer', default: 3, min: 1, max: 21, help: 'Runs a row; the median is printed.' },
  json: { kind: 'boolean', default: false, help: 'JSON instead of a table.' },
} as const satisfies OptionTable;

interface Scenario {
  readonly name: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly expect: number;
  /** Requests that may reach the origin during the run. */
  readonly origin: 'none' | 'each';
}

const SCENARIOS: readonly Scenario[] = [
  { name: '1 KiB hit', path: '/bytes/1024', expect: 200, origin: 'none' },
  {
    name: '1 KiB, not modified',
    path: '/bytes/1024',
    headers: { 'if-none-match': '"1024"' },
    expect: 304,
    origin: 'none',
  },
  { name: '64 KiB hit', path: '/bytes/65536', expect: 200, origin: 'none' },
  { name: '1 MiB hit', path: '/bytes/1048576', expect: 200, origin: 'none' },
  {
    name: '64 KiB range of 100 MB',
    path: '/bytes/100000000',
    headers: { range: 'bytes=50000000-50065535' },
    expect: 206,
    origin: 'none',
  },
  { name: '1 KiB miss', path: '/bytes/1024?n=[<id>]', expect: 200, origin: 'each' },
];

interface Row {
  readonly scenario: string;
  readonly requestsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly p50Millis: number;
  readonly p99Millis: number;
  readonly errors: number;
  readonly originRequests: number;
}

export async function run(argv: readonly string[]): Promise<void> {
  const options = parseOptions(OPTIONS, { part: 'bench', argv, env: process.env });
  const folder = await mkdtemp(join(tmpdir(), 'nearcast-bench-'));
  const origin = await startOrigin();
  let edge: { child: ChildProcess; url: string } | undefined;
  try {
    edge = await startEdge(origin.url, folder);
    const rows: Row[] = [];
    for (const scenario of SCENARIOS) rows.push(await measure(scenario, edge.url, origin, options));
    print(rows, options.json);
  } finally {
    edge?.child.kill('SIGKILL');
    origin.server.closeAllConnections();
    origin.server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Origin {
  readonly server: Server;
  readonly url: string;
  requests: number;
}

/** Serves `/bytes/N`: N bytes, cacheable for an hour, with ranges, so that large objects come in slices. */
async function startOrigin(): Promise<Origin> {
  const block = Buffer.alloc(1 << 20, 'nearcast');
  const origin = { requests: 0 } as Origin;
  const server = createServer((request, response) => {
    origin.requests += 1;
    const length = Number(/^\/bytes\/(\d+)/.exec(request.url ?? '')?.[1] ?? 0);
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const from = range === null ? 0 : Number(range[1]);
    const to = range === null || range[2] === '' ? length - 1 : Math.min(Number(range[2]), length - 1);
    const head: Record<string, string> = {
      'cache-control': 'max-age=3600',
      etag: `"${length}"`,
      'content-length': String(to - from + 1),
    };
    if (range !== null) head['content-range'] = `bytes ${from}-${to}/${length}`;
    response.writeHead(range === null ? 200 : 206, head);
    let left = to - from + 1;
    const more = () => {
      while (left > 0) {
        const piece = block.subarray(0, Math.min(left, block.length));
        left -= piece.length;
        if (!response.write(piece)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(origin, { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

async function startEdge(upstream: string, folder: string): Promise<{ child: ChildProcess; url: string }> {
  const [port, adminPort] = await freePorts(2);
  const argv = [
    'edge',
    '--listen',
    `127.0.0.1:${port}`,
    '--admin',
    `127.0.0.1:${adminPort}`,
    '--upstream',
    upstream,
    '--cache-dir',
    folder,
  ];
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, '../deploy/command.ts'),
      ...argv,
      '--workers',
      '1',
      '--memory',
      '512MiB',
      '--requests-per-connection',
      '0',
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const deadline = Date.now() + 15_000;
  while (Date.now() < deadline && child.exitCode === null) {
    const ready = await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => undefined);
    if (ready?.status === 200) return { child, url: `http://127.0.0.1:${port}` };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  child.kill('SIGKILL');
  throw new Fault('edge-start', 'the edge was not ready within 15 s', {
    source: 'internal',
    fix: 'look at its lines above',
  });
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function measure(
  scenario: Scenario,
  url: string,
  origin: Origin,
  options: { duration: number; connections: number; rounds: number },
): Promise<Row> {
  const target = `${url}${scenario.path}`;
  if (scenario.origin === 'none') {
    // Twice: what comes from disk is admitted to memory by its second use.
    for (let i = 0; i < 3; i++) await (await fetch(target, { headers: scenario.headers ?? {} })).arrayBuffer();
  }
  const before = origin.requests;
  const results: autocannon.Result[] = [];
  for (let round = 0; round < options.rounds; round++)
    results.push(
      await autocannon({
        url: target,
        connections: options.connections,
        duration: options.duration,
        headers: scenario.headers ?? {},
        idReplacement: scenario.path.includes('[<id>]'),
      }),
    );
  const errors = results.reduce((sum, result) => sum + result.errors + unexpected(result, scenario.expect), 0);
  return {
    scenario: scenario.name,
    requestsPerSecond: Math.round(median(results.map((result) => result.requests.average))),
    megabytesPerSecond: Math.round(median(results.map((result) => result.throughput.average)) / 1e6),
    p50Millis: median(results.map((result) => result.latency.p50)),
    p99Millis: median(results.map((result) => result.latency.p99)),
    errors,
    originRequests: origin.requests - before,
  };
}

function unexpected(result: autocannon.Result, status: number): number {
  const codes = (result as unknown as { statusCodeStats: Record<string, { count: number }> }).statusCodeStats ?? {};
  return Object.entries(codes).reduce(
    (sum, [code, { count }]) => sum + (Number(code) === status ? 0 : Number(count)),
    0,
  );
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

function print(rows: readonly Row[], json: boolean): void {
  if (json) return void process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
  const heads = ['scenario', 'requests/s', 'MB/s', 'p50 ms', 'p99 ms', 'errors', 'asked of the origin'];
  const cells = rows.map((row) =>
    [
      row.scenario,
      row.requestsPerSecond,
      row.megabytesPerSecond,
      row.p50Millis,
      row.p99Millis,
      row.errors,
      row.originRequests,
    ].map(String),
  );
  const widths = heads.map((head, i) => Math.max(head.length, ...cells.map((cell) => cell[i]!.length)));
  for (const line of [heads, ...cells])
    process.stdout.write(
      `${line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}\n`,
    );
}
