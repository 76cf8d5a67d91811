import { describe, expect, it } from 'vitest';
import { SLICE_BYTES, type StoreWriter } from '../store/contract.ts';
import { BodyRun, type RunEnding } from './body-run.ts';
import { LiveBody } from './live-body.ts';

const SLICES = 9;
const LENGTH = SLICES * SLICE_BYTES - 7;

function setUp(
  more: { whole?: boolean; firstByte?: number; endByte?: number | undefined; length?: number | undefined } = {},
) {
  const stored: number[] = [];
  const calls: string[] = [];
  const writer: StoreWriter = {
    async slice(n) {
      stored.push(n);
      return { kind: 'stored' };
    },
    async finish() {
      return { kind: 'stored' };
    },
    abandon: () => void calls.push('abandon'),
  };
  const live = new LiveBody('length' in more ? more.length : LENGTH);
  const ended = Promise.withResolvers<RunEnding>();
  const run = new BodyRun({
    ...{ live, writer, visible: true, whole: more.whole ?? true, firstByte: more.firstByte ?? 0 },
    endByte: 'endByte' in more ? more.endByte : LENGTH,
    call: {
      pause: () => void calls.push('pause'),
      resume: () => void calls.push('resume'),
      abort: () => void calls.push('abort'),
    },
    finish: () => writer.finish({} as never),
    onEnd: ended.resolve,
  });
  return { live, run, stored, calls, ended: ended.promise };
}

describe('a body on its way into the store', () => {
  it('the next slice is announced before the one that arrives is whole, so that no reader fetches it again', () => {
    const { live, run } = setUp();
    live.readers.follow(0);
    for (let n = 0; n < SLICES - 1; n++) {
      expect(`slice ${n}: ${live.expects(n)}`).toBe(`slice ${n}: true`);
      run.piece(Buffer.alloc(SLICE_BYTES));
      expect(`slice ${n + 1}: ${live.expects(n + 1)}`).toBe(`slice ${n + 1}: true`);
    }
    expect(live.expects(SLICES)).toBe(false);
  });

  it('every slice is given to the store once, the last one short', async () => {
    const { run, stored, ended } = setUp();
    for (let left = LENGTH; left > 0; left -= 65_536) run.piece(Buffer.alloc(Math.min(left, 65_536)));
    run.end();
    expect(await ended).toEqual({ kind: 'whole', length: LENGTH, stored: { kind: 'stored' } });
    expect(stored).toEqual(Array.from({ length: SLICES }, (_, n) => n));
  });

  it('bytes before the first slice boundary are passed over', async () => {
    const { live, run, stored, ended } = setUp({ whole: false, firstByte: SLICE_BYTES - 10, endByte: 3 * SLICE_BYTES });
    live.readers.follow(SLICE_BYTES);
    run.piece(Buffer.alloc(10 + 2 * SLICE_BYTES));
    run.end();
    expect((await ended).kind).toBe('run');
    expect(stored).toEqual([1, 2]);
  });

  it('a body that ends before its length is not whole', async () => {
    const { run, ended } = setUp();
    run.piece(Buffer.alloc(SLICE_BYTES));
    run.end();
    expect(await ended).toEqual({ kind: 'failed', why: 'http_response_incomplete' });
  });

  it('a range run holds the upstream back when it is far ahead of its reader, and stops when nobody reads', () => {
    const { live, run, calls } = setUp({ whole: false, length: 64 * SLICE_BYTES, endByte: 64 * SLICE_BYTES });
    const reader = live.readers.follow(0);
    for (let n = 0; n < 9; n++) run.piece(Buffer.alloc(SLICE_BYTES));
    expect(calls).toContain('pause');
    live.readers.leave(reader);
    run.pace();
    expect(calls.at(-1)).toBe('abort');
  });

  it('a body of unknown length is whole when it ends, also at a slice’s end', async () => {
    const { live, run, ended } = setUp({ length: undefined, endByte: undefined });
    live.readers.follow(0);
    run.piece(Buffer.alloc(SLICE_BYTES));
    run.end();
    expect(await ended).toMatchObject({ kind: 'whole', length: SLICE_BYTES });
    expect(live.piece(SLICE_BYTES, Number.POSITIVE_INFINITY).kind).toBe('end');
  });

  it('a part that brings more than its range ends there: nothing behind the range is stored', async () => {
    const { live, run, stored, calls, ended } = setUp({ whole: false, firstByte: 0, endByte: 2 * SLICE_BYTES });
    live.readers.follow(0);
    run.piece(Buffer.alloc(SLICE_BYTES));
    run.piece(Buffer.alloc(SLICE_BYTES + 1));
    run.piece(Buffer.alloc(SLICE_BYTES));
    run.end();
    expect(await ended).toEqual({ kind: 'failed', why: 'http_protocol_error' });
    expect(stored).toEqual([0]);
    expect(calls).toContain('abort');
  });
});
