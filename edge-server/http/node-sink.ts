/**
 * One response through `node:http`, after a hand-over or on a Unix-domain socket. The same promises as on our own
 * connection: nothing that an origin sent makes it throw, bytes are counted, a short body is cut and never ended.
 */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Ending } from './ending.ts';
import type { ResponseHead, ResponseSink } from './exchange.ts';
import type { Fields } from './fields.ts';
import { Releases } from './releases.ts';
import { isBodiless, sendableFields, sendableStatus } from './response-bytes.ts';

export class NodeSink implements ResponseSink {
  readonly #response: ServerResponse;
  readonly #headOnly: boolean;
  /** Asked when the head is written: whether the connection must end after it (unread body, draining). */
  readonly #mustClose: () => boolean;
  readonly #ending = new Ending();
  readonly #releases = new Releases();
  #ended = false;
  #length: number | undefined;
  #bodiless = false;
  started = false;
  bytesWritten = 0;

  constructor(response: ServerResponse, headOnly: boolean, mustClose: () => boolean) {
    this.#response = response;
    this.#headOnly = headOnly;
    this.#mustClose = mustClose;
    response.on('finish', () => this.#ending.end(true));
    response.on('close', () => this.#close());
    response.on('error', () => this.#close());
  }

  get closed(): boolean {
    return this.#ended || this.#ending.over;
  }

  sendWhole(head: ResponseHead, body: Buffer | undefined): void {
    if (this.started || this.closed) return this.abort('sink misused: sendWhole after the response began');
    const bare = this.#headOnly || isBodiless(head.status);
    if (!bare && head.contentLength !== undefined && head.contentLength !== (body?.length ?? 0))
      return this.abort('body-length');
    this.#writeHead(head, head.contentLength ?? (this.#headOnly ? body?.length : (body?.length ?? 0)));
    this.#ended = true;
    if (bare || body === undefined) this.#response.end();
    else {
      this.bytesWritten = body.length;
      this.#response.end(body);
    }
  }

  inform(status: number, fields: Fields): void {
    if (this.started || this.closed || status !== 103) return;
    const link = fields.lines('link');
    if (link.length > 0 && this.#response.req.httpVersion === '1.1')
      try {
        this.#response.writeEarlyHints({ link });
      } catch {
        // A hint that node finds malformed is not sent; nothing is lost but the hint.
      }
  }

  start(head: ResponseHead): void {
    if (this.started || this.closed) return this.abort('sink misused: start after the response began');
    this.#writeHead(head, head.contentLength);
    this.#response.flushHeaders();
  }

  write(chunk: Buffer, released?: () => void): boolean {
    if (this.closed || this.#headOnly || this.#bodiless || chunk.length === 0 || !this.started) {
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
    return this.#response.write(chunk, released === undefined ? undefined : this.#releases.lend(released));
  }

  async drained(): Promise<void> {
    const response = this.#response;
    if (this.closed || !response.writableNeedDrain) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    response.once('drain', resolve);
    response.once('close', resolve);
    await promise;
    response.off('drain', resolve);
    response.off('close', resolve);
  }

  end(): void {
    if (this.closed) return;
    if (!this.started) return this.abort('sink misused: end before start');
    if (!this.#headOnly && !this.#bodiless && this.#length !== undefined && this.bytesWritten < this.#length)
      return this.abort('too-few-bytes');
    this.#ended = true;
    this.#response.end();
  }

  abort(_reason: string): void {
    if (this.#ending.over) return;
    this.#ended = true;
    const socket = this.#response.socket;
    // Its turn has not come: what is due before it goes whole, and then the connection ends without a byte of it.
    if (socket === null) this.#response.once('socket', (assigned: Socket) => assigned.destroySoon());
    else if ('encrypted' in socket || socket.remoteAddress === undefined) socket.destroy();
    else socket.resetAndDestroy();
    this.#close();
  }

  onClose(callback: (whole: boolean) => void): void {
    this.#ending.tell(callback);
  }

  #close(): void {
    this.#ended = true;
    this.#releases.returnAll();
    this.#ending.end(false);
  }

  #writeHead(head: ResponseHead, length: number | undefined): void {
    const response = this.#response;
    const status = sendableStatus(head.status);
    this.started = true;
    this.#bodiless = isBodiless(status);
    const fields = sendableFields(head.fields.flat);
    if (!this.#bodiless && length !== undefined) {
      this.#length = length;
      fields.push('content-length', String(length));
    }
    if (this.#mustClose()) fields.push('connection', 'close');
    response.sendDate = false;
    response.writeHead(status, STATUS_CODES[status] ?? '', fields);
  }
}
