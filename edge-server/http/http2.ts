/**
 * HTTP/2 by `node:http2` on TLS connections whose client chose `h2`: sessions with limits, requests checked by the
 * rules of the other front ends, one handler. Framing and HPACK are nghttp2's; it also refuses upper-case names,
 * repeated or misplaced pseudo-header fields, connection fields, and bodies of another length than announced (one that is
 * longer costs the connection, not the stream). Fields with other bytes that RFC 9113 §8.2.1 forbids (CR, LF, NUL, a
 * space in a name, a name of no length) it drops before anybody sees them, where the RFC wants the request refused: node
 * offers nothing else. What a client may send beside requests is `http2-allowance.ts`'s.
 */
import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { ConnectionContext, Peer } from './connection-context.ts';
import { ResponseHead } from './exchange.ts';
import { Fields } from './fields.ts';
import { OverheadAllowance, PING_BYTES, SETTINGS_BYTES, TokenBucket } from './http2-allowance.ts';
import type { Http2Body } from './http2-body.ts';
import { requestOf } from './http2-request.ts';
import { Http2Sink } from './http2-sink.ts';
import { refusal } from './response-bytes.ts';
import type { Member } from './roster.ts';

/** A stream's first window (RFC 9113 §6.5.2): a client may send so much of a body that nobody reads. */
const UNREAD_BYTES = 65_535;
/** For a client that floods to read why it is cut; the next tick but one at the latest. */
const CONDEMNED_MILLIS = 500;

type Context = Omit<ConnectionContext, 'handOver' | 'parser'>;

/** Serves HTTP/2 on a socket that nobody has read from. */
export function serveHttp2(socket: TLSSocket, peer: Peer, context: Context): void {
  const { limits } = context;
  const session = performServerHandshake(socket, {
    settings: {
      ...(limits.http2Streams === 0 ? {} : { maxConcurrentStreams: limits.http2Streams }),
      maxHeaderListSize: limits.requestLineBytes + limits.fieldBytes,
    },
    maxHeaderListPairs: limits.fieldLines + 5,
    // Our own count answers first, with the code that clients understand; nghttp2's stands behind it.
    ...(limits.http2ResetBurst === 0
      ? {}
      : { streamResetBurst: limits.http2ResetBurst * 10, streamResetRate: limits.http2ResetsPerSecond * 10 }),
    strictSingleValueFields: false,
    // Not to allow them: nghttp2 would drop such a field without a word, where we can refuse the request.
    strictFieldWhitespaceValidation: false,
  });
  new Session(session, socket, peer, context).start();
}

class Session implements Member {
  readonly #session: ServerHttp2Session;
  readonly #socket: TLSSocket;
  readonly #peer: Peer;
  readonly #context: Context;
  readonly #open = new Map<ServerHttp2Stream, Watch>();
  #idleSinceMillis: number;
  readonly #resets: TokenBucket;
  readonly #overhead: OverheadAllowance;
  #tickedMillis: number;
  /** Ended for a flood; cut soon, whether the client takes our GOAWAY or not. */
  #condemned: { readonly sinceMillis: number; readonly bytesRead: number } | undefined;
  /** The last stream was cut because its client took or sent nothing; that client is not waited for as an idle one is. */
  #stuck = false;

  constructor(session: ServerHttp2Session, socket: TLSSocket, peer: Peer, context: Context) {
    this.#session = session;
    this.#socket = socket;
    this.#peer = peer;
    this.#context = context;
    const { limits, roster } = context;
    const { nowMillis } = roster;
    this.#idleSinceMillis = nowMillis;
    this.#tickedMillis = nowMillis;
    this.#resets = new TokenBucket(limits.http2ResetBurst, limits.http2ResetsPerSecond, nowMillis);
    this.#overhead = new OverheadAllowance(limits.http2OverheadBytes, limits.http2OverheadBytesPerSecond, nowMillis);
  }

