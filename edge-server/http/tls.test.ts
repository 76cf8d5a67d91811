import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../runtime/clock.ts';
import { type CertificateFiles, readCertificate } from './certificate-file.ts';
import { type Handler, ResponseHead } from './exchange.ts';
import { Fields } from './fields.ts';
import { createListener, type Listener } from './listener.ts';
import { type RawClient, wrap } from './raw-client.ts';
import { eventually } from './served.ts';
import { type CertificateFolder, certificateFolder, pairsOf } from './test-certificate.ts';
import { Certificates } from './tls.ts';

const H = 'Host: a.example.org\r\n';
const get = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\n${H}${fields}\r\n`;
const echo: Handler = (request, sink) => {
  const body = `<${request.scheme} ${request.target}>`;
  sink.sendWhole(new ResponseHead(200, new Fields(), body.length), Buffer.from(body));
};

let folder: CertificateFolder;
let a: CertificateFiles;
let b: CertificateFiles;
beforeAll(() => {
  folder = certificateFolder();
  a = folder.make('a', ['a.example.org']);
  b = folder.make('b', ['b.example.org', '*.wild.example.org']);
});
afterAll(() => folder.remove());

const open: Listener[] = [];
const sockets: TLSSocket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const listener of open.splice(0)) await listener.close();
});

async function secure(files: readonly CertificateFiles[], handler: Handler = echo, ticketKeys?: Buffer) {
  const clock = new VirtualClock(Date.now());
  const certificates = new Certificates(await pairsOf(...files), ticketKeys);
  const listener = createListener({ clock, handler });
  open.push(listener);
  const { port } = await listener.listenTls({ host: '127.0.0.1', port: 0 }, certificates);
  return { listener, port, clock, certificates };
}

async function tlsClient(
  port: number,
  options: ConnectionOptions = {},
): Promise<{ client: RawClient; socket: TLSSocket }> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    servername: 'a.example.org',
    ...options,
  });
  sockets.push(socket);
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  return { client: wrap(socket), socket };
}

test('HTTP/1.1 over TLS: kept, pipelined, closed when asked', async () => {
  const { port } = await secure([a]);
  const { client, socket } = await tlsClient(port, { ALPNProtocols: ['http/1.1'] });
  expect(socket.alpnProtocol).toBe('http/1.1');
  client.send(get('/1') + get('/2'));
  await client.until((all) => all.includes('<https /2>'));
  client.send(get('/3', 'Connection: close\r\n'));
  const { how, text } = await client.closed();
  expect(how).toBe('end');
  expect(text.match(/<https \/\d>/g)).toEqual(['<https /1>', '<https /2>', '<https /3>']);
});

test('a body of 1 MiB in one piece arrives whole, and the handler hears of its end', async () => {
  const body = randomBytes(1 << 20);
  const head = new ResponseHead(200, new Fields(), body.length);
  const wholes: boolean[] = [];
  const { port } = await secure([a], (_request, sink) => {
    sink.onClose((whole) => wholes.push(whole));
    sink.sendWhole(head, body);
  });
  const { client } = await tlsClient(port);
  client.send(get('/') + get('/', 'Connection: close\r\n'));
  await client.closed();
  const bytes = client.bytes();
  const first = bytes.indexOf('\r\n\r\n') + 4;
  expect(bytes.subarray(first, first + body.length).equals(body)).toBe(true);
  expect(bytes.subarray(-body.length).equals(body)).toBe(true);
  expect(wholes).toEqual([true, true]);
});

test('a request with a body goes through the hand-over on TLS too', async () => {
  const body = randomBytes(200_000).toString('hex');
  const { port, listener } = await secure([a], async (request, sink) => {
    let read = '';
    if (request.body !== undefined) for await (const chunk of request.body) read += String(chunk);
    const answer = read === body ? 'same' : `other ${read.length}`;
    sink.sendWhole(new ResponseHead(200, new Fields(), answer.length), Buffer.from(answer));
  });
  const { client } = await tlsClient(port);
  client.send(`POST / HTTP/1.1\r\n${H}Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  expect((await client.closed()).text).toMatch(/\r\n\r\nsame$/);
  await eventually(() => listener.counters.open === 0);
});

test('a body cut short is not ended as if whole', async () => {
  const { port } = await secure([a], (_request, sink) => {
    sink.start(new ResponseHead(200, new Fields(), undefined));
    sink.write(Buffer.from('part'));
    setImmediate(() => sink.abort('upstream died'));
  });
  const { client } = await tlsClient(port);
  client.send(get('/'));
  expect((await client.closed()).text.endsWith('0\r\n\r\n')).toBe(false);
});

