/**
 * What to ask an upstream for when a client wants a range of something that is not here: whole slices around it, so
 * that what comes can be stored, and never more than one slice beyond it (RangeAmp). Pure.
 */
import type { Fields } from '../http/fields.ts';
import { SLICE_BYTES } from '../store/contract.ts';

const BEYOND_ANY_BODY = 2 ** 50;

/** A Range field's value, or `undefined` when the whole is wanted. Of several ranges the first is asked for. */
export function askedRange(request: Fields): string | undefined {
  const match = /^\s*bytes\s*=\s*,*\s*(\d{0,20})\s*-\s*(\d{0,20})\s*(?:,.*)?$/i.exec(request.get('range') ?? '');
  if (match === null) return undefined;
  const first = match[1] === '' ? undefined : Number(match[1]);
  const last = match[2] === '' ? undefined : Number(match[2]);
  if (first === undefined) {
    if (last === undefined || last === 0 || last > BEYOND_ANY_BODY) return undefined;
    // The slice in which a suffix begins starts at most one slice before it.
    return `bytes=-${(Math.ceil(last / SLICE_BYTES) + 1) * SLICE_BYTES}`;
  }
  if (first > BEYOND_ANY_BODY || (last !== undefined && last < first)) return undefined;
  const from = Math.floor(first / SLICE_BYTES) * SLICE_BYTES;
  if (last === undefined || last > BEYOND_ANY_BODY) return `bytes=${from}-`;
  return `bytes=${from}-${(Math.floor(last / SLICE_BYTES) + 1) * SLICE_BYTES - 1}`;
}
