/**
 * A connection that `node:http` serves: its deadlines, its lingering close, and whether anything more may be executed
 * on it. The server that reads it is `handover.ts`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { SendProgress } from './accept.ts';
import type { ConnectionContext, Peer } from './connection-context.ts';
import type { RefusalReason } from './request-rules.ts';
import { refusalBytes } from './response-bytes.ts';
import type { Member } from './roster.ts';

/** Requests that may wait behind one that is being answered; what comes behind them is not executed. */
const MOST_WAITING = 64;

interface Waiting {
  readonly message: IncomingMessage;
  readonly serve: () => void;
}

type Context = Pick<ConnectionContext, 'limits' | 'counters' | 'roster'>;

export class HandedConnection implements Member {
  readonly socket: Socket;
  readonly peer: Peer;
  readonly #context: Context;
  readonly #progress: SendProgress;
  /** Requests given to the handler and not yet answered. */
  open = 0;
  requests = 0;
  /** Body of the newest request. */
  body: IncomingMessage | undefined;
  response: ServerResponse | undefined;
  /** Nothing more is executed: refused, or the last response is on its way. */
  last = false;
  /** Of what came behind the requests that are still due an answer. */
  #refusal: Buffer | undefined;
  #waiting: Waiting[] = [];
  /** More came than may wait: the last of them is answered with `Connection: close`. */
  #overfull = false;
  #bytesRead = 0;
  #sinceMillis: number;
  /** Part of a request head has come. */
  #heading: boolean;
  #closing = false;

  constructor(socket: Socket, peer: Peer, context: Context, heading: boolean) {
    this.#heading = heading;
    this.socket = socket;
    this.peer = peer;
    this.#context = context;
    this.#sinceMillis = context.roster.nowMillis;
    this.#progress = new SendProgress(this.#sinceMillis);
  }

  get draining(): boolean {
    return !this.#context.roster.keepsAlive;
  }

  /** The answer that is about to be written is the last: more was asked than we hold. */
  get lastOfOverfull(): boolean {
    return this.#overfull && this.#waiting.length === 0;
  }

  /**
   * Serves one request after the other: a pipelined one may depend on what an unsafe one before it does (RFC 9112
   * §9.3.2), and none behind an answer that closes is executed.
   */
  inTurn(message: IncomingMessage, serve: () => void): void {
    if (this.last || this.#refusal !== undefined || this.#overfull) return;
    if (this.open === 0) serve();
    else if (this.#waiting.length < MOST_WAITING) this.#waiting.push({ message, serve });
    else this.#overfull = true;
  }

  requestBegan(body: IncomingMessage | undefined, response: ServerResponse): void {
    this.body = body;
    this.response = response;
    this.open++;
    this.requests++;
    this.#heading = false;
    this.#sinceMillis = this.#context.roster.nowMillis;
  }

  requestEnded(): void {
    this.open--;
    this.#sinceMillis = this.#context.roster.nowMillis;
    this.#bytesRead = this.socket.bytesRead;
    if (this.last) return;
    const next = this.#waiting.shift();
    if (next !== undefined) next.serve();
    else if (this.#refusal !== undefined) this.#sendRefusal(this.#refusal);
    else if (this.draining || this.#overfull) this.lingeringClose();
  }

  /** Refuses what came last; answers that are still due go first. `method`: where its head could be read. */
  refuse(status: number, reason: RefusalReason, method: string | undefined): void {
    if (this.last || (this.open > 0 && this.#refusal !== undefined)) return;
    this.#context.counters.refused++;
    const refusal = refusalBytes(status, reason, method === undefined || method === 'HEAD');
    if (this.open === 0) return this.#sendRefusal(refusal);
    const newest = this.#waiting.at(-1);
    if (newest === undefined && this.body !== undefined && !this.body.complete) return this.#refuseBody(refusal);
    // A body that is malformed before its request had its turn: the refusal is its answer.
    if (newest?.message.complete === false) this.#waiting.pop();
    this.#refusal = refusal;
  }

  /** Node has written what it takes for the last answer; it does not know of a refusal that is due behind it. */
  nodeEnds(): void {
    if (this.last || this.#refusal === undefined || this.response?.shouldKeepAlive !== true) this.lingeringClose();
  }

  /** Ends our side and gives the client a while to stop sending, so that a reset does not overtake the answer. */
  lingeringClose(): void {
    if (this.#closing) return;
    this.last = true;
    this.#closing = true;
    this.#sinceMillis = this.#context.roster.nowMillis;
    this.socket.end();
    this.socket.resume();
  }

  tick(nowMillis: number): void {
    if (this.socket.destroyed) return;
    const { limits, counters, roster } = this.#context;
    const stuckMillis = this.#progress.stuckMillis(this.socket, nowMillis);
    const waited = nowMillis - this.#sinceMillis;
    const { bytesRead } = this.socket;
    if (this.#closing) {
      if (stuckMillis === 0 && limits.lingerMillis > 0 && waited > limits.lingerMillis) this.destroy();
      return;
    }
    if (limits.progressMillis > 0 && stuckMillis > limits.progressMillis) {
      counters.noProgress++;
      return this.destroy();
    }
    if (this.open > 0) {
      // Requests take turns, so that the open one is node's first: where it has no socket, one before it was never answered.
      const { response } = this;
      if (response?.writableEnded === true && !response.writableFinished && response.socket === null)
        return this.destroy();
      // A body that is being read and does not come any more.
      const waits = this.body !== undefined && !this.body.complete && this.body.readableFlowing === true;
      if (!waits || bytesRead !== this.#bytesRead) {
        this.#bytesRead = bytesRead;
        this.#sinceMillis = nowMillis;
      } else if (limits.progressMillis > 0 && waited > limits.progressMillis) {
        counters.noProgress++;
        this.destroy();
      }
      return;
    }
    // Nothing is due, and nothing more will be: node may not have noticed when answers and the client's end crossed.
    if (this.last || (this.socket.readableEnded && this.#waiting.length === 0)) return this.lingeringClose();
    if (!this.#heading && bytesRead !== this.#bytesRead) {
      this.#heading = true;
      this.#sinceMillis = nowMillis;
    } else if (this.#heading && limits.headerMillis > 0 && waited > limits.headerMillis) {
      counters.headerTimeouts++;
      this.refuse(408, 'header-timeout', undefined);
    } else if (!this.#heading && (this.draining || (roster.idleMillis > 0 && waited > roster.idleMillis))) {
      counters.idleTimeouts++;
      this.lingeringClose();
    }
  }

  drain(): void {
    if (this.open === 0 && !this.#heading) this.lingeringClose();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** The body of the request that is being answered is malformed: there is no answer to wait for. */
  #refuseBody(refusal: Buffer): void {
    this.last = true;
    if (this.response?.headersSent === false) this.socket.write(refusal);
    this.socket.once('finish', () => this.destroy());
    this.socket.end();
  }

  #sendRefusal(refusal: Buffer): void {
    if (this.socket.writable) this.socket.write(refusal);
    this.lingeringClose();
  }
}
