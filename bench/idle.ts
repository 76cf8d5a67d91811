/**
 * What idle connections cost: resident memory of one edge worker with thousands of kept connections, each answered
 * once, over cleartext and over TLS, divided by their number.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { certificateFolder } from '../edge-server/http/test-certificate.ts';
import { Fault } from '../runtime/errors.ts';
import { helpText, type OptionTable, parseOptions } from '../runtime/options.ts';
import { startOrigin } from './bench-origin.ts';
import { holdIdle, residentBytes } from './idle-clients.ts';
import { freePort } from './peers/peer.ts';

const OPTIONS = {
  connections: { kind: 'integer', default: 10_000, min: 100, max: 18_000, help: 'Idle keep-alive connections.' },
  json: { kind: 'boolean', default: false, help: 'JSON on stdout.' },
} as const satisfies OptionTable;

const COMMAND = join(import.meta.dirname, '../deploy/command.ts');
const WARM_CONNECTIONS = 1000;

interface IdleRow {
  readonly what: string;
  readonly connections: number;
  readonly beforeMiB: number;
  readonly afterMiB: number;
  readonly kibEach: number;
}

export async function run(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) {
    process.stdout.write(`npm run bench -- idle\n\n${helpText(OPTIONS, 'bench')}`);
    return;
  }
  const options = parseOptions(OPTIONS, { part: 'bench', argv, env: process.env });
  const rows: IdleRow[] = [];
  for (const tls of [false, true]) rows.push(await measured(tls, options.connections));
  if (options.json) return void process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
  for (const row of rows)
    process.stdout.write(
      `${row.what.padEnd(10)} ${row.connections} idle connections: ${row.beforeMiB} → ${row.afterMiB} MiB, ${row.kibEach} KiB each\n`,
    );
}

async function measured(tls: boolean, count: number): Promise<IdleRow> {
  const certificates = certificateFolder();
  const files = certificates.make('idle', ['idle.example.org']);
  const origin = await startOrigin();
  const [port, tlsPort, admin] = [await freePort(), await freePort(), await freePort()];
  const edge = spawn(
    process.execPath,
    [COMMAND, 'edge', '--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`, '--upstream', origin.url]
      .concat(['--listen-tls', `127.0.0.1:${tlsPort}`, '--tls-cert', files.certificate, '--tls-key', files.key])
      .concat(['--workers', '1', '--connections-per-client', '0', '--idle-timeout', '600s']),
    { stdio: 'ignore' },
  );
  try {
    await answering(`http://127.0.0.1:${admin}/readyz`);
    const pids = (await readFile(`/proc/${edge.pid}/task/${edge.pid}/children`, 'utf8'))
      .trim()
      .split(/\s+/)
      .map(Number);
    const ask = { port: tls ? tlsPort : port, tls, target: '/bytes/1024' };
    await (await holdIdle({ ...ask, count: Math.min(WARM_CONNECTIONS, count) })).close();
    await settled(pids);
    const before = await residentBytes(pids);
    const clients = await holdIdle({ ...ask, count });
    await settled(pids);
    const after = await residentBytes(pids);
    await clients.close();
    const mib = (bytes: number) => Math.round(bytes / (1 << 20));
    const kibEach = Math.round(((after - before) / count / 1024) * 10) / 10;
    return {
      what: tls ? 'TLS' : 'cleartext',
      connections: count,
      beforeMiB: mib(before),
      afterMiB: mib(after),
      kibEach,
    };
  } finally {
    const gone = new Promise((resolve) => edge.once('exit', resolve));
    edge.kill('SIGINT');
    await gone;
    origin.close();
    certificates.remove();
  }
}

async function answering(url: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const up = await fetch(url).then(
      (response) => response.status === 200,
      () => false,
    );
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Fault('edge-start', 'the edge did not become ready', { source: 'internal' });
}

/** Waits until the resident size has stood still for a second, ten at most. */
async function settled(pids: readonly number[]): Promise<void> {
  let last = await residentBytes(pids);
  for (let i = 0; i < 10; i++) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const now = await residentBytes(pids);
    if (Math.abs(now - last) < 512 * 1024) return;
    last = now;
  }
}
