import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { appendedStatus, cacheStatus, proxyStatus } from './cache-status.ts';

describe('cacheStatus', () => {
  test('a hit with what is left of its freshness, negative when stale', () => {
    expect(cacheStatus('nearcast-a1', { kind: 'hit', ttlMillis: 30_999 })).toBe('nearcast-a1; hit; ttl=30');
    expect(cacheStatus('nearcast-a1', { kind: 'hit', ttlMillis: -1_500, detail: 'stale-while-revalidate' })).toBe(
      'nearcast-a1; hit; ttl=-2; detail=stale-while-revalidate',
    );
  });

  test('a forwarded request with its reason and end', () => {
    expect(cacheStatus('nearcast-a1', { kind: 'forwarded', why: 'uri-miss' })).toBe('nearcast-a1; fwd=uri-miss');
    expect(
      cacheStatus('nearcast-a1', {
        kind: 'forwarded',
        why: 'stale',
        status: 304,
        ttlMillis: 5_000,
        stored: true,
        collapsed: true,
        detail: 'freshened',
      }),
    ).toBe('nearcast-a1; fwd=stale; fwd-status=304; ttl=5; stored; collapsed; detail=freshened');
    expect(cacheStatus('nearcast-a1', { kind: 'forwarded', why: 'miss', stored: false, collapsed: false })).toBe(
      'nearcast-a1; fwd=miss',
    );
  });

  test('what is no token becomes a string that can not leave its quotes', () => {
    expect(cacheStatus('1 "x"', { kind: 'hit', ttlMillis: 0, detail: 'a b' })).toBe(
      '"1 \\"x\\""; hit; ttl=0; detail="a b"',
    );
    fc.assert(
      fc.property(
        fc.array(fc.nat(0xffff)).map((codes) => String.fromCharCode(...codes)),
        (detail) => {
          expect(cacheStatus('c', { kind: 'hit', ttlMillis: 0, detail })).toMatch(
            /^c; hit; ttl=0; detail=(?:[A-Za-z*][!#$%&'*+\-.^_`|~\w:/]*|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*")$/,
          );
        },
      ),
    );
  });

  test('an endless lifetime is still an integer', () => {
    expect(cacheStatus('c', { kind: 'hit', ttlMillis: Number.POSITIVE_INFINITY })).toBe('c; hit; ttl=999999999999999');
  });
});

test('our member comes after those nearer to the origin', () => {
  expect(appendedStatus('region; hit', 'edge; fwd=miss')).toBe('region; hit, edge; fwd=miss');
  expect(appendedStatus(undefined, 'edge; hit')).toBe('edge; hit');
});

test('proxyStatus names the error', () => {
  expect(proxyStatus('nearcast-a1', 'connection_timeout')).toBe('nearcast-a1; error=connection_timeout');
  expect(proxyStatus('nearcast-a1', 'http_protocol_error', { receivedStatus: 200, details: 'a "b"' })).toBe(
    'nearcast-a1; error=http_protocol_error; received-status=200; details="a \\"b\\""',
  );
});
