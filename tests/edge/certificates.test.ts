/** Certificates of a real edge: by server name, read again when their files change, tickets over workers and rotations. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CertificateFolder, certificateFolder } from '../../edge-server/http/test-certificate.ts';
import { Configured, configurationFolder } from './configured.ts';
import { Origin, within } from './harness.ts';

const origin = new Origin();
let made: CertificateFolder;
let configured: Configured;
let folder: string;

/** Puts the pair called `source` in the place of the one called `target`, both files. */
function replace(source: string, target: string): void {
  for (const kind of ['crt', 'key']) copyFileSync(made.path(source, kind), join(folder, `${target}.${kind}`));
}

function configuration() {
  const files = (name: string) => ({ certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) });
  return {
    upstream: origin.url,
    tls: [files('first'), { ...files('second'), hosts: ['extra.example.org'] }],
    services: [{ name: 'own', hosts: ['*'], tls: [files('third')] }],
  };
}

beforeAll(async () => {
  await origin.start();
  origin.on('/', { headers: { 'Cache-Control': 'max-age=60' }, body: 'x' });
  made = certificateFolder();
  for (const [name, dns] of [
    ['first', 'first.example.org'],
    ['second', 'second.example.org'],
    ['third', '*.third.example.org'],
    ['renewed', 'renewed.example.org'],
  ] as const)
    made.make(name, [dns]);
  folder = await configurationFolder();
  for (const name of ['first', 'second', 'third']) replace(name, name);
  configured = await Configured.start(
    configuration(),
    { workers: 2, disk: false, more: ['--listen-tls', '127.0.0.1:0', '--ticket-rotation', '3s'] },
    folder,
  );
});
afterAll(async () => {
  await configured?.stop();
  await origin.stop();
  made?.remove();
});

async function client(servername: string, session?: Buffer): Promise<TLSSocket> {
  const port = configured.edge.tlsPort;
  const socket = connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    servername,
    ...(session && { session }),
  });
  await within(
    new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject)),
    'a handshake',
  );
  return socket;
}

async function subject(servername: string): Promise<string> {
  const socket = await client(servername);
  const name = String(socket.getPeerCertificate().subject.CN);
  socket.destroy();
  return name;
}

test('each server name gets its certificate: its own names, or the hosts that the configuration gives it', async () => {
  expect(await Promise.all(['first.example.org', 'extra.example.org', 'a.third.example.org'].map(subject))).toEqual([
    'first.example.org',
    'second.example.org',
    '*.third.example.org',
  ]);
  expect(
    await Promise.all(['second.example.org', 'a.b.third.example.org', 'unknown.example.org'].map(subject)),
  ).toEqual(Array(3).fill('first.example.org'));
});

test('a new pair is in service soon after its files changed; a half-written one leaves the old in service and is told', async () => {
  const failed = () => configured.edge.metric('nearcast_edge_certificates_failed');
  const inService = async () =>
    new Set(await Promise.all(Array.from({ length: 6 }, () => subject('first.example.org'))));
  copyFileSync(made.path('renewed', 'crt'), join(folder, 'first.crt'));
  await expect.poll(failed, { timeout: 10_000 }).toBe(1);
  expect(await inService()).toEqual(new Set(['first.example.org']));
  expect(configured.edge.output()).toContain('key-does-not-fit');

  const [victim] = await configured.edge.workers();
  process.kill(victim!, 'SIGKILL');
  await expect.poll(() => configured.edge.admin('/readyz'), { timeout: 20_000 }).toMatchObject({ status: 'ready' });
  await expect.poll(() => configured.edge.workers().then((workers) => workers.includes(victim!))).toBe(false);
  expect(await inService()).toEqual(new Set(['first.example.org']));

  copyFileSync(made.path('renewed', 'key'), join(folder, 'first.key'));
  await expect.poll(inService, { timeout: 10_000 }).toEqual(new Set(['renewed.example.org']));
  expect(await failed()).toBe(0);
  writeFileSync(join(folder, 'first.crt'), 'garbage');
  await expect.poll(failed, { timeout: 10_000 }).toBe(1);
  await configured.edge.reload();
  expect([await failed(), await configured.edge.metric('nearcast_edge_config_good')]).toEqual([1, 1]);
  expect(await inService()).toEqual(new Set(['renewed.example.org']));
  const expiry = await configured.edge.metric('nearcast_edge_certificate_expiry_timestamp_seconds');
  expect(expiry! * 1000 - Date.now()).toBeGreaterThan(86_400_000);
});

