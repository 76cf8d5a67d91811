/** Answers that the edge makes itself: short, never stored, each with the word for why (RFC 9209, RFC 9211). */
import { type ProxyError, proxyStatus } from '../cache/cache-status.ts';
import { ResponseHead, type ResponseSink } from '../http/exchange.ts';
import { Fields } from '../http/fields.ts';
import type { FetchFailure } from './fetch.ts';

/** Sends a plain-text answer of our own. */
export function sendOwn(
  sink: ResponseSink,
  method: string,
  status: number,
  text: string,
  more: readonly string[] = [],
): void {
  const body = Buffer.from(`${text}\n`);
  const fields = new Fields([
    'content-type',
    'text/plain; charset=utf-8',
    'cache-control',
    'no-store',
    'date',
    new Date().toUTCString(),
    ...more,
  ]);
  sink.sendWhole(new ResponseHead(status, fields, body.length), method === 'HEAD' ? undefined : body);
}

/** Status, Proxy-Status error and sentence of a failed fetch. */
export function failureAnswer(
  name: string,
  why: FetchFailure,
  detail: string,
): { status: number; text: string; fields: string[] } {
  const late = why === 'connection_timeout' || why === 'http_response_timeout';
  const status = late ? 504 : 502;
  const text = late ? 'the upstream did not answer in time' : 'the upstream gave no usable answer';
  return { status, text, fields: ['proxy-status', proxyStatus(name, proxyError(why), { details: detail })] };
}

function proxyError(why: FetchFailure): ProxyError {
  switch (why) {
    case 'tls_error':
      return 'tls_protocol_error';
    case 'unsolicited_304':
    case 'unsolicited_206':
      return 'http_protocol_error';
    case 'aborted':
      return 'proxy_internal_error';
    default:
      return why;
  }
}
