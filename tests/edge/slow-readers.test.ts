/**
 * What clients that never read may cost: buffers, and nothing that grows with the body. Over every protocol, from every
 * place that a body comes from. And what clients cost that only keep their connections.
 */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { holdIdle } from '../../bench/idle-clients.ts';
import { type CertificateFolder, certificateFolder } from '../../edge-server/http/test-certificate.ts';
import { greedyRequest } from '../fuzz/http2-frames.ts';
import { Edge, Origin, type Reply, within } from './harness.ts';

const MiB = 1 << 20;
const SIZE = 200 * MiB;
const CLIENTS = 20;
/** For twenty clients: a slice or two each, what TLS copies, and a heap that is collected now and then. */
const MOST_GROWTH = 128 * MiB;

const PIECE = Buffer.alloc(MiB, 'slow');

/** 200 MB at the speed of the connection, without holding it; as it does ranges, whole slices. */
const large: Reply = (seen, response) => {
  const range = /^bytes=(\d+)-(\d+)$/.exec(String(seen.headers.range ?? ''));
  const [from, to] = range === null ? [0, SIZE - 1] : [Number(range[1]), Number(range[2])];
  const fields: Record<string, string> = {
    'Cache-Control': 'max-age=600',
    ETag: '"v"',
    'Content-Length': String(to - from + 1),
  };
  if (range !== null) fields['Content-Range'] = `bytes ${from}-${to}/${SIZE}`;
  response.writeHead(range === null ? 200 : 206, fields);
  let left = to - from + 1;
  const more = () => {
    while (left > 0) {
      const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE;
      left -= piece.length;
      if (!response.write(piece)) return void response.once('drain', more);
    }
    response.end();
  };
  more();
  return undefined;
};

type Protocol = 'HTTP/1.1' | 'HTTP/1.1 over TLS' | 'HTTP/2';

const HOST = 'slow.example.org';

async function connected(edge: Edge, protocol: Protocol): Promise<Socket> {
  const to = { host: '127.0.0.1', port: protocol === 'HTTP/1.1' ? edge.port : edge.tlsPort };
  const tls = {
    rejectUnauthorized: false,
    servername: HOST,
    ALPNProtocols: [protocol === 'HTTP/2' ? 'h2' : 'http/1.1'],
  };
  const socket: Socket = protocol === 'HTTP/1.1' ? connect(to) : connectTls({ ...to, ...tls });
  socket.on('error', () => {});
  const event = protocol === 'HTTP/1.1' ? 'connect' : 'secureConnect';
  await within(new Promise((resolve) => socket.once(event, resolve)), 'a connection');
  return socket;
}

/** Asks and never reads; resolves when the first bytes lie in its kernel. */
async function silent(edge: Edge, path: string, protocol: Protocol): Promise<Socket> {
  const socket = await connected(edge, protocol);
  socket.write(protocol === 'HTTP/2' ? greedyRequest(HOST, path) : `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  await within(new Promise((resolve) => socket.once('readable', resolve)), 'a first byte', 60_000);
  return socket;
}

/** Reads all of it, so that the edge holds it. */
async function fetched(edge: Edge, path: string, protocol: Protocol): Promise<number> {
  const socket = await connected(edge, protocol);
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
  await within(new Promise((resolve) => socket.once('close', resolve)), `all of ${path}`, 50_000);
  return bytes;
}

/** Resident bytes once they stand still. */
async function settled(edge: Edge): Promise<number> {
  let last = await edge.residentBytes();
  for (let i = 0; i < 20; i++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    const now = await edge.residentBytes();
    if (now - last < MiB) return now;
    last = now;
  }
  return last;
}

describe('clients that never read a body of 200 MB', () => {
  const origin = new Origin();
  let certificates: CertificateFolder;
  const edges = new Map<string, Edge>();
  beforeAll(async () => {
    certificates = certificateFolder();
    const { certificate, key } = certificates.make('slow', ['slow.example.org']);
    await origin.start();
    const tls = ['--listen-tls', '127.0.0.1:0', '--tls-cert', certificate, '--tls-key', key];
    const [disk, memory] = await Promise.all([
      Edge.start({ upstreams: [origin.url], more: [...tls, '--memory', '32MiB', '--disk', '2GiB'] }),
      Edge.start({ upstreams: [origin.url], disk: false, more: [...tls, '--memory', '512MiB'] }),
    ]);
    edges.set('disk', disk).set('memory', memory);
    for (const [from, edge] of edges) {
      origin.on(`/held-${from}`, large);
      // Scheme and host are in the key: one representation for cleartext, one for TLS.
      for (const protocol of ['HTTP/1.1', 'HTTP/1.1 over TLS'] as const)
        expect(await fetched(edge, `/held-${from}`, protocol)).toBeGreaterThan(SIZE);
    }
  });
  afterAll(async () => {
    for (const edge of edges.values()) await edge.stop();
    await origin.stop();
    certificates.remove();
  });

  for (const protocol of ['HTTP/1.1', 'HTTP/1.1 over TLS', 'HTTP/2'] as const)
    for (const from of ['a miss', 'disk', 'memory'] as const)
      test(`cost buffers only: ${protocol}, from ${from}`, async () => {
        const edge = edges.get(from === 'memory' ? 'memory' : 'disk')!;
        const path = from === 'a miss' ? `/miss-${protocol.replaceAll(/\W/g, '')}` : `/held-${from}`;
        if (from === 'a miss') origin.on(path, large);
        const before = await settled(edge);
        const asked = origin.hits(path);
        const clients = await Promise.all(Array.from({ length: CLIENTS }, () => silent(edge, path, protocol)));
        const after = await settled(edge);
        for (const client of clients) client.destroy();
        expect((after - before) / MiB).toBeLessThan(MOST_GROWTH / MiB);
        if (from !== 'a miss') expect(origin.hits(path)).toBe(asked);
      }, 120_000);
});

describe('clients that only keep their connections', () => {
  const origin = new Origin();
  let edge: Edge;
  let certificates: CertificateFolder;
  beforeAll(async () => {
    certificates = certificateFolder();
    const { certificate, key } = certificates.make('idle', ['idle.example.org']);
    await origin.start();
    origin.on('/idle', { headers: { 'Cache-Control': 'max-age=600' }, body: 'x'.repeat(1000) });
    edge = await Edge.start({
      upstreams: [origin.url],
      disk: false,
      more: ['--listen-tls', '127.0.0.1:0', '--tls-cert', certificate, '--tls-key', key],
    });
  });
  afterAll(async () => {
    await edge.stop();
    await origin.stop();
    certificates.remove();
  });

  // Two thousand of them say less than ten thousand: the heap's own steps are a part. `npm run bench -- idle` measures.
  test.each([
    ['over cleartext', false, 20],
    ['over TLS', true, 64],
  ])(
    'cost little memory each (%s)',
    async (_how, tls, mostKiB) => {
      const via = { port: tls ? edge.tlsPort : edge.port, tls, target: '/idle' };
      await (await holdIdle({ ...via, count: 500 })).close();
      const before = await settled(edge);
      const clients = await holdIdle({ ...via, count: 2000 });
      const after = await settled(edge);
      await clients.close();
      expect((after - before) / clients.count / 1024).toBeLessThan(mostKiB);
    },
    120_000,
  );
});
