import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ByteRange,
  contentRange,
  contentRangeUnsatisfied,
  MAX_RANGES,
  multipartFrame,
  parseContentRange,
  parseRange,
} from './ranges.ts';

const single = (start: number, end: number) => ({ kind: 'single', start, end });
const full = (why: string) => ({ kind: 'full', why });

describe('parseRange of a representation of 1000 bytes', () => {
  test.each([
    ['the first byte', 'bytes=0-0', single(0, 0)],
    ['the last byte', 'bytes=-1', single(999, 999)],
    ['a suffix longer than the whole', 'bytes=-5000', single(0, 999)],
    ['open-ended from the last byte', 'bytes=999-', single(999, 999)],
    ['an end beyond the whole', 'bytes=990-2000', single(990, 999)],
    ['an end beyond 64 bits', 'bytes=0-18446744073709551615', single(0, 999)],
    ['the unit in any case, with spaces', 'BYTES = 1-2 ', single(1, 2)],
    ['empty members of the list', 'bytes=, 1-2 ,,', single(1, 2)],
    ['one satisfiable of several', 'bytes=5000-, 0-9', single(0, 9)],
    ['ranges that follow each other without a gap', 'bytes=0-9,10-19', single(0, 19)],
    ['a start beyond the end', 'bytes=1000-', { kind: 'unsatisfiable' }],
    ['a suffix of nothing', 'bytes=-0', { kind: 'unsatisfiable' }],
    ['a huge start', 'bytes=99999999999999999999-', { kind: 'unsatisfiable' }],
    ['an end before the start', 'bytes=5-2', full('syntax')],
    ['words', 'abc', full('syntax')],
    ['a number', '10', full('syntax')],
    ['no equals sign', 'bytes 0-1', full('syntax')],
    ['nothing after the unit', 'bytes=', full('syntax')],
    ['a lone dash', 'bytes=-', full('syntax')],
    ['one malformed member', 'bytes=0-1,x', full('syntax')],
    ['a sign', 'bytes=+1-2', full('syntax')],
    ['another unit', 'items=0-1', full('unit')],
    ['overlapping ranges', 'bytes=0-10,5-20', full('overlapping')],
    ['the same range twice', 'bytes=0-0,0-0', full('overlapping')],
    [
      'suffixes whose sum would wrap (CVE-2017-7529)',
      'bytes=-9223372036854775758,-9223372036854775808',
      full('overlapping'),
    ],
    ['17 ranges', `bytes=${Array.from({ length: 17 }, (_, i) => `${i * 2}-${i * 2}`).join()}`, full('too-many')],
  ])('%s', (_, value, outcome) => {
    expect(parseRange(value, 1000)).toEqual(outcome);
  });

  test('no Range field is the whole', () => {
    expect(parseRange(undefined, 1000)).toEqual(full('absent'));
  });

  test('several ranges with gaps stay several, in the order asked for', () => {
    expect(parseRange('bytes=0-9,-10,10-19', 1000)).toEqual({
      kind: 'multiple',
      ranges: [
        { start: 0, end: 9 },
        { start: 990, end: 999 },
        { start: 10, end: 19 },
      ],
    });
  });

  test('16 ranges are served', () => {
    const sixteen = Array.from({ length: 16 }, (_, i) => `${i * 2}-${i * 2}`).join();
    expect(parseRange(`bytes=${sixteen}`, 1000)).toMatchObject({ kind: 'multiple' });
  });
});

describe('parseRange of an empty representation', () => {
  test('a suffix is the empty whole, since no Content-Range can say it', () => {
    expect(parseRange('bytes=-5', 0)).toEqual(full('empty'));
  });

  test('a first byte is not satisfiable', () => {
    expect(parseRange('bytes=0-', 0)).toEqual({ kind: 'unsatisfiable' });
    expect(contentRangeUnsatisfied(0)).toBe('bytes */0');
  });
});

