/**
 * What undici reports, in our words: fields, declared length, and the fault that an error stands for. Pure.
 */
import type { Dispatcher } from 'undici';
import { Fields } from '../http/fields.ts';

/** Why there is no (whole) response; the same word stands in Proxy-Status, the log and the counter's label. */
export type UpstreamFault =
  | 'connection_refused'
  | 'connection_timeout'
  | 'connection_terminated'
  | 'dns_error'
  | 'tls_error'
  | 'http_response_timeout'
  | 'http_response_incomplete'
  | 'http_protocol_error'
  | 'aborted';

/** undici's raw header list (Buffers over HTTP/1.1, an object over HTTP/2), as fields. */
export function fieldsOf(raw: Dispatcher.DispatchController['rawHeaders']): Fields {
  const fields = new Fields();
  if (raw === null || raw === undefined) return fields;
  if (Array.isArray(raw)) {
    for (let i = 0; i + 1 < raw.length; i += 2) fields.append(latin1(raw[i]!), latin1(raw[i + 1]!));
    return fields;
  }
  for (const [name, value] of Object.entries(raw)) {
    if (name.startsWith(':') || value === undefined) continue;
    for (const line of Array.isArray(value) ? value : [value]) fields.append(name, String(line));
  }
  return fields;
}

function latin1(value: Buffer | string): string {
  return typeof value === 'string' ? value : value.toString('latin1');
}

const DIGITS = /^\d{1,15}$/;

/** The one length that all Content-Length lines agree on (RFC 9110 §8.6). */
export function declaredLength(fields: Fields): number | undefined | 'conflict' {
  const text = fields.get('content-length');
  if (text === undefined || fields.has('transfer-encoding')) return undefined;
  if (DIGITS.test(text)) return Number(text);
  const lines = fields.lines('content-length');
  const values = new Set(lines.flatMap((line) => line.split(',')).map((one) => one.trim()));
  const [only] = values;
  if (values.size !== 1 || only === undefined || !DIGITS.test(only)) return 'conflict';
  return Number(only);
}

/** The fault behind an error of undici's or the socket's; `started`: the response head had come. */
export function faultOf(error: Error, started: boolean): UpstreamFault {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  switch (code) {
    case 'ECONNREFUSED':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ENOENT':
      return 'connection_refused';
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return 'connection_timeout';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'dns_error';
    case 'UND_ERR_HEADERS_TIMEOUT':
      return 'http_response_timeout';
    case 'UND_ERR_BODY_TIMEOUT':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return 'http_response_incomplete';
    default:
      if (
        code.startsWith('ERR_TLS') ||
        code.startsWith('ERR_SSL') ||
        code.startsWith('CERT_') ||
        code.includes('SELF_SIGNED')
      )
        return 'tls_error';
      if (parseError(error) || code === 'UND_ERR_HEADERS_OVERFLOW') return 'http_protocol_error';
      return started ? 'http_response_incomplete' : 'connection_terminated';
  }
}

/**
 * A Content-Length among the trailers of a chunked body, which the parser refuses although all chunks were there:
 * trailers are not header fields (RFC 9110 §6.5.1). Only meaningful once the head has come, and without one in it.
 */
export function lengthInTrailers(error: Error): boolean {
  return parseError(error) && error.message.includes("Content-Length can't be present with Transfer-Encoding");
}

/** undici gives these a code only for some of llhttp's errors. */
function parseError(error: Error): boolean {
  return error.name === 'HTTPParserError';
}
