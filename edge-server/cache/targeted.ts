/**
 * Targeted cache control: CDN-Cache-Control (RFC 9213), then Surrogate-Control (W3C Edge Architecture note), then
 * Cache-Control. The first valid, non-empty one is in force alone; Cache-Control and Expires then say nothing to us.
 */
import type { Fields } from '../http/fields.ts';
import {
  applyDirective,
  deltaMillis,
  noDirectives,
  type ResponseDirectives,
  responseDirectives,
} from './directives.ts';
import { type Member, parseDictionary } from './structured-fields.ts';

export interface EffectiveDirectives {
  readonly source: 'cdn-cache-control' | 'surrogate-control' | 'cache-control';
  readonly directives: ResponseDirectives;
}

/** What this cache obeys of a response. `surrogate` false ignores Surrogate-Control. */
export function effectiveDirectives(fields: Fields, surrogate: boolean): EffectiveDirectives {
  const targeted = fields.get('cdn-cache-control');
  if (targeted !== undefined) {
    const directives = targetedDirectives(targeted);
    if (directives !== undefined) return { source: 'cdn-cache-control', directives };
  }
  if (surrogate && fields.has('surrogate-control')) {
    const directives = surrogateDirectives(fields);
    if (directives !== undefined) return { source: 'surrogate-control', directives };
  }
  return { source: 'cache-control', directives: responseDirectives(fields) };
}

const DELTA = new Set(['max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error']);
const FLAG = new Set([
  'no-store',
  'public',
  'must-revalidate',
  'proxy-revalidate',
  'must-understand',
  'no-transform',
  'immutable',
]);
const LIST = new Set(['no-cache', 'private']);

/** `undefined` when the field is to be ignored: empty, not a dictionary, or a known directive of the wrong type (RFC 9213 §2.1). */
export function targetedDirectives(text: string): ResponseDirectives | undefined {
  const members = parseDictionary(text);
  if (members === undefined || members.size === 0) return undefined;
  const said = noDirectives();
  for (const [name, member] of members) {
    if (DELTA.has(name)) {
      if (member.type !== 'integer') return undefined;
      applyDirective(said, name, String(member.value), false);
    } else if (FLAG.has(name)) {
      if (member.type !== 'boolean') return undefined;
      if (member.value) applyDirective(said, name, undefined, false);
    } else if (LIST.has(name) && !applyList(said, name, member)) return undefined;
  }
  return said;
}

function applyList(said: ResponseDirectives, name: string, member: Member): boolean {
  if (member.type === 'boolean') {
    if (member.value) applyDirective(said, name, undefined, false);
    return true;
  }
  if (member.type !== 'string') return false;
  applyDirective(said, name, member.value, true);
  return true;
}

/**
 * `max-age=3600+600` gives 600 s of staleness after 3600 s; `no-store` forbids. `undefined` when it says nothing about
 * caching, e.g. only `content="ESI/1.0"`.
 */
function surrogateDirectives(fields: Fields): ResponseDirectives | undefined {
  const said = noDirectives();
  let speaks = false;
  for (const part of (fields.get('surrogate-control') ?? '').split(',')) {
    const [directive = ''] = part.split(';');
    const [name = '', value] = directive.trim().toLowerCase().split('=', 2);
    if (name === 'no-store' || name === 'no-store-remote') {
      said.noStore = true;
      speaks = true;
    } else if (name === 'max-age') {
      const [lifetime, extension] = (value ?? '').split('+', 2);
      said.maxAgeMillis ??= deltaMillis(lifetime) ?? 0;
      said.staleWhileRevalidateMillis ??= deltaMillis(extension);
      said.staleIfErrorMillis ??= deltaMillis(extension);
      speaks = true;
    }
  }
  return speaks ? said : undefined;
}
