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

  override _read(): void {
    const stream = this.#stream;
    if (this.#begun) return void stream.resume();
    this.#begun = true;
    this.#onFirstRead();
    stream.on('data', (chunk: Buffer) => {
      if (!this.destroyed && !this.push(chunk)) stream.pause();
    });
    stream.once('end', () => {
      this.#whole = !stream.aborted;
      if (this.#whole) this.push(null);
    });
  }
}
