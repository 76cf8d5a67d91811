/**
 * Limits of the connection layer: one table of numbers that every front end obeys. Values are conventions.md §1's;
 * 0 switches a limit off, except for sizes: a buffer needs an end. Who reads them: the parser, the connections, the roster, HTTP/2.
 */

export interface HttpLimits {
  /** Longest request line with its CRLF, bytes; longer is 414. */
  readonly requestLineBytes: number;
  /** All field lines with their CRLFs, bytes; more is 431. */
  readonly fieldBytes: number;
  /** Field lines of a request; more is 431. */
  readonly fieldLines: number;
  /** From the first byte of a request (or from the connection's start) to the end of its head. */
  readonly headerMillis: number;
  /** A kept connection without a request. */
  readonly idleMillis: number;
  /** No byte taken by a client that we send to, or none come of a body that we read. */
  readonly progressMillis: number;
  /** How long a connection that we closed may go on sending before it is cut (RFC 9112 §9.6). */
  readonly lingerMillis: number;
  /** Time for a TLS handshake. */
  readonly handshakeMillis: number;
  /** HTTP/1.1 requests on one connection; the last is answered with `Connection: close`. */
  readonly requestsPerConnection: number;
  /** Open connections from one client address (a /64 for IPv6). */
  readonly connectionsPerAddress: number;
  /** Open connections of this worker. */
  readonly connectionsPerWorker: number;
  /** Concurrent streams of one HTTP/2 session. */
  readonly http2Streams: number;
  /** Streams that an HTTP/2 client may reset at once, and then per second, before `ENHANCE_YOUR_CALM`. */
  readonly http2ResetBurst: number;
  readonly http2ResetsPerSecond: number;
  /** Bytes that an HTTP/2 client may send beside requests and bodies at once, and then per second. */
  readonly http2OverheadBytes: number;
  readonly http2OverheadBytesPerSecond: number;
  /** How often timeouts are checked: one timer a worker. */
  readonly tickMillis: number;
}

export const DEFAULT_LIMITS: HttpLimits = Object.freeze({
  requestLineBytes: 8 * 1024,
  fieldBytes: 16 * 1024,
  fieldLines: 100,
  headerMillis: 10_000,
  idleMillis: 65_000,
  progressMillis: 30_000,
  lingerMillis: 2_000,
  handshakeMillis: 10_000,
  requestsPerConnection: 1_000,
  connectionsPerAddress: 256,
  connectionsPerWorker: 20_000,
  http2Streams: 100,
  http2ResetBurst: 100,
  http2ResetsPerSecond: 10,
  http2OverheadBytes: 64 * 1024,
  http2OverheadBytesPerSecond: 8 * 1024,
  tickMillis: 1_000,
});
