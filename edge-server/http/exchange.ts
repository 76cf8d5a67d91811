/**
 * The contract between the front ends (our HTTP/1.1 connection, `node:http` after a hand-over, `node:http2`) and
 * the one request handler: an exchange is a request as understood, and a sink for its response.
 * Front ends own framing, limits and sockets; the handler owns meaning.
 */
import type { Readable } from 'node:stream';
import type { Fields } from './fields.ts';

export interface EdgeRequest {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** The Host field or `:authority`, already checked for syntax (RFC 9112 §3.2); case and port as sent. */
  readonly authority: string;
  /** Origin-form target as sent: path and optional query; starts with `/` (`*` for OPTIONS). Absolute-form is split by the front end. */
  readonly target: string;
  readonly fields: Fields;
  readonly httpVersion: '1.0' | '1.1' | '2';
  readonly clientAddress: string;
  /** `undefined` for a request without a body. The front end closes or drains what the handler leaves unread. */
  readonly body: Readable | undefined;
  /** The same object for requests of one connection whose head is byte for byte the same. */
  readonly headIdentity: HeadIdentity;
}

/**
 * What repeated heads of one connection have in common: the handler's slot for what it worked out about them. A slot and
 * no WeakMap: what a WeakMap that has grown old holds survives every scavenge, so that each request with a head of its
 * own was promoted with all that it reached (33 of 150 ms went into that).
 */
export class HeadIdentity {
  workedOut: object | undefined = undefined;
}

/** A response head. Once given to a sink it does not change; front ends may keep the serialised form in `wire`. */
export class ResponseHead {
  readonly status: number;
  /** End-to-end fields, in order, lower-case names; no `connection`, `transfer-encoding`, `keep-alive` or `content-length`. */
  readonly fields: Fields;
  /** Sent as `content-length` when known, also for HEAD. `undefined`: chunked on 1.1, close-delimited on 1.0. Ignored for 1xx, 204 and 304. */
  readonly contentLength: number | undefined;
  /** It will be sent again, with the same body: worth keeping in serialised form. */
  readonly kept: boolean;
  /** Owned by the HTTP/1.1 front end: a kept head, or head and body, serialised once. */
  wire: Buffer | undefined = undefined;
  /** Owned by the HTTP/2 front end: a kept head as the list that its library takes. */
  list: string[] | undefined = undefined;

  constructor(status: number, fields: Fields, contentLength: number | undefined, kept = false) {
    this.status = status;
    this.fields = fields;
    this.contentLength = contentLength;
    this.kept = kept;
  }
}

/** Where a response goes. Exactly one of `sendWhole`, or `start` then (`end` or `abort`), or `abort` alone. */
export interface ResponseSink {
  /**
   * Head and whole body, for what is in memory: one write. `body` is `undefined` where there is none (HEAD, 204, 304).
   * A kept head with the same body may be sent any number of times, on any connections; the front end then reuses
   * `head.wire`. The body buffer must never change afterwards.
   */
  sendWhole(head: ResponseHead, body: Buffer | undefined): void;
  /** Sends an informational response (103), where the protocol can. */
  inform(status: number, fields: Fields): void;
  /** The head; a body follows through `write`. */
  start(head: ResponseHead): void;
  /**
   * One piece of the body. `false`: the client reads slower than we write, await `drained()` before the next piece.
   * `released` is called once the bytes have left (or never will), when the buffer may be used again.
   * More bytes than `contentLength` is an assertion failure; the front end counts.
   */
  write(chunk: Buffer, released?: () => void): boolean;
  /** Resolves when the client has caught up or the sink has closed; look at `closed` then. Bounded by the no-progress timeout. */
  drained(): Promise<void>;
  /** The body is whole. With fewer bytes than `contentLength` written, this aborts instead. */
  end(): void;
  /** The response can't be completed: the connection is destroyed or the stream reset; never ended as if whole (RFC 9112 §8). */
  abort(reason: string): void;
  readonly started: boolean;
  /** The client is gone, or the response has ended. */
  readonly closed: boolean;
  /** Body bytes given to the connection so far. */
  readonly bytesWritten: number;
  /** Called once when the response has ended in whatever way; at once when it already has. `whole` tells whether the client got all. */
  onClose(callback: (whole: boolean) => void): void;
}

/** The one request handler. Must not throw; must not block. Called in order of arrival for each connection. */
export type Handler = (request: EdgeRequest, sink: ResponseSink) => void;
