/** Validation, what a 304 changes, and clients' own conditions (RFC 9111 §4.3, RFC 9110 §13). */
import { describe, expect, test } from 'vitest';
import { begin, bench, cacheStatus, gate, httpDate } from './harness.ts';

const STALE: [string, string][] = [
  ['Cache-Control', 'max-age=60'],
  ['Age', '1000'],
];
const FRESH: [string, string][] = [['Cache-Control', 'max-age=60']];

describe('validation', () => {
  const b = bench();

  test('a stale response is validated, and is a hit afterwards with its age counted from the 304', async () => {
    const path = b.path();
    b.origin.on(
      path,
      { headers: [...STALE, ['ETag', '"v"']], body: 'x' },
      { status: 304, headers: [...FRESH, ['ETag', '"v"']] },
    );
    await b.edge.get(path);
    const validated = await b.edge.get(path);
    const hit = await b.edge.get(path);
    expect(b.origin.requests(path)[1]!.headers['if-none-match']).toBe('"v"');
    expect([validated.status, validated.text, cacheStatus(validated).fwd]).toEqual([200, 'x', 'stale']);
    expect([hit.text, cacheStatus(hit).hit, Number(hit.field('age')) < 5]).toEqual(['x', true, true]);
    expect(b.origin.hits(path)).toBe(2);
  });

  test('no-cache validates each use, whatever max-age says', async () => {
    const path = b.path();
    const headers = { 'Cache-Control': 'no-cache, max-age=1000', ETag: '"v"' };
    b.origin.on(path, { headers, body: 'x' }, { status: 304, headers });
    for (let i = 0; i < 3; i++) expect((await b.edge.get(path)).text).toBe('x');
    expect(b.origin.requests(path).map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"v"', '"v"']);
  });

  test('a Last-Modified validates where there is no ETag', async () => {
    const path = b.path();
    const modified = httpDate(-5000);
    b.origin.on(path, { headers: [...STALE, ['Last-Modified', modified]], body: 'x' }, { status: 304, headers: FRESH });
    await b.edge.get(path);
    expect((await b.edge.get(path)).text).toBe('x');
    expect(b.origin.requests(path)[1]!.headers['if-modified-since']).toBe(modified);
  });

  test('a full 200 replaces what was stale', async () => {
    const path = b.path();
    b.origin.on(
      path,
      { headers: [...STALE, ['ETag', '"a"']], body: 'A' },
      { headers: [...FRESH, ['ETag', '"b"']], body: 'BB' },
    );
    await b.edge.get(path);
    expect((await b.edge.get(path)).text).toBe('BB');
    const hit = await b.edge.get(path);
    expect([hit.text, cacheStatus(hit).hit, hit.field('etag')]).toEqual(['BB', true, '"b"']);
  });

  test('a 304 replaces all lines of the fields it carries, and leaves the body and its encoding alone', async () => {
    const path = b.path();
    b.origin.on(
      path,
      {
        headers: [
          ...STALE,
          ['ETag', '"v"'],
          ['Foo', 'a'],
          ['Foo', 'b'],
          ['Bar', 'kept'],
          ['Content-Type', 'text/plain'],
        ],
        body: 'body',
      },
      {
        status: 304,
        headers: [
          ...FRESH,
          ['ETag', 'W/"v"'],
          ['Foo', 'c'],
          ['Foo', 'd'],
          ['Content-Encoding', 'gzip'],
          ['Content-Type', 'image/png'],
          ['Content-Length', '99'],
          ['Content-Range', 'bytes 0-1/2'],
        ],
      },
    );
    await b.edge.get(path);
    for (const answer of [await b.edge.get(path), await b.edge.get(path)]) {
      expect(answer.lines('foo')).toEqual(['c', 'd']);
      expect(answer.lines('bar')).toEqual(['kept']);
      expect(answer.field('content-encoding')).toBeUndefined();
      expect(answer.field('content-range')).toBeUndefined();
      expect([answer.text, answer.field('content-length'), answer.field('etag'), answer.field('content-type')]).toEqual(
        ['body', '4', '"v"', 'text/plain'],
      );
    }
  });

  test('a 304 about another ETag is not believed', async () => {
    const path = b.path();
    b.origin.on(
      path,
      { headers: [...STALE, ['ETag', '"a"']], body: 'A' },
      { status: 304, headers: [...FRESH, ['ETag', '"b"']] },
      { headers: [...FRESH, ['ETag', '"b"']], body: 'B' },
    );
    await b.edge.get(path);
    expect((await b.edge.get(path)).text).toBe('B');
    expect(b.origin.requests(path)[2]!.headers['if-none-match']).toBeUndefined();
  });

  test('a 304 that nobody asked for is an error, never an answer', async () => {
    const path = b.path();
    b.origin.on(path, { status: 304, headers: { ETag: '"v"', 'Cache-Control': 'max-age=60' } });
    for (let i = 0; i < 2; i++) {
      const answer = await b.edge.get(path);
      expect(answer.status).toBe(502);
      expect(answer.field('proxy-status')).toContain('http_protocol_error');
    }
  });

  test('a 304 for a stored error without a validator is an error', async () => {
    const path = b.path();
    b.origin.on(
      path,
      {
        status: 404,
        headers: [
          ['Cache-Control', 'max-age=1'],
          ['Age', '100'],
        ],
        body: 'none',
      },
      { status: 304 },
    );
    expect((await b.edge.get(path)).status).toBe(404);
    expect((await b.edge.get(path)).status).toBe(502);
  });

  test("a client's condition is not the edge's: the miss fetches the whole, and the client gets its 304", async () => {
    const path = b.path();
    b.origin.on(path, (seen) =>
      seen.headers['if-none-match'] === undefined
        ? { headers: [...FRESH, ['ETag', '"x"']], body: 'whole' }
        : { status: 304, headers: [['ETag', '"x"']] },
    );
    expect((await b.edge.get(path, { 'If-None-Match': '"x"' })).status).toBe(304);
    const plain = await b.edge.get(path);
    expect([plain.status, plain.text, cacheStatus(plain).hit]).toEqual([200, 'whole', true]);
  });

  test("a stale response and a client's own condition: validated once, and each client gets what it asked", async () => {
    const path = b.path();
    b.origin.on(
      path,
      { headers: [...STALE, ['ETag', '"v"']], body: 'x' },
      { status: 304, headers: [...FRESH, ['ETag', '"v"']] },
    );
    await b.edge.get(path);
    const answer = await b.edge.get(path, { 'If-None-Match': '"other", "v"' });
    expect([answer.status, answer.body.length]).toEqual([304, 0]);
    expect(b.origin.requests(path)[1]!.headers['if-none-match']).toBe('"v"');
  });

  test('the new version answers a client whose condition names the old one', async () => {
    const path = b.path();
    b.origin.on(
      path,
      { headers: [...STALE, ['ETag', '"a"']], body: 'A' },
      { headers: [...FRESH, ['ETag', '"b"']], body: 'B' },
    );
    await b.edge.get(path);
    expect((await b.edge.get(path, { 'If-None-Match': '"a"' })).text).toBe('B');
  });

  test('conditions on a hit', async () => {
    const path = b.path();
    const modified = httpDate(-5000);
    b.origin.on(path, {
      headers: [
        ...FRESH,
        ['ETag', 'W/"a,b"'],
        ['Last-Modified', modified],
        ['Vary', 'X-R'],
        ['Expires', httpDate(60)],
        ['Content-Location', '/x'],
        ['Content-Type', 'text/plain'],
        ['X-Other', '1'],
      ],
      body: 'body',
    });
    await b.edge.get(path);
    const statuses: [Record<string, string>, number][] = [
      [{ 'If-None-Match': '"z", "a,b"' }, 304],
      [{ 'If-None-Match': 'W/"a,b"' }, 304],
      [{ 'If-None-Match': '*' }, 304],
      [{ 'If-None-Match': '"a' }, 200],
      [{ 'If-None-Match': '"a"' }, 200],
      [{ 'If-None-Match': '"z"', 'If-Modified-Since': httpDate(0) }, 200],
      [{ 'If-None-Match': '"a,b"', 'If-Modified-Since': httpDate(-50_000) }, 304],
      [{ 'If-Modified-Since': modified }, 304],
      [{ 'If-Modified-Since': httpDate(-6000) }, 200],
      [{ 'If-Modified-Since': 'yesterday' }, 200],
      [{ 'If-Match': 'W/"a,b"' }, 412],
      [{ 'If-Match': '"a,b"' }, 412],
      [{ 'If-Match': '*' }, 200],
      [{ 'If-Unmodified-Since': httpDate(-6000) }, 412],
      [{ 'If-Unmodified-Since': modified }, 200],
    ];
    for (const [headers, status] of statuses)
      expect([headers, (await b.edge.get(path, headers)).status]).toEqual([headers, status]);
    const notModified = await b.edge.get(path, { 'If-None-Match': '*' });
    for (const name of ['etag', 'cache-control', 'date', 'expires', 'vary', 'content-location'])
      expect([name, notModified.field(name) !== undefined]).toEqual([name, true]);
    expect(notModified.field('etag')).toBe('W/"a,b"');
    expect([
      notModified.field('content-type'),
      notModified.field('content-length'),
      notModified.field('x-other'),
    ]).toEqual([undefined, undefined, undefined]);
    // None of these was worth a question to the origin, and none took the entry away.
    expect(cacheStatus(await b.edge.get(path)).hit).toBe(true);
    expect(b.origin.hits(path)).toBe(1);
  });

  test('an answer to If-Match is of the condition and does not become the entry', async () => {
    const path = b.path();
    b.origin.on(path, { headers: [...FRESH, ['ETag', '"v"']], body: 'x' });
    expect((await b.edge.get(path, { 'If-Match': '"other"' })).status).toBe(412);
    expect((await b.edge.get(path)).text).toBe('x');
  });

  test('a purge while a validation is under way is not undone by its 304', async () => {
    const path = b.path();
    const hold = gate();
    b.origin.on(
      path,
      { headers: [...STALE, ['ETag', '"v"']], body: 'old' },
      { status: 304, headers: [...FRESH, ['ETag', '"v"']], hold },
      { headers: [...FRESH, ['ETag', '"w"']], body: 'new' },
    );
    await b.edge.get(path);
    const asking = b.edge.get(path);
    await b.origin.asked(path, 2);
    await b.edge.ask(path, { method: 'PURGE' });
    hold.open();
    expect((await asking).text).toBe('new');
    expect((await b.edge.get(path)).text).toBe('new');
    expect(b.origin.requests(path)[2]!.headers['if-none-match']).toBeUndefined();
  });

  test('a 304 for an entry whose body never came whole brings no half body back', async () => {
    const path = b.path();
    const fail = gate();
    b.origin.on(
      path,
      async (seen, response) => {
        response.writeHead(200, { 'Cache-Control': 'max-age=60', Age: '1000', ETag: '"v"' });
        response.write('half');
        await fail.opened;
        seen.body.toString();
        response.destroy();
      },
      (seen) =>
        seen.headers['if-none-match'] === '"v"'
          ? { status: 304, headers: [['ETag', '"v"'], ...FRESH] }
          : { headers: [...FRESH, ['ETag', '"v"']], body: 'half and half' },
    );
    const first = await begin(b.edge.port, path);
    await first.received(4);
    const second = b.edge.get(path);
    fail.open();
    expect((await first.answer).whole).toBe(false);
    await second;
    const third = await b.edge.get(path);
    expect([third.text, third.whole]).toEqual(['half and half', true]);
  });

  test('a 304 that says no-store answers once and leaves nothing', async () => {
    const path = b.path();
    b.origin.on(
      path,
      { headers: [...STALE, ['ETag', '"v"']], body: 'x' },
      { status: 304, headers: { ETag: '"v"', 'Cache-Control': 'no-store' } },
      { headers: { 'Cache-Control': 'no-store' }, body: 'y' },
    );
    await b.edge.get(path);
    expect((await b.edge.get(path)).text).toBe('x');
    expect((await b.edge.get(path)).text).toBe('y');
  });
});
