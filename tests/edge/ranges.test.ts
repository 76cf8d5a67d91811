/** Ranges and partial content, from the store and from upstream (RFC 9110 §14, RFC 9111 §3.3-3.4). */
import { Agent } from 'node:http';
import { describe, expect, test } from 'vitest';
import type { Plain, Seen } from './harness.ts';
import { ask, begin, bench, cacheStatus, gate, httpDate, placed } from './harness.ts';

const MiB = 1 << 20;
const FRESH: [string, string][] = [
  ['Cache-Control', 'max-age=60'],
  ['ETag', '"v"'],
];

/** An origin that serves ranges of `body` as S3 does. */
function ranged(body: Buffer, headers: readonly [string, string][] = FRESH): (seen: Seen) => Plain {
  return (seen) => {
    const match = /^bytes=(\d*)-(\d*)$/.exec(String(seen.headers.range ?? ''));
    const etag = headers.find(([name]) => name === 'ETag')?.[1];
    const same = seen.headers['if-range'] === undefined || seen.headers['if-range'] === etag;
    if (match === null || !same) return { headers: [...headers], body };
    const [, first = '', last = ''] = match;
    const start = first === '' ? Math.max(0, body.length - Number(last)) : Number(first);
    const end = first === '' || last === '' ? body.length - 1 : Math.min(Number(last), body.length - 1);
    if (start > end) return { status: 416, headers: [['Content-Range', `bytes */${body.length}`]] };
    return {
      status: 206,
      headers: [...headers, ['Content-Range', `bytes ${start}-${end}/${body.length}`]],
      body: body.subarray(start, end + 1),
    };
  };
}

