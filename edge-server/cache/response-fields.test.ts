import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  clientFields,
  endToEndFields,
  notModifiedFields,
  partialFields,
  sendableValue,
  tagsOf,
} from './response-fields.ts';
import { fieldsOf } from './sample-responses.ts';

describe('endToEndFields', () => {
  test('drops hop-by-hop fields, those that Connection names, and Content-Length', () => {
    const kept = endToEndFields(
      fieldsOf(
        ['connection', 'X-Hop, close'],
        ['x-hop', '1'],
        ['keep-alive', 'timeout=5'],
        ['proxy-connection', 'x'],
        ['proxy-authenticate', 'x'],
        ['te', 'x'],
        ['trailer', 'x'],
        ['transfer-encoding', 'chunked'],
        ['upgrade', 'h2c'],
        ['content-length', '3'],
        ['x-kept', '1'],
        ['x-kept', '2'],
      ),
    );
    expect(kept.flat).toEqual(['x-kept', '1', 'x-kept', '2']);
  });

  test('Connection can not take away what decides about storing', () => {
    const kept = endToEndFields(
      fieldsOf(
        ['connection', 'cache-control, age, vary, set-cookie, host, authorization'],
        ['cache-control', 'no-store'],
        ['age', '1'],
        ['vary', 'x'],
      ),
    );
    expect([...kept].map(([name]) => name)).toEqual(['cache-control', 'age', 'vary']);
  });

  test('a name that is none is dropped, a value is made sendable', () => {
    const kept = endToEndFields(fieldsOf(['bad name', '1'], ['x', 'a\r\nset-cookie: b=c\0d'], ['__proto__', 'p']));
    expect(kept.flat).toEqual(['x', 'a set-cookie: b=c d', '__proto__', 'p']);
  });
});

test('a client never sees what is for surrogates only, another appliance may', () => {
  const fields = fieldsOf(['surrogate-control', 'x'], ['surrogate-key', 'x'], ['cache-tag', 'x'], ['a', '1']);
  expect(clientFields(fields, false).flat).toEqual(['a', '1']);
  expect(clientFields(fields, true).has('surrogate-key')).toBe(true);
});

describe('notModifiedFields', () => {
  test('are those of RFC 9110 §15.4.5 and what browsers check, without representation metadata', () => {
    const stored = [
      ...['date', 'd', 'etag', 'W/"1"', 'cache-control', 'max-age=1', 'expires', 'e', 'vary', 'v'],
      ...['content-location', '/x', 'last-modified', 'm', 'content-type', 't', 'content-encoding', 'gzip'],
      ...['access-control-allow-origin', '*', 'x-other', '1'],
    ];
    const names = notModifiedFields(stored).filter((_, i) => i % 2 === 0);
    expect(names).toEqual([
      'date',
      'etag',
      'cache-control',
      'expires',
      'vary',
      'content-location',
      'access-control-allow-origin',
    ]);
  });

  test('name Last-Modified where there is no ETag', () => {
    expect(notModifiedFields(['last-modified', 'm', 'content-type', 't'])).toEqual(['last-modified', 'm']);
  });
});

test('a part carries exactly one Content-Range, and a multipart one type', () => {
  const stored = ['content-range', 'leftover', 'content-type', 'video/mp4', 'etag', '"1"'];
  expect(partialFields(stored, 'bytes 0-1/2')).toEqual([
    ...['content-type', 'video/mp4', 'etag', '"1"'],
    ...['content-range', 'bytes 0-1/2'],
  ]);
  expect(partialFields(stored, undefined, 'multipart/byteranges; boundary=b')).toEqual([
    ...['etag', '"1"'],
    ...['content-type', 'multipart/byteranges; boundary=b'],
  ]);
});

test('tags come from all three fields, without repeats', () => {
  const tags = tagsOf(
    fieldsOf(
      ['surrogate-key', 'a  b'],
      ['cache-tag', 'b, c d'],
      ['cache-groups', '"e", "f\\"g";x=1'],
      ['cache-tag', ''],
    ),
  );
  expect(tags).toEqual(['a', 'b', 'c d', 'e', 'f"g']);
});

test('a sendable value has no character that ends a line or that a protocol refuses', () => {
  expect(sendableValue('caf\u00e9\tx')).toBe('caf\u00e9\tx');
  expect(sendableValue('a\r\n b')).toBe('a  b');
  expect(sendableValue('snow \u2603')).toBe('snow ?');
  fc.assert(
    fc.property(
      fc.array(fc.nat(0x2ff)).map((codes) => String.fromCharCode(...codes)),
      (value) => {
        const sendable = sendableValue(value);
        expect(sendable).toMatch(/^[\t\x20-\x7e\x80-\xff]*$/);
        expect(sendableValue(sendable)).toBe(sendable);
      },
    ),
  );
});
