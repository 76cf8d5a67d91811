import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { Flights, type WaitEnding } from '../cache/collapse.ts';
import { stored } from '../cache/sample-responses.ts';
import { Fields } from '../http/fields.ts';
import { openStore } from '../store/open-store.ts';
import type { SharedStore } from '../store/shared-store.ts';
import { bodyOf, entryOf } from '../store/store-contract.ts';
import type { Fetched, ServeContext } from './context.ts';
import { Counts } from './counts.ts';
import { share } from './share.ts';

const KEY = 'http://www.example.org/a';
const BRIEF_BYTES = 256 << 10;

let store: SharedStore;
let counts: Counts;
let ids = 0;
beforeEach(async () => {
  counts = new Counts();
  store = await openStore({
    ...{ memoryBytes: 32 << 20, diskBytes: 1 << 20, volumes: [], workerIndex: 0, workerCount: 1, log: silentLog() },
  });
});
afterEach(() => store.close());

/** The turn of the event loop ends. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A response of so many bytes on its way, with nobody upstream but this test. */
function begin(length: number, { fields = new Fields(), endByte = length } = {}) {
  const flights = new Flights<Fetched>({ clock: new VirtualClock(), deadlineMillis: 5_000, maxLeaders: 2 });
  const flight = flights.lead(KEY);
  const endings: WaitEnding<Fetched>[] = [];
  flight.wait((ending) => void endings.push(ending));
  const fetched: Fetched[] = [];
  const calls: string[] = [];
  const response = stored({ id: `share-${++ids}`, key: KEY, bodyLength: length, fields: ['x-b', '2'] });
  const context = {
    ...{ appliance: 'a1', store, counts, flights, compression: undefined, policy: { forwardSurrogateFields: false } },
    slices: {
      fetchSlices: () => undefined,
      list: () => () => undefined,
      supersede: () => undefined,
      superseded: () => false,
    },
  } as unknown as ServeContext;
  const taker = share(context, {
    ask: { key: KEY } as never,
    ...{ response, firstByte: 0, endByte, coding: undefined, flight },
    head: {
      ...{ status: 200, fields, contentLength: length, upstream: 'u', requestMillis: 0, responseMillis: 0 },
    },
    call: {
      pause: () => void calls.push('pause'),
      resume: () => void calls.push('resume'),
      abort: () => {
        calls.push('abort');
        taker.fail('aborted');
      },
    },
    fetched: (one) => void fetched.push(one),
  });
  return { taker, fetched, endings, calls, flights, response };
}

/** What a client gets who reads from the begin. */
async function read(fetched: Fetched): Promise<Buffer | string> {
  const source = fetched.open(0);
  const pieces: Buffer[] = [];
  try {
    for (let at = 0; ; ) {
      const piece = await source.piece(at, fetched.length ?? Number.POSITIVE_INFINITY);
      if (piece.kind === 'end') return Buffer.concat(pieces);
      if (piece.kind === 'lost') return piece.why;
      if (piece.kind === 'later') await piece.until;
      else {
        pieces.push(Buffer.from(piece.bytes));
        at += piece.bytes.length;
        piece.release?.();
      }
    }
  } finally {
    source.close();
  }
}

/** Gives the bytes as a connection does: in a buffer that holds something else right afterwards. */
function give(taker: { piece(chunk: Buffer): void }, bytes: Buffer): void {
  const lent = Buffer.from(bytes);
  taker.piece(lent);
  lent.fill(0xee);
}

function joined(endings: WaitEnding<Fetched>[]): Fetched {
  expect(endings.map(({ kind }) => kind)).toEqual(['joined']);
  return (endings[0] as Extract<WaitEnding<Fetched>, { kind: 'joined' }>).fetched;
}

async function expectStored(body: Buffer): Promise<void> {
  await store.settled();
  await turn();
  const entry = entryOf(store, KEY);
  expect(entry !== undefined && (await bodyOf(store, entry))).toEqual(body);
  expect(counts.stored).toBe(1);
}

describe('a short body that is here at once', () => {
  it.each([0, 1, 1000, BRIEF_BYTES])('of %i bytes is stored and given out in one piece', async (length) => {
    const body = randomBytes(length);
    const { taker, fetched, endings, flights } = begin(length);
    expect(fetched).toHaveLength(0);
    if (length > 0) give(taker, body);
    taker.end();
    expect(fetched).toHaveLength(1);
    expect(fetched[0]!.entry).toBe(entryOf(store, KEY));
    expect(await read(fetched[0]!)).toEqual(body);
    expect(await read(joined(endings))).toEqual(body);
    expect(flights.size).toBe(0);
    await expectStored(body);
    expect(fetched).toHaveLength(1);
  });

  it('in several pieces of one turn is the same', async () => {
    const body = randomBytes(3000);
    const { taker, fetched } = begin(3000);
    for (let at = 0; at < 3000; at += 700) give(taker, body.subarray(at, at + 700));
    taker.end();
    expect(fetched[0]!.entry).toBeDefined();
    expect(await read(fetched[0]!)).toEqual(body);
    await expectStored(body);
  });

  it('whose client has gone is stored all the same', async () => {
    const body = randomBytes(10);
    const { taker, fetched } = begin(10);
    give(taker, body);
    taker.end();
    fetched[0]!.open(0).close();
    await expectStored(body);
  });

  it('keeps to its asker what the response says is for that one', async () => {
    const fields = new Fields(['cache-control', 'max-age=60, private="x-a"', 'x-a', '1', 'x-b', '2']);
    const { taker, fetched, endings } = begin(1, { fields });
    give(taker, Buffer.from('a'));
    taker.end();
    const value = (one: { response: { fields: readonly string[] } }) => new Fields([...one.response.fields]).get('x-a');
    expect(value(fetched[0]!)).toBe('1');
    expect(value(joined(endings))).toBeUndefined();
    expect(value(entryOf(store, KEY)!)).toBeUndefined();
  });

  it('two at a time do not meet', async () => {
    const one = begin(4);
    const other = begin(4);
    give(one.taker, Buffer.from('on'));
    give(other.taker, Buffer.from('ot'));
    give(one.taker, Buffer.from('e!'));
    one.taker.end();
    await turn();
    give(other.taker, Buffer.from('h!'));
    other.taker.end();
    expect(String(await read(one.fetched[0]!))).toBe('one!');
    expect(String(await read(other.fetched[0]!))).toBe('oth!');
  });
});

