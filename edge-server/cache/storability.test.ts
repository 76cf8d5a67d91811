import { describe, expect, test } from 'vitest';
import { Fields } from '../http/fields.ts';
import { type CachePolicy, cachePolicy, RFC_POLICY, SAFE_POLICY } from './policy.ts';
import { NOW, received } from './sample-responses.ts';
import { partialStorability, type StoringRequest, storability } from './storability.ts';

type Entry = [string, string | number];
const FRESH: Entry = ['cache-control', 'max-age=60'];

const request = (over: Partial<StoringRequest> = {}): StoringRequest => ({
  method: 'GET',
  fields: new Fields(),
  hasBody: false,
  url: 'http://example.org/a',
  ...over,
});
const decide = (
  entries: Entry[],
  over: Partial<StoringRequest> & { status?: number; policy?: CachePolicy } = {},
): string => {
  const outcome = storability(request(over), received(over.status ?? 200, ...entries), over.policy ?? SAFE_POLICY);
  return outcome.store ? 'stored' : outcome.why;
};
const parts = (entries: Entry[], over: Partial<StoringRequest> = {}, policy: CachePolicy = SAFE_POLICY) => {
  const outcome = storability(request(over), received(200, ...entries), policy);
  if (!outcome.store) throw new Error(outcome.why);
  return outcome.parts;
};

describe('the request', () => {
  test('only GET is stored: a HEAD has no body to store', () => {
    expect(decide([FRESH])).toBe('stored');
    for (const method of ['HEAD', 'POST', 'PUT', 'OPTIONS', 'M-SEARCH'])
      expect(decide([FRESH], { method })).toBe('method');
  });

  test('a GET with a body is not stored', () => {
    expect(decide([FRESH], { hasBody: true })).toBe('request-body');
  });

  test('a POST stands for a GET when the policy says so and its response names its own target with freshness', () => {
    const post = { method: 'POST', hasBody: true, policy: RFC_POLICY };
    expect(decide([FRESH, ['content-location', '/a']], post)).toBe('stored');
    expect(decide([FRESH, ['content-location', '/b']], post)).toBe('method');
    expect(
      decide(
        [
          ['content-location', '/a'],
          ['etag', '"1"'],
        ],
        post,
      ),
    ).toBe('method');
    expect(decide([FRESH, ['content-location', '/a']], { ...post, policy: SAFE_POLICY })).toBe('method');
  });

  test('a request’s no-store counts where requests are honoured', () => {
    const fields = Fields.of({ 'cache-control': 'no-store' });
    expect(decide([FRESH], { fields, policy: RFC_POLICY })).toBe('request-no-store');
    expect(decide([FRESH], { fields, policy: SAFE_POLICY })).toBe('stored');
  });

  test('Authorization needs a word that the response is for all', () => {
    const fields = Fields.of({ authorization: 'Bearer a' });
    expect(decide([FRESH], { fields })).toBe('authorization');
    for (const directive of ['public', 'must-revalidate', 's-maxage=60'])
      expect(decide([['cache-control', `max-age=60, ${directive}`]], { fields })).toBe('stored');
  });
});

