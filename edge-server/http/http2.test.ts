import { randomBytes } from 'node:crypto';
import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../runtime/clock.ts';
import type { CertificateFiles } from './certificate-file.ts';
import { type EdgeRequest, type Handler, ResponseHead, type ResponseSink } from './exchange.ts';
import { Fields } from './fields.ts';
import type { HttpLimits } from './limits.ts';
import { createListener, type Listener } from './listener.ts';
import { eventually } from './served.ts';
import { type CertificateFolder, certificateFolder, pairsOf } from './test-certificate.ts';
import { Certificates } from './tls.ts';

let folder: CertificateFolder;
let files: CertificateFiles;
beforeAll(() => {
  folder = certificateFolder();
  files = folder.make('a', ['a.example.org']);
});
afterAll(() => folder.remove());

const listeners: Listener[] = [];
const sessions: ClientHttp2Session[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  for (const listener of listeners.splice(0)) await listener.close();
});

const echo: Handler = async (request, sink) => {
  let body = '';
  if (request.body !== undefined && request.target !== '/unread')
    for await (const chunk of request.body) body += String(chunk);
  const answer = `<${request.method} ${request.authority} ${request.target} ${request.httpVersion} ${body}>`;
  sink.sendWhole(new ResponseHead(200, Fields.of({ 'x-a': '1' }), answer.length), Buffer.from(answer));
};

async function secure(handler: Handler = echo, limits: Partial<HttpLimits> = {}) {
  const clock = new VirtualClock(Date.now());
  const certificates = new Certificates(await pairsOf(files));
  const requests: EdgeRequest[] = [];
  const sinks: ResponseSink[] = [];
  const listener = createListener({
    clock,
    limits,
    handler: (request, sink) => {
      requests.push(request);
      sinks.push(sink);
      handler(request, sink);
    },
  });
  listeners.push(listener);
  const { port } = await listener.listenTls({ host: '127.0.0.1', port: 0 }, certificates);
  const session = connect(`https://127.0.0.1:${port}`, {
    createConnection: () =>
      connectTls({
        port,
        host: '127.0.0.1',
        ALPNProtocols: ['h2'],
        servername: 'a.example.org',
        rejectUnauthorized: false,
      }),
  });
  session.on('error', () => {});
  sessions.push(session);
  return { session, listener, clock, requests, sinks, port };
}

interface Answer {
  status: number | undefined;
  headers: Record<string, unknown>;
  body: Buffer;
  /** NO_ERROR when the stream ended well. */
  code: number;
}

