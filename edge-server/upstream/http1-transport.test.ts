import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../runtime/clock.ts';
import { Fields } from '../http/fields.ts';
import { Http1Transport } from './http1-transport.ts';
import { type Asked, Heard, RawOrigin } from './raw-origin.ts';
import type { TransportLimits, UpstreamRequest } from './transport.ts';
import { type UpstreamListener, Upstreams } from './upstreams.ts';

const LIMITS: TransportLimits = {
  connectMillis: 3_000,
  headMillis: 10_000,
  betweenBytesMillis: 15_000,
  connections: 8,
};
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

let origin: RawOrigin;
let clock: VirtualClock;
let transport: Http1Transport;

beforeEach(async () => {
  origin = await RawOrigin.listen();
  clock = new VirtualClock();
  transport = limited({});
});
afterEach(async () => {
  await transport.close();
  await origin.close();
});

function limited(over: Partial<TransportLimits>): Http1Transport {
  return new Http1Transport({ host: '127.0.0.1', port: origin.port }, { ...LIMITS, ...over }, clock);
}

function request(target = '/', over: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return { method: 'GET', target, fields: new Fields(['host', 'www.example.org']), body: undefined, ...over };
}

function ask(target = '/', { heard = new Heard(), fresh = false } = {}): Heard {
  transport.dispatch(request(target), heard, fresh);
  return heard;
}

/** Asks and answers with the bytes given, whole. */
async function exchange(answer: string | Buffer = OK, target = '/'): Promise<{ heard: Heard; asked: Asked }> {
  const heard = ask(target);
  const asked = await origin.asked();
  asked.socket.write(answer);
  return { heard: await heard.over, asked };
}

