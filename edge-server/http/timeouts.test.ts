/** Deadlines and limits of connections, under a clock that the test moves: nothing here waits for time. */
import { afterEach, describe, expect, test } from 'vitest';
import { type Handler, ResponseHead } from './exchange.ts';
import { Fields } from './fields.ts';
import { addressGroup, clientAddress } from './roster.ts';
import { closeServed, eventually, serve } from './served.ts';

afterEach(closeServed);

const H = 'Host: example.org\r\n';
const get = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\n${H}${fields}\r\n`;
const echo: Handler = (request, sink) => {
  const body = `<${request.target}>`;
  sink.sendWhole(new ResponseHead(200, new Fields(), body.length), Buffer.from(body));
};

describe.each([
  ['our own connection', 'HTTP/1.1', ''],
  ['a handed-over connection', 'HTTP/1.0', 'Connection: keep-alive\r\n'],
])('%s', (_name, version, keep) => {
  const request = (target: string) => `GET ${target} ${version}\r\n${H}${keep}\r\n`;

  test('that sends half a head is told 408 after the header time and not before', async () => {
    const { connect, clock, listener } = await serve(echo);
    const client = await connect();
    client.send(request('/a'));
    await client.until((all) => all.endsWith('</a>'));
    client.send(`GET /b ${version}\r\nHost: exam`);
    // Both sides have seen the bytes once an answer on another connection, asked for later, has come.
    const other = await connect();
    other.send(get('/other'));
    await other.until((all) => all.includes('</other>'));
    clock.advance(1_000);
    clock.advance(9_000);
    client.send('ple.org\r\n');
    expect(listener.counters.headerTimeouts).toBe(0);
    clock.advance(2_000);
    const { text } = await client.closed();
    expect(text).toContain('HTTP/1.1 408 Request Timeout\r\n');
    expect(listener.counters.headerTimeouts).toBe(1);
  });

  test('that is idle is closed after the idle time without a word', async () => {
    const { connect, clock, listener } = await serve(echo);
    const client = await connect();
    client.send(request('/a'));
    const before = await client.until((all) => all.endsWith('</a>'));
    await eventually(() => listener.counters.requests === 1);
    clock.advance(64_000);
    expect(listener.counters.idleTimeouts).toBe(0);
    clock.advance(3_000);
    expect(await client.closed()).toEqual({ how: 'end', text: before });
    expect(listener.counters.idleTimeouts).toBe(1);
  });

  test('whose client takes nothing for the progress time is cut, and the handler is told', async () => {
    const { connect, clock, sinks, listener } = await serve(async (_request, sink) => {
      sink.start(new ResponseHead(200, new Fields(), 1 << 30));
      while (!sink.closed) if (!sink.write(Buffer.alloc(1 << 20))) await sink.drained();
    });
    const client = await connect();
    client.socket.pause();
    client.send(request('/big'));
    await eventually(() => (sinks[0]?.bytesWritten ?? 0) > 0);
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(30_000);
    expect(listener.counters.noProgress).toBe(0);
    clock.advance(3_000);
    expect(listener.counters.noProgress).toBe(1);
    await eventually(() => sinks[0]!.closed);
  });

  test('whose client reads slowly but steadily is left alone', async () => {
    const { connect, clock, sinks, listener } = await serve(async (_request, sink) => {
      sink.start(new ResponseHead(200, new Fields(), 1 << 30));
      while (!sink.closed) if (!sink.write(Buffer.alloc(1 << 20))) await sink.drained();
    });
    const client = await connect();
    client.socket.pause();
    client.send(request('/big'));
    await eventually(() => (sinks[0]?.bytesWritten ?? 0) > 0);
    for (let step = 0; step < 10; step++) {
      const before = client.socket.bytesRead;
      client.socket.resume();
      await eventually(() => client.socket.bytesRead > before + (3 << 20));
      client.socket.pause();
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      clock.advance(20_000);
    }
    expect(listener.counters.noProgress).toBe(0);
    expect(sinks[0]!.closed).toBe(false);
  });
});

test('a connection that never asks is closed after the header time', async () => {
  const { connect, clock, listener } = await serve(echo);
  const client = await connect();
  await eventually(() => listener.counters.open === 1);
  clock.advance(12_000);
  expect((await client.closed()).text).toBe('');
  expect(listener.counters.headerTimeouts).toBe(1);
  await eventually(() => listener.counters.open === 0);
});

test('a handler that takes long is not a reason to close', async () => {
  const { connect, clock, sinks } = await serve(() => {});
  const client = await connect();
  client.send(get('/slow'));
  await eventually(() => sinks.length === 1);
  clock.advance(120_000);
  sinks[0]!.sendWhole(new ResponseHead(200, new Fields(), 2), Buffer.from('ok'));
  await client.until((all) => all.endsWith('ok'));
});

test('a client that goes on sending after our close is cut after the lingering time', async () => {
  const { connect, clock, listener } = await serve(echo);
  const client = await connect();
  client.socket.removeAllListeners('end');
  client.send('BAD\0\r\n');
  await client.until((all) => all.includes('400 Bad Request'));
  client.send('more and more');
  clock.advance(4_000);
  await eventually(() => listener.counters.open === 0);
});

test('a body that stops coming while it is read ends the connection', async () => {
  const { connect, clock, listener, requests } = await serve((request) => void request.body?.resume());
  const client = await connect();
  client.send(`POST /up HTTP/1.1\r\n${H}Content-Length: 100\r\n\r\nhalf`);
  await eventually(() => requests.length === 1);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(34_000);
  await client.closed();
  expect(listener.counters.noProgress).toBe(1);
});

test('the last request that a connection may make is answered with Connection: close', async () => {
  const { connect } = await serve(echo, { requestsPerConnection: 3 });
  const client = await connect();
  client.send(get('/a').repeat(5));
  const { text } = await client.closed();
  expect(text.split('</a>').length - 1).toBe(3);
  expect(text.split('connection: close').length - 1).toBe(1);
});

test('one address has so many connections at most, and gets them back when it closes some', async () => {
  const { connect, listener } = await serve(echo, { connectionsPerAddress: 2 });
  const one = await connect();
  await connect();
  await connect().then(
    (third) => third.closed(),
    () => 'reset before the connection was known',
  );
  expect(listener.counters.tooManyFromAddress).toBe(1);
  one.destroy();
  await eventually(() => listener.counters.open === 1);
  const fourth = await connect();
  fourth.send(get('/a'));
  await fourth.until((all) => all.endsWith('</a>'));
});

test('a handed-over connection counts once and is given back once', async () => {
  const { connect, listener } = await serve(echo, { connectionsPerWorker: 1 });
  for (let i = 0; i < 3; i++) {
    const client = await connect();
    client.send(`GET /old HTTP/1.0\r\n${H}\r\n`);
    expect((await client.closed()).text).toContain('</old>');
    await eventually(() => listener.counters.open === 0);
  }
  expect(listener.counters).toMatchObject({ accepted: 3, handedOver: 3, tooMany: 0 });
});

describe('draining', () => {
  test('finishes what runs with Connection: close, closes idle connections, serves what was accepted, accepts no more', async () => {
    const { connect, sinks, listener, port } = await serve((request, sink) => {
      if (request.target !== '/slow') echo(request, sink);
    });
    const [busy, idle, fresh] = [await connect(), await connect(), await connect()];
    busy.send(get('/slow'));
    idle.send(get('/a'));
    await idle.until((all) => all.includes('</a>'));
    await eventually(() => sinks.length === 2 && listener.counters.open === 3);
    const drained = listener.drain(10_000);
    expect((await idle.closed()).how).toBe('end');
    fresh.send(get('/last'));
    expect((await fresh.closed()).text).toMatch(/connection: close[\s\S]*<\/last>$/);
    sinks[0]!.sendWhole(new ResponseHead(200, new Fields(), 4), Buffer.from('done'));
    const { how, text } = await busy.closed();
    expect(how).toBe('end');
    expect(text).toMatch(/connection: close\r\n\r\ndone$/);
    await drained;
    expect(listener.counters.open).toBe(0);
    const { rawClient } = await import('./raw-client.ts');
    await expect(rawClient(port)).rejects.toThrow('ECONNREFUSED');
  });

  test('cuts what has not finished at its deadline', async () => {
    const { connect, sinks, listener, clock } = await serve(() => {});
    const client = await connect();
    client.send(get('/never'));
    await eventually(() => sinks.length === 1);
    const drained = listener.drain(5_000);
    clock.advance(5_000);
    await drained;
    await client.closed();
    expect(sinks[0]!.closed).toBe(true);
  });
});

test.each([
  ['127.0.0.1', '127.0.0.1', '127.0.0.1'],
  ['::ffff:192.0.2.7', '192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:0db8:0:0002::9', '2001:0db8:0:0002::9', '2001:db8:0:2::/64'],
  ['::1', '::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80::1%eth0', 'fe80:0:0:0::/64'],
])('%s is client %s and counts for %s', (remote, address, group) => {
  expect(clientAddress(remote)).toBe(address);
  expect(addressGroup(address)).toBe(group);
});
