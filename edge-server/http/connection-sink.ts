/**
 * One response on our own HTTP/1.1 connection: head, framing, byte count, and how it ended. Small responses are one
 * buffer made once for each `ResponseHead`. The connection owns order, the socket and what comes after.
 */
import type { Socket } from 'node:net';
import { Ending } from './ending.ts';
import type { ResponseHead, ResponseSink } from './exchange.ts';
import type { Fields } from './fields.ts';
import { type Framing, informationalBytes, isBodiless, responseBytes, responseText } from './response-bytes.ts';

/** A body up to this size is copied behind its head, so that a hit is one buffer and one write. */
export const ONE_WRITE_BYTES = 16 * 1024;
/** TLS copies what it is given: larger bodies go in pieces of this size, each after the one before has left. */
const TLS_PIECE_BYTES = 256 * 1024;
const NOTHING = Buffer.alloc(0);
const LAST_CHUNK = Buffer.from('0\r\n\r\n', 'latin1');
const LAST_CHUNK_AFTER_DATA = Buffer.from('\r\n0\r\n\r\n', 'latin1');

/** What a sink needs of its connection. */
export interface Outlet {
  /** For writing piece by piece; small responses that wait to be sent together have been sent. */
  readonly socket: Socket;
  /** Copies what it writes, so that large bodies need pieces. */
  readonly copies: boolean;
  /** Sends a small response, possibly together with the next ones. */
  sendSmall(bytes: Buffer): void;
  /** Sends a small response that nobody else gets: its head as Latin-1 text, and its body. */
  sendOnce(text: string, body: Buffer | undefined): void;
  /** Resolves at the next `drain` or when the connection is gone. */
  drained(): Promise<void>;
  /** The response is with the kernel, or will never be. */
  finished(sink: ConnectionSink): void;
  /** Cuts the connection so that the client sees that its response is not whole. */
  cut(reason: string): void;
}

export class ConnectionSink implements ResponseSink {
  readonly #outlet: Outlet;
  readonly #headOnly: boolean;
  /** Decided before the head is written: the connection ends after this response. */
  close: boolean;
  started = false;
  bytesWritten = 0;
  readonly #ending = new Ending();
  #ended = false;
  #framing: Framing = { kind: 'none' };

  constructor(outlet: Outlet, headOnly: boolean, close: boolean) {
    this.#outlet = outlet;
    this.#headOnly = headOnly;
    this.close = close;
  }

  get closed(): boolean {
    return this.#ended || this.#ending.over;
  }