test('no range of any field reaches outside the representation, and parts never overlap', () => {
  const digits = fc.oneof(
    fc.nat(2000).map(String),
    fc.bigInt({ min: 0n, max: 2n ** 70n }).map(String),
    fc.constant(''),
  );
  const spec = fc.tuple(digits, digits).map(([a, b]) => `${a}-${b}`);
  const field = fc.oneof(
    fc.array(spec, { maxLength: 20 }).map((specs) => `bytes=${specs.join(',')}`),
    fc.string(),
  );
  fc.assert(
    fc.property(field, fc.nat(1500), (value, length) => {
      const outcome = parseRange(value, length);
      let ranges: readonly ByteRange[] = [];
      if (outcome.kind === 'single') ranges = [outcome];
      if (outcome.kind === 'multiple') ranges = outcome.ranges;
      let total = 0;
      for (const { start, end } of ranges) {
        expect(start).toBeGreaterThanOrEqual(0);
        expect(end).toBeGreaterThanOrEqual(start);
        expect(end).toBeLessThan(length);
        total += end - start + 1;
      }
      expect(total).toBeLessThanOrEqual(length);
    }),
  );
});

describe('parseContentRange', () => {
  test.each([
    ['bytes 0-9/100', { kind: 'range', start: 0, end: 9, length: 100 }],
    ['bytes 0-9/*', { kind: 'range', start: 0, end: 9, length: undefined }],
    ['BYTES 99-99/100', { kind: 'range', start: 99, end: 99, length: 100 }],
    ['bytes */100', { kind: 'unsatisfied', length: 100 }],
    ['bytes */*', undefined],
    ['bytes 9-0/100', undefined],
    ['bytes 0-100/100', undefined],
    ['items 0-9/100', undefined],
    ['bytes 0-9/10000000000000000000000', undefined],
    ['bytes=0-9/100', undefined],
    [undefined, undefined],
  ])('%j', (value, outcome) => {
    expect(parseContentRange(value)).toEqual(outcome);
  });

  test('reads what contentRange writes', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(1000), fc.nat(1000), (start, more, rest) => {
        fc.pre(start < 10 ** 14);
        const end = start + more;
        const length = end + 1 + rest;
        expect(parseContentRange(contentRange(start, end, length))).toEqual({ kind: 'range', start, end, length });
      }),
    );
  });
});

describe('multipartFrame', () => {
  test('frames each part with its type and range, and counts every byte', () => {
    const body = Buffer.from('0123456789');
    const ranges = [
      { start: 0, end: 1 },
      { start: 7, end: 9 },
    ];
    const frame = multipartFrame(ranges, 10, 'text/plain', 'b0undary');
    const pieces = ranges.flatMap(({ start, end }, i) => [frame.heads[i]!, body.subarray(start, end + 1)]);
    const whole = Buffer.concat([...pieces, frame.tail]);
    expect(whole.toString()).toBe(
      '--b0undary\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01' +
        '\r\n--b0undary\r\nContent-Type: text/plain\r\nContent-Range: bytes 7-9/10\r\n\r\n789' +
        '\r\n--b0undary--\r\n',
    );
    expect(frame.contentLength).toBe(whole.length);
    expect(frame.contentType).toBe('multipart/byteranges; boundary=b0undary');
  });
});

test('whatever a Range says, what is served lies within the body, at most sixteen parts, and nothing throws', () => {
  const part = fc.constantFrom(
    'bytes',
    '=',
    '0',
    '9',
    '-',
    ',',
    ' ',
    '18446744073709551615',
    '-9223372036854775758',
    '5-2',
    'x',
    '\t',
    '1-',
  ); // prettier-ignore
  const field = fc.oneof(
    fc.string(),
    fc.array(part, { maxLength: 40 }).map((parts) => parts.join('')),
    fc.array(part, { maxLength: 40 }).map((parts) => `bytes=${parts.join('')}`),
  );
  fc.assert(
    fc.property(field, fc.oneof(fc.nat(20), fc.nat(2_000_000_000_000)), (text, length) => {
      const read = parseRange(text, length);
      const served = read.kind === 'single' ? [read] : read.kind === 'multiple' ? read.ranges : [];
      expect(served.length).toBeLessThanOrEqual(MAX_RANGES);
      for (const { start, end } of served) expect(start >= 0 && start <= end && end < length).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
