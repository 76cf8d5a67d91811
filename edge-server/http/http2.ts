/**
 * HTTP/2 by `node:http2` on TLS connections whose client chose `h2`: sessions with limits, requests checked by the
 * rules of the other front ends, one handler. Framing and HPACK are nghttp2's; it also refuses upper-case names,
 * repeated or misplaced pseudo-header fields, connection fields, and bodies of another length than announced.
 */
import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { authorityProblem, splitTarget } from './authority.ts';
import type { ConnectionContext, Peer } from './connection-context.ts';
import { type EdgeRequest, HeadIdentity, ResponseHead } from './exchange.ts';
import { Fields } from './fields.ts';
import { Http2Body } from './http2-body.ts';
import { Http2Sink, type PreparedHeads } from './http2-sink.ts';
import { isLength, type RefusalReason } from './request-rules.ts';
import { refusal } from './response-bytes.ts';
import type { Member } from './roster.ts';

type Context = Omit<ConnectionContext, 'handOver' | 'parser'>;

/** Serves HTTP/2 on a socket that nobody has read from. */
export function serveHttp2(socket: TLSSocket, peer: Peer, context: Context, prepared: PreparedHeads): void {
  const { limits } = context;
  const session = performServerHandshake(socket, {
    settings: {
      maxConcurrentStreams: limits.http2Streams,
      maxHeaderListSize: limits.requestLineBytes + limits.fieldBytes,
    },
    maxHeaderListPairs: limits.fieldLines + 5,
    // Our own count answers first, with the code that clients understand; nghttp2's stands behind it.
    streamResetBurst: limits.http2ResetBurst * 10,
    streamResetRate: limits.http2ResetsPerSecond * 10,
    strictSingleValueFields: false,
  });
  new Session(session, socket, peer, context, prepared).start();
}

class Session implements Member {
  readonly #session: ServerHttp2Session;
  readonly #socket: TLSSocket;
  readonly #peer: Peer;
  readonly #context: Context;
  readonly #prepared: PreparedHeads;
  readonly #open = new Map<ServerHttp2Stream, { sink: Http2Sink; pieces: number; sinceMillis: number }>();
  #idleSinceMillis: number;
  /** Resets that the client may still make, refilled by time. */
  #resetsLeft: number;
  #refilledMillis: number;

  constructor(session: ServerHttp2Session, socket: TLSSocket, peer: Peer, context: Context, prepared: PreparedHeads) {
    this.#session = session;
    this.#socket = socket;
    this.#peer = peer;
    this.#context = context;
    this.#prepared = prepared;
    this.#idleSinceMillis = context.roster.nowMillis;
    this.#refilledMillis = this.#idleSinceMillis;
    this.#resetsLeft = context.limits.http2ResetBurst;
  }

  start(): void {
    const session = this.#session;
    session.on('stream', (stream, headers, _flags, raw: string[]) => this.#serve(stream, headers, raw));
    session.on('error', ignoreError);
    this.#socket.on('error', ignoreError);
    // The TLS server allows half-open connections for HTTP/1.1's sake; here a client that has ended is gone.
    this.#socket.on('end', () => this.destroy());
    session.on('close', () => this.#context.roster.remove(this));
    this.#context.roster.add(this);
  }

  tick(nowMillis: number): void {
    const { limits, counters } = this.#context;
    this.#resetsLeft = Math.min(
      limits.http2ResetBurst,
      this.#resetsLeft + ((nowMillis - this.#refilledMillis) / 1000) * limits.http2ResetsPerSecond,
    );
    this.#refilledMillis = nowMillis;
    if (this.#open.size === 0) {
      if (limits.idleMillis > 0 && nowMillis - this.#idleSinceMillis > limits.idleMillis) {
        counters.idleTimeouts++;
        if (this.#session.closed) this.destroy();
        else this.#session.close();
      }
      return;
    }
    if (limits.progressMillis === 0) return;
    for (const [stream, watch] of this.#open) {
      if (!watch.sink.waits || watch.pieces !== watch.sink.pieces) {
        watch.pieces = watch.sink.pieces;
        watch.sinceMillis = nowMillis;
      } else if (nowMillis - watch.sinceMillis > limits.progressMillis) {
        counters.noProgress++;
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
    const sink = new Http2Sink(stream, headers[':method'] === 'HEAD', this.#prepared);
    this.#open.set(stream, { sink, pieces: 0, sinceMillis: roster.nowMillis });
    stream.on('close', () => this.#streamClosed(stream));
    const understood = this.#understand(stream, raw);
    if (understood.kind === 'refused') {
      counters.refused++;
      const { fields, text } = refusal(understood.reason);
      const body = Buffer.from(text, 'latin1');
      sink.sendWhole(new ResponseHead(understood.status, new Fields(fields), body.length), body);
      return;
    }
    counters.requests++;
    counters.http2Requests++;
    const { request } = understood;
    if (request.body !== undefined) {
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

  #streamClosed(stream: ServerHttp2Stream): void {
    this.#open.delete(stream);
    if (this.#open.size === 0) this.#idleSinceMillis = this.#context.roster.nowMillis;
    if (!stream.aborted && stream.rstCode === constants.NGHTTP2_NO_ERROR) return;
    if (stream.rstCode === constants.NGHTTP2_INTERNAL_ERROR) return;
    this.#resetsLeft--;
    if (this.#resetsLeft >= 0 || this.#session.destroyed || this.#context.limits.http2ResetBurst === 0) return;
    this.#context.counters.resetFloods++;
    this.#session.destroy(new Error('reset flood'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  #understand(stream: ServerHttp2Stream, raw: readonly string[]): Understood {
    const refused = (status: number, reason: RefusalReason): Understood => ({ kind: 'refused', status, reason });
    const pseudo = { method: '', path: '', authority: '' };
    const flat: string[] = [];
    let host: string | undefined;
    let cookies = '';
    let length: string | undefined;
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i]!;
      const value = raw[i + 1]!;
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
    const split = splitTarget(pseudo.method, pseudo.path, this.#peer.scheme);
    if (split.kind === 'refused') return refused(400, split.reason);
    if (split.authority !== undefined) return refused(400, 'target-syntax');
    if (pseudo.path.length > this.#context.limits.requestLineBytes) return refused(414, 'request-line-too-long');
    // The other protocols call it Host, and cookies are one line there (RFC 9113 §8.2.3).
    flat.unshift('host', authority);
    if (cookies !== '') flat.push('cookie', cookies);
    const fields = new Fields(flat);
    const expects = fields.get('expect')?.toLowerCase() === '100-continue';
    const request: EdgeRequest = {
      method: pseudo.method,
      scheme: this.#peer.scheme,
      authority,
      target: split.target,
      fields,
      httpVersion: '2',
      clientAddress: this.#peer.clientAddress,
      body: stream.endAfterHeaders ? undefined : new Http2Body(stream, expects ? () => invite(stream) : () => {}),
      headIdentity: new HeadIdentity(),
    };
    return { kind: 'request', request };
  }
}

type Understood =
  | { readonly kind: 'request'; readonly request: EdgeRequest }
  | { readonly kind: 'refused'; readonly status: number; readonly reason: RefusalReason };

/** Sends 100 when the body is first read, so that a refused one is never invited (RFC 9110 §10.1.1). */
function invite(stream: ServerHttp2Stream): void {
  if (!stream.headersSent && !stream.destroyed) stream.additionalHeaders({ ':status': 100 });
}

/** `close` follows and says all that we need. */
function ignoreError(): void {}
