/**
 * One HTTP/1.1 connection: reads requests, gives them to the handler one after the other, keeps answers in order,
 * and ends when either side has had enough (RFC 9112 §9). While a request is being answered, what the client sends
 * next waits unparsed in a small buffer; beyond that we stop reading. So a request after a refused one is never seen.
 * Framing of responses is the sink's part, deadlines are looked at by the roster's tick.
 *
 * Budget: under 3 µs of our own a kept 1 KiB hit; guarded by the `small` scenario of the benchmark.
 */
import type { Socket } from 'node:net';
import { inputEnded, SendProgress } from './accept.ts';
import type { ConnectionContext, Peer } from './connection-context.ts';
import { ConnectionSink, type Outlet } from './connection-sink.ts';
import { type EdgeRequest, HeadIdentity } from './exchange.ts';
import { GatheredWrites } from './gathered-writes.ts';
import { HeadMemory } from './head-memory.ts';
import type { RefusalReason } from './request-rules.ts';
import { refusalBytes } from './response-bytes.ts';
import type { Member } from './roster.ts';
import { ownBytes, writeOnce } from './write-once.ts';

/** fresh: no request yet · idle: between requests · head: part of a head has come · busy: a response is due · closing: ours is said · gone. */
type Phase = 'fresh' | 'idle' | 'head' | 'busy' | 'closing' | 'handing-over' | 'gone';

const NONE = Buffer.alloc(0);
const LF = 10;

export class Connection implements Member, Outlet {
  readonly #context: ConnectionContext;
  readonly #peer: Peer;
  readonly copies: boolean;
  #socket: Socket | undefined;
  #phase: Phase = 'fresh';
  #sinceMillis: number;
  /** Bytes that have come and are not parsed. Views of it are never handed out. */
  #held: Buffer = NONE;
  #sink: ConnectionSink | undefined;
  readonly #memory = new HeadMemory();
  #requests = 0;
  #parsing = false;
  readonly #gathered = new GatheredWrites();
  #clientEnded = false;
  #draining = false;
  #waitsForDrain: (() => void)[] | undefined;
  readonly #progress: SendProgress;

  constructor(context: ConnectionContext, peer: Peer) {
    this.#context = context;
    this.#peer = peer;
    this.copies = peer.scheme === 'https';
    this.#sinceMillis = context.roster.nowMillis;
    this.#progress = new SendProgress(this.#sinceMillis);
  }

