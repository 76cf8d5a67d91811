/**
 * Whether the edge compresses what the origin sent as it is, in which coding, and what the response says then. The
 * compressed form is another representation (RFC 9110 §8.8.3.3): it shares no strong validator with the other, and
 * caches are told that the choice depends on Accept-Encoding. Decides only; `serve/encoder.ts` does it.
 */
import type { Fields } from '../http/fields.ts';
import { responseDirectives } from './directives.ts';
import { type CodingPreference, codingPreference, selectingCodings } from './vary.ts';

export type Coding = 'zstd' | 'br' | 'gzip';

export interface CompressionRule {
  readonly codings: readonly Coding[];
  readonly preference: CodingPreference;
  /** Lower case; `text/*` is every subtype. */
  readonly types: ReadonlySet<string>;
  readonly minimumBytes: number;
}

export const CODINGS: readonly Coding[] = ['zstd', 'br', 'gzip'];
/** What browsers and players read and compresses well; event streams are left alone, since their parts must not wait. */
const TYPES = [
  'text/html text/css text/plain text/xml text/csv text/javascript text/markdown text/vtt text/calendar',
  'application/json application/ld+json application/manifest+json application/geo+json application/problem+json',
  'application/javascript application/x-javascript application/xml application/xhtml+xml application/rss+xml',
  'application/atom+xml application/wasm application/vnd.apple.mpegurl application/x-mpegurl audio/mpegurl',
  'application/dash+xml image/svg+xml image/x-icon image/bmp font/ttf font/otf application/vnd.ms-fontobject',
].flatMap((line) => line.split(' '));
const MINIMUM_BYTES = 1024;

/** A rule from what a service says; what it leaves out has a default. */
export function compressionRule(said: {
  readonly encodings?: readonly string[] | undefined;
  readonly types?: readonly string[] | undefined;
  readonly minimum?: number | undefined;
}): CompressionRule {
  const codings = (said.encodings ?? CODINGS) as readonly Coding[];
  return {
    codings,
    preference: codingPreference(codings),
    types: new Set((said.types ?? TYPES).map((type) => type.toLowerCase())),
    minimumBytes: said.minimum ?? MINIMUM_BYTES,
  };
}

export type CompressionPlan =
  /** The rule has nothing to say about it. */
  | { readonly kind: 'none' }
  /** It stays as it is for this client, and would not for others. */
  | { readonly kind: 'varies' }
  | { readonly kind: 'compress'; readonly coding: Coding };

const NONE: CompressionPlan = { kind: 'none' };
const VARIES: CompressionPlan = { kind: 'varies' };

/** What becomes of a response to a request with this Accept-Encoding. */
export function compressionPlan(
  rule: CompressionRule,
  acceptEncoding: string | undefined,
  response: { readonly status: number; readonly fields: Fields; readonly contentLength: number | undefined },
): CompressionPlan {
  const { status, fields, contentLength } = response;
  if (status !== 200 && status !== 206) return NONE;
  if (encoded(fields) || !ofType(rule.types, fields.get('content-type'))) return NONE;
  // RFC 9110 §7.7: no transformation of content whose sender forbids it.
  if (responseDirectives(fields).noTransform) return NONE;
  if (status === 200 && contentLength !== undefined && contentLength < rule.minimumBytes) return NONE;
  const wish = selectingCodings(acceptEncoding, rule.preference).split(',', 1)[0]!;
  const coding = rule.codings.find((one) => one === wish);
  // A part of what would be compressed can't be; it is kept as a part of the uncompressed form for this kind of client.
  return coding === undefined || status === 206 ? VARIES : { kind: 'compress', coding };
}

/** A response's fields as its compressed (or, with `varies`, its uncompressed) form carries them. */
export function plannedFields(fields: Fields, plan: CompressionPlan): Fields {
  if (plan.kind === 'none') return fields;
  const planned = fields.clone();
  addVary(planned);
  if (plan.kind === 'varies') return planned;
  planned.set('content-encoding', plan.coding);
  // About the bytes of the other form, or an offer of ranges of them.
  for (const name of OF_THE_BYTES) planned.delete(name);
  const etag = planned.get('etag');
  if (etag !== undefined && !etag.startsWith('W/')) planned.set('etag', `W/${etag}`);
  return planned;
}

/** A 304's fields for a stored response that has our Vary: what the origin says of it is without. */
export function plannedNotModified(fields: Fields, storedVary: readonly string[]): Fields {
  const planned = fields.clone();
  for (const name of OF_THE_BYTES) planned.delete(name);
  if (planned.has('vary') && storedVary.includes('accept-encoding')) addVary(planned);
  return planned;
}

const OF_THE_BYTES = ['content-length', 'content-md5', 'content-digest', 'repr-digest', 'digest', 'accept-ranges'];

function addVary(fields: Fields): void {
  const names = (fields.get('vary') ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim());
  if (!names.includes('*') && !names.includes('accept-encoding')) fields.append('vary', 'accept-encoding');
}

function encoded(fields: Fields): boolean {
  const coding = fields.get('content-encoding')?.trim().toLowerCase();
  return coding !== undefined && coding !== '' && coding !== 'identity';
}

function ofType(types: ReadonlySet<string>, contentType: string | undefined): boolean {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === undefined || type === 'text/event-stream') return false;
  return types.has(type) || types.has(`${type.split('/', 1)[0]}/*`);
}