  start(): void {
    const session = this.#session;
    session.on('stream', (stream, headers, _flags, raw: string[]) => this.#serve(stream, headers, raw));
    session.on('ping', () => this.#charge(PING_BYTES));
    session.on('remoteSettings', () => this.#charge(SETTINGS_BYTES));
    session.on('error', ignoreError);
    this.#socket.on('error', ignoreError);
    // The TLS server allows half-open connections for HTTP/1.1's sake; here a client that has ended is gone.
    this.#socket.on('end', () => this.destroy());
    session.on('close', () => this.#context.roster.remove(this));
    this.#context.roster.add(this);
  }

  tick(nowMillis: number): void {
    const { limits, counters, roster } = this.#context;
    this.#tickedMillis = nowMillis;
    if (this.#condemned !== undefined) {
      if (nowMillis - this.#condemned.sinceMillis > CONDEMNED_MILLIS) this.destroy();
      return;
    }
    this.#resets.refill(nowMillis);
    this.#look();
    if (!roster.keepsAlive) this.drain();
    if (this.#open.size === 0) {
      const idleMillis = this.#stuck ? limits.progressMillis : roster.idleMillis;
      if (idleMillis > 0 && nowMillis - this.#idleSinceMillis > idleMillis) {
        counters.idleTimeouts++;
        if (this.#session.closed) this.destroy();
        else this.#session.close();
      }
      return;
    }
    if (limits.progressMillis === 0) return;
    for (const [stream, watch] of this.#open) {
      const { body, sink } = watch;
      const progress = sink.pieces + (body?.receivedBytes ?? 0);
      if (!(sink.waits || body?.waits) || watch.progress !== progress) {
        watch.progress = progress;
        watch.sinceMillis = nowMillis;
      } else if (nowMillis - watch.sinceMillis > limits.progressMillis) {
        counters.noProgress++;
        watch.sinceMillis = nowMillis;
        this.#stuck = true;
        stream.close(constants.NGHTTP2_CANCEL);
        stream.destroy();
      }
    }
  }

  drain(): void {
    if (!this.#session.closed) this.#session.close();
  }

  destroy(): void {
    this.#session.destroy();
    this.#socket.destroy();
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: readonly string[]): void {
    const { counters, handler, roster } = this.#context;
    stream.on('error', ignoreError);
    this.#stuck = false;
    const sink = new Http2Sink(stream, headers[':method'] === 'HEAD');
    const watch: Watch = { sink, body: undefined, credited: 0, progress: 0, sinceMillis: roster.nowMillis };
    this.#open.set(stream, watch);
    stream.on('close', () => this.#streamClosed(stream, watch));
    const understood = requestOf(stream, raw, this.#peer, this.#context.limits);
    this.#overhead.earn(understood.wireBytes);
    if (understood.kind === 'refused') {
      counters.refused++;
      const { fields, text } = refusal(understood.reason);
      const body = Buffer.from(text, 'latin1');
      sink.sendWhole(new ResponseHead(understood.status, new Fields(fields), body.length), body);
      return;
    }
    counters.requests++;
    counters.http2Requests++;
    const { request, body } = understood;
    if (body !== undefined) {
      watch.body = body;
      // What may have come before we tell the client to stop.
      this.#overhead.earn(UNREAD_BYTES);
      stream.once('finish', () => {
        // A body that nobody read to its end: tell the client to stop sending (RFC 9113 §8.1).
        if (!stream.readableEnded && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
      });
    }
    try {
      handler(request, sink);
    } catch (error) {
      counters.handlerFaults++;
      this.#context.report('handler threw', { error });
      sink.abort('handler threw');
    }
  }

  #streamClosed(stream: ServerHttp2Stream, watch: Watch): void {
    this.#creditBody(watch);
    this.#open.delete(stream);
    if (this.#open.size === 0) this.#idleSinceMillis = this.#context.roster.nowMillis;
    if (!stream.aborted && stream.rstCode === constants.NGHTTP2_NO_ERROR) return;
    if (stream.rstCode === constants.NGHTTP2_INTERNAL_ERROR) return;
    if (this.#resets.take(1) || this.#session.destroyed || this.#context.limits.http2ResetBurst === 0) return;
    if (this.#condemned !== undefined) return;
    this.#context.counters.resetFloods++;
    this.#condemn();
  }

  /** For a frame that costs more than its bytes: there may be thousands of them before the next tick. */
  #charge(bytes: number): void {
    this.#overhead.charge(bytes);
    this.#look();
  }

  #creditBody(watch: Watch): void {
    if (watch.body === undefined) return;
    // A frame's header for each nine bytes at worst: what is cut smaller is overhead.
    this.#overhead.earn(2 * (watch.body.receivedBytes - watch.credited));
    watch.credited = watch.body.receivedBytes;
  }

  /** Ends the session if its client has sent too much that no request accounts for. */
  #look(): void {
    const { limits, counters } = this.#context;
    if (limits.http2OverheadBytes === 0 || this.#session.destroyed) return;
    const { bytesRead, bytesWritten } = this.#socket;
    if (this.#condemned !== undefined) {
      if (bytesRead - this.#condemned.bytesRead > limits.http2OverheadBytes) this.destroy();
      return;
    }
    for (const watch of this.#open.values()) this.#creditBody(watch);
    if (this.#overhead.within(this.#tickedMillis, bytesRead, bytesWritten)) return;
    counters.overheadFloods++;
    this.#condemn();
  }

  /**
   * GOAWAY with `ENHANCE_YOUR_CALM`; open streams end, nghttp2 ignores new ones without a word to us, and a later tick cuts
   * the connection. Not at once: a client that is still sending meets the reset of a closed socket and loses what it has
   * not read, so that two of three never learned why (RFC 9112 §9.6 says so of HTTP/1.1).
   */
  #condemn(): void {
    this.#condemned = { sinceMillis: this.#context.roster.nowMillis, bytesRead: this.#socket.bytesRead };
    this.#session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    for (const stream of [...this.#open.keys()]) stream.close(constants.NGHTTP2_CANCEL);
  }
}

/** A stream that is open, and when it last moved. */
interface Watch {
  readonly sink: Http2Sink;
  body: Http2Body | undefined;
  /** Bytes of the body that the client has earned its overhead for. */
  credited: number;
  /** Pieces sent and bytes received so far. */
  progress: number;
  sinceMillis: number;
}

/** `close` follows and says all that we need. */
function ignoreError(): void {}