  /** Takes the socket that reads into `received`; before its first byte. */
  attach(socket: Socket): void {
    this.#socket = socket;
    socket.on('end', () => this.#onEnd());
    socket.on('error', ignoreError);
    socket.on('close', () => this.#onClose());
    socket.on('drain', () => this.#onDrain());
    this.#context.roster.add(this);
  }

  get socket(): Socket {
    if (!this.#gathered.empty) this.#gathered.send(this.#socket!);
    return this.#socket!;
  }

  /** Bytes from the client, valid until it returns; `false` stops reading. */
  received(bytes: Buffer, length: number): boolean {
    switch (this.#phase) {
      case 'closing':
      case 'gone':
        return true;
      case 'handing-over':
        this.#hold(bytes, 0, length);
        return false;
      case 'busy':
        this.#hold(bytes, 0, length);
        return this.#held.length <= this.#mostHeldBytes();
      case 'head': {
        // Part of a line changes nothing: parse again only when a line has ended or the limits may be over.
        const ended = bytes.subarray(0, length).includes(LF);
        this.#hold(bytes, 0, length);
        if (!ended && this.#held.length < this.#context.limits.requestLineBytes) return true;
        const held = this.#held;
        this.#held = NONE;
        return this.#parse(held, held.length);
      }
      default:
        return this.#parse(bytes, length);
    }
  }

  sendSmall(bytes: Buffer): void {
    if (this.#parsing) this.#gathered.add(bytes);
    else this.#socket!.write(bytes);
  }

  sendOnce(text: string, body: Buffer | undefined): void {
    if (this.#parsing || this.copies) this.sendSmall(ownBytes(text, body));
    else writeOnce(this.#socket!, text, body);
  }

  drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waitsForDrain ??= [];
    this.#waitsForDrain.push(resolve);
    return promise;
  }

  finished(sink: ConnectionSink): void {
    if (this.#sink !== sink || this.#phase !== 'busy') return;
    this.#sink = undefined;
    if (sink.close) {
      this.#close();
      return;
    }
    this.#enter('idle');
    if (this.#parsing) return;
    if (this.#held.length > 0) this.#parseHeld();
    else if (this.#clientEnded || this.#draining) this.#close();
  }

  cut(reason: string): void {
    const socket = this.#socket;
    if (socket === undefined || this.#phase === 'gone') return;
    this.#context.counters.aborted++;
    if (reason.startsWith('sink misused')) this.#context.report(reason, {});
    // A reset where the protocol has one: the client must not take what it has for the whole (RFC 9112 §8).
    if (this.copies) socket.destroy();
    else socket.resetAndDestroy();
  }

  tick(nowMillis: number): void {
    const { limits, counters, roster } = this.#context;
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return;
    const stuckMillis = this.#progress.stuckMillis(socket, nowMillis);
    if (limits.progressMillis > 0 && stuckMillis > limits.progressMillis) {
      counters.noProgress++;
      this.destroy();
      return;
    }
    const waited = nowMillis - this.#sinceMillis;
    switch (this.#phase) {
      case 'fresh':
      case 'head':
        if (limits.headerMillis > 0 && waited > limits.headerMillis) {
          counters.headerTimeouts++;
          if (this.#phase === 'head') this.#refuse(408, 'header-timeout', true);
          else this.destroy();
        }
        break;
      case 'idle':
        if (!roster.keepsAlive || (roster.idleMillis > 0 && waited > roster.idleMillis)) {
          counters.idleTimeouts++;
          this.#close();
        }
        break;
      case 'closing':
        if (stuckMillis === 0 && limits.lingerMillis > 0 && waited > limits.lingerMillis) this.destroy();
        break;
      default:
    }
  }

  drain(): void {
    this.#draining = true;
    if (this.#sink !== undefined && !this.#sink.started) this.#sink.close = true;
    if (this.#phase === 'idle') this.#close();
  }

  destroy(): void {
    this.#socket?.destroy();
  }

  /** Parses and answers until bytes run out or an answer is not there at once. Returns whether to go on reading. */
  #parse(bytes: Buffer, length: number): boolean {
    let at = 0;
    this.#parsing = true;
    while (at < length) {
      const end = this.#next(bytes, at, length);
      if (end < 0) break;
      at = end;
      if (this.#phase !== 'idle') break;
      if (this.#gathered.full) this.#gathered.send(this.#socket!);
      if (at < length && this.#socket!.writableNeedDrain) break;
    }
    this.#parsing = false;
    if (!this.#gathered.empty) this.#gathered.send(this.#socket!);
    if (at < length && this.#phase !== 'closing' && this.#phase !== 'gone') this.#hold(bytes, at, length);
    if (this.#phase === 'closing') this.#endOurs();
    else if (this.#phase === 'handing-over') {
      // After this turn: the read callback that we may be in still holds the handle.
      process.nextTick(() => this.#handOver());
      return false;
    } else if (this.#phase === 'idle') {
      if (this.#held.length > 0) {
        // Answers back up: go on once the client has taken some.
        this.#enter('busy');
        void this.drained().then(() => this.#resumeParsing());
        return false;
      }
      if (this.#clientEnded || this.#draining) this.#close();
    } else if (this.#phase === 'head' && this.#clientEnded) this.#close();
    return this.#phase !== 'busy' || this.#held.length <= this.#mostHeldBytes();
  }

  #resumeParsing(): void {
    if (this.#phase !== 'busy' || this.#sink !== undefined) return;
    this.#enter('idle');
    this.#parseHeld();
  }

  #parseHeld(): void {
    const held = this.#held;
    this.#held = NONE;
    if (this.#parse(held, held.length)) this.#socket?.resume();
  }

  /** One request from `bytes[at, length)`; returns where the next begins, or -1 when it could not be read. */
  #next(bytes: Buffer, at: number, length: number): number {
    const memory = this.#memory;
    const repeatedTo = memory.match(bytes, at, length);
    if (repeatedTo > 0) {
      this.#answer(memory.request!, memory.keepAlive);
      return repeatedTo;
    }
    const outcome = this.#context.parser.parse(bytes, at, length, this.#peer.scheme);
    switch (outcome.kind) {
      case 'complete': {
        const { head } = outcome;
        const request: EdgeRequest = {
          method: head.method,
          scheme: this.#peer.scheme,
          authority: head.authority,
          target: head.target,
          fields: head.fields,
          httpVersion: '1.1',
          clientAddress: this.#peer.clientAddress,
          body: undefined,
          headIdentity: new HeadIdentity(),
        };
        memory.remember(bytes, at, outcome.end, request, head.keepAlive);
        this.#answer(request, head.keepAlive);
        return outcome.end;
      }
      case 'incomplete':
        if (this.#phase !== 'head') this.#enter('head');
        return -1;
      case 'hand-over':
        this.#enter('handing-over');
        return -1;
      default:
        this.#refuse(outcome.status, outcome.reason, outcome.head);
        return -1;
    }
  }

  #answer(request: EdgeRequest, keepAlive: boolean): void {
    const { handler, limits, counters, roster } = this.#context;
    this.#requests++;
    counters.requests++;
    const last = limits.requestsPerConnection > 0 && this.#requests >= limits.requestsPerConnection;
    const sink = new ConnectionSink(this, request.method === 'HEAD', !keepAlive || last || !roster.keepsAlive);
    this.#sink = sink;
    this.#phase = 'busy';
    try {
      handler(request, sink);
    } catch (error) {
      counters.handlerFaults++;
      this.#context.report('handler threw', { error });
      sink.abort('handler threw');
    }
  }

  #refuse(status: number, reason: RefusalReason, bodiless: boolean): void {
    this.#context.counters.refused++;
    this.sendSmall(refusalBytes(status, reason, bodiless));
    this.#close();
  }

  /** Nothing more is read as a request; what has been written still leaves. */
  #close(): void {
    if (this.#phase === 'closing' || this.#phase === 'gone') return;
    this.#enter('closing');
    this.#held = NONE;
    if (!this.#parsing) this.#endOurs();
  }

  #endOurs(): void {
    const socket = this.#socket!;
    socket.end();
    // What the client still sends is read and dropped for a while, so that a reset does not overtake our answer.
    socket.resume();
  }

  #handOver(): void {
    if (this.#phase !== 'handing-over') return;
    const socket = this.#socket!;
    this.#phase = 'gone';
    this.#context.roster.remove(this);
    this.#socket = undefined;
    this.#context.counters.handedOver++;
    this.#context.handOver(socket, this.#held, this.#peer, this.#clientEnded || inputEnded(socket));
  }

  #hold(bytes: Buffer, from: number, to: number): void {
    const fresh = bytes.subarray(from, to);
    this.#held = this.#held.length === 0 ? Buffer.from(fresh) : Buffer.concat([this.#held, fresh]);
  }

  #mostHeldBytes(): number {
    return this.#context.limits.requestLineBytes + this.#context.limits.fieldBytes;
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#sinceMillis = this.#context.roster.nowMillis;
  }

  /** The client has sent all it will; a half-closed client still gets its answers (RFC 9112 §9.6). */
  #onEnd(): void {
    this.#clientEnded = true;
    if (this.#phase === 'fresh' || this.#phase === 'idle' || this.#phase === 'head') this.#close();
  }

  #onDrain(): void {
    const waiting = this.#waitsForDrain;
    this.#waitsForDrain = undefined;
    if (waiting !== undefined) for (const resolve of waiting) resolve();
  }

  #onClose(): void {
    if (this.#socket === undefined) return; // Handed over.
    this.#phase = 'gone';
    this.#peer.closed();
    this.#context.roster.remove(this);
    this.#held = NONE;
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.gone();
    this.#onDrain();
  }
}

/** `close` follows every error and says all that we need. */
function ignoreError(): void {}
