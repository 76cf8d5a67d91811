import { describe, expect, test } from 'vitest';
import { Fields } from '../http/fields.ts';
import { type CachePolicy, SAFE_POLICY } from './policy.ts';
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
const parts = (entries: Entry[], over: Partial<StoringRequest> = {}, policy: CachePolicy = SAFE_POLICY) => {
  const outcome = storability(request(over), received(200, ...entries), policy);
  if (!outcome.store) throw new Error(outcome.why);
  return outcome.parts;
};

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
