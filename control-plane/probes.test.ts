import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../runtime/clock.ts';
import { Prober } from './probes.ts';

const BODY = Buffer.from('a real object '.repeat(100));
const SAMPLE = {
  path: '/film/1.m4s',
  bytes: BODY.length,
  sha256: createHash('sha256').update(BODY).digest('hex'),
  etag: '"v1"',
};

describe('a probe', () => {
  const clock = new VirtualClock();
  let prober: Prober;
  let server: Server;
  let url: string;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  beforeEach(async () => {
    prober = new Prober(clock);
    server = createServer((request, response) => answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    await prober.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it('is good when the right appliance answers, and keeps no connection', async () => {
    let connection: string | undefined;
    answer = (request, response) => {
      connection = request.headers.connection;
      response.end('{"status":"ok","appliance":"a1","more":1}');
    };
    expect(await prober.light(url, 'a1')).toEqual({ ok: true });
    expect(connection).toBe('close');
  });

  it.each([
    ['another appliance', 200, '{"appliance":"b1"}', 'wrong-appliance'],
    ['no JSON', 200, '<html>', 'garbage'],
    ['no appliance', 200, 'null', 'garbage'],
    ['much more than health', 200, 'x'.repeat(100_000), 'garbage'],
    ['an error', 503, '{"appliance":"a1"}', 'status'],
  ])('fails at %s', async (_, status, body, why) => {
    answer = (_request, response) => response.writeHead(status).end(body);
    expect(await prober.light(url, 'a1')).toMatchObject({ ok: false, why });
  });

  it('is refused where nobody listens', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    expect(await prober.light(`http://127.0.0.1:${port}`, 'a1')).toMatchObject({ ok: false, why: 'refused' });
  });

  it('is reset where the connection is cut, and garbage where it is no HTTP', async () => {
    answer = (request) => request.socket.destroy();
    expect(await prober.light(url, 'a1')).toMatchObject({ ok: false, why: 'reset' });
    const odd = createTcpServer((socket) =>
      socket.on('error', () => {}).end('SSH-2.0-odd\r\n\r\n', () => socket.destroySoon()),
    );
    await new Promise<void>((resolve) => odd.listen(0, '127.0.0.1', resolve));
    expect(await prober.light(`http://127.0.0.1:${(odd.address() as AddressInfo).port}`, 'a1')).toMatchObject({
      ok: false,
      why: 'garbage',
    });
    odd.close();
  });

  it('times out after 2 s where nothing comes, also in the middle of a body', async () => {
    for (const begun of [false, true]) {
      let asked = () => {};
      const waiting = new Promise<void>((resolve) => (asked = resolve));
      answer = (_request, response) => {
        if (begun) response.write('{');
        asked();
      };
      const probe = prober.light(url, 'a1');
      await waiting;
      clock.advance(2000);
      expect(await probe).toMatchObject({ ok: false, why: 'timeout' });
    }
  });

  const deep = (status: number, fields: Record<string, string>, body: Buffer | string) => {
    answer = (_request, response) => response.writeHead(status, fields).end(body);
    return prober.deep(url, SAMPLE);
  };

  it('deep is good when the bytes are the catalogue’s', async () => {
    expect(await deep(200, { etag: '"v1"' }, BODY)).toEqual({ ok: true });
    expect(await deep(200, { etag: 'W/"v1"' }, BODY)).toEqual({ ok: true });
  });

  it('deep fails at other bytes under the same validator', async () => {
    expect(await deep(200, { etag: '"v1"' }, Buffer.from(BODY).fill('x', 5, 6))).toMatchObject({ why: 'wrong-digest' });
    expect(await deep(200, { etag: '"v1"' }, BODY.subarray(1))).toMatchObject({ why: 'short-body' });
    expect(await deep(200, {}, BODY)).toMatchObject({ why: 'garbage' });
    expect(await deep(500, {}, '')).toMatchObject({ why: 'status' });
  });

  it('deep says nothing when the origin is down, or the object has changed or gone', async () => {
    for (const status of [404, 410, 502, 503, 504])
      expect(await deep(status, {}, '')).toMatchObject({ ok: 'inconclusive' });
    expect(await deep(200, { etag: '"v2"' }, 'other bytes')).toMatchObject({ ok: 'inconclusive' });
  });
});
