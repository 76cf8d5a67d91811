import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { type EdgeRequest, type Handler, ResponseHead } from './exchange.ts';
import { Fields } from './fields.ts';
import { closeServed, eventually, serve } from './served.ts';

const H = 'Host: example.org\r\n';
const get = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\n${H}${fields}\r\n`;

afterEach(closeServed);

const text = (status: number, body: string) => new ResponseHead(status, Fields.of({ 'x-a': '1' }), body.length);
const echo: Handler = (request, sink) => {
  const body = `<${request.target}>`;
  sink.sendWhole(text(200, body), Buffer.from(body));
};
const count = (haystack: string, needle: string) => haystack.split(needle).length - 1;

describe.each([
  ['reading through onread', true],
  ['reading by data events', false],
])('%s', (_name, moveHandles) => {
  test('a hit is answered with its head, its fields and its body, and the connection is kept', async () => {
    const { connect } = await serve(echo, {}, moveHandles);
    const client = await connect();
    client.send(get('/a'));
    const first = await client.until((all) => all.endsWith('</a>'));
    expect(first).toBe('HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 4\r\n\r\n</a>');
    client.send(get('/b', 'Connection: close\r\n'));
    const { how, text: all } = await client.closed();
    expect(how).toBe('end');
    expect(all.slice(first.length)).toBe(
      'HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 4\r\nconnection: close\r\n\r\n</b>',
    );
  });

  test('a client that half-closes after its requests gets every answer', async () => {
    const { connect, sinks } = await serve(
      (request, sink) => {
        if (request.target !== '/slow') echo(request, sink);
      },
      {},
      moveHandles,
    );
    const client = await connect();
    client.send(get('/slow') + get('/after'));
    client.halfClose();
    await eventually(() => sinks.length === 1);
    sinks[0]!.sendWhole(text(200, 'late'), Buffer.from('late'));
    const { how, text: all } = await client.closed();
    expect(how).toBe('end');
    expect(all.indexOf('late')).toBeLessThan(all.indexOf('</after>'));
    expect(count(all, 'HTTP/1.1 200')).toBe(2);
  });

  test('a body of 200 KB arrives whole through the hand-over, and the connection goes on', async () => {
    const body = Buffer.alloc(200_000);
    for (let i = 0; i < body.length; i++) body[i] = (i * 7919) >> 3;
    const { connect, listener } = await serve(
      async (request, sink) => {
        if (request.body === undefined) return echo(request, sink);
        const hash = createHash('sha256');
        for await (const chunk of request.body) hash.update(chunk as Buffer);
        const answer = hash.digest('hex');
        sink.sendWhole(text(200, answer), Buffer.from(answer));
      },
      {},
      moveHandles,
    );
    const client = await connect();
    client.send(get('/first'));
    await client.until((all) => all.includes('</first>'));
    client.send(`POST /up HTTP/1.1\r\n${H}Content-Length: ${body.length}\r\n\r\n`);
    client.send(body);
    await client.until((all) => all.includes(createHash('sha256').update(body).digest('hex')));
    client.send(get('/next', 'Connection: close\r\n'));
    const { text: all } = await client.closed();
    expect(count(all, 'HTTP/1.1 200 OK')).toBe(3);
    expect(all).toContain('</next>');
    expect(listener.counters.handedOver).toBe(1);
  });
});

test('pipelined requests are answered in order, also when the first answer is late', async () => {
  const { connect, sinks, requests } = await serve((request, sink) => {
    if (request.target !== '/slow') echo(request, sink);
  });
  const client = await connect();
  client.send(get('/slow') + get('/1') + get('/2'));
  await eventually(() => sinks.length === 1);
  client.send(get('/3'));
  sinks[0]!.start(new ResponseHead(200, new Fields(), undefined));
  sinks[0]!.write(Buffer.from('slow'));
  sinks[0]!.end();
  const all = await client.until((now) => now.includes('</3>'));
  expect(requests.map((request) => request.target)).toEqual(['/slow', '/1', '/2', '/3']);
  const places = ['slow', '</1>', '</2>', '</3>'].map((word) => all.indexOf(word));
  expect(places).toEqual([...places].sort((a, b) => a - b));
});

test('the same head again gives the handler the same request, another head another one', async () => {
  const { connect, requests } = await serve(echo);
  const client = await connect();
  client.send(get('/a') + get('/a') + get('/b') + get('/a', 'X: 1\r\n'));
  await client.until((all) => count(all, 'HTTP/1.1') === 4);
  expect(requests[1]!.headIdentity).toBe(requests[0]!.headIdentity);
  expect(requests[2]!.headIdentity).not.toBe(requests[0]!.headIdentity);
  expect(requests[3]!.headIdentity).not.toBe(requests[2]!.headIdentity);
  expect(requests[3]!.fields.get('x')).toBe('1');
});

test('however the bytes of several requests are split, the answers are the same', async () => {
  const { connect } = await serve(echo);
  const all = `${get('/a')}${get('/a')}HEAD /h HTTP/1.1\r\n${H}\r\n${get('/last', 'Connection: close\r\n')}`;
  const whole = await connect();
  whole.send(all);
  const expected = (await whole.closed()).text;
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 1, max: all.length - 1 }), { maxLength: 6 }), async (cuts) => {
      const client = await connect();
      let from = 0;
      for (const cut of [...cuts.sort((a, b) => a - b), all.length]) {
        await new Promise<void>((resolve) => client.socket.write(all.slice(from, cut), () => setImmediate(resolve)));
        from = cut;
      }
      expect((await client.closed()).text).toBe(expected);
    }),
    { numRuns: 40 },
  );
});

test('after a refused request nothing that follows is executed, and the connection ends', async () => {
  const { connect, requests, listener } = await serve(echo);
  const client = await connect();
  client.send(`${get('/good')}GET /bad HTTP/1.1\r\n${H}X : 1\r\n\r\n${get('/never')}`);
  const { how, text: all } = await client.closed();
  expect(how).toBe('end');
  expect(requests.map((request) => request.target)).toEqual(['/good']);
  expect(all).toContain('</good>HTTP/1.1 400 Bad Request\r\n');
  expect(all).toContain('details="space-before-colon"');
  expect(all).toContain('connection: close');
  client.send(get('/never'));
  expect(listener.counters.refused).toBe(1);
});

test('a refusal behind a late answer comes after it', async () => {
  const { connect, sinks } = await serve(() => {});
  const client = await connect();
  client.send(`${get('/slow')}BAD\r\n\r\n`);
  await eventually(() => sinks.length === 1);
  echo({ target: '/slow' } as EdgeRequest, sinks[0]!);
  const { text: all } = await client.closed();
  expect(all).toMatch(/^HTTP\/1.1 200 OK[\s\S]*<\/slow>HTTP\/1.1 400 /);
});

test("an origin's odd reason, names and bytes cannot split the response", async () => {
  const fields = new Fields([
    'x-a',
    'a\r\nx-evil: 1',
    'bad name',
    '1',
    'x-b',
    '\0\x7fcaf\xe9\u1234',
    'connection',
    'x',
    'content-length',
    '99',
  ]);
  const { connect } = await serve((_request, sink) =>
    sink.sendWhole(new ResponseHead(1000, fields, 2), Buffer.from('ok')),
  );
  const client = await connect();
  client.send(get('/', 'Connection: close\r\n'));
  expect((await client.closed()).text).toBe(
    'HTTP/1.1 502 Bad Gateway\r\nx-a: a  x-evil: 1\r\nx-b: caf\xe9\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok',
  );
});

test('an early hint goes before the response', async () => {
  const { connect } = await serve((request, sink) => {
    sink.inform(103, Fields.of({ link: '</a>; rel=preload' }));
    echo(request, sink);
  });
  const client = await connect();
  client.send(get('/', 'Connection: close\r\n'));
  expect((await client.closed()).text).toMatch(
    /^HTTP\/1.1 103 Early Hints\r\nlink: <\/a>; rel=preload\r\n\r\nHTTP\/1.1 200 OK/,
  );
});

test('a handler that throws costs its connection, not the process', async () => {
  const { connect, listener } = await serve((request, sink) => {
    if (request.target === '/boom') throw new Error('boom');
    echo(request, sink);
  });
  const client = await connect();
  client.send(get('/boom'));
  await client.closed();
  const next = await connect();
  next.send(get('/fine'));
  await next.until((all) => all.includes('</fine>'));
  expect(listener.counters.handlerFaults).toBe(1);
});

test('requests that nobody waits for are not read without end', async () => {
  const { connect, sinks } = await serve(() => {});
  const client = await connect();
  const flood = Buffer.from(get('/x', `Filler: ${'f'.repeat(1000)}\r\n`).repeat(1000));
  for (let i = 0; i < 64; i++) client.send(flood);
  await eventually(() => sinks.length === 1);
  for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(client.socket.writableLength).toBeGreaterThan(flood.length);
  expect(sinks.length).toBe(1);
});

test('answers that a client does not read stop its further requests from being answered', async () => {
  const body = Buffer.alloc(16_000, 'b');
  const head = new ResponseHead(200, new Fields(), body.length);
  const { connect, requests } = await serve((_request, sink) => sink.sendWhole(head, body), {
    requestsPerConnection: 0,
  });
  const client = await connect();
  client.socket.pause();
  const flood = Buffer.from(get('/x').repeat(500));
  for (let i = 0; i < 8; i++) client.send(flood);
  let before = -1;
  while (before !== requests.length || before <= 0) {
    before = requests.length;
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(before).toBeLessThan(2_000);
  let received = 0;
  client.socket.removeAllListeners('data');
  client.socket.on('data', (bytes: Buffer) => {
    received += bytes.length;
  });
  client.socket.resume();
  await eventually(() => requests.length === 4_000 && received >= 4_000 * body.length);
});
