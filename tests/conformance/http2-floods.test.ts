/**
 * Floods over HTTP/2 (CVE-2023-44487, CVE-2024-27983, CVE-2019-9511 to 9518): each ends its connection in bounded time,
 * memory stays while it runs, others are served. Also in the polite form that waits for the server's answers, which
 * stays below the limits of nghttp2 on what it has queued.
 */
import { expect, test } from 'vitest';
import { conformanceBench } from './conformance-edge.ts';
import { block, ERROR, FLAG, frame, GET, get, Http2Client, setting, TYPE, uint32 } from './frames.ts';

const bench = conformanceBench(['--send-timeout', '1s']);
const MiB = 1 << 20;
/** Of the worker over what it had before, while the flood runs: its reading buffers and garbage, nothing that grows. */
const MOST_GROWTH = 96 * MiB;
/** For a client that sends as fast as it can; the edge looks once a second at what it is told of no other way. */
const ENDED_MILLIS = 20_000;
const NO_SETTINGS = Buffer.alloc(0);
const WIDE = frame(TYPE.window, 0, 0, uint32(1 << 30));
const post = GET.map(([name, value]) => [name, name === ':method' ? 'POST' : value] as const);

interface Flood {
  readonly settings?: Buffer;
  /** Frames of the n-th round. */
  readonly round: (n: number) => Buffer[];
  /** Rounds between two looks at the server: sent in one piece. */
  readonly rounds?: number;
  /** Answers so far; a polite flood waits for as many as it has had rounds. */
  readonly answers?: (one: Http2Client) => number;
  /** The code that GOAWAY must have, where it still arrives: a reset of the connection may overtake it. */
  readonly codes?: readonly number[];
}

const counted = (type: number, flag: number) => (one: Http2Client) =>
  one.frames.filter((f) => f.type === type && (f.flags & flag) === flag).length;
const calm = { codes: [ERROR.calm] };
const pings = { round: () => [frame(TYPE.ping, 0, 0, Buffer.alloc(8))] };
const settings = { round: (n: number) => [frame(TYPE.settings, 0, 0, setting(4, 65_535 + (n % 2)))] };
const onOpenStream = (what: () => Buffer) => (n: number) => [n === 0 ? get(1, post, FLAG.headersEnd) : what()];

const FLOODS: Readonly<Record<string, Flood>> = {
  'rapid reset': { ...calm, round: (n) => [get(2 * n + 1), frame(TYPE.reset, 0, 2 * n + 1, uint32(8))] },
  'CONTINUATION without end': {
    round: (n) =>
      n === 0
        ? [frame(TYPE.headers, FLAG.end, 1, block(GET))]
        : [frame(TYPE.continuation, 0, 1, block([[`x-${n}`, 'v'.repeat(4000)]]))],
  },
  'empty CONTINUATION': {
    round: (n) => (n === 0 ? [frame(TYPE.headers, FLAG.end, 1, block(GET))] : [frame(TYPE.continuation, 0, 1)]),
  },
  SETTINGS: { ...calm, ...settings },
  'polite SETTINGS': { ...calm, ...settings, rounds: 20, answers: counted(TYPE.settings, FLAG.ack) },
  PING: { ...calm, ...pings },
  'polite PING': { ...calm, ...pings, rounds: 20, answers: counted(TYPE.ping, FLAG.ack) },
  'PING that nobody asked for': { round: () => [frame(TYPE.ping, FLAG.ack, 0, Buffer.alloc(8))] },
  'empty DATA': { round: onOpenStream(() => frame(TYPE.data, 0, 1)) },
  'DATA of padding': { ...calm, round: onOpenStream(() => frame(TYPE.data, FLAG.padded, 1, [0])) },
  WINDOW_UPDATE: { ...calm, round: () => [frame(TYPE.window, 0, 0, uint32(1))] },
  'WINDOW_UPDATE of a stream': { ...calm, round: onOpenStream(() => frame(TYPE.window, 0, 1, uint32(1))) },
  PRIORITY: {
    ...calm,
    round: (n) => [frame(TYPE.priority, 0, 2 * n + 1, Buffer.concat([uint32(0), Buffer.from([1])]))],
  },
  PRIORITY_UPDATE: { ...calm, round: () => [frame(0x10, 0, 0, Buffer.concat([uint32(1), Buffer.from('u=1')]))] },
  'frames of an unknown type': { ...calm, round: () => [frame(0x42, 0, 0, [1])] },
  'fields without a name': {
    ...calm,
    round: (n) => [get(2 * n + 1, [...GET, ...new Array(100).fill(['', ''])])],
    rounds: 50,
    answers: counted(TYPE.headers, 0),
  },
  'malformed requests': {
    round: (n) => [get(2 * n + 1, [...GET, ['Upper', '1']])],
    rounds: 50,
    answers: counted(TYPE.reset, 0),
  },
  'faults for which the server must reset (CVE-2025-8671)': {
    ...calm,
    round: (n) => [
      get(2 * n + 1, [...post, ['content-length', '9']], FLAG.headersEnd),
      frame(TYPE.data, FLAG.end, 2 * n + 1, [0]),
    ],
    rounds: 20,
    answers: counted(TYPE.reset, 0),
  },
  // The client never takes a byte of an answer; the edge gives each up after its time, and then the client.
  'streams under a window of 0': {
    ...calm,
    settings: setting(4, 0),
    round: (n) => [get(2 * n + 1)],
    rounds: 50,
    answers: counted(TYPE.reset, 0),
  },
};