for (const workers of [1, 2])
  describe(`${workers} workers`, () => {
    const b = bench({ workers });

    test('the grammar of Range, on a hit of 1000 bytes', async () => {
      const path = b.path();
      const body = placed(1000);
      b.origin.on(path, { headers: FRESH, body });
      await b.edge.get(path);
      const cases: [string, 200 | 206 | 416, number?, number?][] = [
        ['bytes=0-0', 206, 0, 0],
        ['bytes=-1', 206, 999, 999],
        ['bytes=-5000', 206, 0, 999],
        ['bytes=999-', 206, 999, 999],
        ['bytes=10-19', 206, 10, 19],
        ['bytes=0-18446744073709551615', 206, 0, 999],
        ['bytes=990-99999', 206, 990, 999],
        ['BYTES=0-9', 206, 0, 9],
        ['bytes=1000-', 416],
        ['bytes=-0', 416],
        ['bytes=5-2', 200],
        ['abc', 200],
        ['10', 200],
        ['bytes 0-1', 200],
        ['items=0-1', 200],
        ['bytes=', 200],
        ['bytes=a-b', 200],
        ['bytes=-9223372036854775758,-9223372036854775808', 200],
      ];
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (const [range, status, start, end] of cases) {
        const answer = await ask(b.edge.port, path, { headers: { Range: range }, agent });
        const allowed = status === 200 ? [200, 416, ...(range.startsWith('bytes=-9') ? [206] : [])] : [status];
        expect([range, allowed.includes(answer.status)]).toEqual([range, true]);
        if (answer.status === 416) expect(answer.field('content-range')).toBe('bytes */1000');
        if (answer.status === 200) expect(answer.body.equals(body)).toBe(true);
        if (answer.status === 206 && start !== undefined) {
          expect(answer.lines('content-range')).toEqual([`bytes ${start}-${end}/1000`]);
          expect(answer.body.equals(body.subarray(start, end! + 1))).toBe(true);
          expect(answer.field('content-length')).toBe(String(end! + 1 - start));
        }
      }
      agent.destroy();
      expect(b.origin.hits(path)).toBe(1);
    });

    test('several ranges are one multipart answer of exact length; one that is left is a plain 206', async () => {
      const path = b.path();
      const body = placed(1000);
      b.origin.on(path, { headers: [...FRESH, ['Content-Type', 'video/mp4']], body });
      await b.edge.get(path);
      const several = await b.edge.get(path, { Range: 'bytes=0-9,100-109,-10' });
      expect(several.status).toBe(206);
      const boundary = /^multipart\/byteranges; ?boundary="?([^"]+)"?$/.exec(several.field('content-type') ?? '')?.[1];
      expect(several.field('content-range')).toBeUndefined();
      expect(several.body.length).toBe(Number(several.field('content-length')));
      const parts = several.text.split(`--${boundary}`);
      expect(parts).toHaveLength(5);
      expect(parts[4]!.startsWith('--')).toBe(true);
      for (const [i, [start, end]] of [
        [0, 9],
        [100, 109],
        [990, 999],
      ].entries()) {
        const [head = '', ...rest] = parts[i + 1]!.split('\r\n\r\n');
        expect(head.toLowerCase()).toContain('content-type: video/mp4');
        expect(head.toLowerCase()).toContain(`content-range: bytes ${start}-${end}/1000`);
        expect(rest.join('\r\n\r\n').slice(0, 10)).toBe(body.toString('latin1', start, end! + 1));
      }
      const single = await b.edge.get(path, { Range: 'bytes=0-9,5000-' });
      expect([single.status, single.field('content-range')]).toEqual([206, 'bytes 0-9/1000']);
      const many = await b.edge.get(path, { Range: `bytes=${Array.from({ length: 200 }, () => '0-').join()}` });
      expect([many.status, many.body.length <= 1000]).toEqual([many.status === 416 ? 416 : 200, true]);
    });

    test('an empty body: a suffix range gets the 200, an open one 416', async () => {
      const path = b.path();
      b.origin.on(path, { headers: FRESH, body: '' });
      await b.edge.get(path);
      const suffix = await b.edge.get(path, { Range: 'bytes=-5' });
      expect([suffix.status, suffix.body.length]).toEqual([200, 0]);
      const open = await b.edge.get(path, { Range: 'bytes=0-' });
      expect([open.status, open.field('content-range')]).toEqual([416, 'bytes */0']);
      expect((await b.edge.get(path)).status).toBe(200);
    });

    test('If-Range: only the very version gets a part', async () => {
      const path = b.path();
      const modified = httpDate(-5000);
      b.origin.on(path, { headers: [...FRESH, ['Last-Modified', modified]], body: placed(1000) });
      await b.edge.get(path);
      const cases: [string, number][] = [
        ['"v"', 206],
        ['W/"v"', 200],
        ['"w"', 200],
        ['"v', 200],
        [modified, 206],
        [httpDate(-6000), 200],
        [httpDate(-10), 200],
      ];
      for (const [value, status] of cases)
        expect([value, (await b.edge.get(path, { Range: 'bytes=0-3', 'If-Range': value })).status]).toEqual([
          value,
          status,
        ]);
      expect((await b.edge.get(path, { 'If-Range': '"w"' })).status).toBe(200);
      const beyond = await b.edge.get(path, { Range: 'bytes=999999-', 'If-None-Match': '"v"' });
      expect(beyond.status).toBe(304);
      expect((await b.edge.get(path, { Range: 'bytes=999999-', 'If-Range': '"w"' })).status).toBe(200);
    });

    test('a Last-Modified less than a minute older than Date is too weak for If-Range', async () => {
      const path = b.path();
      const modified = httpDate(-10);
      b.origin.on(path, {
        headers: [
          ['Cache-Control', 'max-age=60'],
          ['Last-Modified', modified],
        ],
        body: placed(1000),
      });
      await b.edge.get(path);
      expect((await b.edge.get(path, { Range: 'bytes=0-3', 'If-Range': modified })).status).toBe(200);
    });

    test('a range of what is not here stores no 206 as the whole, and each client gets its own bytes', async () => {
      const path = b.path();
      const body = placed(3 * MiB + 5);
      b.origin.on(path, ranged(body));
      for (const [start, end] of [
        [0, 499],
        [101, 300],
        [2 * MiB, 2 * MiB + 10],
        [3 * MiB, 3 * MiB + 4],
      ] as const) {
        const answer = await b.edge.get(path, { Range: `bytes=${start}-${end}` });
        expect([answer.status, answer.lines('content-range')]).toEqual([206, [`bytes ${start}-${end}/${body.length}`]]);
        expect(answer.body.equals(body.subarray(start, end + 1))).toBe(true);
      }
      const suffix = await b.edge.get(path, { Range: 'bytes=-7' });
      expect(suffix.body.equals(body.subarray(-7))).toBe(true);
      const whole = await b.edge.get(path);
      expect([whole.status, whole.body.equals(body), whole.whole]).toEqual([200, true, true]);
      const hits = b.origin.hits(path);
      expect((await b.edge.get(path)).body.equals(body)).toBe(true);
      expect(b.origin.hits(path)).toBe(hits);
    });

    test('ranges across and at the edges of slices are whole and in order', async () => {
      const path = b.path();
      const body = placed(3 * MiB);
      b.origin.on(path, ranged(body));
      for (const [start, end] of [
        [MiB - 1, MiB - 1],
        [MiB, MiB],
        [MiB - 100_000, MiB + 100_000],
        [MiB - 1, 2 * MiB],
        [0, 3 * MiB - 1],
        [2 * MiB - 1, 2 * MiB],
      ] as const) {
        const answer = await b.edge.get(path, { Range: `bytes=${start}-${end}` });
        expect(answer.lines('content-range')).toEqual([`bytes ${start}-${end}/${body.length}`]);
        expect(answer.body.equals(body.subarray(start, end + 1))).toBe(true);
      }
    });

    test('a first byte of a large body costs the origin one slice', async () => {
      const path = b.path();
      const body = placed(8 * MiB);
      b.origin.on(path, ranged(body));
      const answer = await b.edge.get(path, { Range: 'bytes=0-0' });
      expect([answer.status, answer.body.length]).toEqual([206, 1]);
      expect(b.origin.requests(path).map(({ headers }) => headers.range)).toEqual(['bytes=0-1048575']);
    });

    test('an origin that ignores ranges fills the store, and its client gets the range all the same', async () => {
      const path = b.path();
      const body = placed(2 * MiB + 3);
      b.origin.on(path, { headers: FRESH, body });
      const answer = await b.edge.get(path, { Range: 'bytes=1048570-1048580' });
      expect([answer.status, answer.lines('content-range')]).toEqual([206, [`bytes 1048570-1048580/${body.length}`]]);
      expect(answer.body.equals(body.subarray(1048570, 1048581))).toBe(true);
      await expect.poll(async () => cacheStatus(await b.edge.get(path)).hit, { timeout: 10_000 }).toBe(true);
      expect((await b.edge.get(path)).body.equals(body)).toBe(true);
    });

    test('an origin without a length or validator that ignores ranges', async () => {
      const path = b.path();
      b.origin.on(path, { headers: [['Cache-Control', 'max-age=60']], body: placed(1000), chunked: true });
      const answer = await b.edge.get(path, { Range: 'bytes=10-19' });
      expect([200, 206]).toContain(answer.status);
      const expected = answer.status === 200 ? placed(1000) : placed(1000).subarray(10, 20);
      expect(answer.body.equals(expected)).toBe(true);
      const later = await b.edge.get(path, { Range: 'bytes=10-19' });
      expect([later.status, later.body.equals(placed(1000).subarray(10, 20))]).toEqual([206, true]);
    });

    for (const [what, contentRange, length] of [
      ['shorter than asked', 'bytes 0-99/1000', 100],
      ['of other bytes than asked', 'bytes 300-399/1000', 100],
      ['without a Content-Range', undefined, 100],
      ['of unknown length', 'bytes 0-99/*', 100],
      ['whose Content-Range says more than its body', 'bytes 0-199/1000', 100],
    ] as const)
      test(`a 206 ${what} is not given out as something else`, async () => {
        const path = b.path();
        const body = placed(1000);
        b.origin.on(path, (seen) =>
          seen.headers.range === undefined
            ? { headers: FRESH, body }
            : {
                status: 206,
                headers: [
                  ...FRESH,
                  ...(contentRange === undefined ? [] : [['Content-Range', contentRange] as [string, string]]),
                ],
                body: body.subarray(0, length),
              },
        );
        const answer = await b.edge.get(path, { Range: 'bytes=200-249' });
        if (answer.status === 206 && answer.whole) {
          // What the origin said to this very client, or the right bytes.
          const own = answer.field('content-range') === contentRange && answer.body.equals(body.subarray(0, length));
          const right =
            answer.field('content-range') === 'bytes 200-249/1000' && answer.body.equals(body.subarray(200, 250));
          expect(own || right).toBe(true);
        }
        const whole = await b.edge.get(path);
        expect([whole.status, whole.body.equals(body)]).toEqual([200, true]);
      });

    test('a 206 without having been asked for a range is an error', async () => {
      const path = b.path();
      b.origin.on(path, { status: 206, headers: [...FRESH, ['Content-Range', 'bytes 0-9/100']], body: placed(10) });
      expect((await b.edge.get(path)).status).toBe(502);
    });

    test('two hundred clients with overlapping ranges: each slice is asked for once', async () => {
      const path = b.path();
      const body = placed(12 * MiB, 7);
      const asked = new Array<number>(12).fill(0);
      const serve = ranged(body);
      b.origin.on(path, (seen) => {
        const [, from = '', to = ''] = /^bytes=(\d+)-(\d+)$/.exec(String(seen.headers.range)) ?? [];
        for (let n = Math.floor(Number(from) / MiB); n <= Math.floor(Number(to) / MiB); n++) asked[n]! += 1;
        return serve(seen);
      });
      await b.edge.get(path, { Range: 'bytes=0-0' });
      await Promise.all(
        Array.from({ length: 200 }, async (_, i) => {
          const from = ((i * 7) % 11) * MiB + i;
          const to = Math.min(from + ((i % 8) + 1) * (MiB / 4), body.length) - 1;
          const answer = await ask(b.edge.port, path, {
            headers: { Range: `bytes=${from}-${to}` },
            deadlineMillis: 80_000,
          });
          expect([answer.status, answer.whole, answer.body.equals(body.subarray(from, to + 1))]).toEqual([
            206,
            true,
            true,
          ]);
        }),
      );
      expect(asked).toEqual(new Array<number>(12).fill(1));
    }, 90_000);

    test.each([
      ['stored', true],
      ['just arriving', false],
    ])(
      'a version that is %s and gone upstream before a byte was sent: the client gets the new one',
      async (_is, stored) => {
        const path = b.path();
        const [old, fresh] = [placed(4 * MiB, 8), placed(4 * MiB, 9)];
        b.origin.on(path, ranged(old));
        expect((await b.edge.get(path, { Range: 'bytes=0-9' })).body.equals(old.subarray(0, 10))).toBe(true);
        if (stored) {
          let hit = false;
          while (!hit) hit = cacheStatus(await b.edge.get(path, { Range: 'bytes=1-8' })).hit;
        }
        b.origin.on(
          path,
          ranged(fresh, [
            ['Cache-Control', 'max-age=60'],
            ['ETag', '"w"'],
          ]),
        );
        const [from, to] = [2 * MiB + 5, 3 * MiB + 5];
        const answer = await b.edge.get(path, { Range: `bytes=${from}-${to}` });
        expect([answer.status, answer.field('etag'), answer.whole]).toEqual([206, '"w"', true]);
        expect(answer.body.equals(fresh.subarray(from, to + 1))).toBe(true);
        expect((await b.edge.get(path)).body.equals(fresh)).toBe(true);
      },
    );

    test('when the resource changes between two slices nobody gets a mixture', async () => {
      const path = b.path();
      const [one, two] = [placed(3 * MiB, 1), placed(3 * MiB, 2)];
      const old = ranged(one, [
        ['Cache-Control', 'max-age=60'],
        ['ETag', '"1"'],
      ]);
      const now = ranged(two, [
        ['Cache-Control', 'max-age=60'],
        ['ETag', '"2"'],
      ]);
      b.origin.on(path, (seen, _response, n) => (n === 1 ? old(seen) : now(seen)));
      await b.edge.get(path, { Range: 'bytes=0-10' });
      const crossing = await b.edge.get(path);
      if (crossing.whole) expect([one, two].some((body) => body.equals(crossing.body))).toBe(true);
      const next = await b.edge.get(path);
      expect([next.whole, next.field('etag'), next.body.equals(two)]).toEqual([true, '"2"', true]);
    });

    for (const [what, reply] of [
      ['404', { status: 404, body: 'gone' }],
      ['a shorter body of the same name', undefined],
      ['416', { status: 416, headers: [['Content-Range', 'bytes */5']] as [string, string][] }],
      ['500', { status: 500, body: 'bad' }],
    ] as const)
      test(`a missing slice that the origin answers with ${what} ends the transfer without wrong bytes`, async () => {
        const path = b.path();
        const body = placed(3 * MiB);
        const shorter = ranged(placed(MiB, 3));
        b.origin.on(path, (seen, _response, n) => (n === 1 ? ranged(body)(seen) : (reply ?? shorter(seen))));
        await b.edge.get(path, { Range: 'bytes=0-10' });
        const answer = await b.edge.get(path, { Range: 'bytes=1048576-1048600' }).catch(() => undefined);
        if (answer?.whole === true && answer.status === 206)
          expect(answer.body.equals(body.subarray(1048576, 1048601))).toBe(true);
        expect((await b.edge.get(b.path('alive'))).status).toBe(404);
      });

    test('a range of a stale response that is gone upstream is the 404, not a part of it', async () => {
      const path = b.path();
      b.origin.on(
        path,
        {
          headers: [
            ['Cache-Control', 'max-age=1'],
            ['Age', '100'],
            ['ETag', '"v"'],
          ],
          body: placed(100),
        },
        { status: 404, body: 'not here' },
      );
      await b.edge.get(path);
      const answer = await b.edge.get(path, { Range: 'bytes=0-3' });
      expect([answer.status, answer.text]).toEqual([404, 'not here']);
    });

    test('a range of a large body that is still arriving comes from what arrives', async () => {
      const path = b.path();
      const body = placed(6 * MiB);
      const after = gate();
      b.origin.on(path, {
        headers: FRESH,
        body: body.subarray(0, 2 * MiB),
        rest: { after, body: body.subarray(2 * MiB) },
      });
      const first = await begin(b.edge.port, path);
      await first.received(2 * MiB);
      const early = await b.edge.get(path, { Range: 'bytes=1000-1999' });
      expect(early.body.equals(body.subarray(1000, 2000))).toBe(true);
      const late = begin(b.edge.port, path, { headers: { Range: `bytes=${5 * MiB}-${5 * MiB + 9}` } });
      after.open();
      expect((await (await late).answer).body.equals(body.subarray(5 * MiB, 5 * MiB + 10))).toBe(true);
      expect((await first.answer).body.equals(body)).toBe(true);
    });

    test('a purge takes every slice of a body', async () => {
      const path = b.path();
      const [one, two] = [placed(3 * MiB, 1), placed(3 * MiB, 2)];
      b.origin.on(path, ranged(one));
      await b.edge.get(path, { Range: 'bytes=0-10' });
      await b.edge.get(path, { Range: `bytes=${2 * MiB}-${2 * MiB + 10}` });
      expect((await b.edge.ask(path, { method: 'PURGE' })).status).toBe(200);
      b.origin.on(path, ranged(two));
      for (const start of [0, 2 * MiB]) {
        const answer = await b.edge.get(path, { Range: `bytes=${start}-${start + 10}` });
        expect(answer.body.equals(two.subarray(start, start + 11))).toBe(true);
      }
    });

    test('a miss that is answered by a 206 says so in Cache-Status', async () => {
      const path = b.path();
      b.origin.on(path, ranged(placed(2 * MiB)));
      const answer = await b.edge.get(path, { Range: 'bytes=0-10' });
      expect(cacheStatus(answer).parameters.get('fwd-status')).toBe('206');
    });
  });
