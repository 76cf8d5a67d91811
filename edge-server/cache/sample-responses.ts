/** Responses for this folder's tests: a received head and a stored record with every field filled in. Only tests import it. */

import { formatHttpDate } from '../http/dates.ts';
import { Fields } from '../http/fields.ts';
import type { ReceivedResponse } from './freshness.ts';
import type { Freshness, StoredResponse } from './stored-response.ts';

/** 2026-07-01T00:00:00Z: the moment at which the samples arrive. */
export const NOW = Date.UTC(2026, 6, 1);

/** `[name, value]` pairs as fields; a number is a date so many seconds from `NOW`. */
export function fieldsOf(...entries: [string, string | number][]): Fields {
  const fields = new Fields();
  for (const [name, value] of entries)
    fields.append(name, typeof value === 'number' ? formatHttpDate(NOW + value * 1000) : value);
  return fields;
}

/** A head that arrived at `NOW` without delay. */
export function received(status: number, ...entries: [string, string | number][]): ReceivedResponse {
  return { status, fields: fieldsOf(...entries), requestMillis: NOW, responseMillis: NOW };
}

export const FRESH_MINUTE: Freshness = {
  lifetimeMillis: 60_000,
  staleWhileRevalidateMillis: 0,
  staleIfErrorMillis: 0,
  staleForbidden: false,
  alwaysValidate: false,
  immutable: false,
  from: 'max-age',
};

/** Stored at `NOW`, fresh for a minute, ETag `"v1"`. */
export function stored(over: Partial<StoredResponse> = {}): StoredResponse {
  return {
    id: '1',
    key: 'http://example.org/a',
    vary: [],
    variant: '',
    status: 200,
    fields: ['content-type', 'text/plain', 'etag', '"v1"', 'date', formatHttpDate(NOW)],
    bodyLength: 10,
    etag: '"v1"',
    lastModifiedMillis: undefined,
    requestMillis: NOW,
    responseMillis: NOW,
    initialAgeMillis: 0,
    freshness: FRESH_MINUTE,
    purgeNumber: 0,
    tags: [],
    sha256: undefined,
    ...over,
  };
}
