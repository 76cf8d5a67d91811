import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type Handler, ResponseHead } from './exchange.ts';
import { Fields } from './fields.ts';
import { closeServed, eventually, serve } from './served.ts';

afterEach(closeServed);

const H = 'Host: example.org\r\n';
const POST = `POST /up HTTP/1.1\r\n${H}`;

/** Answers with what it was given; reads a body to its end first, unless the target says not to. */
const mirror: Handler = async (request, sink) => {
  let body = '';
  if (request.body !== undefined && !request.target.startsWith('/unread'))
    for await (const chunk of request.body) body += String(chunk);
  const answer = `<${request.method} ${request.authority} ${request.target} ${request.httpVersion} ${body}>`;
  sink.sendWhole(new ResponseHead(200, new Fields(), answer.length), Buffer.from(answer));
};

describe('HTTP/1.0', () => {
  test('gets no chunks: a body of unknown length ends with the connection', async () => {
    const { connect } = await serve((_request, sink) => {
      sink.start(new ResponseHead(200, new Fields(), undefined));
      sink.write(Buffer.from('one '));
      sink.write(Buffer.from('two'));
      sink.end();
    });
    const client = await connect();
    client.send(`GET / HTTP/1.0\r\n${H}Connection: keep-alive\r\n\r\n`);
    const { how, text } = await client.closed();
    expect(how).toBe('end');
    expect(text.toLowerCase()).not.toContain('transfer-encoding');
    expect(text.endsWith('\r\n\r\none two')).toBe(true);
  });

  test('is answered after the client has ended its side, also late', async () => {
    const { connect, sinks } = await serve(() => {});
    const client = await connect();
    client.send(`GET /late HTTP/1.0\r\n${H}\r\n`);
    client.halfClose();
    await eventually(() => sinks.length === 1);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    sinks[0]!.sendWhole(new ResponseHead(200, new Fields(), 4), Buffer.from('late'));
    const { how, text } = await client.closed();
    expect(how).toBe('end');
    expect(text).toMatch(/^HTTP\/1.1 200 OK[\s\S]*late$/);
  });

  test('is kept only when it asks, and has no 100', async () => {
    const { connect } = await serve(mirror);
    const keeps = await connect();
    keeps.send(`GET /a HTTP/1.0\r\n${H}Connection: keep-alive\r\n\r\n`);
    await keeps.until((all) => all.includes('/a 1.0 >'));
    keeps.send(`POST /b HTTP/1.0\r\n${H}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi`);
    const { text } = await keeps.closed();
    expect(text).toContain('<POST example.org /b 1.0 hi>');
    expect(text).not.toContain('HTTP/1.1 100');
  });
});

describe('bodies', () => {
  test('with a length and in chunks reach the handler, one request after the other', async () => {
    const { connect, listener } = await serve(mirror);
    const client = await connect();
    client.send(
      `${POST}Content-Length: 5\r\n\r\nhello${POST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`,
    );
    const all = await client.until((now) => now.includes('abcde>'));
    expect(all.indexOf('hello>')).toBeLessThan(all.indexOf('abcde>'));
    expect(listener.counters.handedOver).toBe(1);
    client.send(`GET /fat HTTP/1.1\r\n${H}Content-Length: 3\r\nConnection: close\r\n\r\nfat`);
    expect((await client.closed()).text).toContain('<GET example.org /fat 1.1 fat>');
  });

  test('that the handler leaves unread end the connection, and what follows is not executed', async () => {
    const { connect, requests } = await serve(mirror);
    const client = await connect();
    const hidden = `GET /hidden HTTP/1.1\r\n${H}\r\n`;
    client.send(`POST /unread HTTP/1.1\r\n${H}Content-Length: ${hidden.length + 1}\r\n\r\n${hidden}`);
    const { text } = await client.closed();
    expect(text).toMatch(/connection: close[\s\S]*<POST example.org \/unread 1.1 >$/i);
    client.send(`x${hidden}`);
    expect(requests.length).toBe(1);
  });

  test('a big one that is refused does not lose its answer to a reset', async () => {
    const { connect } = await serve((_request, sink) =>
      sink.sendWhole(new ResponseHead(405, new Fields(), 2), Buffer.from('no')),
    );
    const client = await connect();
    client.send(`${POST}Content-Length: 5000000\r\n\r\n`);
    client.send(Buffer.alloc(2_000_000));
    const { how, text } = await client.closed();
    expect(how).toBe('end');
    expect(text).toMatch(/^HTTP\/1.1 405 [\s\S]*\r\n\r\nno$/);
  });
});

