/** What is stored for others, and what never is (RFC 9111 §3, §5.2; RFC 9213). */
import { describe, expect, test } from 'vitest';
import { bench, cacheStatus, httpDate } from './harness.ts';

/** A response's fields, whether a second client may get it from the store. */
const CACHE_CONTROL: readonly [what: string, headers: readonly [string, string][], reused: boolean][] = [
  ['max-age', [['Cache-Control', 'max-age=60']], true],
  ['Expires in the future', [['Expires', httpDate(60)]], true],
  [
    'max-age beside an Expires of 0',
    [
      ['Expires', '0'],
      ['Cache-Control', 'max-age=60'],
    ],
    true,
  ],
  [
    'max-age before an Expires of 0',
    [
      ['Cache-Control', 'max-age=60'],
      ['Expires', '0'],
    ],
    true,
  ],
  [
    'an Expires of 0',
    [
      ['Expires', '0'],
      ['Last-Modified', httpDate(-864000)],
    ],
    false,
  ],
  [
    'an Expires of -1',
    [
      ['Expires', '-1'],
      ['Last-Modified', httpDate(-864000)],
    ],
    false,
  ],
  [
    'an Expires that is no date',
    [
      ['Expires', 'soon'],
      ['Last-Modified', httpDate(-864000)],
    ],
    false,
  ],
  [
    'no-store on a second line',
    [
      ['Cache-Control', 'max-age=60'],
      ['Cache-Control', 'no-store'],
    ],
    false,
  ],
  [
    'no-store on a first line',
    [
      ['Cache-Control', 'no-store'],
      ['Cache-Control', 'max-age=60'],
    ],
    false,
  ],
  [
    'no-store on the third of four lines',
    [
      ['Cache-Control', 'max-age=60'],
      ['Cache-Control', 'public'],
      ['Cache-Control', 'no-store'],
      ['Cache-Control', 's-maxage=60'],
    ],
    false,
  ],
  ['no-store beside max-age', [['Cache-Control', 'max-age=60, no-store']], false],
  ['NO-STORE in capitals', [['Cache-Control', 'max-age=60, NO-STORE']], false],
  ['private', [['Cache-Control', 'max-age=60, private']], false],
  ['public and private', [['Cache-Control', 'public, max-age=60, private']], false],
  ['no-store inside a quoted string', [['Cache-Control', 'max-age=60, ext="no-store, max-age=0"']], true],
  ['a max-age of 2147483648', [['Cache-Control', 'max-age=2147483648']], true],
  ['a max-age of twenty nines', [['Cache-Control', 'max-age=99999999999999999999']], true],
  ['a max-age of -1', [['Cache-Control', 'max-age=-1']], false],
  ['a max-age of 1.5', [['Cache-Control', 'max-age=1.5']], false],
  ['a max-age of abc', [['Cache-Control', 'max-age=abc']], false],
  ['an empty max-age', [['Cache-Control', 'max-age=']], false],
  ['a max-age without a value', [['Cache-Control', 'max-age']], false],
  ['s-maxage=0 beside max-age', [['Cache-Control', 'max-age=60, s-maxage=0']], false],
  ['s-maxage beside max-age=0', [['Cache-Control', 'max-age=0, s-maxage=60']], true],
  [
    'an Age above max-age',
    [
      ['Cache-Control', 'max-age=60'],
      ['Age', '61'],
    ],
    false,
  ],
  [
    'an Age of twenty nines',
    [
      ['Cache-Control', 'max-age=60'],
      ['Age', '99999999999999999999'],
    ],
    false,
  ],
  [
    'a Date in an odd form',
    [
      ['Cache-Control', 'max-age=60'],
      ['Date', 'Sat, 01 Oct 2022 7:19:16 GMT'],
    ],
    true,
  ],
  [
    'a Date of the future',
    [
      ['Cache-Control', 'max-age=60'],
      ['Date', httpDate(3600)],
    ],
    true,
  ],
  [
    'CDN-Cache-Control over no-store',
    [
      ['Cache-Control', 'no-store'],
      ['CDN-Cache-Control', 'max-age=60'],
    ],
    true,
  ],
  [
    'a CDN-Cache-Control that is no dictionary',
    [
      ['Cache-Control', 'no-store'],
      ['CDN-Cache-Control', 'max-age=60, foo=}'],
    ],
    false,
  ],
  [
    'a CDN-Cache-Control with a string for a number',
    [
      ['Cache-Control', 'no-store'],
      ['CDN-Cache-Control', 'max-age="60"'],
    ],
    false,
  ],
  [
    'a broken CDN-Cache-Control beside max-age',
    [
      ['Cache-Control', 'max-age=60'],
      ['CDN-Cache-Control', 'max-age="0"'],
    ],
    true,
  ],
  [
    'CDN-Cache-Control no-store over max-age',
    [
      ['Cache-Control', 'max-age=60'],
      ['CDN-Cache-Control', 'no-store'],
    ],
    false,
  ],
  [
    'CDN-Cache-Control private over max-age',
    [
      ['Cache-Control', 'max-age=60'],
      ['CDN-Cache-Control', 'private'],
    ],
    false,
  ],
  [
    'CDN-Cache-Control max-age=0 over max-age',
    [
      ['Cache-Control', 'max-age=60'],
      ['CDN-Cache-Control', 'max-age=0'],
    ],
    false,
  ],
  [
    'CDN-Cache-Control max-age below Age',
    [
      ['Cache-Control', 'max-age=600'],
      ['CDN-Cache-Control', 'max-age=60'],
      ['Age', '61'],
    ],
    false,
  ],
  [
    'Surrogate-Control over no-store',
    [
      ['Cache-Control', 'no-store'],
      ['Surrogate-Control', 'max-age=60'],
    ],
    true,
  ],
  [
    'Surrogate-Control no-store over max-age',
    [
      ['Cache-Control', 'max-age=60'],
      ['Surrogate-Control', 'no-store'],
    ],
    false,
  ],
  ['nothing about freshness', [], false],
  [
    'Vary: *',
    [
      ['Cache-Control', 'max-age=60'],
      ['Vary', '*'],
    ],
    false,
  ],
  ['a must-understand that is met beside no-store', [['Cache-Control', 'no-store, must-understand, max-age=60']], true],
];

