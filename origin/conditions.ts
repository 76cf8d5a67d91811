/**
 * What a client's conditions and range mean (RFC 9110 §13, §14) and how much of that S3 can decide: S3 compares one
 * entity tag and serves one range, so lists, `If-Range` and the odd forms are decided here against the object's head.
 * Pure.
 */
import type { IncomingHttpHeaders } from 'node:http';

export interface Validators {
  /** Strong, quoted. */
  readonly etag: string;
  readonly lastModifiedMillis: number;
}

/** Conditions in the form that S3 takes; `range` is one well-formed `bytes=` range. */
export interface S3Conditions {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  readonly ifModifiedSince?: Date;
  readonly ifUnmodifiedSince?: Date;
  readonly range?: string;
}

export type ConditionPlan =
  /** S3 decides. */
  | { kind: 'direct'; conditions: S3Conditions }
  /** Look at the head first, then ask `judgement`. */
  | { kind: 'look first' };

export type Judgement =
  | { kind: 'send'; range: string | undefined }
  | { kind: 'not-modified' }
  | { kind: 'precondition-failed' };

/** Whether S3 can decide the request's conditions by itself. */
export function conditionPlan(fields: IncomingHttpHeaders, method: 'GET' | 'HEAD'): ConditionPlan {
  const range = method === 'GET' ? singleRange(fields.range) : undefined;
  if (range !== undefined && fields['if-range'] !== undefined) return { kind: 'look first' };
  const conditions: { -readonly [K in keyof S3Conditions]: S3Conditions[K] } = {};
  if (range !== undefined) conditions.range = range;

  const ifMatch = fields['if-match'];
  if (ifMatch !== undefined) {
    const tags = entityTags(ifMatch);
    if (tags === '*' || tags.length !== 1 || tags[0]!.weak) return { kind: 'look first' };
    conditions.ifMatch = tags[0]!.opaque;
  } else {
    const since = httpDate(fields['if-unmodified-since']);
    if (since !== undefined) conditions.ifUnmodifiedSince = since;
  }

  const ifNoneMatch = fields['if-none-match'];
  if (ifNoneMatch !== undefined) {
    const tags = entityTags(ifNoneMatch);
    if (tags === '*' || tags.length !== 1) return { kind: 'look first' };
    conditions.ifNoneMatch = tags[0]!.opaque;
  } else {
    const since = httpDate(fields['if-modified-since']);
    if (since !== undefined) conditions.ifModifiedSince = since;
  }
  return { kind: 'direct', conditions };
}

/** RFC 9110 §13.2.2, in its order, against the object as it is now. */
export function judgement(fields: IncomingHttpHeaders, method: 'GET' | 'HEAD', now: Validators): Judgement {
  const ifMatch = fields['if-match'];
  if (ifMatch !== undefined) {
    const tags = entityTags(ifMatch);
    if (tags !== '*' && !tags.some((tag) => !tag.weak && tag.opaque === now.etag))
      return { kind: 'precondition-failed' };
  } else {
    const since = httpDate(fields['if-unmodified-since']);
    if (since !== undefined && now.lastModifiedMillis > since.getTime()) return { kind: 'precondition-failed' };
  }
  const ifNoneMatch = fields['if-none-match'];
  if (ifNoneMatch !== undefined) {
    const tags = entityTags(ifNoneMatch);
    if (tags === '*' || tags.some((tag) => tag.opaque === now.etag)) return { kind: 'not-modified' };
  } else {
    const since = httpDate(fields['if-modified-since']);
    if (since !== undefined && now.lastModifiedMillis <= since.getTime()) return { kind: 'not-modified' };
  }
  const range = method === 'GET' ? singleRange(fields.range) : undefined;
  return {
    kind: 'send',
    range: range !== undefined && rangeHolds(fields['if-range']?.toString(), now) ? range : undefined,
  };
}

/**
 * The request's range as S3 takes it: exactly one, within safe integers. Several ranges, another unit or a malformed
 * one are ignored, as RFC 9110 §14.2 allows, and the whole object is sent.
 */
export function singleRange(text: string | undefined): string | undefined {
  const match = /^bytes=[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*$/i.exec(text ?? '');
  if (match === null) return undefined;
  if (match[3] !== undefined) return `bytes=-${clamped(match[3])}`;
  const first = clamped(match[1]!);
  if (match[2] === '') return `bytes=${first}-`;
  const last = clamped(match[2]!);
  return last < first ? undefined : `bytes=${first}-${last}`;
}

/** True for a suffix range with a length: all of an empty object satisfies it (RFC 9110 §14.1.2). */
export function isSuffix(range: string): boolean {
  return /^bytes=-0*[1-9]/.test(range);
}

function rangeHolds(ifRange: string | undefined, now: Validators): boolean {
  if (ifRange === undefined) return true;
  const text = ifRange.trim();
  if (text.startsWith('"') || text.startsWith('W/')) return text === now.etag;
  // A date is strong only when it is exact; S3's clock gives one second (RFC 9110 §13.1.5).
  return httpDate(text)?.getTime() === Math.floor(now.lastModifiedMillis / 1000) * 1000;
}

interface EntityTag {
  weak: boolean;
  /** With its quotes. */
  opaque: string;
}

/** A list of entity tags; what is not a tag is left out. */
function entityTags(text: string): '*' | EntityTag[] {
  if (text.trim() === '*') return '*';
  const tags: EntityTag[] = [];
  const pattern = /[ \t,]*(W\/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|$)/y;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text))
    tags.push({ weak: match[1] !== undefined, opaque: match[2]! });
  return tags;
}

function clamped(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}

function httpDate(text: string | undefined): Date | undefined {
  if (text === undefined || !/^[A-Z][a-z]+,? /.test(text)) return undefined;
  const millis = Date.parse(text);
  return Number.isNaN(millis) ? undefined : new Date(millis);
}
