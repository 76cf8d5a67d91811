/**
 * The body of a request on an HTTP/2 stream, as a stream of its own: what reads it may destroy it when done (HTTP clients
 * do), and the answer still has the HTTP/2 stream to go out on. Reads nothing before somebody asks for it.
 */
import type { ServerHttp2Stream } from 'node:http2';
import { Readable } from 'node:stream';

export class Http2Body extends Readable {
  readonly #stream: ServerHttp2Stream;
  readonly #onFirstRead: () => void;
  #begun = false;
  #whole = false;
  /** Bytes that have come; the session's tick compares it. */
  receivedBytes = 0;

  constructor(stream: ServerHttp2Stream, onFirstRead: () => void) {
    super();
    this.#stream = stream;
    this.#onFirstRead = onFirstRead;
    // A reset is told to whoever reads; when nobody does, it is nobody's fault.
    this.on('error', () => {});
    stream.once('close', () => {
      if (!this.#whole) this.destroy(new Error('the request body was cut'));
    });
  }

  /** Somebody reads, and the client has neither sent nor ended it. */
  get waits(): boolean {
    return this.#begun && !this.#whole && !this.destroyed && this.readableLength === 0 && !this.#stream.isPaused();
  }

  override _read(): void {
    const stream = this.#stream;
    if (this.#begun) return void stream.resume();
    this.#begun = true;
    this.#onFirstRead();
    stream.on('data', (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      if (!this.destroyed && !this.push(chunk)) stream.pause();
    });
    stream.once('end', () => {
      this.#whole = !stream.aborted;
      if (this.#whole) this.push(null);
    });
  }
}