function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders | string[],
  body?: string | Buffer,
): Promise<Answer> {
  const answer: Answer = { status: undefined, headers: {}, body: Buffer.alloc(0), code: 0 };
  return new Promise((resolve) => {
    const stream = session.request(headers as OutgoingHttpHeaders, { endStream: body === undefined });
    const chunks: Buffer[] = [];
    stream.on('response', (response) => {
      answer.status = response[':status'];
      answer.headers = response;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.on('close', () => resolve({ ...answer, body: Buffer.concat(chunks), code: stream.rstCode ?? 0 }));
    if (body !== undefined) stream.end(body);
  });
}

const A = { ':authority': 'a.example.org' };

test('requests on one session are answered, also with bodies, and HEAD has a length but no body', async () => {
  const { session, requests, listener } = await secure();
  const [one, two, head] = await Promise.all([
    ask(session, { ':path': '/a?b', cookie: ['x=1', 'y=2'], ...A }),
    ask(session, { ':path': '/up', ':method': 'POST', ...A }, 'inner'),
    ask(session, { ':path': '/h', ':method': 'HEAD', ...A }),
  ]);
  expect(one).toMatchObject({ status: 200, code: 0, headers: { 'x-a': '1', 'content-length': '27' } });
  expect(String(one.body)).toBe('<GET a.example.org /a?b 2 >');
  expect(String(two.body)).toBe('<POST a.example.org /up 2 inner>');
  expect(head.body.length).toBe(0);
  expect(head.headers['content-length']).toBe('26');
  expect(requests[0]!.fields.get('cookie')).toBe('x=1; y=2');
  expect(requests[0]!.fields.lines('host')).toEqual(['a.example.org']);
  expect(listener.counters).toMatchObject({ requests: 3, http2Requests: 3, accepted: 1 });
});

test('large and repeated bodies are whole', async () => {
  const body = randomBytes(1 << 20);
  const head = new ResponseHead(200, new Fields(), body.length);
  const { session } = await secure((_request, sink) => sink.sendWhole(head, body));
  for (const answer of await Promise.all([ask(session, { ':path': '/', ...A }), ask(session, { ':path': '/', ...A })]))
    expect(answer.body.equals(body)).toBe(true);
});

test('a streamed body is released piece by piece and ends whole; a short one resets its stream alone', async () => {
  let released = 0;
  const wholes: boolean[] = [];
  const { session } = await secure((request, sink) => {
    sink.onClose((whole) => wholes.push(whole));
    sink.start(new ResponseHead(200, new Fields(), request.target === '/short' ? 500_000 : 400_000));
    for (let i = 0; i < 4; i++) sink.write(Buffer.alloc(100_000, String(i)), () => released++);
    sink.end();
  });
  const whole = await ask(session, { ':path': '/whole', ...A });
  expect(whole.body.length).toBe(400_000);
  await eventually(() => released === 4 && wholes.length === 1);
  const short = await ask(session, { ':path': '/short', ...A });
  expect(short.code).toBe(constants.NGHTTP2_INTERNAL_ERROR);
  expect((await ask(session, { ':path': '/whole', ...A })).code).toBe(0);
  await eventually(() => wholes.length === 3);
  expect(wholes).toEqual([true, false, true]);
});

test('a client that goes while a body is on its way gives every buffer back', async () => {
  let out = 0;
  const { session, sinks, listener } = await secure(async (_request, sink) => {
    sink.start(new ResponseHead(200, new Fields(), undefined));
    while (!sink.closed) {
      out++;
      if (!sink.write(Buffer.alloc(200_000), () => out--)) await sink.drained();
    }
  });
  const stream = session.request({ ':path': '/', ...A });
  stream.on('error', () => {});
  stream.pause();
  await eventually(() => (sinks[0]?.bytesWritten ?? 0) > 0);
  session.destroy();
  await eventually(() => sinks[0]!.closed && listener.counters.open === 0);
  await eventually(() => out === 0);
});

describe('refused with 400', () => {
  test.each([
    ['no authority', { ':path': '/', ':authority': '' }],
    ['a malformed authority', { ':path': '/', ':authority': 'a, b' }],
    ['a user in it', { ':path': '/', ':authority': 'u@a' }],
    ['another host', { ':path': '/', ...A, host: 'b.example.org' }],
    ['a fragment', { ':path': '/a#b', ...A }],
    ['a relative path', { ':path': 'a', ...A }],
    ['an absolute path', { ':path': 'https://a.example.org/', ...A }],
    ['a value that begins with a space', { ':path': '/', ...A, 'x-a': ' 1' }],
    ['a value that ends with a tab', { ':path': '/', ...A, 'x-a': '1\t' }],
    ['a bad length', { ':path': '/', ...A, 'content-length': '+5' }],
  ])('%s', async (_name, headers) => {
    const { session, requests, listener } = await secure();
    const answer = await ask(session, headers);
    if (answer.status !== undefined) expect(answer.status).toBe(400);
    else expect(answer.code).toBe(constants.NGHTTP2_PROTOCOL_ERROR);
    expect(requests.length).toBe(0);
    expect(listener.counters.http2Requests).toBe(0);
  });
});

test('a body of another length than announced never ends as a request', async () => {
  const wholeBodies: string[] = [];
  const { session, sinks } = await secure((request) => {
    request.body
      ?.on('error', () => {})
      .on('end', () => wholeBodies.push('end'))
      .resume();
  });
  const answer = await ask(session, { ':path': '/', ':method': 'POST', 'content-length': '3', ...A }, 'longer');
  expect(answer.status).toBeUndefined();
  expect(answer.code).not.toBe(constants.NGHTTP2_NO_ERROR);
  expect(wholeBodies).toEqual([]);
  expect(sinks.every((sink) => sink.bytesWritten === 0)).toBe(true);
});

test('a body that nobody reads does not keep its stream', async () => {
  const { session } = await secure();
  const answer = await ask(session, { ':path': '/unread', ':method': 'POST', ...A }, Buffer.alloc(500_000));
  expect(answer.status).toBe(200);
  expect(String(answer.body)).toBe('<POST a.example.org /unread 2 >');
});

test("an origin's odd status, names and bytes do not throw", async () => {
  const fields = new Fields([
    'x-a',
    'a\r\nb',
    'bad name',
    '1',
    'connection',
    'x',
    'etag',
    '1',
    'etag',
    '2',
    'set-cookie',
    'a',
    'set-cookie',
    'b',
    'transfer-encoding',
    'chunked',
    '__proto__',
    'p',
  ]);
  const { session, listener } = await secure((_request, sink) =>
    sink.sendWhole(new ResponseHead(1000, fields, 2), Buffer.from('ok')),
  );
  const answer = await ask(session, { ':path': '/', ...A });
  expect(answer).toMatchObject({ status: 502, headers: { 'x-a': 'a  b', 'set-cookie': ['a', 'b'] } });
  expect(String(answer.body)).toBe('ok');
  expect(listener.counters.handlerFaults).toBe(0);
});

test('a client that resets too many streams is told to calm down, and the next client is served', async () => {
  const { session, listener, requests, clock } = await secure(() => {});
  const goaway = new Promise<number>((resolve) => session.once('goaway', resolve));
  for (let i = 0; i < 105; i++) {
    const stream = session.request({ ':path': `/${i}`, ...A });
    stream.on('error', () => {});
    await eventually(() => session.destroyed || requests.length > i);
    stream.close(constants.NGHTTP2_CANCEL);
  }
  expect(await goaway).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  // It had time to read that, and is cut whatever it still sends.
  clock.advance(2_000);
  await eventually(() => listener.counters.resetFloods === 1 && listener.counters.open === 0);
});

test('a client that takes nothing loses its stream after the progress time; the session lives', async () => {
  const { session, clock, sinks, listener } = await secure(async (request, sink) => {
    if (request.target !== '/big') return echo(request, sink);
    sink.start(new ResponseHead(200, new Fields(), 1 << 30));
    while (!sink.closed) if (!sink.write(Buffer.alloc(1 << 18))) await sink.drained();
  });
  const stuck = session.request({ ':path': '/big', ...A });
  stuck.on('error', () => {});
  stuck.pause();
  await eventually(() => (sinks[0]?.bytesWritten ?? 0) > 0);
  for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(sinks[0]!.bytesWritten).toBeLessThan(4 << 20);
  clock.advance(30_000);
  expect(listener.counters.noProgress).toBe(0);
  clock.advance(3_000);
  await eventually(() => sinks[0]!.closed);
  expect(listener.counters.noProgress).toBe(1);
  expect((await ask(session, { ':path': '/next', ...A })).status).toBe(200);
});

test('a body that stops coming loses its stream after the progress time, one that nobody reads yet does not', async () => {
  const { session, clock, sinks, requests, listener } = await secure((request) => {
    if (request.target === '/read') request.body!.on('error', () => {}).resume();
  });
  const up = (path: string) => {
    const stream = session.request({ ':path': path, ':method': 'POST', ...A }, { endStream: false });
    stream.on('error', () => {});
    return stream;
  };
  const read = up('/read');
  await eventually(() => requests.length === 1);
  clock.advance(20_000);
  read.write('more');
  await eventually(() => (requests[0]!.body as { receivedBytes?: number }).receivedBytes === 4);
  clock.advance(20_000);
  expect(listener.counters.noProgress).toBe(0);
  up('/later');
  await eventually(() => requests.length === 2);
  clock.advance(32_000);
  await eventually(() => sinks[0]!.closed);
  expect([listener.counters.noProgress, sinks[1]!.closed]).toEqual([1, false]);
});

test('a client that sends much beside requests is told to calm down, at once for PING and by the tick for the rest', async () => {
  const limits = { http2OverheadBytes: 4096, http2OverheadBytesPerSecond: 1024 };
  const goawayOf = (session: ClientHttp2Session) =>
    new Promise<number>((resolve) => session.once('goaway', (code) => resolve(code)));
  const pinged = await secure(echo, limits);
  const calm = goawayOf(pinged.session);
  pinged.session.once('connect', () => {
    const again = () => void (pinged.session.destroyed || pinged.session.ping(again));
    again();
  });
  expect(await calm).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  pinged.clock.advance(2_000);
  await eventually(() => pinged.listener.counters.overheadFloods === 1 && pinged.listener.counters.open === 0);

  const silent = await secure(echo, limits);
  await ask(silent.session, { ':path': '/', ...A });
  const raw = connectTls({ port: silent.port, host: '127.0.0.1', ALPNProtocols: ['h2'], rejectUnauthorized: false });
  const secured = new Promise((resolve) => raw.once('secureConnect', resolve));
  raw.on('error', () => {});
  raw.pause();
  const unknown = [0, 0, 0, 0x42, 0, 0, 0, 0, 0];
  const frames = Array.from({ length: 1000 }, () => unknown).flat();
  raw.write(Buffer.concat([Buffer.from(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0`), Buffer.from(frames)]));
  await eventually(() => silent.listener.counters.open === 2);
  await secured;
  await ask(silent.session, { ':path': '/', ...A });
  await eventually(() => {
    silent.clock.advance(1000);
    return silent.listener.counters.overheadFloods === 1;
  });
  // It takes nothing, not even our GOAWAY.
  silent.clock.advance(4000);
  await eventually(() => silent.listener.counters.open === 1);
  expect((await ask(silent.session, { ':path': '/', ...A })).status).toBe(200);
  raw.destroy();
});

test('an idle session is closed, and draining lets streams finish', async () => {
  const first = await secure();
  await ask(first.session, { ':path': '/', ...A });
  await eventually(() => first.listener.counters.requests === 1);
  const closed = new Promise((resolve) => first.session.once('close', resolve));
  first.clock.advance(67_000);
  await closed;

  const second = await secure(() => {});
  const answer = ask(second.session, { ':path': '/slow', ...A });
  await eventually(() => second.sinks.length === 1);
  const drained = second.listener.drain(10_000);
  second.sinks[0]!.sendWhole(new ResponseHead(200, new Fields(), 4), Buffer.from('done'));
  expect(String((await answer).body)).toBe('done');
  await drained;
  expect(second.listener.counters.open).toBe(0);
});

test('a 103 goes before the answer with every one of its links', async () => {
  const { session } = await secure((_request, sink) => {
    sink.inform(103, new Fields(['link', '</a.css>; rel=preload', 'link', '</b.js>; rel=preload']));
    sink.sendWhole(new ResponseHead(200, new Fields(), 2), Buffer.from('ok'));
  });
  const stream = session.request({ ':path': '/' });
  const hint = new Promise<Record<string, unknown>>((resolve) => stream.once('headers', resolve));
  const answer = new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve));
  stream.resume();
  expect(await hint).toMatchObject({ ':status': 103, link: '</a.css>; rel=preload, </b.js>; rel=preload' });
  expect((await answer)[':status']).toBe(200);
});