const benches = { safe: bench({ profile: 'safe' }), rfc: bench({ profile: 'rfc' }) };

for (const profile of ['safe', 'rfc'] as const)
  describe(`profile ${profile}`, () => {
    const b = benches[profile];

    for (const [what, headers, reused] of CACHE_CONTROL)
      test(`a response with ${what} is ${reused ? '' : 'not '}used for a second client`, async () => {
        const path = b.path();
        b.origin.on(path, { headers, body: 'one' }, { headers, body: 'two' });
        const first = await b.edge.get(path);
        const second = await b.edge.get(path);
        expect(first.text).toBe('one');
        expect(second.text).toBe(reused ? 'one' : 'two');
        expect(cacheStatus(second).hit).toBe(reused);
        if (reused) expect(Number(second.field('age'))).toBeLessThan(5);
      });

    test('what a hit says: Age, Via, and our Cache-Status; a miss says why and whether it was stored', async () => {
      const path = b.path();
      b.origin.on(path, { headers: { 'Cache-Control': 'max-age=60' }, body: 'hello' });
      const first = await b.edge.get(path);
      const second = await b.edge.get(path);
      expect(first.field('cache-status')).toMatch(/^nearcast-edge; fwd=uri-miss; fwd-status=200; .*stored/);
      expect(second.field('cache-status')).toMatch(/^nearcast-edge; hit; ttl=(59|60)$/);
      expect(second.field('via')).toBe('1.1 nearcast-edge');
      expect(second.field('age')).toMatch(/^[01]$/);
      expect(second.field('content-length')).toBe('5');
    });

    test('without a Date of the origin the hit has one', async () => {
      const path = b.path();
      b.origin.on(path, { headers: { 'Cache-Control': 'max-age=60' }, body: 'x', bare: true });
      await b.edge.get(path);
      const hit = await b.edge.get(path);
      expect(cacheStatus(hit).hit).toBe(true);
      expect(Math.abs(Date.parse(hit.field('date') ?? '') - Date.now())).toBeLessThan(10_000);
    });

    test('a response to Authorization is not used for a client without it', async () => {
      const path = b.path();
      b.origin.on(
        path,
        { headers: { 'Cache-Control': 'max-age=60' }, body: 'a' },
        { headers: { 'Cache-Control': 'max-age=60' }, body: 'b' },
      );
      await b.edge.get(path, { Authorization: 'Bearer a' });
      expect((await b.edge.get(path)).text).toBe('b');
      expect(b.origin.requests(path)[0]!.headers.authorization).toBe('Bearer a');
    });

    for (const allows of ['public', 's-maxage=60', 'must-revalidate'])
      test(`a response to Authorization with ${allows} is shared`, async () => {
        const path = b.path();
        b.origin.on(path, { headers: { 'Cache-Control': `max-age=60, ${allows}` }, body: 'a' });
        await b.edge.get(path, { Authorization: 'Bearer a' });
        expect(cacheStatus(await b.edge.get(path)).hit).toBe(true);
      });

    test('fields named by private and no-cache, on any line, do not reach a second client', async () => {
      const path = b.path();
      const headers: [string, string][] = [
        ['X-A', '1'],
        ['X-B', '2'],
        ['X-C', '3'],
        ['X-D', '4'],
        ['Cache-Control', 'max-age=60, private="X-A", no-cache="X-D"'],
        ['Cache-Control', 'private="X-C"'],
      ];
      b.origin.on(path, { headers, body: 'x' });
      expect((await b.edge.get(path)).field('x-a')).toBe('1');
      const second = await b.edge.get(path);
      expect(second.field('x-b')).toBe('2');
      expect(cacheStatus(second).hit).toBe(true);
      expect([second.field('x-a'), second.field('x-c'), second.field('x-d')]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    });

    test('a 304 does not bring back a field that was named by private', async () => {
      const path = b.path();
      b.origin.on(
        path,
        {
          headers: [
            ['X-A', '1'],
            ['ETag', '"v"'],
            ['Cache-Control', 'max-age=60, private="X-A"'],
            ['Age', '61'],
          ],
          body: 'x',
        },
        {
          status: 304,
          headers: [
            ['X-A', '2'],
            ['ETag', '"v"'],
            ['Cache-Control', 'max-age=60, private="X-A"'],
          ],
        },
      );
      await b.edge.get(path);
      await b.edge.get(path);
      const hit = await b.edge.get(path);
      expect(cacheStatus(hit).hit).toBe(true);
      expect(hit.field('x-a')).toBeUndefined();
    });

    test('no-cache="Set-Cookie" keeps the response and drops the cookie', async () => {
      const path = b.path();
      b.origin.on(path, {
        headers: { 'Cache-Control': 'max-age=60, no-cache="Set-Cookie"', 'Set-Cookie': 's=A' },
        body: 'x',
      });
      expect((await b.edge.get(path)).field('set-cookie')).toBe('s=A');
      const second = await b.edge.get(path);
      expect(cacheStatus(second).hit).toBe(true);
      expect(second.field('set-cookie')).toBeUndefined();
    });

    test('Surrogate-Control, Surrogate-Key and Cache-Tag stay here', async () => {
      const path = b.path();
      b.origin.on(path, {
        headers: { 'Surrogate-Control': 'max-age=60', 'Surrogate-Key': 'a b', 'Cache-Tag': 'c' },
        body: 'x',
      });
      for (const answer of [await b.edge.get(path), await b.edge.get(path)])
        for (const name of ['surrogate-control', 'surrogate-key', 'cache-tag'])
          expect(answer.field(name)).toBeUndefined();
    });

    // Profile safe takes a 414 for one client's fault.
    for (const status of [200, 203, 204, 300, 301, 308, 404, 405, 410, 501].concat(profile === 'rfc' ? [414] : []))
      test(`a ${status} with only a Last-Modified is used for a while`, async () => {
        const path = b.path();
        b.origin.on(path, { status, headers: { 'Last-Modified': httpDate(-864000) }, body: status === 204 ? '' : 'x' });
        await b.edge.get(path);
        const second = await b.edge.get(path);
        expect([second.status, cacheStatus(second).hit]).toEqual([status, true]);
      });

    for (const status of [201, 202, 302, 303, 307, 400, 403, 418, 500, 502, 503, 504])
      test(`a ${status} with only a Last-Modified is not`, async () => {
        const path = b.path();
        b.origin.on(path, { status, headers: { 'Last-Modified': httpDate(-864000) }, body: 'x' });
        await b.edge.get(path);
        const second = await b.edge.get(path);
        expect([second.status, cacheStatus(second).hit, b.origin.hits(path)]).toEqual([status, false, 2]);
      });

    for (const status of [200, 201, 302, 307, 403, 404, 410, 500, 503])
      test(`a ${status} with max-age is used again`, async () => {
        const path = b.path();
        b.origin.on(path, { status, headers: { 'Cache-Control': 'max-age=60' }, body: 'x' });
        await b.edge.get(path);
        const second = await b.edge.get(path);
        expect([second.status, cacheStatus(second).hit]).toEqual([status, true]);
      });

    for (const status of [412, 421, 428, 429, 431, 511, 599])
      test(`a ${status} is never stored as another client's answer`, async () => {
        const path = b.path();
        const headers = { 'Cache-Control': status === 599 ? 'no-store, must-understand, max-age=60' : 'max-age=60' };
        b.origin.on(path, { status, headers, body: 'x' });
        await b.edge.get(path);
        expect(cacheStatus(await b.edge.get(path)).hit).toBe(false);
      });

    for (const status of [301, 302, 307, 308])
      test(`a ${status} keeps its Location as it was`, async () => {
        const path = b.path();
        b.origin.on(path, {
          status,
          headers: { 'Cache-Control': 'max-age=60', Location: '//elsewhere.example.org/a b?%2F' },
        });
        await b.edge.get(path);
        const hit = await b.edge.get(path);
        expect([hit.status, hit.field('location'), cacheStatus(hit).hit]).toEqual([
          status,
          '//elsewhere.example.org/a b?%2F',
          true,
        ]);
      });
  });

describe('Set-Cookie', () => {
  const { safe } = benches;
  test('is never replayed to another client in profile safe', async () => {
    const path = safe.path();
    safe.origin.on(
      path,
      { headers: { 'Cache-Control': 'public, max-age=60', 'Set-Cookie': 's=A' }, body: 'x' },
      { headers: { 'Cache-Control': 'public, max-age=60', 'Set-Cookie': 's=B' }, body: 'x' },
    );
    expect((await safe.edge.get(path)).field('set-cookie')).toBe('s=A');
    expect((await safe.edge.get(path)).field('set-cookie')).toBe('s=B');
    expect(safe.origin.hits(path)).toBe(2);
  });

  test('a page of a private area is not stored because its path looks like a stylesheet', async () => {
    for (const tail of [';x.css', '/x.css', '%3fx.css', '%00.css']) {
      const path = `/account${tail}`;
      safe.origin.on(path, {
        headers: { 'Content-Type': 'text/html', 'Last-Modified': httpDate(-864000) },
        body: 'mine',
      });
      const first = await safe.edge.get(path);
      if (first.status === 400) continue;
      expect(cacheStatus(await safe.edge.get(path)).hit).toBe(false);
    }
  });

  for (const status of [400, 413, 414])
    test(`a ${status} of one client is not another's answer in profile safe, whatever the origin says`, async () => {
      const path = safe.path();
      safe.origin.on(path, { status, headers: { 'Cache-Control': 'max-age=60' } }, { body: 'good' });
      expect((await safe.edge.get(path)).status).toBe(status);
      expect((await safe.edge.get(path)).text).toBe('good');
    });
});