describe('directives', () => {
  test.each([
    ['no-store', 'no-store'],
    ['max-age=10000, no-store', 'no-store'],
    ['private, max-age=3600', 'private'],
    ['public, private, max-age=60', 'private'],
  ])('%s is not stored', (value, why) => {
    expect(
      decide([
        ['cache-control', value],
        ['etag', '"1"'],
      ]),
    ).toBe(why);
  });

  test('any of several lines counts', () => {
    expect(decide([FRESH, ['cache-control', 'no-store']])).toBe('no-store');
    expect(decide([['cache-control', 'no-store'], FRESH])).toBe('no-store');
  });

  test('the targeted field decides alone', () => {
    expect(
      decide([
        ['cache-control', 'no-store'],
        ['cdn-cache-control', 'max-age=60'],
      ]),
    ).toBe('stored');
    expect(decide([FRESH, ['cdn-cache-control', 'no-store']])).toBe('no-store');
    expect(decide([FRESH, ['cdn-cache-control', 'private']])).toBe('private');
    expect(
      decide([
        ['cache-control', 'no-store'],
        ['cdn-cache-control', 'max-age=60, foo=}'],
      ]),
    ).toBe('no-store');
  });

  test('must-understand lifts no-store for a status that is understood', () => {
    const both: Entry = ['cache-control', 'max-age=60, no-store, must-understand'];
    expect(decide([both])).toBe('stored');
    expect(decide([both], { status: 599 })).toBe('must-understand');
  });

  test('what must always be validated is stored when it can be', () => {
    expect(
      decide([
        ['cache-control', 'no-cache'],
        ['etag', '"1"'],
      ]),
    ).toBe('stored');
    expect(
      decide([
        ['cache-control', 'max-age=0'],
        ['last-modified', -60],
      ]),
    ).toBe('stored');
    expect(decide([['cache-control', 'no-cache']])).toBe('no-freshness');
    expect(decide([['cache-control', 'max-age=0']])).toBe('no-freshness');
    expect(decide([])).toBe('no-freshness');
  });

  test('what may serve on an error is stored without a validator', () => {
    expect(decide([['cache-control', 'max-age=0, stale-if-error=60']])).toBe('stored');
    expect(decide([['cache-control', 'max-age=0, must-revalidate, stale-if-error=60']])).toBe('no-freshness');
  });

  test('a default lifetime does not beat no-cache', () => {
    const policy = cachePolicy('safe', { defaultTtlMillis: 1_000_000 });
    expect(decide([], { policy })).toBe('stored');
    expect(decide([['cache-control', 'no-cache']], { policy })).toBe('no-freshness');
    expect(
      parts(
        [
          ['cache-control', 'no-cache'],
          ['etag', '"1"'],
        ],
        {},
        policy,
      ).freshness,
    ).toMatchObject({
      alwaysValidate: true,
      lifetimeMillis: 0,
    });
  });
});

describe('the status', () => {
  test.each([200, 203, 204, 299, 301, 302, 303, 307, 308, 404, 410, 499, 500, 502, 503, 504, 599])(
    '%d with explicit freshness is stored',
    (status) => {
      expect(decide([FRESH], { status })).toBe('stored');
    },
  );

  test.each([100, 304, 412, 416, 425, 428, 429, 431, 511])('%d is never stored', (status) => {
    for (const policy of [RFC_POLICY, SAFE_POLICY]) expect(decide([FRESH], { status, policy })).toBe('status');
  });

  test('206 is never stored as the whole', () => {
    expect(decide([FRESH, ['content-range', 'bytes 0-4/10'], ['etag', '"1"']], { status: 206 })).toBe('partial');
  });

  test.each([400, 413, 414])('%d, which one client’s odd request may have caused, is not for others', (status) => {
    expect(decide([FRESH], { status })).toBe('request-error');
    expect(decide([], { status })).toBe('request-error');
    expect(decide([FRESH], { status, policy: RFC_POLICY })).toBe('stored');
  });

  test('what is missing is remembered, what failed is not', () => {
    expect(decide([], { status: 404 })).toBe('stored');
    expect(decide([], { status: 503 })).toBe('no-freshness');
  });
});

describe('Set-Cookie', () => {
  const cookie: Entry = ['set-cookie', 's=A'];

  test('is not stored by default, so that no one gets another’s session', () => {
    expect(decide([FRESH, cookie])).toBe('set-cookie');
  });

  test('is stripped where it is named by no-cache or the service says so', () => {
    const named: Entry = ['cache-control', 'no-cache="Set-Cookie"'];
    expect(parts([FRESH, named, cookie]).fields).not.toContain('set-cookie');
    const strip = cachePolicy('safe', { setCookie: 'strip' });
    expect(parts([FRESH, cookie], {}, strip).fields).not.toContain('set-cookie');
  });

  test('is kept where the service says so', () => {
    expect(parts([FRESH, cookie], {}, RFC_POLICY).fields).toContain('set-cookie');
  });
});

test('Vary * and a Vary that can not be read are not stored', () => {
  expect(decide([FRESH, ['vary', 'x'], ['vary', '*']])).toBe('vary-star');
  expect(decide([FRESH, ['vary', 'foo bar']])).toBe('vary-unparsable');
});

describe('a page behind a static-looking path (web cache deception)', () => {
  const page: Entry[] = [
    ['content-type', 'text/html'],
    ['last-modified', -1000],
  ];

  test.each(['/account/x.css', '/account;x.css', '/account%3Fx.css', '/a.mp4', '/a.JS'])('%s', (path) => {
    expect(decide(page, { url: `http://example.org${path}` })).toBe('deception');
  });

  test('is no deception with freshness of its own, a fitting type, or no extension', () => {
    expect(decide([FRESH, ...page], { url: 'http://example.org/x.css' })).toBe('stored');
    expect(decide(page, { url: 'http://example.org/x?a.css' })).toBe('stored');
    expect(
      decide(
        [
          ['content-type', 'text/css; charset=utf-8'],
          ['last-modified', -1000],
        ],
        { url: 'http://example.org/x.css' },
      ),
    ).toBe('stored');
  });

  test('a 404 page for a missing file is not remembered either', () => {
    expect(decide([['content-type', 'text/html']], { status: 404, url: 'http://example.org/x.css' })).toBe('deception');
  });
});

