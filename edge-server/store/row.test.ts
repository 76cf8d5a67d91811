import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoredResponse } from '../cache/stored-response.ts';
import { decodeRow, encodeResponse, encodeVary, type Place } from './row.ts';
import { Segment } from './segment.ts';

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\n', '\0', '\ud800', 'é', '__proto__'),
);
const millis = fc.double({ noNaN: true });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const freshness = fc.record({
  lifetimeMillis: millis,
  staleWhileRevalidateMillis: millis,
  staleIfErrorMillis: millis,
  staleForbidden: fc.boolean(),
  alwaysValidate: fc.boolean(),
  immutable: fc.boolean(),
  from: fc.constantFrom(
    'cdn-cache-control',
    's-maxage',
    'max-age',
    'expires',
    'heuristic',
    'default',
    'negative',
    'override',
    'none',
  ),
});
const responses: fc.Arbitrary<StoredResponse> = fc.record({
  id: text,
  key: text,
  vary: fc.array(text, { maxLength: 3 }),
  variant: text,
  status: fc.integer({ min: 100, max: 999 }),
  fields: fc.array(text, { maxLength: 12 }),
  bodyLength: fc.nat(),
  etag: fc.option(text, { nil: undefined }),
  lastModifiedMillis: fc.option(millis, { nil: undefined }),
  requestMillis: millis,
  responseMillis: millis,
  initialAgeMillis: millis,
  freshness: freshness as fc.Arbitrary<StoredResponse['freshness']>,
  purgeNumber: fc.maxSafeNat(),
  tags: fc.array(text, { maxLength: 4 }),
  sha256: fc.option(text, { nil: undefined }),
});
const places: fc.Arbitrary<Place> = fc.oneof(
  fc.record({ kind: fc.constant('extent' as const), extent: fc.maxSafeNat(), worker: u32, offset: u32, crc: u32 }),
  fc.record({ kind: fc.constant('sliced' as const), body: fc.maxSafeNat(), worker: u32, complete: fc.boolean() }),
);

describe('rows of the index', () => {
  it('give every response and place back as it was', () => {
    fc.assert(
      fc.property(responses, places, (response, place) => {
        expect(decodeRow(encodeResponse(response, place))).toEqual({
          kind: 'response',
          response,
          place,
          body: undefined,
        });
      }),
    );
  });

  it('give an inline body back', () => {
    fc.assert(
      fc.property(responses, fc.uint8Array({ maxLength: 300 }), (over, bytes) => {
        const body = Buffer.from(bytes);
        const response = { ...over, bodyLength: body.length };
        const row = decodeRow(encodeResponse(response, { kind: 'inline' }, body));
        expect(row).toEqual({ kind: 'response', response, place: { kind: 'inline' }, body });
      }),
    );
  });

  it('give the Vary of a shelf back', () => {
    fc.assert(
      fc.property(text, fc.array(text, { maxLength: 4 }), (key, vary) => {
        expect(decodeRow(encodeVary(key, vary))).toEqual({ kind: 'vary', key, vary });
      }),
    );
  });

  it('are nothing once a single byte is another, or missing (case 162)', () => {
    fc.assert(
      fc.property(responses, places, fc.nat(), fc.integer({ min: 1, max: 255 }), (response, place, at, change) => {
        const row = encodeResponse(response, place);
        const flipped = Buffer.from(row);
        flipped[at % row.length]! ^= change;
        expect(decodeRow(flipped)).toBeUndefined();
        expect(decodeRow(row.subarray(0, at % row.length))).toBeUndefined();
      }),
    );
  });

  it('never throw on garbage', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        (bytes) => void expect(decodeRow(Buffer.from(bytes))).toBeUndefined(),
      ),
    );
  });
});

describe('segments', () => {
  it('remember which slices are present, with their checksums', () => {
    const slots = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 63 }), u32), { selector: ([slot]) => slot });
    fc.assert(
      fc.property(slots, fc.uint8Array({ minLength: 16, maxLength: 24 }), (present, key) => {
        const segment = new Segment(Buffer.from(key));
        for (const [slot, crc] of present) segment.set(slot, crc);
        const decoded = Segment.decode(segment.encode())!;
        expect(decoded.rowKey).toEqual(Buffer.from(key));
        expect(decoded.count).toBe(present.length);
        for (const [slot, crc] of present) expect([decoded.has(slot), decoded.crc(slot)]).toEqual([true, crc]);
        for (const [slot] of present) decoded.clear(slot);
        expect(decoded.count).toBe(0);
      }),
    );
  });

  it('are nothing once a byte is another', () => {
    const row = new Segment(Buffer.alloc(16, 7)).encode();
    for (let at = 0; at < row.length; at++) {
      const flipped = Buffer.from(row);
      flipped[at]! ^= 1;
      expect(Segment.decode(flipped)).toBeUndefined();
    }
  });
});
