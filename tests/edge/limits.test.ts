/**
 * Every limit of a connection as an option of the real process, met with raw sockets: what is over it is refused or cut,
 * and the next client is served. Times are options of a second here.
 */
import { connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CertificateFolder, certificateFolder } from '../../edge-server/http/test-certificate.ts';
import { Edge, eventually, gate, Origin, placed, rawClient, within } from './harness.ts';

const HEAD = 'Host: limits.example.org\r\n';
const get = (target: string, more = '') => `GET ${target} HTTP/1.1\r\n${HEAD}${more}\r\n`;
const LINE = 1024;
const FIELDS = 2048;

let origin: Origin;
let edge: Edge;
let certificates: CertificateFolder;
beforeAll(async () => {
  certificates = certificateFolder();
  const { certificate, key } = certificates.make('limits', ['limits.example.org']);
  origin = await new Origin().start();
  origin.on('/hit', { headers: { 'Cache-Control': 'max-age=600', ETag: '"v"' }, body: 'here' });
  origin.on('/large', { headers: { 'Cache-Control': 'max-age=600', ETag: '"v"' }, body: placed(16 << 20) });
  origin.on('/held', { hold: gate() });
  const options = {
    'request-line': LINE,
    'header-fields': FIELDS,
    'header-lines': 20,
    'header-timeout': '1s',
    'handshake-timeout': '1s',
    'idle-timeout': '1s',
    'send-timeout': '1s',
    'requests-per-connection': 50,
    'connections-per-client': 20,
    'http2-streams': 5,
    'http2-resets': 10,
    'http2-reset-rate': 1,
  };
  edge = await Edge.start({
    upstreams: [origin.url],
    disk: false,
    more: [
      ...['--listen-tls', '127.0.0.1:0', '--tls-cert', certificate, '--tls-key', key, '--memory', '128MiB'],
      ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ],
  });
  expect((await edge.get('/hit')).text).toBe('here');
}, 60_000);
afterAll(async () => {
  await edge?.stop();
  await origin?.stop();
  certificates?.remove();
});

async function answered(bytes: string): Promise<string> {
  const client = await rawClient(edge.port);
  client.send(bytes);
  return (await within(client.closed(), 'the end of the connection')).text;
}

describe('a request head', () => {
  test('whose line is too long is 414, by either parser', async () => {
    expect(await answered(get(`/${'a'.repeat(LINE)}`))).toMatch(/^HTTP\/1\.1 414 /);
    expect(await answered(`POST /${'a'.repeat(LINE)} HTTP/1.1\r\n${HEAD}Content-Length: 0\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 414 /,
    );
  });

  test('with too many bytes or lines of fields is 431, and a flood of lines that never ends too', async () => {
    expect(await answered(get('/hit', `X-A: ${'a'.repeat(FIELDS)}\r\n`))).toMatch(/^HTTP\/1\.1 431 /);
    expect(await answered(get('/hit', 'X-A: a\r\n'.repeat(20)))).toMatch(/^HTTP\/1\.1 431 /);
    expect(await answered(`GET /hit HTTP/1.1\r\n${HEAD}${'X: y\r\n'.repeat(10_000)}`)).toMatch(/^HTTP\/1\.1 431 /);
  });
});

describe('a connection, in time,', () => {
  test.concurrent('whose head comes too slowly is 408, and one whose head never begins is closed', async () => {
    const slow = rawClient(edge.port).then(async (client) => {
      client.send('GET /hit HTTP/1.1\r\nHost: lim');
      return within(client.closed(), 'the refusal');
    });
    const silent = rawClient(edge.port).then((client) => within(client.closed(), 'the close'));
    expect((await slow).text).toMatch(/^HTTP\/1\.1 408 /);
    expect((await silent).text).toBe('');
  });

  test.concurrent('that is idle, or does not finish its handshake, is closed', async () => {
    const idle = await rawClient(edge.port);
    idle.send(get('/hit'));
    const handshake = await rawClient(edge.tlsPort);
    expect((await within(idle.closed(), 'the idle connection closing')).text).toMatch(/here$/);
    await within(handshake.closed(), 'the unfinished handshake closing');
  });

  test.concurrent('whose client takes nothing is cut', async () => {
    await edge.get('/large');
    const socket: Socket = connectTcp({ port: edge.port, host: '127.0.0.1' });
    socket.on('error', () => {});
    socket.pause();
    socket.write(get('/large'));
    const connections = async () =>
      ((await edge.admin('/v1/stat')) as { workers: { connections: number }[] }).workers[0]?.connections;
    await eventually(async () => (await connections()) === 0, 'the edge giving it up', 15_000);
    socket.destroy();
  }, 30_000);
});

describe('a connection', () => {
  test('has so many requests, also when they come in one piece', async () => {
    const text = await answered(get('/hit').repeat(2000));
    expect(text.split('HTTP/1.1 200').length - 1).toBe(50);
    expect(text.match(/connection: close/gi)?.length).toBe(1);
  });

  test('beyond those that one address may have is reset, and there is room again when one ends', async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => rawClient(edge.port)));
    for (const client of clients) client.send('GET /hit HTTP/1.1\r\n');
    const over = await rawClient(edge.port);
    expect((await within(over.closed(), 'the refusal')).how).toBe('reset');
    for (const client of clients) client.destroy();
    const again = async () => {
      while ((await edge.get('/hit').catch(() => undefined))?.status !== 200);
    };
    await within(again(), 'an answer');
  });
});

test('a flood of ranges is answered with the whole, not with thousands of parts', async () => {
  const many = Array.from({ length: 200 }, (_, i) => `${i}-`).join(',');
  const answer = await edge.get('/hit', { Range: `bytes=${many}` });
  expect([answer.status, answer.text]).toEqual([200, 'here']);
});

describe('an HTTP/2 client', () => {
  const session = () => {
    const one = connectHttp2(`https://127.0.0.1:${edge.tlsPort}`, {
      rejectUnauthorized: false,
      servername: 'limits.example.org',
    });
    one.on('error', () => {});
    return one;
  };

  test('is told how many streams it may have', async () => {
    const one = session();
    const settings = await within(
      new Promise<{ maxConcurrentStreams?: number }>((resolve) => one.once('remoteSettings', resolve)),
      'its settings',
    );
    expect(settings.maxConcurrentStreams).toBe(5);
    one.destroy();
  });

  test('that resets stream after stream is told to calm down, and others are served', async () => {
    const one = session();
    const goaway = new Promise<number>((resolve) => one.once('goaway', resolve));
    const closed = new Promise<void>((resolve) => one.once('close', () => resolve()));
    await within(new Promise<void>((resolve) => one.once('connect', () => resolve())), 'the connection');
    const flood = async () => {
      for (let i = 0; i < 100 && !one.destroyed && !one.closed; i++) {
        const stream = one.request({ ':path': '/held', ':authority': 'limits.example.org' });
        stream.on('error', () => {});
        // Its answer says that the edge has seen the stream, which is not held back for one that is reset at once.
        await new Promise<void>((resolve) => one.ping(() => resolve()));
        stream.close(constants.NGHTTP2_CANCEL);
      }
    };
    void flood().catch(() => {});
    expect(await within(goaway, 'GOAWAY')).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    await within(closed, 'the end of the session');
    expect((await edge.get('/hit')).status).toBe(200);
  });
});