describe('kept connections', () => {
  it('carry one request after the other', async () => {
    for (let i = 0; i < 3; i++) {
      const { heard, asked } = await exchange();
      expect(heard.words).toEqual(['head 200', 'data', 'end']);
      expect(asked.connection).toBe(0);
      expect(asked.text).toBe('GET / HTTP/1.1\r\nhost: www.example.org\r\n\r\n');
    }
    expect(origin.connections).toBe(1);
  });

  it('are used latest first', async () => {
    const heard = [ask('/a'), ask('/b'), ask('/c')];
    const asked = [await origin.asked(), await origin.asked(), await origin.asked()];
    for (const path of ['/b', '/c', '/a']) {
      const at = asked.findIndex(({ text }) => text.includes(path));
      asked[at]!.socket.write(OK);
      await heard[['/a', '/b', '/c'].indexOf(path)]!.over;
    }
    const last = asked.find(({ text }) => text.includes('/a'))!;
    expect((await exchange()).asked.connection).toBe(last.connection);
  });

  it.each([
    ['Connection: close', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['bytes behind a body', `${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`],
    ['bytes behind chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nX'],
    ['bytes behind a 204', 'HTTP/1.1 204 x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'],
  ])('end after %s', async (_name, answer) => {
    const { heard } = await exchange(answer);
    expect(heard.words.at(-1)).toBe('end');
    expect(heard.body.toString()).toBe(heard.status === 204 ? '' : 'ok');
    expect(await origin.closed()).toBe(0);
    const next = await exchange();
    expect(next.asked.connection).toBe(1);
    expect(next.heard.body.toString()).toBe('ok');
  });

  it('end when something comes that nobody asked for: it is no answer to the next request', async () => {
    const { asked } = await exchange();
    asked.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
    expect(await origin.closed()).toBe(0);
    const { heard } = await exchange();
    expect(heard.body.toString()).toBe('ok');
    expect(origin.connections).toBe(2);
  });

  it('end after half a minute without use, or a second before the upstream says that it ends them', async () => {
    await exchange();
    clock.advance(31_000);
    expect(await origin.closed()).toBe(0);
    await exchange('HTTP/1.1 200 OK\r\nKeep-Alive: max=5, timeout=5\r\nContent-Length: 0\r\n\r\n');
    clock.advance(3_700);
    await exchange();
    expect(origin.connections).toBe(2);
    clock.advance(4_600);
    expect(await origin.closed()).toBe(1);
  });

  it('are not kept for a request that has its own', async () => {
    await exchange();
    const heard = ask('/own', { fresh: true });
    const asked = await origin.asked();
    expect(asked.connection).toBe(1);
    expect(asked.text).toContain('\r\nconnection: close\r\n\r\n');
    asked.socket.write(OK);
    await heard.over;
    expect(await origin.closed()).toBe(1);
    expect((await exchange()).asked.connection).toBe(0);
  });
});

describe('a response', () => {
  it('is the same wherever its bytes are cut', async () => {
    const text =
      'HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n3;e\r\nabc\r\n0\r\nt: u\r\n\r\n';
    for (let cut = 1; cut < text.length; cut++) {
      const heard = ask();
      const { socket } = await origin.asked();
      socket.write(text.slice(0, cut));
      // The second half leaves when the first has been read: after a turn through this process's own poll phase.
      await new Promise((resolve) => setImmediate(resolve));
      socket.write(text.slice(cut));
      await heard.over;
      expect(heard.words).toEqual(['inform 103', 'head 200', 'data', 'end']);
      expect(heard.body.toString()).toBe('abc');
      expect(heard.fields!.get('x-a')).toBe('b');
    }
    expect(origin.connections).toBe(1);
  });

  it('that comes before its request has been read is one all the same', async () => {
    const early = await RawOrigin.listen();
    const other = new Http1Transport({ host: '127.0.0.1', port: early.port }, LIMITS, clock);
    try {
      const heard = new Heard();
      other.dispatch(request(`/${'x'.repeat(60_000)}`), heard, false);
      const { socket } = await early.asked();
      socket.end('HTTP/1.1 414 Long\r\nContent-Length: 0\r\n\r\n');
      expect((await heard.over).words).toEqual(['head 414', 'end']);
    } finally {
      await other.close();
      await early.close();
    }
  });

  it.each([
    [63 * 1024, ['head 200', 'end']],
    [65 * 1024, ['error http_protocol_error']],
    [300 * 1024, ['error http_protocol_error']],
  ])('with a head of %i bytes is heard as %j', async (size, words) => {
    const { heard } = await exchange(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ${'x'.repeat(size)}\r\n\r\n`);
    expect(heard.words).toEqual(words);
  });

  it.each([
    ['a protocol nobody asked for', 'HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n', 'http_protocol_error', true],
    ['garbage', 'garbage\r\n\r\n', 'http_protocol_error', true],
    ['broken chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n', 'http_protocol_error', true],
    ['an end before the head', '', 'connection_terminated', false],
    ['an end within the head', 'HTTP/1.1 200 OK\r\nX:', 'connection_terminated', true],
    ['a body cut short', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc', 'http_response_incomplete', true],
    [
      'chunks cut short',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab',
      'http_response_incomplete',
      true,
    ],
  ])('that is %s is an error, told once', async (_name, bytes, fault, answered) => {
    const heard = ask();
    const { socket } = await origin.asked();
    socket.end(bytes);
    await heard.over;
    expect(heard.words.filter((word) => !/head|data/.test(word))).toEqual([`error ${fault}`]);
    expect(heard.answered).toBe(answered);
    await origin.closed();
  });

  it('that lasts as long as its connection ends with it; reset, it is incomplete', async () => {
    const heard = ask();
    const { socket } = await origin.asked();
    socket.end('HTTP/1.1 200 OK\r\n\r\nall of it');
    expect((await heard.over).words).toEqual(['head 200', 'data', 'end']);
    const cut = ask();
    const { socket: second } = await origin.asked();
    second.write('HTTP/1.1 200 OK\r\n\r\npart');
    await cut.gotHead;
    second.resetAndDestroy();
    expect((await cut.over).words).toEqual(['head 200', 'data', 'error http_response_incomplete']);
  });

  it('to a HEAD has no body, and the connection goes on', async () => {
    const heard = new Heard();
    transport.dispatch(request('/', { method: 'HEAD' }), heard, false);
    (await origin.asked()).socket.write('HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n');
    expect((await heard.over).words).toEqual(['head 200', 'end']);
    expect((await exchange()).asked.connection).toBe(0);
  });
});

describe('deadlines', () => {
  it('no answer within the head’s time, though bytes trickle in', async () => {
    const heard = ask();
    const { socket } = await origin.asked();
    clock.advance(6_000);
    const before = heard.words.length;
    socket.write('HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200');
    const { promise, resolve } = Promise.withResolvers<void>();
    heard.on = () => resolve();
    await promise;
    expect(heard.words.length).toBe(before + 1);
    clock.advance(5_000);
    expect((await heard.over).fault).toBe('http_response_timeout');
    await origin.closed();
  });

  it('nothing more of a body within its time, counted from its last byte', async () => {
    const heard = ask();
    const { socket } = await origin.asked();
    clock.advance(9_000);
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na');
    await heard.gotHead;
    clock.advance(14_000);
    const { promise, resolve } = Promise.withResolvers<void>();
    heard.on = () => resolve();
    socket.write('b');
    await promise;
    clock.advance(14_000);
    expect(heard.fault).toBeUndefined();
    clock.advance(2_000);
    expect((await heard.over).words).toEqual(['head 200', 'data', 'error http_response_incomplete']);
  });

  it('a body that is held back has no time to keep until it goes on', async () => {
    const heard = ask();
    heard.on = (word) => word === 'head' && heard.control!.pause();
    const { socket } = await origin.asked();
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na');
    await heard.gotHead;
    clock.advance(60_000);
    expect(heard.fault).toBeUndefined();
    heard.control!.resume();
    clock.advance(14_000);
    expect(heard.fault).toBeUndefined();
    clock.advance(2_000);
    expect((await heard.over).fault).toBe('http_response_incomplete');
  });

  it('no connection within its time, and none at all', async () => {
    const late = ask();
    // No turn of the event loop has passed in which it could have connected.
    clock.advance(4_000);
    expect(late.fault).toBe('connection_timeout');
    const { port } = origin;
    await origin.close();
    const refused = ask();
    expect((await refused.over).fault).toBe('connection_refused');
    origin = await RawOrigin.listen({ host: '127.0.0.1', port });
  });

  it('no connection free within its time', async () => {
    transport = limited({ connections: 1, headMillis: 2_000, betweenBytesMillis: 60_000 });
    const first = ask('/first');
    (await origin.asked()).socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na');
    await first.gotHead;
    const second = ask('/second');
    clock.advance(3_000);
    expect((await second.over).fault).toBe('connection_timeout');
    expect(first.fault).toBeUndefined();
    expect(origin.unseen).toBe(0);
  });
});

describe('the limit of connections', () => {
  it('lets requests wait, in their order, without those that have gone', async () => {
    transport = limited({ connections: 1 });
    const first = ask('/first');
    const waiting = ['/a', '/b', '/c'].map((target) => ask(target));
    waiting[1]!.control!.abort();
    const order: string[] = [];
    let { socket, text, connection } = await origin.asked();
    for (const heard of [first, waiting[0]!, waiting[2]!]) {
      order.push(text.split(' ')[1]!);
      expect(connection).toBe(0);
      socket.write(OK);
      await heard.over;
      if (heard !== waiting[2]) ({ socket, text, connection } = await origin.asked());
    }
    expect(order).toEqual(['/first', '/a', '/c']);
    expect(waiting[1]!.words).toEqual([]);
    expect(origin.unseen).toBe(0);
  });

  it('a newcomer does not overtake who waits', async () => {
    transport = limited({ connections: 1 });
    const first = ask('/first');
    const waiting = ask('/waiting');
    let newcomer: Heard | undefined;
    first.on = (word) => {
      if (word === 'end') newcomer = ask('/newcomer');
    };
    (await origin.asked()).socket.write(OK);
    const second = await origin.asked();
    expect(second.text).toContain('/waiting');
    second.socket.write(OK);
    await waiting.over;
    const third = await origin.asked();
    expect(third.text).toContain('/newcomer');
    third.socket.write(OK);
    await newcomer!.over;
  });

  it('goes on with who waits when a connection dies, and gone ones are not sent', async () => {
    transport = limited({ connections: 2 });
    const busy = [ask('/1'), ask('/2')];
    const waiting = ['/a', '/b', '/c'].map((target) => ask(target));
    const asked = [await origin.asked(), await origin.asked()];
    // Told within the callback of the connection that dies, before anybody who waits has been sent.
    busy[0]!.on = (word) => word === 'error' && waiting[0]!.control!.abort();
    busy[1]!.on = busy[0]!.on;
    for (const { socket } of asked) socket.destroy();
    const after = [await origin.asked(), await origin.asked()];
    expect(after.map(({ text }) => text.split(' ')[1]).sort()).toEqual(['/b', '/c']);
    for (const { socket } of after) socket.write(OK);
    for (const heard of waiting.slice(1)) expect((await heard.over).words.at(-1)).toBe('end');
    expect(waiting[0]!.words).toEqual([]);
    expect(origin.connections).toBe(4);
  });

  it('holds for connections of their own too: one idle makes room', async () => {
    transport = limited({ connections: 1 });
    await exchange();
    const own = ask('/own', { fresh: true });
    const waits = ask('/own-too', { fresh: true });
    expect(await origin.closed()).toBe(0);
    const first = await origin.asked();
    expect(first.text).toContain('/own ');
    expect(origin.connections).toBe(2);
    first.socket.write(OK);
    await own.over;
    expect(await origin.closed()).toBe(1);
    const second = await origin.asked();
    second.socket.write(OK);
    await waits.over;
    expect(origin.connections).toBe(3);
  });
});

describe('an exchange', () => {
  it('held back holds the origin back: 50 MB come through bounded buffers', async () => {
    const LENGTH = 50_000_000;
    const heard = new Heard(false);
    let most = 0;
    let since = 0;
    heard.on = (word) => {
      if (word !== 'data') return;
      heard.control!.pause();
      most = Math.max(most, heard.bytes - since);
      setImmediate(() => {
        since = heard.bytes;
        heard.control!.resume();
      });
    };
    ask('/', { heard });
    const { socket } = await origin.asked();
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${LENGTH}\r\n\r\n`);
    const block = Buffer.alloc(1_000_000);
    void (async () => {
      for (let sent = 0; sent < LENGTH; sent += block.length) if (!socket.write(block)) await once(socket, 'drain');
    })();
    expect((await heard.over).words).toEqual(['head 200', 'data', 'end']);
    expect(heard.bytes).toBe(LENGTH);
    // Between a pause and its resume nothing comes but the read that was under way.
    expect(most).toBeLessThanOrEqual(128 * 1024);
  });

  it('that stays held back takes no more than the sockets do', async () => {
    const heard = new Heard(false);
    heard.on = (word) => word === 'data' && heard.control!.pause();
    ask('/', { heard });
    const { socket } = await origin.asked();
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\nx');
    await heard.gotHead;
    const block = Buffer.alloc(1_000_000);
    let blocked = false;
    for (let i = 0; i < 49 && !blocked; i++) blocked = !socket.write(block);
    expect(blocked).toBe(true);
    expect(heard.bytes).toBeLessThanOrEqual(128 * 1024);
    heard.control!.abort();
    await origin.closed();
  });

  it.each(['began', 'inform', 'head', 'data'])(
    'aborted while it hears %s hears nothing more, and its connection ends',
    async (when) => {
      const heard = new Heard();
      heard.on = (word) => word === when && heard.control!.abort();
      ask('/', { heard });
      const bytes =
        'HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n';
      if (when !== 'began') {
        (await origin.asked()).socket.write(bytes);
        await origin.closed();
      }
      const words = ['inform 103', 'head 200', 'data'];
      expect(heard.words).toEqual(words.slice(0, words.findIndex((word) => word.startsWith(when)) + 1));
      expect(heard.body.length).toBe(when === 'data' ? 1 : 0);
      const { heard: next } = await exchange();
      expect(next.body.toString()).toBe('ok');
    },
  );

  it.each([
    ['a line end in a value', { fields: new Fields(['x-a', 'b\r\nx-evil: 1']) }],
    ['a bare LF in a value', { fields: new Fields(['x-a', 'b\nx']) }],
    ['a NUL in a value', { fields: new Fields(['x-a', '\0']) }],
    ['a character that Latin-1 would cut to LF', { fields: new Fields(['x-a', 'b\u010ax-evil: 1']) }],
    ['a blank in the target', { target: '/a HTTP/1.1' }],
    ['a line end in the target', { target: '/a\r\nx-evil: 1' }],
    ['a character in the target that Latin-1 would cut', { target: '/\u010a' }],
  ])('with %s is refused, and nothing of it is sent', async (_name, over) => {
    const heard = new Heard();
    transport.dispatch(request('/', over), heard, false);
    expect((await heard.over).fault).toBe('http_protocol_error');
    const { asked } = await exchange(OK, '/after');
    expect(asked.text).toContain('GET /after ');
  });
});

describe('closing', () => {
  it('ends all with an error: under way, in the middle of a body, waiting, and what comes later', async () => {
    transport = limited({ connections: 2 });
    const head = ask('/head');
    const body = ask('/body');
    const waiting = ask('/waiting');
    const gone = ask('/gone');
    gone.control!.abort();
    const asked = [await origin.asked(), await origin.asked()];
    asked.find(({ text }) => text.includes('/body'))!.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na');
    await body.gotHead;
    await transport.close();
    for (const heard of [head, body, waiting]) expect((await heard.over).fault).toBe('aborted');
    expect(gone.words).toEqual([]);
    expect(ask('/late').fault).toBe('aborted');
    await origin.closed();
    await origin.closed();
    await transport.close();
  });
});

describe('where it connects', () => {
  it('over a Unix socket', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nearcast-upstream-'));
    const path = join(directory, 'socket');
    const local = await RawOrigin.listen({ path });
    const other = new Http1Transport({ host: 'nowhere.example.org', port: 1, path }, LIMITS, clock);
    try {
      for (let i = 0; i < 2; i++) {
        const heard = new Heard();
        other.dispatch(request(), heard, false);
        (await local.asked()).socket.write(OK);
        expect((await heard.over).body.toString()).toBe('ok');
      }
      expect(local.connections).toBe(1);
    } finally {
      await other.close();
      await local.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it('to an IPv6 literal of a URL', async () => {
    const six = await RawOrigin.listen({ host: '::1', port: 0 });
    const limits = { ...LIMITS, retries: 0 };
    const upstreams = new Upstreams({ urls: [`http://[::1]:${six.port}`], limits, clock });
    try {
      const { heard } = forward(upstreams);
      (await six.asked()).socket.write(OK);
      expect(await heard).toEqual(['head 200', 'ok', 'end']);
    } finally {
      await upstreams.close();
      await six.close();
    }
  });
});

function forward(upstreams: Upstreams, over: Partial<UpstreamRequest> = {}) {
  const { promise, resolve } = Promise.withResolvers<string[]>();
  const words: string[] = [];
  const listener: UpstreamListener = {
    head: ({ status }) => void words.push(`head ${status}`),
    piece: (chunk) => void words.push(chunk.toString()),
    end: () => resolve([...words, 'end']),
    fail: (fault) => resolve([...words, `fail ${fault}`]),
  };
  const call = upstreams.forward(request('/', over), listener);
  return { heard: promise, call };
}

describe('a kept connection that is closed just when it is used again', () => {
  let upstreams: Upstreams;
  beforeEach(() => {
    const limits = { ...LIMITS, retries: 2 };
    upstreams = new Upstreams({ urls: [`http://127.0.0.1:${origin.port}`], limits, clock });
  });
  afterEach(() => upstreams.close());

  it('costs a repeatable request one more try, on a connection of its own, and the upstream nothing', async () => {
    for (let i = 0; i < 7; i++) {
      const first = forward(upstreams);
      const one = await origin.asked();
      one.socket.write(OK);
      await first.heard;
      const { heard } = forward(upstreams);
      const again = await origin.asked();
      expect(again.connection).toBe(one.connection);
      again.socket.destroy();
      const fresh = await origin.asked();
      expect(fresh.connection).toBe(one.connection + 1);
      expect(fresh.text).toContain('connection: close');
      fresh.socket.write(OK);
      expect(await heard).toEqual(['head 200', 'ok', 'end']);
    }
    expect(upstreams.view()[0]!.ejected).toBe(false);
    expect(origin.unseen).toBe(0);
  });

  it('is never the connection of what must not be repeated, and that is sent once', async () => {
    const first = forward(upstreams);
    (await origin.asked()).socket.write(OK);
    await first.heard;
    const { heard } = forward(upstreams, { method: 'DELETE' });
    const asked = await origin.asked();
    expect(asked.connection).toBe(1);
    asked.socket.destroy();
    expect(await heard).toEqual(['fail connection_terminated']);
    expect(origin.unseen).toBe(0);
  });

  it('carries another’s exchange whose pace the call before has no say in', async () => {
    const first = forward(upstreams);
    (await origin.asked()).socket.write(OK);
    await first.heard;
    const second = forward(upstreams);
    const { socket, connection } = await origin.asked();
    expect(connection).toBe(0);
    first.call.pause();
    first.call.abort();
    socket.write(OK);
    expect(await second.heard).toEqual(['head 200', 'ok', 'end']);
  });

  it('closing is no reason to try again', async () => {
    const { heard } = forward(upstreams);
    await origin.asked();
    await upstreams.close();
    expect(await heard).toEqual(['fail aborted']);
    expect(upstreams.view()[0]!.ejected).toBe(false);
  });
});
