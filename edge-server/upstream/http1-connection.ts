/**
 * One plain HTTP/1.1 connection to an upstream: one exchange at a time, kept between them. Reads through `onread` into
 * one buffer of the process, writes a request head in one piece. Measured beside undici's dispatcher, a request and
 * its answer of 1 KiB: 26 µs of a core less (`DESIGN.md`).
 */
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { Chunks } from './chunks.ts';
import { type BodyFraming, parseHead } from './response-head.ts';
import type { Exchange, ExchangeControl, UpstreamRequest } from './transport.ts';
import { faultOf, type UpstreamFault } from './upstream-head.ts';

/** All reads of this process: what is in it is used before the callback returns. */
const READ_BUFFER = Buffer.allocUnsafeSlow(128 * 1024);
const MOST_HEAD_BYTES = 64 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');
const NONE = Buffer.alloc(0);
/** Beyond Latin-1 a character is cut to its low byte when it is written, which may be a CR or LF. */
const ILLEGAL = /[\0\r\n\u0100-\uffff]/;
const ILLEGAL_TARGET = /[^\x21-\x7e\x80-\xff]/;

export type ConnectionPhase = 'connecting' | 'idle' | 'head' | 'body' | 'gone';

export interface ConnectionOwner {
  readonly nowMillis: number;
  /** The exchange is over and the connection can carry another. */
  free(connection: Http1Connection): void;
  gone(connection: Http1Connection): void;
}

export interface ConnectTo {
  readonly host: string;
  readonly port: number;
  /** Unix socket instead. */
  readonly path?: string | undefined;
}

export class Http1Connection implements ExchangeControl {
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #chunks = new Chunks();
  #phase: ConnectionPhase = 'connecting';
  /** When the phase began; of a body, when its last byte came. A head that trickles has no more time than another. */
  sinceMillis: number;
  #exchange: Exchange | undefined;
  #headOnly = false;
  #keep = true;
  #paused = false;
  /** A head that has not come whole. */
  #held: Buffer = NONE;
  #framing: BodyFraming = { kind: 'none' };
  #left = 0;
  /** A byte has come since the request went out. */
  #answered = false;
  #error: Error | undefined;
  /** How long the upstream says it keeps an idle connection. */
  idleMillis: number;

