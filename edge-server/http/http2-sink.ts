/** One response on an HTTP/2 stream (RFC 9113 §8.1), with the promises of `ResponseSink`: counted, never ended when short. */
import { constants, type ServerHttp2Stream, type ServerStreamResponseOptions } from 'node:http2';
import { Ending } from './ending.ts';
import type { ResponseHead, ResponseSink } from './exchange.ts';
import type { Fields } from './fields.ts';
import { Releases } from './releases.ts';
import { isBodiless, sendableFields } from './response-bytes.ts';

/** Pieces given to the stream: progress of a slow client is seen by each piece that leaves. */
const PIECE_BYTES = 64 * 1024;
/** The handler decides about Date on every protocol; node would add one of its own. The types don't know `sendDate` yet. */
const WITH_BODY = { sendDate: false } as ServerStreamResponseOptions;
const WITHOUT_BODY = { sendDate: false, endStream: true } as ServerStreamResponseOptions;

export class Http2Sink implements ResponseSink {
  readonly #stream: ServerHttp2Stream;
  readonly #headOnly: boolean;
  readonly #ending = new Ending();
  readonly #releases = new Releases();
  /** Rises with every piece that has left; the session's tick compares it. */
  pieces = 0;
  #ended = false;
  #length: number | undefined;
  #bodiless = false;
  started = false;
  bytesWritten = 0;

  constructor(stream: ServerHttp2Stream, headOnly: boolean) {
    this.#stream = stream;
    this.#headOnly = headOnly;
    stream.on('close', () => this.#close());
  }

  get closed(): boolean {
    return this.#ended || this.#ending.over;
  }

  /** Bytes wait for the client to take them. */
  get waits(): boolean {
    return this.#stream.writableLength > 0;
  }

  sendWhole(head: ResponseHead, body: Buffer | undefined): void {
    if (this.started || this.closed) return this.abort('sink misused: sendWhole after the response began');
    const length = body?.length ?? 0;
    const bare = this.#headOnly || isBodiless(head.status);
    if (!bare && head.contentLength !== undefined && head.contentLength !== length) return this.abort('body-length');
    if (!this.#respond(head, head.contentLength ?? (bare ? body?.length : length), bare || length === 0)) return;
    this.#ended = true;
    if (bare || length === 0) return;
    this.bytesWritten = length;
    for (let at = 0; at < length; at += PIECE_BYTES)
      this.#stream.write(length <= PIECE_BYTES ? body : body!.subarray(at, at + PIECE_BYTES), this.#left);
    this.#stream.end();
  }

  inform(status: number, fields: Fields): void {
    if (this.started || this.closed || status < 102 || status > 199) return;
    const headers: Record<string, string | number> = Object.create(null);
    headers[':status'] = status;
    // Lines of one field are one list (RFC 9110 §5.3): every Link reaches the client.
    for (const [name, value] of fieldPairs(sendableFields(fields.flat)))
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
    try {
      this.#stream.additionalHeaders(headers);
    } catch {
      // The stream has just gone, or node refuses the hint; only the hint is lost.
    }
  }

  start(head: ResponseHead): void {
    if (this.started || this.closed) return this.abort('sink misused: start after the response began');
    this.#respond(head, head.contentLength, isBodiless(head.status));
  }

  write(chunk: Buffer, released?: () => void): boolean {
    if (this.closed || !this.started || this.#bodiless || this.#headOnly || chunk.length === 0) {
      released?.();
      if (!this.started) this.abort('sink misused: write before start');
      return true;
    }
    this.bytesWritten += chunk.length;
    if (this.#length !== undefined && this.bytesWritten > this.#length) {
      this.abort('too-many-bytes');
      released?.();
      return true;
    }
    const back = released === undefined ? undefined : this.#releases.lend(released);
    const lastAt = chunk.length - (chunk.length % PIECE_BYTES || PIECE_BYTES);
    for (let at = 0; at < lastAt; at += PIECE_BYTES)
      this.#stream.write(chunk.subarray(at, at + PIECE_BYTES), this.#left);
    return this.#stream.write(lastAt === 0 ? chunk : chunk.subarray(lastAt), () => {
      this.pieces++;
      back?.();
    });
  }

  async drained(): Promise<void> {
    const stream = this.#stream;
    if (this.closed || !stream.writableNeedDrain) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    stream.once('drain', resolve);
    stream.once('close', resolve);
    await promise;
    stream.off('drain', resolve);
    stream.off('close', resolve);
  }

  end(): void {
    if (this.closed) return;
    if (!this.started) return this.abort('sink misused: end before start');
    const short = this.#length !== undefined && this.bytesWritten < this.#length;
    if (short && !this.#headOnly && !this.#bodiless) return this.abort('too-few-bytes');
    this.#ended = true;
    this.#stream.end();
  }

  abort(_reason: string): void {
    if (this.#ending.over) return;
    this.#ended = true;
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    this.#ending.end(false);
  }

  onClose(callback: (whole: boolean) => void): void {
    this.#ending.tell(callback);
  }

  readonly #left = (): void => {
    this.pieces++;
  };

  /** False when the stream has gone meanwhile. */
  #respond(head: ResponseHead, length: number | undefined, endStream: boolean): boolean {
    this.started = true;
    this.#bodiless = isBodiless(head.status);
    this.#length = this.#bodiless ? undefined : length;
    let list = head.list;
    if (list === undefined || this.#headOnly) {
      const status = head.status >= 200 && head.status <= 599 ? head.status : 502;
      list = [':status', String(status), ...sendableFields(head.fields.flat)];
      if (this.#length !== undefined) list.push('content-length', String(this.#length));
      if (head.kept && !this.#headOnly) head.list = list;
    }
    try {
      this.#stream.respond(list, endStream ? WITHOUT_BODY : WITH_BODY);
      return true;
    } catch {
      // The client reset the stream between our look and the call.
      this.abort('stream-gone');
      return false;
    }
  }

  #close(): void {
    const whole = this.#ended && this.#stream.rstCode === constants.NGHTTP2_NO_ERROR && this.#stream.writableFinished;
    this.#ended = true;
    this.#releases.returnAll();
    this.#ending.end(whole);
  }
}

function* fieldPairs(flat: readonly string[]): Generator<[string, string]> {
  for (let i = 0; i < flat.length; i += 2) yield [flat[i]!, flat[i + 1]!];
}