  sendWhole(head: ResponseHead, body: Buffer | undefined): void {
    if (this.started || this.closed) return this.#misused('sendWhole after the response began');
    const length = body?.length ?? 0;
    this.started = true;
    if (this.#headOnly || isBodiless(head.status)) {
      const known = head.contentLength ?? body?.length;
      const framing: Framing =
        isBodiless(head.status) || known === undefined ? { kind: 'none' } : { kind: 'length', bytes: known };
      if (this.#headOnly || this.close || !head.kept) return this.#sendOnce(head, framing, undefined);
      head.wire ??= responseBytes(head, framing, false);
      return this.#sendSmall(head.wire, 0);
    }
    if (head.contentLength !== undefined && head.contentLength !== length) return this.abort('body-length');
    const small = length <= ONE_WRITE_BYTES;
    // Without a length of its own a head would not tell a wire made for another body.
    const reusable = head.kept && !this.close && head.contentLength !== undefined;
    if (small && !reusable) return this.#sendOnce(head, { kind: 'length', bytes: length }, body);
    let bytes = reusable ? head.wire : undefined;
    if (bytes === undefined) {
      bytes = responseBytes(head, { kind: 'length', bytes: length }, this.close, small ? body : undefined);
      if (reusable) head.wire = bytes;
    }
    if (small) return this.#sendSmall(bytes, length);
    this.#ended = true;
    this.#sendLarge(bytes, body!);
  }

  inform(status: number, fields: Fields): void {
    if (this.started || this.closed || status < 102 || status > 199) return;
    this.#outlet.socket.write(informationalBytes(status, fields.flat));
  }

  start(head: ResponseHead): void {
    if (this.started || this.closed) return this.#misused('start after the response began');
    this.started = true;
    const known = head.contentLength;
    if (isBodiless(head.status)) this.#framing = { kind: 'none' };
    else if (known !== undefined) this.#framing = { kind: 'length', bytes: known };
    else this.#framing = this.#headOnly ? { kind: 'none' } : { kind: 'chunked' };
    const { socket } = this.#outlet;
    // The head leaves with the first piece of the body when that follows at once, and alone otherwise.
    socket.cork();
    socket.write(responseBytes(head, this.#framing, this.close));
    process.nextTick(uncork, socket);
  }

  write(chunk: Buffer, released?: () => void): boolean {
    if (!this.started) this.#misused('write before start');
    if (this.closed || this.#headOnly || this.#framing.kind === 'none' || chunk.length === 0) {
      released?.();
      return true;
    }
    const first = this.bytesWritten === 0;
    this.bytesWritten += chunk.length;
    const { socket } = this.#outlet;
    if (this.#framing.kind === 'length') {
      if (this.bytesWritten <= this.#framing.bytes) return socket.write(chunk, released as (() => void) | undefined);
      this.abort('too-many-bytes');
      released?.();
      return true;
    }
    socket.cork();
    socket.write(`${first ? '' : '\r\n'}${chunk.length.toString(16)}\r\n`, 'latin1');
    const ready = socket.write(chunk, released as (() => void) | undefined);
    socket.uncork();
    return ready;
  }

  drained(): Promise<void> {
    if (this.closed || !this.#outlet.socket.writableNeedDrain) return Promise.resolve();
    return this.#outlet.drained();
  }

  end(): void {
    if (this.closed) return;
    if (!this.started) return this.#misused('end before start');
    const framing = this.#framing;
    if (framing.kind === 'length' && !this.#headOnly && this.bytesWritten < framing.bytes)
      return this.abort('too-few-bytes');
    this.#ended = true;
    const { socket } = this.#outlet;
    if (framing.kind === 'chunked') socket.write(this.bytesWritten === 0 ? LAST_CHUNK : LAST_CHUNK_AFTER_DATA);
    this.#afterFlush();
  }

  abort(reason: string): void {
    if (this.#ending.over) return;
    this.#ended = true;
    this.#outlet.cut(reason);
    this.gone();
  }

  onClose(callback: (whole: boolean) => void): void {
    this.#ending.tell(callback);
  }

  /** The connection is gone; called by its owner. */
  gone(): void {
    this.#ended = true;
    this.#ending.end(false);
  }

  #sendSmall(bytes: Buffer, bodyLength: number): void {
    this.#ended = true;
    this.bytesWritten = bodyLength;
    this.#outlet.sendSmall(bytes);
    this.#over();
  }

  /** What is not sent again is put together in a buffer of the connection layer. */
  #sendOnce(head: ResponseHead, framing: Framing, body: Buffer | undefined): void {
    this.#ended = true;
    this.bytesWritten = body?.length ?? 0;
    this.#outlet.sendOnce(responseText(head, framing, this.close), body);
    this.#over();
  }

  #sendLarge(head: Buffer, body: Buffer): void {
    const { socket, copies } = this.#outlet;
    if (copies && body.length > TLS_PIECE_BYTES) {
      socket.write(head);
      this.#sendPieces(body, 0);
      return;
    }
    this.bytesWritten = body.length;
    socket.cork();
    socket.write(head);
    socket.write(body);
    socket.uncork();
    this.#afterFlush();
  }

  #sendPieces(body: Buffer, from: number): void {
    if (this.#ending.over) return;
    const to = Math.min(from + TLS_PIECE_BYTES, body.length);
    this.bytesWritten = to;
    this.#outlet.socket.write(body.subarray(from, to), (error) => {
      if (error) return;
      if (to === body.length) this.#over();
      else this.#sendPieces(body, to);
    });
  }

  /** Ends once everything written has left; at once when the kernel has taken it already. */
  #afterFlush(): void {
    const { socket } = this.#outlet;
    if (socket.writableLength === 0 && !socket.destroyed) return this.#over();
    socket.write(NOTHING, (error) => {
      if (!error) this.#over();
    });
  }

  #over(): void {
    if (this.#ending.over) return;
    this.#ending.end(true);
    this.#outlet.finished(this);
  }

  /** A handler that breaks the sink's contract must not put a client's stream out of step: the connection is cut. */
  #misused(how: string): void {
    this.abort(`sink misused: ${how}`);
  }
}

function uncork(socket: Socket): void {
  socket.uncork();
}
