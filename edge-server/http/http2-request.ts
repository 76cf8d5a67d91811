/**
 * The request that the fields of an HTTP/2 stream are (RFC 9113 §8.3), by the rules of the other front ends. Looks at
 * what nghttp2 let through; answering and refusing are the session's.
 */
import type { ServerHttp2Stream } from 'node:http2';
import { authorityProblem, splitTarget } from './authority.ts';
import type { Peer } from './connection-context.ts';
import { type EdgeRequest, HeadIdentity } from './exchange.ts';
import { Fields } from './fields.ts';
import { FIELD_OVERHEAD_BYTES, HEADERS_OVERHEAD_BYTES } from './http2-allowance.ts';
import { Http2Body } from './http2-body.ts';
import type { HttpLimits } from './limits.ts';
import { isLength, type RefusalReason } from './request-rules.ts';

/** `wireBytes`: what the fields may have been on the wire, at most. */
export type Http2Request =
  | {
      readonly kind: 'request';
      readonly request: EdgeRequest;
      readonly body: Http2Body | undefined;
      readonly wireBytes: number;
    }
  | { readonly kind: 'refused'; readonly status: number; readonly reason: RefusalReason; readonly wireBytes: number };

/** `raw` is name, value, … as they came, pseudo-header fields first. */
export function requestOf(
  stream: ServerHttp2Stream,
  raw: readonly string[],
  peer: Peer,
  limits: HttpLimits,
): Http2Request {
  let wireBytes = HEADERS_OVERHEAD_BYTES;
  const refused = (status: number, reason: RefusalReason): Http2Request => ({
    kind: 'refused',
    status,
    reason,
    wireBytes,
  });
  const pseudo = { method: '', path: '', authority: '' };
  const flat: string[] = [];
  let host: string | undefined;
  let cookies = '';
  let length: string | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    wireBytes += name.length + value.length + FIELD_OVERHEAD_BYTES;
    if (isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(value.length - 1))) return refused(400, 'field-value');
    if (name === ':method') pseudo.method = value;
    else if (name === ':path') pseudo.path = value;
    else if (name === ':authority') pseudo.authority = value;
    else if (name.startsWith(':')) continue;
    else if (name === 'cookie') cookies = cookies === '' ? value : `${cookies}; ${value}`;
    else if (name === 'host') {
      if (host !== undefined) return refused(400, 'host-repeated');
      host = value;
    } else {
      if (name === 'transfer-encoding') return refused(400, 'transfer-encoding');
      if (name === 'content-length') {
        if (length !== undefined || !isLength(value)) return refused(400, 'content-length-syntax');
        length = value;
      }
      flat.push(name, value);
    }
  }
  if (pseudo.method === 'CONNECT') return refused(405, 'connect');
  const authority = pseudo.authority || host;
  if (authority === undefined) return refused(400, 'host-missing');
  const problem = authorityProblem(authority);
  if (problem !== undefined) return refused(400, problem);
  if (host !== undefined && host.toLowerCase() !== authority.toLowerCase()) return refused(400, 'host-repeated');
  const split = splitTarget(pseudo.method, pseudo.path, peer.scheme);
  if (split.kind === 'refused') return refused(400, split.reason);
  if (split.authority !== undefined) return refused(400, 'target-syntax');
  if (pseudo.path.length > limits.requestLineBytes) return refused(414, 'request-line-too-long');
  // The other protocols call it Host, and cookies are one line there (RFC 9113 §8.2.3).
  flat.unshift('host', authority);
  if (cookies !== '') flat.push('cookie', cookies);
  const fields = new Fields(flat);
  const expect = fields.get('expect')?.toLowerCase();
  if (expect !== undefined && expect !== '100-continue') return refused(417, 'expectation');
  const body = stream.endAfterHeaders
    ? undefined
    : new Http2Body(stream, expect === undefined ? () => {} : () => invite(stream));
  const request: EdgeRequest = {
    method: pseudo.method,
    scheme: peer.scheme,
    authority,
    target: split.target,
    fields,
    httpVersion: '2',
    clientAddress: peer.clientAddress,
    body,
    headIdentity: new HeadIdentity(),
  };
  return { kind: 'request', request, body, wireBytes };
}

/** A value neither begins nor ends with one (RFC 9113 §8.2.1); no value, NaN here, does neither. */
function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Sends 100 when the body is first read, so that a refused one is never invited (RFC 9110 §10.1.1). */
function invite(stream: ServerHttp2Stream): void {
  if (!stream.headersSent && !stream.destroyed) stream.additionalHeaders({ ':status': 100 });
}