test.each(Object.entries(FLOODS))(
  '%s',
  async (name, { settings = NO_SETTINGS, round, rounds = 200, answers, codes }) => {
    const pid = (await bench.edge.workers()).join();
    const before = await bench.edge.residentBytes();
    let peak = before;
    const sampling = setInterval(() => {
      void bench.edge.residentBytes().then((bytes) => {
        peak = Math.max(peak, bytes);
      });
    }, 20);
    const one = await Http2Client.connect(bench.edge.tlsPort, settings);
    const ended = () => one.closed || one.goaway !== undefined;
    const limit = performance.now() + ENDED_MILLIS;
    try {
      one.send(WIDE);
      for (let n = 0; !ended() && performance.now() < limit; ) {
        const frames: Buffer[] = [];
        for (let i = 0; i < rounds; i++) frames.push(...round(n++));
        one.send(...frames);
        if (answers === undefined) {
          // No faster than the server reads; one that does not read any more must end it.
          if (one.socket.writableNeedDrain)
            await one.until(() => !one.socket.writableNeedDrain || ended(), `room for ${name}`, ENDED_MILLIS);
          await new Promise((resolve) => setImmediate(resolve));
        } else await one.until(() => ended() || answers(one) >= n, `answers to ${name}`, ENDED_MILLIS);
      }
      expect(ended(), `${name} is over`).toBe(true);
      // GOAWAY is not all: nothing keeps the connection.
      await one.until(() => one.closed, `the end of ${name}`, ENDED_MILLIS);
      if (codes !== undefined && one.goaway !== undefined) expect(codes).toContain(one.goaway);
      expect((await bench.edge.get('/t/1')).status).toBe(200);
      expect((await bench.edge.workers()).join()).toBe(pid);
      expect((peak - before) / MiB).toBeLessThan(MOST_GROWTH / MiB);
    } finally {
      clearInterval(sampling);
      one.close();
    }
  },
  90_000,
);

test('a client of good faith may ask thousands of times, acknowledge every frame, and ping now and then', async () => {
  const one = await Http2Client.connect(bench.edge.tlsPort);
  one.send(WIDE);
  for (let n = 0; n < 5000; n += 50) {
    const frames = [frame(TYPE.ping, 0, 0, Buffer.alloc(8))];
    for (let i = n; i < n + 50; i++) frames.push(get(2 * i + 1), frame(TYPE.window, 0, 0, uint32(1)));
    one.send(...frames);
    await one.until(() => one.ended(2 * n + 99), 'the answers');
    expect(one.ok(2 * n + 99)).toBe(true);
    one.frames.length = 0;
  }
  expect(one.closed).toBe(false);
  one.close();
});
