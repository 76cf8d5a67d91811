/**
 * The index's rows as bytes: what a stored response is (metadata) and where its body lies. Pure.
 * A row is versioned and carries a CRC-32 over all of itself, an inline body included, so that garbage of any
 * kind decodes to `undefined`, a miss, and never throws (a stored response outlives the program that wrote it).
 */
import { crc32 } from 'node:zlib';
import type { Freshness, StoredResponse } from '../cache/stored-response.ts';

/** Where a body lies on its volume. */
export type Place =
  /** In the row itself. */
  | { readonly kind: 'inline' }
  /** One piece in a shared extent: the extent's number and its writer, the body's offset and checksum. */
  | {
      readonly kind: 'extent';
      readonly extent: number;
      readonly worker: number;
      readonly offset: number;
      readonly crc: number;
    }
  /** Slices in extents of its own; `segments` rows say which are present. */
  | { readonly kind: 'sliced'; readonly body: number; readonly worker: number; readonly complete: boolean };

export interface ResponseRow {
  readonly kind: 'response';
  readonly response: StoredResponse;
  readonly place: Place;
  /** The body where `place` is inline. */
  readonly body: Buffer | undefined;
}

/** Stands under a key whose responses vary: the field names of the newest one. */
export interface VaryRow {
  readonly kind: 'vary';
  readonly key: string;
  readonly vary: readonly string[];
}

export type Row = ResponseRow | VaryRow;

/** The layout's number; a row with another is a miss. */
const LAYOUT = 1;
const KIND = { inline: 0, extent: 1, sliced: 2, vary: 3 } as const;
const FRESHNESS_FROM: readonly Freshness['from'][] = [
  'cdn-cache-control',
  's-maxage',
  'max-age',
  'expires',
  'heuristic',
  'default',
  'negative',
  'override',
  'none',
];
const FLAG = {
  staleForbidden: 1,
  alwaysValidate: 2,
  immutable: 4,
  etag: 8,
  lastModified: 16,
  sha256: 32,
  /** The texts are JSON, because one of them holds a line feed or a lone surrogate. */
  json: 64,
  complete: 128,
} as const;

/** crc 4, layout 1, kind 1, flags 1, from 1, status 2, counts of vary, tags, fields 3 × 2, texts' length 4, 10 doubles, place 4 × 8. */
const HEAD_BYTES = 20 + 10 * 8 + 32;
const NUMBERS_AT = 20;
const PLACE_AT = NUMBERS_AT + 80;

/** A row's bytes. `body` only with an inline place; it is copied. */
export function encodeResponse(response: StoredResponse, place: Place, body?: Buffer): Buffer {
  const texts = [response.id, response.key, response.variant, response.etag ?? '', response.sha256 ?? ''];
  texts.push(...response.vary, ...response.tags, ...response.fields);
  const { text, json } = joined(texts);
  const textBytes = Buffer.byteLength(text);
  const row = Buffer.allocUnsafeSlow(HEAD_BYTES + textBytes + (body?.length ?? 0)).fill(0, 0, HEAD_BYTES);
  const { freshness } = response;
  row[4] = LAYOUT;
  row[5] = KIND[place.kind];
  row[6] =
    (freshness.staleForbidden ? FLAG.staleForbidden : 0) |
    (freshness.alwaysValidate ? FLAG.alwaysValidate : 0) |
    (freshness.immutable ? FLAG.immutable : 0) |
    (response.etag === undefined ? 0 : FLAG.etag) |
    (response.lastModifiedMillis === undefined ? 0 : FLAG.lastModified) |
    (response.sha256 === undefined ? 0 : FLAG.sha256) |
    (json ? FLAG.json : 0) |
    (place.kind === 'sliced' && place.complete ? FLAG.complete : 0);
  row[7] = FRESHNESS_FROM.indexOf(freshness.from);
  row.writeUInt16LE(response.status, 8);
  row.writeUInt16LE(response.vary.length, 10);
  row.writeUInt16LE(response.tags.length, 12);
  row.writeUInt16LE(response.fields.length, 14);
  row.writeUInt32LE(textBytes, 16);
  const numbers = [
    response.bodyLength,
    response.lastModifiedMillis ?? 0,
    response.requestMillis,
    response.responseMillis,
    response.initialAgeMillis,
    freshness.lifetimeMillis,
    freshness.staleWhileRevalidateMillis,
    freshness.staleIfErrorMillis,
    response.purgeNumber,
  ];
  for (let i = 0; i < numbers.length; i++) row.writeDoubleLE(numbers[i]!, NUMBERS_AT + i * 8);
  writePlace(row, place);
  row.write(text, HEAD_BYTES);
  body?.copy(row, HEAD_BYTES + textBytes);
  return sealed(row);
}

