/**
 * Cache-Status (RFC 9211) and Proxy-Status (RFC 9209): what this cache did, in the words that the log and the counters
 * use too. Our member is appended, since the list reads from the origin to the client.
 */

/** Why a request went forward (RFC 9211 §2.2). */
export type ForwardedWhy = 'uri-miss' | 'vary-miss' | 'miss' | 'stale' | 'partial' | 'request' | 'method' | 'bypass';

export type CacheHandling =
  | { readonly kind: 'hit'; readonly ttlMillis: number; readonly detail?: string | undefined }
  | {
      readonly kind: 'forwarded';
      readonly why: ForwardedWhy;
      /** Status of the upstream's answer; `undefined` when there was none. */
      readonly status?: number | undefined;
      readonly ttlMillis?: number | undefined;
      readonly stored?: boolean | undefined;
      readonly collapsed?: boolean | undefined;
      readonly detail?: string | undefined;
    };

/** Our member: `nearcast-a1; hit; ttl=30`, `nearcast-a1; fwd=stale; fwd-status=304; stored; detail=freshened`. */
export function cacheStatus(cache: string, handling: CacheHandling): string {
  if (handling.kind === 'hit')
    return `${item(cache)}; hit; ttl=${seconds(handling.ttlMillis)}${detail(handling.detail)}`;
  let member = `${item(cache)}; fwd=${handling.why}`;
  if (handling.status !== undefined) member += `; fwd-status=${handling.status}`;
  if (handling.ttlMillis !== undefined) member += `; ttl=${seconds(handling.ttlMillis)}`;
  if (handling.stored === true) member += '; stored';
  if (handling.collapsed === true) member += '; collapsed';
  return member + detail(handling.detail);
}

/** A list with our member at its end. */
export function appendedStatus(upstream: string | undefined, own: string): string {
  return upstream === undefined || upstream === '' ? own : `${upstream}, ${own}`;
}

/** Proxy error types that the edge makes (RFC 9209 §2.3). */
export type ProxyError =
  | 'dns_timeout'
  | 'dns_error'
  | 'destination_unavailable'
  | 'connection_refused'
  | 'connection_terminated'
  | 'connection_timeout'
  | 'connection_read_timeout'
  | 'connection_limit_reached'
  | 'tls_protocol_error'
  | 'tls_certificate_error'
  | 'http_request_error'
  | 'http_response_incomplete'
  | 'http_response_header_section_size'
  | 'http_response_timeout'
  | 'http_protocol_error'
  | 'http_upgrade_failed'
  | 'proxy_internal_response'
  | 'proxy_internal_error'
  | 'proxy_configuration_error'
  | 'proxy_loop_detected';

/** Our member of Proxy-Status: `nearcast-a1; error=connection_timeout; details="…"`. */
export function proxyStatus(
  proxy: string,
  error: ProxyError,
  more: { readonly details?: string; readonly receivedStatus?: number } = {},
): string {
  let member = `${item(proxy)}; error=${error}`;
  if (more.receivedStatus !== undefined) member += `; received-status=${more.receivedStatus}`;
  if (more.details !== undefined) member += `; details=${text(more.details)}`;
  return member;
}

/** A token where the characters allow, else a string. */
function item(name: string): string {
  return /^[A-Za-z*][!#$%&'*+\-.^_`|~\dA-Za-z:/]*$/.test(name) ? name : text(name);
}

function text(value: string): string {
  return `"${value.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}

function detail(value: string | undefined): string {
  return value === undefined ? '' : `; detail=${item(value)}`;
}

function seconds(millis: number): number {
  // Beyond this an sf-integer can't say it.
  return Math.max(-999_999_999_999_999, Math.min(Math.floor(millis / 1000), 999_999_999_999_999));
}