test('a connection lives on while its certificate is replaced', async () => {
  const socket = await client('extra.example.org');
  const loads = () => configured.edge.metric('nearcast_edge_certificate_loads_total{outcome="loaded"}');
  const before = await loads();
  replace('renewed', 'second');
  await expect.poll(loads, { timeout: 10_000 }).toBe(before! + 1);
  const answer = new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(chunk.toString())));
  socket.write('GET / HTTP/1.1\r\nHost: extra.example.org\r\n\r\n');
  expect(await within(answer, 'an answer')).toMatch(/^HTTP\/1\.1 200/);
  socket.destroy();
});

test('sessions are resumed at every worker, until the ticket keys are replaced', async () => {
  const ticket = async () => {
    const socket = await client('a.third.example.org');
    const session = new Promise<Buffer>((resolve) => socket.once('session', resolve));
    socket.write('GET / HTTP/1.1\r\nHost: a.third.example.org\r\n\r\n');
    const got = await within(session, 'a ticket');
    socket.destroy();
    return got;
  };
  const resumed = async (session: Buffer) => {
    const socket = await client('a.third.example.org', session);
    const reused = socket.isSessionReused();
    socket.destroy();
    return reused;
  };
  const rotations = async () => (await configured.edge.metric('nearcast_edge_ticket_rotations_total'))!;
  const now = await rotations();
  await expect.poll(rotations, { timeout: 10_000 }).toBeGreaterThan(now);
  const session = await ticket();
  expect(await Promise.all(Array.from({ length: 8 }, () => resumed(session)))).toEqual(Array(8).fill(true));
  const then = await rotations();
  await expect.poll(rotations, { timeout: 10_000 }).toBeGreaterThan(then);
  await expect.poll(() => resumed(session), { timeout: 5_000 }).toBe(false);
  expect(await resumed(await ticket())).toBe(true);
});

describe('an odd server name costs its handshake alone', () => {
  test.each([
    ['empty', ''],
    ['an IP address', '127.0.0.1'],
    ['with a NUL', 'a\0b.example.org'],
    ['64 KB', 'a'.repeat(16_000)],
    ['300 bytes', `${'a'.repeat(300)}.example.org`],
    ['no ASCII', 'ä.example.org'],
    ['of a prototype', '__proto__'],
    ['dots alone', '...'],
    ['a star', '*'],
  ])('%s', async (_, name) => {
    const [pid] = await configured.edge.workers();
    const socket = connectTcp(configured.edge.tlsPort, '127.0.0.1');
    socket.on('error', () => {});
    const heard = new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
    socket.write(clientHello(Buffer.from(name)));
    await within(heard, 'an alert, a hello or the end');
    socket.destroy();
    expect(await subject('extra.example.org')).toBe('renewed.example.org');
    expect((await configured.edge.workers())[0]).toBe(pid);
  });
});

/** A TLS 1.2 ClientHello with exactly these bytes as host_name (RFC 8446 §4.1.2, RFC 6066 §3). */
function clientHello(name: Buffer): Buffer {
  const sized = (bytes: Buffer, width: 1 | 2 | 3) => {
    const length = Buffer.alloc(width);
    length.writeUIntBE(bytes.length, 0, width);
    return Buffer.concat([length, bytes]);
  };
  const extension = (type: number, body: Buffer) =>
    Buffer.concat([Buffer.from([type >> 8, type & 255]), sized(body, 2)]);
  const extensions = Buffer.concat([
    extension(0, sized(Buffer.concat([Buffer.from([0]), sized(name, 2)]), 2)),
    extension(10, sized(Buffer.from([0, 23, 0, 24]), 2)),
    extension(13, sized(Buffer.from([4, 3, 8, 4, 4, 1]), 2)),
  ]);
  const hello = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    Buffer.from([0]),
    sized(Buffer.from([0xc0, 0x2b, 0xc0, 0x2f]), 2),
    Buffer.from([1, 0]),
    sized(extensions, 2),
  ]);
  return Buffer.concat([Buffer.from([22, 3, 1]), sized(Buffer.concat([Buffer.from([1]), sized(hello, 3)]), 2)]);
}