test('a slow reader holds no more than a piece or two of a body', async () => {
  const chunk = Buffer.alloc(1 << 20);
  let outstanding = 0;
  const { port, clock, listener } = await secure([a], async (_request, sink) => {
    sink.start(new ResponseHead(200, new Fields(), 400 * chunk.length));
    for (let i = 0; i < 400 && !sink.closed; i++) {
      outstanding++;
      if (!sink.write(chunk, () => outstanding--)) await sink.drained();
    }
  });
  const { client, socket } = await tlsClient(port);
  socket.pause();
  client.send(get('/'));
  await eventually(() => outstanding > 0);
  for (let turn = 0; turn < 500; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(outstanding).toBeLessThanOrEqual(2);
  clock.advance(33_000);
  expect(listener.counters.noProgress).toBe(1);
  await eventually(() => outstanding === 0);
});

describe('certificates', () => {
  const subject = (socket: TLSSocket) => socket.getPeerCertificate().subject.CN;

  test.each([
    ['a.example.org', 'a.example.org'],
    ['B.example.org', 'b.example.org'],
    ['x.wild.example.org', 'b.example.org'],
    ['x.y.wild.example.org', 'a.example.org'],
    ['unknown.example.org', 'a.example.org'],
    ['', 'a.example.org'],
    ['a'.repeat(200), 'a.example.org'],
    ['__proto__', 'a.example.org'],
  ])('for server name %j is that of %s', async (servername, expected) => {
    const { port } = await secure([a, b]);
    const { socket } = await tlsClient(port, { servername });
    expect(subject(socket)).toBe(expected);
  });

  test('are replaced without a restart, for named and unnamed clients', async () => {
    const files = folder.make('c', ['first.example.org']);
    const { port, listener, certificates } = await secure([files]);
    const now = async () => subject((await tlsClient(port, { servername: 'c.example.org' })).socket);
    const unnamed = async () => subject((await tlsClient(port, { servername: '' })).socket);
    expect(await now()).toBe('first.example.org');
    folder.make('c', ['second.example.org']);
    certificates.replace(await pairsOf(files));
    listener.renewTls();
    expect([await now(), await unnamed()]).toEqual(['second.example.org', 'second.example.org']);
  });

  test('may be shown for other names than their own', async () => {
    const { port } = await secure([a, { ...b, hosts: ['Other.example.org'] }]);
    expect(subject((await tlsClient(port, { servername: 'other.example.org' })).socket)).toBe('b.example.org');
    expect(subject((await tlsClient(port, { servername: 'b.example.org' })).socket)).toBe('a.example.org');
  });

  test('that cannot be used are refused with the reason', async () => {
    const good = folder.make('d', ['d.example.org']);
    const garbage = { ...good, certificate: `${good.key}.garbage` };
    writeFileSync(garbage.certificate, 'garbage');
    const now = Date.now();
    const refusal = (files: CertificateFiles, at = now) => readCertificate(files, at);
    expect(await refusal({ ...good, key: a.key })).toMatchObject({ ok: false, reason: 'key-does-not-fit' });
    expect(await refusal({ ...good, key: good.certificate })).toMatchObject({ ok: false, reason: 'key-does-not-fit' });
    expect(await refusal({ ...good, certificate: '/nowhere' })).toMatchObject({ ok: false, reason: 'unreadable' });
    expect(await refusal(garbage)).toMatchObject({ ok: false, reason: 'not-a-certificate' });
    expect(await refusal(good, now + 10 * 86_400_000)).toMatchObject({ ok: false, reason: 'expired' });
  });
});

test('after a rotation old tickets begin with a full handshake, and new ones are resumed', async () => {
  const { port, certificates, listener } = await secure([a, b], echo, randomBytes(48));
  const named = { servername: 'b.example.org' };
  const ticketOf = async () => {
    const { socket, client } = await tlsClient(port, named);
    const session = new Promise<Buffer>((resolve) => socket.once('session', resolve));
    client.send(get('/'));
    return session;
  };
  const resumes = async (session: Buffer) => (await tlsClient(port, { ...named, session })).socket.isSessionReused();
  const first = await ticketOf();
  expect(await resumes(first)).toBe(true);
  certificates.rotateTicketKeys(randomBytes(48));
  listener.renewTls();
  expect(await resumes(first)).toBe(false);
  expect(await resumes(await ticketOf())).toBe(true);
});

test('a session begun at one worker is resumed at another that has the same ticket keys', async () => {
  const keys = randomBytes(48);
  const [one, two, other] = [
    await secure([a], echo, keys),
    await secure([a], echo, keys),
    await secure([a], echo, randomBytes(48)),
  ];
  const { socket, client } = await tlsClient(one.port);
  const session = new Promise<Buffer>((resolve) => socket.once('session', resolve));
  client.send(get('/'));
  const ticket = await session;
  expect((await tlsClient(two.port, { session: ticket })).socket.isSessionReused()).toBe(true);
  expect((await tlsClient(other.port, { session: ticket })).socket.isSessionReused()).toBe(false);
});

test('TLS 1.1, CBC suites and unknown protocols are refused; the process goes on', async () => {
  const { port, listener } = await secure([a]);
  await expect(
    tlsClient(port, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
  ).rejects.toThrow();
  await expect(tlsClient(port, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' })).rejects.toThrow();
  await expect(tlsClient(port, { ALPNProtocols: ['spdy/3'] })).rejects.toThrow();
  const plain = connectTcp(port, '127.0.0.1');
  const client = wrap(plain);
  client.send(get('/'));
  await client.closed();
  expect(listener.counters.tlsFailures).toBeGreaterThanOrEqual(3);
  const good = await tlsClient(port, { maxVersion: 'TLSv1.2' });
  good.client.send(get('/ok'));
  await good.client.until((all) => all.includes('/ok'));
  await eventually(() => listener.counters.open === 1);
});

test('a handshake that never ends does not hold up closing', async () => {
  const { port, listener } = await secure([a]);
  const plain = connectTcp(port, '127.0.0.1');
  const client = wrap(plain);
  await eventually(() => listener.counters.open === 1);
  await listener.close();
  await client.closed();
});
