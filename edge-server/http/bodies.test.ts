/** Bodies on our own connection: framing, lengths, back-pressure, and what happens when they can't be completed. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { ResponseHead } from './exchange.ts';
import { Fields } from './fields.ts';
import { dechunk } from './raw-client.ts';
import { closeServed, eventually, serve } from './served.ts';

const H = 'Host: example.org\r\n';
const get = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\n${H}${fields}\r\n`;

afterEach(closeServed);

describe('bodies', () => {
  test('of unknown length are chunked, exactly', async () => {
    const { connect, sinks } = await serve(() => {});
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), async (pieces) => {
        const client = await connect();
        const before = sinks.length;
        client.send(get('/', 'Connection: close\r\n'));
        await eventually(() => sinks.length > before);
        const sink = sinks.at(-1)!;
        sink.start(new ResponseHead(200, new Fields(), undefined));
        for (const piece of pieces) sink.write(Buffer.from(piece));
        sink.end();
        await client.closed();
        const bytes = client.bytes();
        const bodyAt = bytes.indexOf('\r\n\r\n') + 4;
        expect(bytes.toString('latin1', 0, bodyAt)).toContain('transfer-encoding: chunked\r\n');
        const { body, rest } = dechunk(bytes.subarray(bodyAt));
        expect(body.equals(Buffer.concat(pieces))).toBe(true);
        expect(rest.length).toBe(0);
        expect(sink.bytesWritten).toBe(body.length);
      }),
      { numRuns: 30 },
    );
  });

  test.each([0, 1, 1024, 16_384, 16_385, 65_536, 1_048_576])('of %i bytes are whole, twice', async (size) => {
    const body = Buffer.alloc(size, 'abcdefg');
    const head = new ResponseHead(200, new Fields(), size);
    const { connect } = await serve((_request, sink) => sink.sendWhole(head, body));
    const client = await connect();
    client.send(get('/') + get('/', 'Connection: close\r\n'));
    await client.closed();
    const bytes = client.bytes();
    const first = bytes.indexOf('\r\n\r\n') + 4;
    const second = bytes.indexOf('\r\n\r\n', first + size) + 4;
    expect(bytes.subarray(first, first + size).equals(body)).toBe(true);
    expect(bytes.subarray(second).equals(body)).toBe(true);
  });

  test('HEAD, 204 and 304 have none, also when the handler gives one', async () => {
    const body = Buffer.from('four');
    const heads = new Map([200, 204, 304].map((status) => [status, new ResponseHead(status, new Fields(), 4)]));
    const { connect } = await serve((request, sink) => {
      const head = heads.get(Number(request.target.slice(1)))!;
      if (request.fields.has('stream')) {
        sink.start(head);
        sink.write(body);
        sink.end();
      } else sink.sendWhole(head, body);
    });
    const client = await connect();
    const stream = 'Stream: 1\r\n';
    client.send(get('/200'));
    client.send(`HEAD /200 HTTP/1.1\r\n${H}\r\nHEAD /200 HTTP/1.1\r\n${H}${stream}\r\n`);
    client.send(
      get('/204') + get('/204', stream) + get('/304') + get('/200', stream) + get('/200', 'Connection: close\r\n'),
    );
    const { text: all } = await client.closed();
    const full = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n';
    expect(all).toBe(
      `${full}four${full}${full}HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n` +
        `HTTP/1.1 304 Not Modified\r\n\r\n${full}fourHTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfour`,
    );
  });

  test('that end short of their length are cut, never ended as if whole', async () => {
    const { connect, sinks } = await serve(() => {});
    const client = await connect();
    client.send(get('/'));
    await eventually(() => sinks.length === 1);
    const ended = Promise.withResolvers<boolean>();
    sinks[0]!.onClose(ended.resolve);
    sinks[0]!.start(new ResponseHead(200, new Fields(), 10));
    sinks[0]!.write(Buffer.from('short'));
    sinks[0]!.end();
    expect(await ended.promise).toBe(false);
    expect((await client.closed()).how).toBe('reset');
    expect(sinks[0]!.closed).toBe(true);
  });

  test('that are aborted in chunks lack the last chunk', async () => {
    const { connect, sinks, listener } = await serve(() => {});
    const client = await connect();
    client.send(get('/'));
    await eventually(() => sinks.length === 1);
    sinks[0]!.start(new ResponseHead(200, new Fields(), undefined));
    sinks[0]!.write(Buffer.from('part'));
    await client.until((all) => all.includes('part'));
    sinks[0]!.abort('upstream died');
    const { how, text: all } = await client.closed();
    expect(how).toBe('reset');
    expect(all.endsWith('0\r\n\r\n')).toBe(false);
    expect(listener.counters.aborted).toBe(1);
  });

  test('longer than announced never reach the client as another response', async () => {
    const { connect, sinks } = await serve(() => {});
    const client = await connect();
    client.send(get('/'));
    await eventually(() => sinks.length === 1);
    let released = 0;
    sinks[0]!.start(new ResponseHead(200, new Fields(), 3));
    sinks[0]!.write(Buffer.from('abcdef'), () => released++);
    expect(released).toBe(1);
    expect((await client.closed()).text).not.toContain('def');
  });

  test('of a slow reader wait: the writer is told to stop, buffers are released once they left, memory stays bounded', async () => {
    const chunk = Buffer.alloc(256 * 1024, 'z');
    const total = 400;
    let released = 0;
    let outstanding = 0;
    const { connect } = await serve(async (_request, sink) => {
      sink.start(new ResponseHead(200, new Fields(), total * chunk.length));
      for (let i = 0; i < total; i++) {
        outstanding++;
        const ready = sink.write(chunk, () => {
          released++;
          outstanding--;
        });
        if (!ready) await sink.drained();
      }
      sink.end();
    });
    const client = await connect();
    client.socket.pause();
    client.send(get('/'));
    await eventually(() => outstanding > 0);
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(released).toBeLessThan(total / 2);
    expect(outstanding).toBeLessThanOrEqual(2);
    let received = 0;
    client.socket.removeAllListeners('data');
    const whole = Promise.withResolvers<void>();
    client.socket.on('data', (bytes: Buffer) => {
      received += bytes.length;
      if (received > total * chunk.length) whole.resolve();
    });
    client.socket.resume();
    await whole.promise;
    await eventually(() => released === total);
  });

  test('of a client that has gone release their buffers and end the wait', async () => {
    let released = 0;
    const over = Promise.withResolvers<boolean>();
    const { connect, sinks } = await serve(async (_request, sink) => {
      sink.onClose(over.resolve);
      sink.start(new ResponseHead(200, new Fields(), undefined));
      while (!sink.closed) if (!sink.write(Buffer.alloc(1 << 20), () => released++)) await sink.drained();
      sink.write(Buffer.alloc(10), () => released++);
    });
    const client = await connect();
    client.socket.pause();
    client.send(get('/'));
    await eventually(() => (sinks[0]?.bytesWritten ?? 0) > 0);
    client.socket.resetAndDestroy();
    expect(await over.promise).toBe(false);
    await eventually(() => released === Math.ceil(sinks[0]!.bytesWritten / (1 << 20)) + 1);
  });
});
