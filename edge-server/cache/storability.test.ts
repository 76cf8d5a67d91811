import { describe, expect, test } from 'vitest';
import { Fields } from '../http/fields.ts';
import { type CachePolicy, cachePolicy, RFC_POLICY, SAFE_POLICY } from './policy.ts';
import { received } from './sample-responses.ts';
import { type StoringRequest, storability } from './storability.ts';

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

  test('is not meant by a 404, whose short memory protects the origin', () => {
    expect(decide([['content-type', 'text/html']], { status: 404, url: 'http://example.org/x.css' })).toBe('stored');
  });
});
