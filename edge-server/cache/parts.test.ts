import { describe, expect, test } from 'vitest';
import { ifRangeOf, partOf } from './parts.ts';
import { NOW, received, stored } from './sample-responses.ts';

type Entry = [string, string | number];
const SAME: Entry = ['etag', '"v1"'];
const asked = { start: 4, end: 7 };
const judged = (status: number, entries: Entry[], old = stored()) => partOf(old, received(status, ...entries), asked);

describe('a part', () => {
  test('is one of the same strong ETag, length and range', () => {
    expect(judged(206, [SAME, ['content-range', 'bytes 4-7/10']])).toEqual({ kind: 'part' });
    expect(judged(206, [SAME, ['content-range', 'bytes 4-7/*']])).toEqual({ kind: 'part' });
  });

  test('of the last slice ends where the representation ends', () => {
    const outcome = partOf(stored(), received(206, SAME, ['content-range', 'bytes 8-9/10']), { start: 8, end: 99 });
    expect(outcome).toEqual({ kind: 'part' });
  });

  test('without ETags is one of the same Last-Modified', () => {
    const old = stored({ etag: undefined, lastModifiedMillis: NOW - 60_000 });
    const range: Entry = ['content-range', 'bytes 4-7/10'];
    expect(judged(206, [['last-modified', -60], range], old)).toEqual({ kind: 'part' });
    expect(judged(206, [['last-modified', -59], range], old)).toEqual({ kind: 'changed', why: 'validator' });
    expect(judged(206, [range], old)).toEqual({ kind: 'changed', why: 'validator' });
  });
});

test.each<[string, number, Entry[], object]>([
  [
    'another ETag',
    206,
    [
      ['etag', '"v2"'],
      ['content-range', 'bytes 4-7/10'],
    ],
    { kind: 'changed', why: 'validator' },
  ],
  [
    'the ETag as weak',
    206,
    [
      ['etag', 'W/"v1"'],
      ['content-range', 'bytes 4-7/10'],
    ],
    { kind: 'changed', why: 'validator' },
  ],
  ['no ETag', 206, [['content-range', 'bytes 4-7/10']], { kind: 'changed', why: 'validator' }],
  ['another length', 206, [SAME, ['content-range', 'bytes 4-7/9']], { kind: 'changed', why: 'length' }],
  ['416', 416, [['content-range', 'bytes */3']], { kind: 'changed', why: 'shrunk' }],
  ['another range', 206, [SAME, ['content-range', 'bytes 0-7/10']], { kind: 'unusable', why: 'other-range' }],
  ['a shorter range', 206, [SAME, ['content-range', 'bytes 4-6/10']], { kind: 'unusable', why: 'other-range' }],
  ['no Content-Range', 206, [SAME], { kind: 'unusable', why: 'content-range' }],
  ['404', 404, [SAME], { kind: 'unusable', why: 'status' }],
  ['503', 503, [], { kind: 'unusable', why: 'status' }],
  ['the whole of the same version', 200, [SAME], { kind: 'whole', same: true }],
  ['the whole of another version', 200, [['etag', '"v2"']], { kind: 'whole', same: false }],
])('%s is never mixed in', (_, status, entries, outcome) => {
  expect(judged(status, entries)).toEqual(outcome);
});

test('If-Range carries a strong validator only', () => {
  expect(ifRangeOf(stored())).toBe('"v1"');
  expect(ifRangeOf(stored({ etag: 'W/"v1"' }))).toBeUndefined();
  const modified = (agoMillis: number) => {
    const { responseMillis, initialAgeMillis } = stored();
    const lastModifiedMillis = responseMillis - initialAgeMillis - agoMillis;
    return stored({ etag: undefined, lastModifiedMillis, fields: ['last-modified', 'x'] });
  };
  expect(ifRangeOf(modified(60_000))).toBe('x');
  // Changed so shortly before it was sent, it may have changed again within the second.
  expect(ifRangeOf(modified(59_000))).toBeUndefined();
  expect(ifRangeOf(stored({ etag: undefined, fields: [] }))).toBeUndefined();
});