describe('a client that ends its side before its last request is handed over', () => {
  test.each([
    ['reading through onread', true],
    ['reading by data events', false],
  ])('is answered, and the connection closes (%s)', async (_name, moveHandles) => {
    const { connect, sinks } = await serve(
      (request, sink) => {
        if (request.target !== '/first') void mirror(request, sink);
      },
      {},
      moveHandles,
    );
    const client = await connect();
    client.send(`GET /first HTTP/1.1\r\n${H}\r\n${POST}Content-Length: 3\r\n\r\nabc`);
    client.halfClose();
    await eventually(() => sinks.length === 1);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    sinks[0]!.sendWhole(new ResponseHead(200, new Fields(), 5), Buffer.from('first'));
    const { how, text } = await client.closed();
    expect(how).toBe('end');
    expect(text).toMatch(/first[\s\S]*<POST example.org \/up 1.1 abc>$/);
  });
});

test('a pipelined request waits for the answer before it, and one that fails is cut after it', async () => {
  const { connect, sinks } = await serve(() => {});
  const client = await connect();
  client.send(`${POST}Content-Length: 1\r\n\r\n1GET /second HTTP/1.1\r\n${H}\r\n`);
  await eventually(() => sinks.length === 1);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(sinks.length).toBe(1);
  sinks[0]!.sendWhole(new ResponseHead(200, new Fields(), 5), Buffer.from('first'));
  await eventually(() => sinks.length === 2);
  await client.until((all) => all.endsWith('first'));
  sinks[1]!.abort('upstream failed');
  const { how, text } = await client.closed();
  expect(how).toBe('reset');
  expect(text.split('HTTP/1.1').length).toBe(2);
});

