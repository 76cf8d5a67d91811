/** Floods over HTTP/2 (CVE-2023-44487, CVE-2024-27983, CVE-2019-9511 to 9518): the process lives, memory stays, others are served. */
import { expect, test } from 'vitest';
import { conformanceBench } from './conformance-edge.ts';
import { block, FLAG, frame, GET, get, Http2Client, setting, TYPE, uint32 } from './frames.ts';

const bench = conformanceBench(['--send-timeout', '3s']);
const MiB = 1 << 20;
const post = GET.map(([name, value]) => [name, name === ':method' ? 'POST' : value] as const);

/** Frames of the n-th round; `ends`: the server must end the connection. */
const FLOODS: readonly (readonly [name: string, ends: boolean, settings: Buffer, round: (n: number) => Buffer[]])[] = [
  ['rapid reset', true, Buffer.alloc(0), (n) => [get(2 * n + 1), frame(TYPE.reset, 0, 2 * n + 1, uint32(8))]],
  [
    'CONTINUATION without end',
    true,
    Buffer.alloc(0),
    (n) =>
      n === 0
        ? [frame(TYPE.headers, FLAG.end, 1, block(GET))]
        : [frame(TYPE.continuation, 0, 1, block([[`x-${n}`, 'v'.repeat(4000)]]))],
  ],
  [
    'empty CONTINUATION',
    true,
    Buffer.alloc(0),
    (n) => (n === 0 ? [frame(TYPE.headers, FLAG.end, 1, block(GET))] : [frame(TYPE.continuation, 0, 1)]),
  ],
  ['SETTINGS', false, Buffer.alloc(0), (n) => [frame(TYPE.settings, 0, 0, setting(4, 65_535 + (n % 2)))]],
  ['PING', false, Buffer.alloc(0), () => [frame(TYPE.ping, 0, 0, Buffer.alloc(8))]],
  ['empty DATA', false, Buffer.alloc(0), (n) => [n === 0 ? get(1, post, FLAG.headersEnd) : frame(TYPE.data, 0, 1)]],
  [
    'fields without a name',
    false,
    Buffer.alloc(0),
    (n) => [get(2 * n + 1, [...GET, ...new Array(100).fill(['', ''])])],
  ],
  [
    'PRIORITY',
    false,
    Buffer.alloc(0),
    (n) => [frame(TYPE.priority, 0, 2 * n + 1, Buffer.concat([uint32(0), Buffer.from([1])]))],
  ],
  ['streams under a window of 0', false, setting(4, 0), (n) => [get(2 * n + 1)]],
]; // prettier-ignore

test.each(FLOODS)(
  '%s',
  async (name, ends, settings, round) => {
    const pid = (await bench.edge.workers()).join();
    const before = await bench.edge.residentBytes();
    const one = await Http2Client.connect(bench.edge.tlsPort, settings);
    for (let n = 0; n < 20_000 && !one.closed; ) {
      const frames: Buffer[] = [];
      for (let i = 0; i < 200; i++) frames.push(...round(n++));
      one.send(...frames);
      // No faster than the server reads; one that does not read any more has ended it in its way.
      if (one.socket.writableNeedDrain)
        await one.until(() => !one.socket.writableNeedDrain, 'room', 2000).catch(() => (n = 20_000));
      await new Promise((resolve) => setImmediate(resolve));
      if (one.goaway !== undefined && one.goaway !== 0) break;
    }
    if (ends) {
      await one.until(() => one.goaway !== undefined, `the end of ${name}`);
      expect(one.closed || one.goaway !== undefined).toBe(true);
    }
    expect((await bench.edge.get('/t/1')).status).toBe(200);
    expect((await bench.edge.workers()).join()).toBe(pid);
    one.close();
    expect(((await bench.edge.residentBytes()) - before) / MiB).toBeLessThan(150);
  },
  40_000,
);
