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
  #refusal: Buffer | undefined;
  /** What was refused is the body of the newest request, which is open. */
  #badBody = false;
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
    return this.#context.roster.draining;
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
    if (this.#refusal !== undefined && this.#badBody && this.open <= 1) return this.#refuseBody(this.#refusal);
    if (this.open > 0) return;
    if (this.#refusal !== undefined) this.#sendRefusal(this.#refusal);
    else if (this.draining) this.lingeringClose();
  }

  /** Refuses what came last; answers that are still due go first. `method`: where its head could be read. */
  refuse(status: number, reason: RefusalReason, method: string | undefined): void {
    if (this.last) return;
    this.last = true;
    this.#context.counters.refused++;
    const refusal = refusalBytes(status, reason, method === undefined || method === 'HEAD');
    this.#badBody = this.open > 0 && this.body !== undefined && !this.body.complete;
    if (this.open > (this.#badBody ? 1 : 0)) this.#refusal = refusal;
    else if (this.#badBody) this.#refuseBody(refusal);
    else this.#sendRefusal(refusal);
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
    const { limits, counters } = this.#context;
    const stuckMillis = this.#progress.stuckMillis(this.socket, nowMillis);
    const waited = nowMillis - this.#sinceMillis;
    const { bytesRead } = this.socket;
    if (this.#closing) {
      if (stuckMillis === 0 && waited > limits.lingerMillis) this.destroy();
      return;
    }
    if (limits.progressMillis > 0 && stuckMillis > limits.progressMillis) {
      counters.noProgress++;
      return this.destroy();
    }
    if (this.open > 0) {
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
    if (!this.#heading && bytesRead !== this.#bytesRead) {
      this.#heading = true;
      this.#sinceMillis = nowMillis;
    } else if (this.#heading && limits.headerMillis > 0 && waited > limits.headerMillis) {
      counters.headerTimeouts++;
      this.refuse(408, 'header-timeout', undefined);
    } else if (!this.#heading && limits.idleMillis > 0 && waited > limits.idleMillis) {
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
    this.#refusal = undefined;
    if (this.open === 1 && this.response?.headersSent === false) this.socket.write(refusal);
    this.socket.once('finish', () => this.destroy());
    this.socket.end();
  }

  #sendRefusal(refusal: Buffer): void {
    if (this.socket.writable) this.socket.write(refusal);
    this.lingeringClose();
  }
}