test.each([
  ['head', 'GET / HTTP/1.1\r\nX : 1\r\n\r\n'],
  ['body', `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
])(
  'a malformed %s is refused after the answers that are due before it, also to a client that has ended',
  async (_what, bad) => {
    const { connect, sinks } = await serve(() => {});
    const client = await connect();
    client.send(`POST /1 HTTP/1.1\r\n${H}Content-Length: 1\r\n\r\n1GET /2 HTTP/1.1\r\n${H}\r\n${bad}`);
    client.halfClose();
    for (const n of [1, 2]) {
      await eventually(() => sinks.length === n);
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      sinks[n - 1]!.sendWhole(new ResponseHead(200, new Fields(), 5), Buffer.from(`good${n}`));
    }
    const { text } = await client.closed();
    expect(text).toMatch(/^HTTP\/1.1 200 [\s\S]*good1HTTP\/1.1 200 [\s\S]*good2HTTP\/1.1 400 /);
    expect(sinks.length).toBe(2);
  },
);

test('more pipelined requests than may wait are left to another connection', async () => {
  const { connect, sinks } = await serve(() => {});
  const client = await connect();
  client.send(`${POST}Content-Length: 1\r\n\r\n1${`GET / HTTP/1.1\r\n${H}\r\n`.repeat(500)}`);
  for (let n = 1; n <= 65; n++) {
    await eventually(() => sinks.length === n);
    for (let turn = 0; n === 1 && turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    sinks[n - 1]!.sendWhole(new ResponseHead(200, new Fields(), 1), Buffer.from('x'));
  }
  const { text } = await client.closed();
  expect(text.split('HTTP/1.1 200').length).toBe(66);
  expect(text.match(/connection: close/gi)?.length).toBe(1);
  expect(sinks.length).toBe(65);
});

test.each([
  ['by our parser', `HEAD /#f HTTP/1.1\r\n${H}\r\n`],
  ['by our parser, for its fields', `HEAD / HTTP/1.1\r\n\r\n`],
])('a HEAD that is refused %s gets no body', async (_by, request) => {
  const { connect } = await serve(mirror);
  const client = await connect();
  client.send(request);
  const { how, text } = await client.closed();
  expect(how).toBe('end');
  expect(text).toMatch(/HTTP\/1.1 400 [\s\S]*\r\n\r\n$/);
});

test.each([
  ["by node's parser", `HEAD / HTTP/1.1\r\nX: \0\r\n\r\n`],
  ["after node's parser", `HEAD /#f HTTP/1.1\r\n${H}\r\n`],
])('a HEAD that is refused %s gets no body', async (_by, request) => {
  const { connect } = await serve(mirror);
  const client = await connect();
  client.send(`${POST}Content-Length: 1\r\n\r\n1`);
  await client.until((all) => all.includes('/up 1.1 1>'));
  client.send(request);
  expect((await client.closed()).text).toMatch(/HTTP\/1.1 400 [\s\S]*\r\n\r\n$/);
});

test.each([600, 999, 99, 0])('a status that no response may have (%i) is sent as 502', async (status) => {
  const { connect } = await serve((_request, sink) =>
    sink.sendWhole(new ResponseHead(status, new Fields(), 0), undefined),
  );
  const client = await connect();
  client.send(`GET / HTTP/1.1\r\n${H}Connection: close\r\n\r\n${''}`);
  expect((await client.closed()).text).toMatch(/^HTTP\/1.1 502 /);
});

test('a client that ends in the middle of its body ends the connection, and the handler hears of it', async () => {
  const failed = Promise.withResolvers<void>();
  const over = Promise.withResolvers<boolean>();
  const { connect, listener } = await serve((request, sink) => {
    sink.onClose(over.resolve);
    request.body?.on('error', () => failed.resolve()).resume();
  });
  const client = await connect();
  client.send(`${POST}Content-Length: 100\r\n\r\nhalf`);
  client.halfClose();
  await failed.promise;
  expect(await over.promise).toBe(false);
  await client.closed();
  await eventually(() => listener.counters.open === 0);
});

describe('Expect', () => {
  test('100-continue is answered once the body is read, then comes the final answer', async () => {
    const { connect } = await serve(mirror);
    const client = await connect();
    client.send(`${POST}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
    await client.until((all) => all === 'HTTP/1.1 100 Continue\r\n\r\n');
    client.send('body');
    await client.until((all) => all.endsWith('/up 1.1 body>'));
  });

  test('100-continue whose body nobody wants gets the final answer alone, then the end', async () => {
    const { connect } = await serve(mirror);
    const client = await connect();
    client.send(`POST /unread HTTP/1.1\r\n${H}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
    const { text } = await client.closed();
    expect(text.startsWith('HTTP/1.1 200 OK\r\n')).toBe(true);
    expect(text).toMatch(/connection: close/i);
  });

  test('of anything else is 417', async () => {
    const { connect, requests } = await serve(mirror);
    const client = await connect();
    client.send(`${POST}Expect: foo\r\nContent-Length: 4\r\n\r\nbody`);
    expect((await client.closed()).text).toMatch(/^HTTP\/1.1 417 /);
    expect(requests.length).toBe(0);
  });
});

test('an upgrade of a request with a body is not taken up: it is answered as it is, and the connection ends', async () => {
  const { connect } = await serve(mirror);
  const client = await connect();
  client.send(`POST /ws HTTP/1.1\r\n${H}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi`);
  client.send(`GET /next HTTP/1.1\r\n${H}\r\n`);
  const { text } = await client.closed();
  expect(text).toMatch(/connection: close[\s\S]*<POST example.org \/ws 1.1 hi>$/i);
});

/** What our own parser would refuse must be refused here too: same status, connection closed, nothing behind it executed. */
test.each([
  ['length and chunks', `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
  ['chunks and length', `${POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n`, 400],
  ['two lengths', `${POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`, 400],
  ['a signed length', `${POST}Content-Length: +5\r\n\r\nhello`, 400],
  ['a length list', `${POST}Content-Length: 5,5\r\n\r\nhello`, 400],
  ['an octal length', `${POST}Content-Length: 010\r\n\r\nhelloworld`, 400],
  ['an empty length', `${POST}Content-Length:\r\n\r\n`, 400],
  ['gzip, chunked', `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, 400],
  ['chunked, gzip', `${POST}Transfer-Encoding: chunked, gzip\r\n\r\n`, 400],
  ['chunked twice', `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['identity', `${POST}Transfer-Encoding: identity\r\n\r\n`, 400],
  ['chunks on 1.0', `POST / HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['1.0 without a length', `POST / HTTP/1.0\r\n${H}\r\n`, 400],
  ['no host', 'POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n', 400],
  ['two hosts', `POST / HTTP/1.1\r\n${H}${H}\r\n`, 400],
  ['a host list', 'POST / HTTP/1.1\r\nHost: a, b\r\n\r\n', 400],
  ['a user in the host', 'POST / HTTP/1.1\r\nHost: a@b\r\n\r\n', 400],
  ['a fragment', `POST /a#b HTTP/1.1\r\n${H}\r\n`, 400],
  ['space before the colon', `${POST}X : 1\r\n\r\n`, 400],
  ['obs-fold', `${POST}X: 1\r\n y\r\n\r\n`, 400],
  ['a bare LF', `POST / HTTP/1.1\n${H}\n`, 400],
  ['a NUL', `${POST}X: a\0b\r\n\r\n`, 400],
  ['CONNECT', `CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n`, 405],
  ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['a long target', `POST /${'a'.repeat(8200)} HTTP/1.1\r\n${H}\r\n`, 414],
  ['large fields', `${POST}X: ${'a'.repeat(16_400)}\r\n\r\n`, 431],
  ['many fields', `${POST}${'X: 1\r\n'.repeat(100)}\r\n`, 431],
  ['a very large head', `${POST}X: ${'a'.repeat(60_000)}\r\n\r\n`, 431],
  ['a bad chunk', `${POST}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`, 400],
])('%s is refused', async (_name, text, status) => {
  const { connect, requests, listener } = await serve((request, sink) => {
    request.body?.on('error', () => {}).resume();
    if (request.body === undefined) sink.sendWhole(new ResponseHead(200, new Fields(), 0), undefined);
  });
  const client = await connect();
  client.send(Buffer.from(`${text}GET /never HTTP/1.1\r\n${H}\r\n`, 'latin1'));
  const closed = await client.closed();
  expect(closed.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(requests.filter((request) => request.target === '/never')).toEqual([]);
  await eventually(() => listener.counters.open === 0);
});

test('a refusal behind an answer that is due does not overtake it', async () => {
  const { connect, sinks } = await serve(() => {});
  const client = await connect();
  client.send(`GET /slow HTTP/1.0\r\n${H}Connection: keep-alive\r\n\r\nBAD\x01\r\n\r\n`);
  await eventually(() => sinks.length === 1);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  sinks[0]!.sendWhole(new ResponseHead(200, new Fields(), 4), Buffer.from('late'));
  const { text } = await client.closed();
  expect(text).toMatch(/^HTTP\/1.1 200 OK[\s\S]*late/);
});

describe('a sink behind node:http', () => {
  test("survives an origin's odd status, names and bytes", async () => {
    const fields = new Fields([
      'x-a',
      'a\r\nb',
      'bad name',
      '1',
      'x-c',
      'caf\xe9\u1234',
      '__proto__',
      'p',
      'transfer-encoding',
      'chunked',
      'set-cookie',
      'a',
      'set-cookie',
      'b',
    ]);
    const { connect } = await serve((_request, sink) =>
      sink.sendWhole(new ResponseHead(1000, fields, 2), Buffer.from('ok')),
    );
    const client = await connect();
    client.send(`GET / HTTP/1.0\r\n${H}\r\n`);
    const { text } = await client.closed();
    expect(text).toMatch(
      /^HTTP\/1.1 502 Bad Gateway\r\nx-a: a {2}b\r\nx-c: caf\xe9\r\n__proto__: p\r\nset-cookie: a\r\nset-cookie: b\r\n/,
    );
    expect(text.toLowerCase()).not.toContain('chunked');
    expect(text.toLowerCase()).not.toContain('\r\ndate:');
    expect(text.endsWith('\r\n\r\nok')).toBe(true);
  });

  test('gives every buffer back when the client goes', async () => {
    let out = 0;
    const { connect, sinks } = await serve((_request, sink) => {
      sink.start(new ResponseHead(200, new Fields(), undefined));
      for (let i = 0; i < 5; i++) {
        out++;
        sink.write(Buffer.alloc(4 << 20), () => out--);
      }
    });
    const client = await connect();
    client.socket.pause();
    const keep = 'Connection: keep-alive\r\n';
    client.send(`GET /first HTTP/1.0\r\n${H}${keep}\r\nGET /second HTTP/1.0\r\n${H}${keep}\r\n`);
    await eventually(() => sinks.length === 1);
    expect(out).toBeGreaterThan(1);
    client.socket.resetAndDestroy();
    await eventually(() => out === 0 && sinks.every((sink) => sink.closed));
  });

  test('cuts a body that ends short', async () => {
    const ended = Promise.withResolvers<boolean>();
    const { connect } = await serve((_request, sink) => {
      sink.onClose(ended.resolve);
      sink.start(new ResponseHead(200, new Fields(), 10));
      sink.write(Buffer.from('short'));
      sink.end();
    });
    const client = await connect();
    client.send(`GET / HTTP/1.0\r\n${H}\r\n`);
    expect((await client.closed()).how).toBe('reset');
    expect(await ended.promise).toBe(false);
  });

  test('answers HEAD and 304 without a body', async () => {
    const { connect } = await serve((request, sink) =>
      sink.sendWhole(new ResponseHead(Number(request.target.slice(1)), new Fields(), 4), Buffer.from('four')),
    );
    const client = await connect();
    client.send(`HEAD /200 HTTP/1.0\r\n${H}Connection: keep-alive\r\n\r\nGET /304 HTTP/1.0\r\n${H}\r\n`);
    const { text } = await client.closed();
    expect(text).toContain('content-length: 4');
    expect(text).not.toContain('four');
  });
});

test('a Unix-domain socket is served with another handler, kept, and closed with the listener', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nearcast-http-'));
  try {
    const socketPath = join(folder, 'relay.sock');
    const { listener, clock } = await serve(() => {});
    await listener.listenPath(socketPath, mirror);
    const ask = () =>
      new Promise<string>((resolve, reject) => {
        const asked = httpRequest(
          { socketPath, path: '/relayed', method: 'POST', headers: { host: 'example.org' } },
          (answer) => {
            let text = '';
            answer.on('data', (chunk) => {
              text += String(chunk);
            });
            answer.on('end', () => resolve(text));
          },
        );
        asked.on('error', reject);
        asked.end('inner');
      });
    expect(await ask()).toBe('<POST example.org /relayed 1.1 inner>');
    clock.advance(5_000);
    expect(await ask()).toBe('<POST example.org /relayed 1.1 inner>');
    await listener.close();
    await expect(ask()).rejects.toThrow();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
