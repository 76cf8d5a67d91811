/**
 * Slow clients against a real edge with short timeouts, bounded in connections and seconds: `slowhttptest` (Debian) in three
 * of its modes at once, and, instead of its slow reading, clients that stop reading in the middle of a body, on every
 * protocol.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CertificateFolder, certificateFolder } from '../../edge-server/http/test-certificate.ts';
import { Edge, Origin, placed, within } from '../edge/harness.ts';
import { greedyRequest } from '../fuzz/http2-frames.ts';
import { until } from '../support/until.ts';
import { conformanceBench } from './conformance-edge.ts';

const bench = conformanceBench(['--header-timeout', '2s', '--send-timeout', '2s', '--idle-timeout', '3s']);

const MODES: readonly (readonly [name: string, options: readonly string[]])[] = [
  ['slow headers', ['-H', '-i', '1']],
  ['slow bodies', ['-B', '-i', '30', '-s', '8192']],
  ['many ranges', ['-R', '-a', '10', '-b', '3000']],
];

test.concurrent.each(MODES)(
  '%s: a client of good faith is always served, and every slow connection is closed',
  async (_name, mode) => {
    const folder = await mkdtemp(join(tmpdir(), 'nearcast-slow-'));
    try {
      const args = [
        ...mode,
        '-c',
        '100',
        '-r',
        '100',
        '-l',
        '9',
        '-p',
        '4',
        '-g',
        '-o',
        join(folder, 'out'),
        '-u',
        `http://127.0.0.1:${bench.edge.port}/t/1`,
      ];
      let ended = false;
      const run = new Promise<string>((resolve) =>
        execFile('slowhttptest', args, { timeout: 40_000 }, (_error, out) => resolve(out)),
      ).finally(() => {
        ended = true;
      });
      let served = 0;
      while (!ended) {
        const answer = await bench.edge.ask('/t/1', { deadlineMillis: 10_000 });
        expect(answer.status).toBe(200);
        served++;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const said = await run;
      expect(served).toBeGreaterThan(20);
      // Columns: seconds, closed, pending, connected, service available.
      const rows = (await readFile(join(folder, 'out.csv'), 'utf8'))
        .trim()
        .split('\n')
        .slice(1)
        .map((row) => row.split(','));
      expect(rows.length).toBeGreaterThan(0);
      expect(rows.filter((row) => Number(row[4]) === 0)).toEqual([]);
      expect(said).toContain('No open connections left');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  60_000,
);

/** Bytes that lie in a client's kernel and its own buffers, up to the end of its connection. */
async function whatCame(socket: Socket): Promise<number> {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  if (!socket.destroyed) {
    socket.resume();
    await within(closed, 'the end of the connection', 20_000);
  }
  return bytes;
}

describe('clients that stop reading in the middle of a body', () => {
  /** More than the kernel holds for a connection that nobody reads. */
  const SIZE = 16 << 20;
  const EACH = 10;
  const HOST = 'slow.example.org';
  const origin = new Origin();
  let certificates: CertificateFolder;
  let edge: Edge;
  beforeAll(async () => {
    certificates = certificateFolder();
    const { certificate, key } = certificates.make('slow', [HOST]);
    await origin.start();
    origin.on('/large', { headers: { 'Cache-Control': 'max-age=600' }, body: placed(SIZE) });
    edge = await Edge.start({
      upstreams: [origin.url],
      disk: false,
      // No other deadline could end them meanwhile.
      more: [
        ...['--listen-tls', '127.0.0.1:0', '--tls-cert', certificate, '--tls-key', key, '--memory', '128MiB'],
        ...['--send-timeout', '1s', '--idle-timeout', '10m', '--header-timeout', '10m'],
      ],
    });
  });
  afterAll(async () => {
    await edge?.stop();
    await origin.stop();
    certificates?.remove();
  });

  const openNow = async () =>
    ((await edge.admin('/v1/stat')) as { workers: { connections: number }[] }).workers[0]?.connections;

  async function asked(protocol: string): Promise<Socket> {
    const to = { host: '127.0.0.1', port: protocol === 'HTTP/1.1' ? edge.port : edge.tlsPort };
    const tls = { rejectUnauthorized: false, servername: HOST, ALPNProtocols: protocol === 'HTTP/2' ? ['h2'] : [] };
    const socket: Socket = protocol === 'HTTP/1.1' ? connect(to) : connectTls({ ...to, ...tls });
    socket.on('error', () => {});
    socket.write(
      protocol === 'HTTP/2' ? greedyRequest(HOST, '/large') : `GET /large HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`,
    );
    await within(new Promise((resolve) => socket.once('readable', resolve)), 'a first byte', 20_000);
    return socket;
  }

  test('lose it after the send timeout, on every protocol, and the edge has no connection left', async () => {
    const protocols = ['HTTP/1.1', 'HTTP/1.1 over TLS', 'HTTP/2'].flatMap((one) => new Array<string>(EACH).fill(one));
    const clients = await Promise.all(protocols.map(asked));
    await until('no connection open', 30_000, async () => ((await openNow()) === 0 ? true : undefined));
    for (const [i, bytes] of (await Promise.all(clients.map(whatCame))).entries())
      expect(bytes, protocols[i]).toBeLessThan(SIZE);
    expect((await edge.get('/large', { Host: HOST })).body.length).toBe(SIZE);
  }, 60_000);
});