export function encodeVary(key: string, vary: readonly string[]): Buffer {
  const { text, json } = joined([key, ...vary]);
  const textBytes = Buffer.byteLength(text);
  const row = Buffer.allocUnsafeSlow(HEAD_BYTES + textBytes).fill(0, 0, HEAD_BYTES);
  row[4] = LAYOUT;
  row[5] = KIND.vary;
  row[6] = json ? FLAG.json : 0;
  row.writeUInt16LE(vary.length, 10);
  row.writeUInt32LE(textBytes, 16);
  row.write(text, HEAD_BYTES);
  return sealed(row);
}

/** A row from its bytes; `undefined` when they are not one. An inline body shares the given buffer. */
export function decodeRow(row: Buffer): Row | undefined {
  try {
    if (row.length < HEAD_BYTES || row[4] !== LAYOUT || row.readUInt32LE(0) !== crc32(row.subarray(4)))
      return undefined;
    return row[5] === KIND.vary ? decodeVary(row) : decodeResponse(row);
  } catch {
    // A checksum that fits bytes that are no row: nobody's write, so a miss like any other garbage.
    return undefined;
  }
}

function decodeVary(row: Buffer): VaryRow | undefined {
  const texts = textsOf(row);
  if (texts.length !== 1 + row.readUInt16LE(10)) return undefined;
  return { kind: 'vary', key: texts[0]!, vary: texts.slice(1) };
}

function decodeResponse(row: Buffer): ResponseRow | undefined {
  const place = readPlace(row);
  const from = FRESHNESS_FROM[row[7]!];
  const texts = textsOf(row);
  const tagsAt = 5 + row.readUInt16LE(10);
  const fieldsAt = tagsAt + row.readUInt16LE(12);
  if (place === undefined || from === undefined || texts.length !== fieldsAt + row.readUInt16LE(14)) return undefined;
  const flags = row[6]!;
  const number = (i: number) => row.readDoubleLE(NUMBERS_AT + i * 8);
  const response: StoredResponse = {
    id: texts[0]!,
    key: texts[1]!,
    vary: texts.slice(5, tagsAt),
    variant: texts[2]!,
    status: row.readUInt16LE(8),
    fields: texts.slice(fieldsAt),
    bodyLength: number(0),
    etag: flags & FLAG.etag ? texts[3]! : undefined,
    lastModifiedMillis: flags & FLAG.lastModified ? number(1) : undefined,
    requestMillis: number(2),
    responseMillis: number(3),
    initialAgeMillis: number(4),
    freshness: {
      lifetimeMillis: number(5),
      staleWhileRevalidateMillis: number(6),
      staleIfErrorMillis: number(7),
      staleForbidden: (flags & FLAG.staleForbidden) !== 0,
      alwaysValidate: (flags & FLAG.alwaysValidate) !== 0,
      immutable: (flags & FLAG.immutable) !== 0,
      from,
    },
    purgeNumber: number(8),
    tags: texts.slice(tagsAt, fieldsAt),
    sha256: flags & FLAG.sha256 ? texts[4]! : undefined,
  };
  const body = place.kind === 'inline' ? row.subarray(HEAD_BYTES + row.readUInt32LE(16)) : undefined;
  if (body !== undefined && body.length !== response.bodyLength) return undefined;
  return { kind: 'response', response, place, body };
}

function writePlace(row: Buffer, place: Place): void {
  if (place.kind === 'inline') return;
  row.writeDoubleLE(place.kind === 'extent' ? place.extent : place.body, PLACE_AT);
  row.writeUInt32LE(place.worker, PLACE_AT + 8);
  if (place.kind !== 'extent') return;
  row.writeUInt32LE(place.offset, PLACE_AT + 12);
  row.writeUInt32LE(place.crc, PLACE_AT + 16);
}

function readPlace(row: Buffer): Place | undefined {
  const worker = row.readUInt32LE(PLACE_AT + 8);
  const number = row.readDoubleLE(PLACE_AT);
  switch (row[5]) {
    case KIND.inline:
      return { kind: 'inline' };
    case KIND.extent:
      return {
        kind: 'extent',
        extent: number,
        worker,
        offset: row.readUInt32LE(PLACE_AT + 12),
        crc: row.readUInt32LE(PLACE_AT + 16),
      };
    case KIND.sliced:
      return { kind: 'sliced', body: number, worker, complete: (row[6]! & FLAG.complete) !== 0 };
    default:
      return undefined;
  }
}

/** Line feeds part the texts: no field, key or tag may hold one, and where one does all the same, JSON carries them. */
function joined(texts: readonly string[]): { text: string; json: boolean } {
  const text = texts.join('\n');
  let feeds = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) feeds++;
  const json = feeds !== texts.length - 1 || !text.isWellFormed();
  return { text: json ? JSON.stringify(texts) : text, json };
}

function textsOf(row: Buffer): string[] {
  const text = row.toString('utf8', HEAD_BYTES, HEAD_BYTES + row.readUInt32LE(16));
  return row[6]! & FLAG.json ? (JSON.parse(text) as string[]) : text.split('\n');
}

function sealed(row: Buffer): Buffer {
  row.writeUInt32LE(crc32(row.subarray(4)), 0);
  return row;
}
