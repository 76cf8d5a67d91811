/**
 * Byte ranges (RFC 9110 §14): what a Range field asks of a representation whose length is known, Content-Range in
 * both directions, and the frame of a `multipart/byteranges` body. Whether a Range applies at all (method, If-Range,
 * preconditions) belongs to `preconditions.ts`; which bytes are where belongs to the store.
 */

/** Inclusive, `0 <= start <= end < length`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Why a Range field is ignored and the whole representation sent (RFC 9110 §14.2 allows it at any time). */
export type FullWhy = 'absent' | 'unit' | 'syntax' | 'too-many' | 'overlapping' | 'empty';

export type RangeRequest =
  | { readonly kind: 'full'; readonly why: FullWhy }
  | { readonly kind: 'single'; readonly start: number; readonly end: number }
  | { readonly kind: 'multiple'; readonly ranges: readonly ByteRange[] }
  /** 416 with `contentRangeUnsatisfied(length)`. */
  | { readonly kind: 'unsatisfiable' };

/** At most this many ranges a request (conventions §1); more is an attack on the writer of parts (CVE-2011-3192). */
export const MAX_RANGES = 16;

const FULL: Readonly<Record<FullWhy, RangeRequest>> = {
  absent: { kind: 'full', why: 'absent' },
  unit: { kind: 'full', why: 'unit' },
  syntax: { kind: 'full', why: 'syntax' },
  'too-many': { kind: 'full', why: 'too-many' },
  overlapping: { kind: 'full', why: 'overlapping' },
  empty: { kind: 'full', why: 'empty' },
};
const UNSATISFIABLE: RangeRequest = { kind: 'unsatisfiable' };

/**
 * What a Range field means for a representation of `length` bytes. Numbers of any size are safe: they saturate.
 * A set in which two ranges overlap is answered whole; one whose ranges follow each other without a gap is one range.
 */
export function parseRange(value: string | undefined, length: number): RangeRequest {
  if (value === undefined) return FULL.absent;
  const equals = value.indexOf('=');
  if (equals < 0) return FULL.syntax;
  if (value.slice(0, equals).trim().toLowerCase() !== 'bytes') return FULL.unit;
  const specs = rangeSpecs(value.slice(equals + 1));
  if (specs === undefined) return FULL.syntax;
  if (specs.length > MAX_RANGES) return FULL['too-many'];
  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    const range = resolved(spec, length);
    if (range === 'whole-of-nothing') return FULL.empty;
    if (range !== undefined) ranges.push(range);
  }
  const first = ranges[0];
  if (first === undefined) return UNSATISFIABLE;
  if (ranges.length === 1) return { kind: 'single', start: first.start, end: first.end };
  if (overlap(ranges)) return FULL.overlapping;
  if (ranges.every((range, i) => i === 0 || range.start === ranges[i - 1]!.end + 1))
    return { kind: 'single', start: first.start, end: ranges.at(-1)!.end };
  return { kind: 'multiple', ranges };
}

/** `bytes 0-9/100`; `length` undefined writes `*`. */
export function contentRange(start: number, end: number, length: number | undefined): string {
  return `bytes ${start}-${end}/${length ?? '*'}`;
}

/** `bytes *` `/100`, for a 416. */
export function contentRangeUnsatisfied(length: number): string {
  return `bytes */${length}`;
}

export type ContentRange =
  | {
      readonly kind: 'range';
      readonly start: number;
      readonly end: number;
      /** Of the whole representation; `undefined` when the sender does not know it (`*`). */
      readonly length: number | undefined;
    }
  | { readonly kind: 'unsatisfied'; readonly length: number };

/** A Content-Range from upstream; `undefined` for what is not one, or contradicts itself (RFC 9110 §14.4). */
export function parseContentRange(value: string | undefined): ContentRange | undefined {
  if (value === undefined) return undefined;
  const match = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15}|\*)$/i.exec(value.trim());
  if (match === null) return undefined;
  const length = match[3] === '*' ? undefined : Number(match[3]);
  if (match[1] === undefined) return length === undefined ? undefined : { kind: 'unsatisfied', length };
  const start = Number(match[1]);
  const end = Number(match[2]);
  if (end < start || (length !== undefined && end >= length)) return undefined;
  return { kind: 'range', start, end, length };
}

/** The frame of a multipart/byteranges body: write `heads[i]`, then the bytes of `ranges[i]`, …, then `tail`. */
export interface MultipartFrame {
  readonly contentType: string;
  readonly heads: readonly Buffer[];
  readonly tail: Buffer;
  /** Exact length of the whole body: heads, bytes of all ranges, tail. */
  readonly contentLength: number;
}

/**
 * The parts of a multipart/byteranges body (RFC 9110 §14.6). `boundary` must not occur in the content; a random one
 * of 20 characters is the caller's.
 */
export function multipartFrame(
  ranges: readonly ByteRange[],
  length: number,
  contentType: string | undefined,
  boundary: string,
): MultipartFrame {
  const typeLine = contentType === undefined ? '' : `Content-Type: ${contentType}\r\n`;
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1');
  let contentLength = tail.length;
  const heads = ranges.map(({ start, end }, i) => {
    const rangeLine = `Content-Range: ${contentRange(start, end, length)}\r\n`;
    const head = Buffer.from(`${i === 0 ? '' : '\r\n'}--${boundary}\r\n${typeLine}${rangeLine}\r\n`, 'latin1');
    contentLength += head.length + (end - start + 1);
    return head;
  });
  return { contentType: `multipart/byteranges; boundary=${boundary}`, heads, tail, contentLength };
}

/** `first` undefined: a suffix of `last` bytes. `last` undefined: open-ended. */
interface RangeSpec {
  readonly first: number | undefined;
  readonly last: number | undefined;
}

/** `undefined` when any member is not a range-spec: then the whole field is ignored. Empty members are allowed (§5.6.1). */
function rangeSpecs(text: string): RangeSpec[] | undefined {
  const specs: RangeSpec[] = [];
  for (const member of text.split(',', MAX_RANGES * 4)) {
    const spec = member.trim();
    if (spec === '') continue;
    const match = /^(\d*)-(\d*)$/.exec(spec);
    if (match === null || (match[1] === '' && match[2] === '')) return undefined;
    const first = match[1] === '' ? undefined : saturated(match[1]!);
    const last = match[2] === '' ? undefined : saturated(match[2]!);
    if (first !== undefined && last !== undefined && last < first) return undefined;
    specs.push({ first, last });
  }
  return specs.length === 0 ? undefined : specs;
}

/** `undefined`: not satisfiable. A suffix of an empty representation is satisfiable, but no Content-Range can say so. */
function resolved({ first, last }: RangeSpec, length: number): ByteRange | 'whole-of-nothing' | undefined {
  if (first === undefined) {
    if (last === 0) return undefined;
    if (length === 0) return 'whole-of-nothing';
    return { start: Math.max(0, length - last!), end: length - 1 };
  }
  if (first >= length) return undefined;
  return { start: first, end: Math.min(last ?? Number.POSITIVE_INFINITY, length - 1) };
}

/** Digits of any length as a number; what is beyond 2^53 saturates there, far above any length. */
function saturated(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}

function overlap(ranges: readonly ByteRange[]): boolean {
  const sorted = [...ranges].sort((a, b) => a.start - b.start);
  return sorted.some((range, i) => i > 0 && range.start <= sorted[i - 1]!.end);
}
