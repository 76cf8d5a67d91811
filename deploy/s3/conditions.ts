/** Preconditions and ranges as S3 answers them: one entity tag a field, one range. Pure. */
import type { IncomingHttpHeaders } from 'node:http';
import type { ObjectRecord } from './bucket.ts';

export type PreconditionAnswer = 'go on' | 'NotModified' | 'PreconditionFailed';

/** RFC 9110 §13.2.2, with the single tags that S3 knows. */
export function preconditionAnswer(
  fields: IncomingHttpHeaders,
  object: Pick<ObjectRecord, 'etag' | 'lastModifiedMillis'>,
): PreconditionAnswer {
  const ifMatch = fields['if-match'];
  const unmodifiedSince = date(fields['if-unmodified-since']);
  if (ifMatch !== undefined) {
    if (ifMatch !== '*' && ifMatch !== object.etag) return 'PreconditionFailed';
  } else if (unmodifiedSince !== undefined && object.lastModifiedMillis > unmodifiedSince) return 'PreconditionFailed';
  const ifNoneMatch = fields['if-none-match'];
  const modifiedSince = date(fields['if-modified-since']);
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch === '*' || ifNoneMatch.replace(/^W\//, '') === object.etag) return 'NotModified';
  } else if (modifiedSince !== undefined && object.lastModifiedMillis <= modifiedSince) return 'NotModified';
  return 'go on';
}

export type ByteRange = { kind: 'whole' } | { kind: 'part'; first: number; last: number } | { kind: 'unsatisfiable' };

/** A single `bytes=` range against a size; what is not one is ignored. */
export function byteRange(text: string | undefined, bytes: number): ByteRange {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return { kind: 'whole' };
  if (match[1] === '') {
    const suffix = Math.min(Number(match[2]), bytes);
    return suffix === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', first: bytes - suffix, last: bytes - 1 };
  }
  const first = Number(match[1]);
  const last = match[2] === '' ? bytes - 1 : Math.min(Number(match[2]), bytes - 1);
  if (match[2] !== '' && Number(match[2]) < first) return { kind: 'whole' };
  return first >= bytes ? { kind: 'unsatisfiable' } : { kind: 'part', first, last };
}

function date(text: string | undefined): number | undefined {
  const millis = Date.parse(text ?? '');
  return Number.isNaN(millis) ? undefined : millis;
}