describe('a body that is not here when the turn ends', () => {
  it.each([0, 1, 1000, BRIEF_BYTES])('of %i bytes is shared while it arrives', async (length) => {
    const body = randomBytes(length);
    const { taker, fetched, endings, flights } = begin(length);
    const half = length >> 1;
    if (half > 0) give(taker, body.subarray(0, half));
    await turn();
    expect(fetched).toHaveLength(1);
    expect(fetched[0]!.entry).toBeUndefined();
    expect(entryOf(store, KEY)).toBeUndefined();
    const reads = [read(fetched[0]!), read(joined(endings))];
    await turn();
    if (length > 0) give(taker, body.subarray(half));
    taker.end();
    for (const one of reads) expect(await one).toEqual(body);
    await expectStored(body);
    expect(flights.size).toBe(0);
    expect(fetched).toHaveLength(1);
  });

  it('or is a byte too long to be gathered, is shared from its begin', async () => {
    const body = randomBytes(BRIEF_BYTES + 1);
    const { taker, fetched } = begin(body.length);
    expect(fetched).toHaveLength(1);
    give(taker, body);
    taker.end();
    expect(await read(fetched[0]!)).toEqual(body);
    await expectStored(body);
  });

  it('is completed and stored when its client leaves', async () => {
    const body = randomBytes(100);
    const { taker, fetched, calls } = begin(100);
    give(taker, body.subarray(0, 50));
    await turn();
    const source = fetched[0]!.open(0);
    await source.piece(0, 100);
    source.close();
    give(taker, body.subarray(50));
    taker.end();
    await expectStored(body);
    expect(calls).not.toContain('abort');
  });

  it('keeps to its asker what the response says is for that one', async () => {
    const fields = new Fields(['cache-control', 'max-age=60, private="x-a"', 'x-a', '1', 'x-b', '2']);
    const { taker, fetched, endings } = begin(1, { fields });
    await turn();
    expect(fetched[0]!.response.fields).toContain('x-a');
    expect(joined(endings).response.fields).not.toContain('x-a');
    give(taker, Buffer.from('a'));
    taker.end();
    await expectStored(Buffer.from('a'));
    expect(entryOf(store, KEY)!.response.fields).not.toContain('x-a');
  });
});

describe('a body that does not come whole', () => {
  it.each([
    ['before the turn ends', false, 5],
    ['after it', true, 5],
    ['before its first byte', false, 0],
    ['later and before its first byte', true, 0],
  ])('failing %s leaves nothing in the store, and its readers are told', async (_name, spilled, given) => {
    const { taker, fetched, endings, flights } = begin(10);
    if (given > 0) give(taker, Buffer.from('12345'));
    if (spilled) await turn();
    taker.fail('http_response_incomplete');
    await turn();
    expect(fetched).toHaveLength(1);
    expect(typeof (await read(fetched[0]!))).toBe('string');
    expect(typeof (await read(joined(endings)))).toBe('string');
    await store.settled();
    expect(entryOf(store, KEY)).toBeUndefined();
    expect(flights.size).toBe(0);
    expect(counts.stored).toBe(0);
  });

  it.each([false, true])(
    'a part that says less than its Content-Range is not filled up with anything (spilled: %s)',
    async (spilled) => {
      const { taker, fetched } = begin(10);
      give(taker, Buffer.from('12345'));
      if (spilled) await turn();
      taker.end();
      await turn();
      expect(typeof (await read(fetched[0]!))).toBe('string');
      await store.settled();
      expect(entryOf(store, KEY)).toBeUndefined();
    },
  );

  it.each([false, true])(
    'a part that says more than its Content-Range ends its request, and is not stored (spilled: %s)',
    async (spilled) => {
      const { taker, fetched, calls } = begin(4);
      give(taker, Buffer.from('12'));
      if (spilled) await turn();
      give(taker, Buffer.from('345'));
      give(taker, Buffer.from('6'));
      expect(calls).toEqual(['abort']);
      expect(fetched).toHaveLength(1);
      await turn();
      expect(typeof (await read(fetched[0]!))).toBe('string');
      await store.settled();
      expect(entryOf(store, KEY)).toBeUndefined();
    },
  );
});
