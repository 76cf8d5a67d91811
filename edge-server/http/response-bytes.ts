/**
 * A response head as bytes of HTTP/1.1 (RFC 9112 §4, §5), and what keeps an origin's odd bytes from splitting it.
 * Framing fields are written here and nowhere else; a handler's own `connection`, `content-length` and the like are dropped.
 */
import { STATUS_CODES } from 'node:http';
import { remembering } from '../../runtime/recent.ts';
import type { ResponseHead } from './exchange.ts';
import type { RefusalReason } from './request-rules.ts';

/** Fields that belong to a connection or to the front end; never taken from a handler. */
const OWN_FIELDS = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);
const NOT_TOKEN = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/;
const NOT_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const EACH_NOT_VALUE = /[^\t\x20-\x7e\x80-\xff]/g;

export type Framing =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'none' };

/** 1xx, 204 and 304 never carry a body, nor a length (RFC 9110 §6.4.1, §8.6). */
export function isBodiless(status: number): boolean {
  return status === 304 || status === 204 || status < 200;
}

/** A status that can be sent; 502 for one that an origin made up. */
export function sendableStatus(status: number): number {
  return Number.isInteger(status) && status >= 100 && status <= 599 ? status : 502;
}

/** Name, value, … that are safe to send: bad names dropped, bad bytes of values replaced by spaces, framing left out. */
export function sendableFields(flat: readonly string[]): string[] {
  const safe: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!;
    if (sendableName(name) === 'yes') safe.push(name, sendableValue(flat[i + 1]!));
  }
  return safe;
}

const sendableName = remembering(2_000, (name) =>
  name === '' || NOT_TOKEN.test(name) || OWN_FIELDS.has(name) ? 'no' : 'yes',
);

function sendableValue(value: string): string {
  return (NOT_VALUE.test(value) ? value.replace(EACH_NOT_VALUE, ' ') : value).trim();
}

/** The head's bytes, with its body behind it when given (small ones, for one write). */
export function responseBytes(head: ResponseHead, framing: Framing, close: boolean, body?: Buffer): Buffer {
  const text = headText(head.status, head.fields.flat, framing, close);
  if (body === undefined || body.length === 0) return Buffer.from(text, 'latin1');
  const bytes = Buffer.allocUnsafeSlow(text.length + body.length);
  bytes.write(text, 0, text.length, 'latin1');
  body.copy(bytes, text.length);
  return bytes;
}

/** The head as Latin-1 text. */
export function responseText(head: ResponseHead, framing: Framing, close: boolean): string {
  return headText(head.status, head.fields.flat, framing, close);
}

/** An informational response (103). */
export function informationalBytes(status: number, flat: readonly string[]): Buffer {
  return Buffer.from(headText(status, flat, { kind: 'none' }, false), 'latin1');
}

function headText(wanted: number, flat: readonly string[], framing: Framing, close: boolean): string {
  const status = sendableStatus(wanted);
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  for (let i = 0; i < flat.length; i += 2)
    if (sendableName(flat[i]!) === 'yes') text += `${flat[i]!}: ${sendableValue(flat[i + 1]!)}\r\n`;
  if (framing.kind === 'length') text += `content-length: ${framing.bytes}\r\n`;
  else if (framing.kind === 'chunked') text += 'transfer-encoding: chunked\r\n';
  if (close) text += 'connection: close\r\n';
  return `${text}\r\n`;
}

/** The fields and text of a refusal that a front end makes by itself (RFC 9209 §2.3). */
export function refusal(reason: RefusalReason): { readonly fields: string[]; readonly text: string } {
  return {
    fields: [
      'content-type',
      'text/plain',
      'cache-control',
      'no-store',
      'date',
      new Date().toUTCString(),
      'proxy-status',
      `nearcast; error=http_request_error; details="${reason}"`,
      // A 405 says what is allowed (RFC 9110 §15.5.6); CONNECT is the one method that a front end refuses.
      ...(reason === 'connect' ? ['allow', 'GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE'] : []),
    ],
    text: `${reason}\n`,
  };
}

/** A whole refusal; the connection is closed after it. `bodiless`: of what is, or may be, a HEAD. */
export function refusalBytes(status: number, reason: RefusalReason, bodiless: boolean): Buffer {
  const { fields, text } = refusal(reason);
  const body = bodiless ? '' : text;
  return Buffer.from(headText(status, fields, { kind: 'length', bytes: body.length }, true) + body, 'latin1');
}
