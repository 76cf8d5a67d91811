/**
 * What goes upstream: the client's end-to-end fields without those that attackers use to speak past the cache key,
 * and with ours (Via, CDN-Loop, X-Forwarded-*, validators). A fetch that may be stored never carries the client's own
 * conditions or ranges, so that its answer is about the resource and not about that client.
 */
import { remembering } from '../../runtime/recent.ts';
import { formatHttpDate } from '../http/dates.ts';
import { Fields } from '../http/fields.ts';
import type { CachePolicy } from './policy.ts';
import { hopByHop, namedByConnection, sendableValue } from './response-fields.ts';
import { upstreamAcceptEncoding } from './vary.ts';

/** Set by the next hop or by us, never by a client. */
const OURS = new Set(['host', 'content-length', 'via', 'cdn-loop', 'x-forwarded-for', 'x-forwarded-proto', 'expect']);

/** Unkeyed fields that origins trust: cache poisoning (X-Forwarded-Host …), httpoxy (Proxy), method override. */
const STRIPPED = new Set([
  'proxy',
  'forwarded',
  'x-forwarded',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-scheme',
  'x-forwarded-server',
  'x-forwarded-ssl',
  'front-end-https',
  'x-host',
  'x-original-host',
  'x-original-url',
  'x-rewrite-url',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-real-ip',
  'x-client-ip',
  'x-url-scheme',
  'x-accel-redirect',
  'x-sendfile',
]);

const CONDITIONS = new Set([
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'range',
]);

const CLIENT_CACHING = new Set(['cache-control', 'pragma']);

export interface ForwardOptions {
  /** `fetch`: for the store, with our conditions and range. `pass`: for this client alone, with its own. */
  readonly purpose: 'fetch' | 'pass';
  readonly clientAddress: string;
  readonly scheme: 'http' | 'https';
  readonly httpVersion: '1.0' | '1.1' | '2';
  /** Our pseudonym in Via, e.g. `nearcast-a1`. */
  readonly via: string;
  /** Our id in CDN-Loop; see `loops`. */
  readonly cdnId: string;
  readonly policy: Pick<CachePolicy, 'honourRequestDirectives' | 'ignoredRequestFields' | 'vary'>;
  /** Of the stored response to validate; only with `fetch`. */
  readonly validators?:
    | { readonly etag: string | undefined; readonly lastModifiedMillis: number | undefined }
    | undefined;
  /** Range to fetch, e.g. `bytes=0-1048575`, and the strong validator that it must be of; only with `fetch`. */
  readonly range?: string | undefined;
  readonly ifRange?: string | undefined;
}

/** The fields of an upstream request, without Host and Content-Length, which the upstream connection writes. */
export function forwardFields(client: Fields, options: ForwardOptions): Fields {
  const { policy } = options;
  const fetch = options.purpose === 'fetch';
  const named = namedByConnection(client);
  const forwarded = new Fields();
  for (let i = 0; i < client.flat.length; i += 2) {
    const name = client.flat[i]!;
    if (forwardable(name) === 'no' || named.has(name) || policy.ignoredRequestFields.has(name)) continue;
    if (fetch && (CONDITIONS.has(name) || name === 'accept-encoding')) continue;
    if (fetch && CLIENT_CACHING.has(name) && !policy.honourRequestDirectives) continue;
    forwarded.flat.push(name, sendableValue(client.flat[i + 1]!));
  }
  if (fetch) addFetchFields(forwarded, client, options);
  forwarded.append('x-forwarded-for', appended(client.get('x-forwarded-for'), options.clientAddress));
  forwarded.append('x-forwarded-proto', options.scheme);
  const version = options.httpVersion === '2' ? '2.0' : options.httpVersion;
  forwarded.append('via', appended(client.get('via'), `${version} ${options.via}`));
  forwarded.append('cdn-loop', appended(client.get('cdn-loop'), options.cdnId));
  return forwarded;
}

/** The validators of a stored response as condition fields of a request. */
export function conditionFields(validators: NonNullable<ForwardOptions['validators']>): [string, string][] {
  const fields: [string, string][] = [];
  if (validators.etag !== undefined) fields.push(['if-none-match', validators.etag]);
  if (validators.lastModifiedMillis !== undefined)
    fields.push(['if-modified-since', formatHttpDate(validators.lastModifiedMillis)]);
  return fields;
}

/** How often an id stands in CDN-Loop (RFC 8586). Two or more is a loop: 508. */
export function loops(client: Fields, cdnId: string): number {
  const text = client.get('cdn-loop');
  if (text === undefined) return 0;
  let count = 0;
  for (const member of text.split(','))
    if (member.split(';', 1)[0]!.trim().toLowerCase() === cdnId.toLowerCase()) count++;
  return count;
}

function addFetchFields(forwarded: Fields, client: Fields, options: ForwardOptions): void {
  const coding = upstreamAcceptEncoding(client.get('accept-encoding'), options.policy.vary);
  if (coding !== undefined) forwarded.append('accept-encoding', coding);
  if (options.validators !== undefined)
    for (const [name, value] of conditionFields(options.validators)) forwarded.append(name, value);
  if (options.range !== undefined) forwarded.append('range', options.range);
  if (options.ifRange !== undefined) forwarded.append('if-range', options.ifRange);
}

/** Also with `_` for `-`: origins that turn both into one variable (CGI, WSGI) would take one for the other. */
function dropped(name: string): boolean {
  if (hopByHop(name) || STRIPPED.has(name) || OURS.has(name)) return true;
  if (!name.includes('_')) return false;
  const dashed = name.replaceAll('_', '-');
  return hopByHop(dashed) || STRIPPED.has(dashed) || OURS.has(dashed) || CONDITIONS.has(dashed);
}

const forwardable = remembering(2_000, (name) => (dropped(name) ? 'no' : 'yes'));

function appended(list: string | undefined, own: string): string {
  return list === undefined || list.trim() === '' ? own : `${sendableValue(list)}, ${own}`;
}