describe('what is kept', () => {
  test('end-to-end fields without Age, hop-by-hop, and named private fields', () => {
    const kept = parts([
      ['cache-control', 'max-age=60, private="X-A"'],
      ['cache-control', 'private="X-C"'],
      ['date', 0],
      ['age', '3'],
      ['x-a', '1'],
      ['x-b', '2'],
      ['x-c', '3'],
      ['connection', 'x-hop, close, cache-control'],
      ['x-hop', '1'],
      ['keep-alive', 'timeout=5'],
      ['surrogate-control', 'content="x"'],
      ['surrogate-key', 't1 t2'],
      ['content-length', '10'],
    ]);
    const names = kept.fields.filter((_, i) => i % 2 === 0);
    expect(names).toEqual(['cache-control', 'cache-control', 'date', 'x-b']);
    expect(kept.tags).toEqual(['t1', 't2']);
    expect(kept.initialAgeMillis).toBe(3_000);
  });

  test('a Date of receipt where there was none', () => {
    const { fields } = parts([FRESH]);
    expect(fields[fields.indexOf('date') + 1]).toBe('Wed, 01 Jul 2026 00:00:00 GMT');
  });

  test('validators, times and the variant', () => {
    const kept = parts([FRESH, ['etag', 'W/"1"'], ['last-modified', -100], ['vary', 'Accept-Encoding']], {
      fields: Fields.of({ 'accept-encoding': 'gzip' }),
    });
    expect(kept).toMatchObject({
      etag: 'W/"1"',
      lastModifiedMillis: NOW - 100_000,
      vary: ['accept-encoding'],
      variant: 'accept-encoding:gzip',
      responseMillis: NOW,
    });
  });

  test('a Content-Range that does not belong there is passed on with a 200 and dropped from a part', () => {
    expect(parts([FRESH, ['content-range', 'x']]).fields).toContain('content-range');
  });
});

describe('partialStorability', () => {
  const partial = (entries: Entry[], status = 206) =>
    partialStorability(request(), received(status, FRESH, ...entries), SAFE_POLICY);

  test('takes one range of a known length under a strong validator, as part of a 200', () => {
    const outcome = partial([
      ['etag', '"1"'],
      ['content-range', 'bytes 0-4/10'],
    ]);
    expect(outcome).toMatchObject({ store: true, range: { start: 0, end: 4, length: 10 }, parts: { status: 200 } });
    expect(outcome.store && outcome.parts.fields).not.toContain('content-range');
  });

  test.each<[string, Entry[]]>([
    [
      'a weak ETag',
      [
        ['etag', 'W/"1"'],
        ['content-range', 'bytes 0-4/10'],
      ],
    ],
    ['no validator', [['content-range', 'bytes 0-4/10']]],
    [
      'a Last-Modified of just now',
      [
        ['date', 0],
        ['last-modified', -10],
        ['content-range', 'bytes 0-4/10'],
      ],
    ],
    [
      'an unknown length',
      [
        ['etag', '"1"'],
        ['content-range', 'bytes 0-4/*'],
      ],
    ],
    ['no Content-Range', [['etag', '"1"']]],
    [
      'a contradicting Content-Range',
      [
        ['etag', '"1"'],
        ['content-range', 'bytes 0-10/10'],
      ],
    ],
    [
      'multipart',
      [
        ['etag', '"1"'],
        ['content-type', 'multipart/byteranges; boundary=x'],
      ],
    ],
  ])('refuses %s', (_, entries) => {
    expect(partial(entries)).toEqual({ store: false, why: 'partial-unusable' });
  });

  test('an old Last-Modified is strong enough', () => {
    expect(
      partial([
        ['date', 0],
        ['last-modified', -60],
        ['content-range', 'bytes 0-4/10'],
      ]),
    ).toMatchObject({
      store: true,
    });
  });

  test('what forbids storing the whole forbids storing a part', () => {
    const outcome = partial([
      ['etag', '"1"'],
      ['content-range', 'bytes 0-4/10'],
      ['cache-control', 'no-store'],
    ]);
    expect(outcome).toEqual({ store: false, why: 'no-store' });
  });
});