  constructor(owner: ConnectionOwner, to: ConnectTo, idleMillis: number) {
    this.#owner = owner;
    this.sinceMillis = owner.nowMillis;
    this.idleMillis = idleMillis;
    const address = to.path === undefined ? { host: to.host, port: to.port } : { path: to.path };
    this.#socket = connect({
      ...address,
      noDelay: true,
      keepAlive: true,
      onread: { buffer: READ_BUFFER, callback: (length: number) => this.#received(length) },
    } as NetConnectOpts);
    this.#socket.on('connect', () => {
      if (this.#phase === 'connecting') this.#enter(this.#exchange === undefined ? 'idle' : 'head');
    });
    this.#socket.on('error', (error) => {
      this.#error ??= error;
    });
    this.#socket.on('end', () => this.#ended());
    this.#socket.on('close', () => this.#closed());
    this.#socket.resume();
  }

  get phase(): ConnectionPhase {
    return this.#phase;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Sends a request; `last`: the connection is not used again. */
  send(request: UpstreamRequest, exchange: Exchange, last: boolean): void {
    const text = requestText(request, last);
    this.#exchange = exchange;
    this.#headOnly = request.method === 'HEAD';
    this.#keep = !last;
    this.#answered = false;
    if (this.#phase === 'idle') this.#enter('head');
    exchange.began(this);
    if (this.#exchange !== exchange) return;
    if (text === undefined) return this.fail('http_protocol_error', 'a field of the request can not be sent');
    this.#socket.write(text, 'latin1');
  }

  pause(): void {
    if (this.#exchange === undefined) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.sinceMillis = this.#owner.nowMillis;
    this.#socket.resume();
  }

  abort(): void {
    this.#exchange = undefined;
    this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
    if (this.#phase === 'gone') return;
    this.#phase = 'gone';
    this.#owner.gone(this);
  }

  /** Tells the exchange, and ends the connection. */
  fail(fault: UpstreamFault, detail: string): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.destroy();
    exchange?.error(fault, detail, this.#answered);
  }

  #enter(phase: ConnectionPhase): void {
    this.#phase = phase;
    this.sinceMillis = this.#owner.nowMillis;
  }

  #received(length: number): boolean {
    // Nobody has asked: what an upstream sends unasked, or after its response, is not the beginning of the next one.
    if (this.#phase !== 'head' && this.#phase !== 'body') {
      this.destroy();
      return false;
    }
    if (this.#phase === 'body') this.sinceMillis = this.#owner.nowMillis;
    this.#answered = true;
    let bytes = READ_BUFFER;
    let end = length;
    if (this.#held.length > 0) {
      bytes = Buffer.concat([this.#held, READ_BUFFER.subarray(0, length)]);
      end = bytes.length;
      this.#held = NONE;
    }
    this.#read(bytes, end);
    return !this.#paused;
  }

  #read(bytes: Buffer, length: number): void {
    let at = 0;
    while (this.#phase === 'head' && at < length) {
      const end = bytes.indexOf(HEAD_END, at);
      if (end < 0 || end >= length - 3) {
        if (length - at > MOST_HEAD_BYTES) return this.fail('http_protocol_error', 'response head too long');
        this.#held = Buffer.from(bytes.subarray(at, length));
        return;
      }
      if (end - at > MOST_HEAD_BYTES) return this.fail('http_protocol_error', 'response head too long');
      const parsed = parseHead(bytes.toString('latin1', at, end), this.#headOnly);
      if (!parsed.ok) return this.fail('http_protocol_error', parsed.why);
      at = end + 4;
      const { head } = parsed;
      if (head.status === 101) return this.fail('http_protocol_error', 'a change of protocol that nobody asked for');
      if (head.status < 200) {
        this.#exchange?.inform(head.status, head.fields);
        continue;
      }
      this.#begin(head.body, head.keepAlive);
      const hint = head.fields.get('keep-alive');
      if (hint !== undefined) this.#heed(hint);
      this.#exchange?.head(head.status, head.fields);
      if (this.#exchange !== undefined && (this.#framing.kind === 'none' || this.#complete()))
        return this.#over(length - at);
    }
    if (at < length && this.#phase === 'body') this.#body(bytes, at, length);
  }

  #begin(framing: BodyFraming, keepAlive: boolean): void {
    this.#framing = framing;
    this.#keep &&= keepAlive;
    this.#enter('body');
    if (framing.kind === 'length') this.#left = framing.bytes;
    else if (framing.kind === 'chunked') this.#chunks.begin();
  }

  #complete(): boolean {
    return this.#framing.kind === 'length' && this.#left === 0;
  }

  #body(bytes: Buffer, from: number, length: number): void {
    let at = from;
    switch (this.#framing.kind) {
      case 'length': {
        const to = Math.min(length, at + this.#left);
        this.#left -= to - at;
        this.#exchange?.data(bytes.subarray(at, to));
        if (this.#exchange !== undefined && this.#left === 0) this.#over(length - to);
        return;
      }
      case 'chunked':
        while (this.#exchange !== undefined) {
          const step = this.#chunks.next(bytes, at, length);
          if (step.kind === 'more') return;
          if (step.kind === 'malformed') return this.fail('http_protocol_error', step.why);
          if (step.kind === 'end') return this.#over(length - step.at);
          this.#exchange.data(bytes.subarray(step.from, step.to));
          at = step.to;
        }
        return;
      default:
        this.#exchange?.data(bytes.subarray(at, length));
    }
  }

  /** The response is whole; `more` bytes came behind it, and then nothing that comes can be trusted. */
  #over(more: number): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (this.#keep && more === 0 && !this.#socket.destroyed && this.#error === undefined) {
      this.resume();
      this.#enter('idle');
      this.#owner.free(this);
    } else this.destroy();
    exchange?.end();
  }

  /** The upstream has closed its side. */
  #ended(): void {
    const exchange = this.#exchange;
    if (exchange !== undefined && this.#phase === 'body' && this.#framing.kind === 'close') {
      this.#exchange = undefined;
      this.destroy();
      exchange.end();
      return;
    }
    this.#lost('the upstream closed the connection');
  }

  #closed(): void {
    this.#lost(this.#error?.message ?? 'connection closed');
  }

  #lost(detail: string): void {
    if (this.#exchange === undefined) return this.destroy();
    const started = this.#phase === 'body';
    if (this.#error !== undefined) this.fail(faultOf(this.#error, started), detail);
    else this.fail(started ? 'http_response_incomplete' : 'connection_terminated', detail);
  }

  /** `Keep-Alive: timeout=5`: given up a second earlier than the upstream does, so that neither races the other. */
  #heed(hint: string): void {
    const seconds = /(?:^|[,\s])timeout=(\d{1,5})/i.exec(hint)?.[1];
    if (seconds !== undefined) this.idleMillis = Math.min(this.idleMillis, Math.max(0, Number(seconds) * 1000 - 1000));
  }
}

/** The request head as it goes out; `undefined` when something in it would end a line or the target early. */
function requestText({ method, target, fields }: UpstreamRequest, last: boolean): string | undefined {
  if (ILLEGAL_TARGET.test(target)) return undefined;
  let text = `${method} ${target} HTTP/1.1\r\n`;
  const { flat } = fields;
  for (let i = 0; i < flat.length; i += 2) {
    if (ILLEGAL.test(flat[i + 1]!)) return undefined;
    text += `${flat[i]}: ${flat[i + 1]}\r\n`;
  }
  return last ? `${text}connection: close\r\n\r\n` : `${text}\r\n`;
}
