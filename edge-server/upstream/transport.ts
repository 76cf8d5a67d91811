/**
 * The contract between what decides about upstreams (order, retries, ejection) and what carries a request there: an
 * exchange is one request on one connection, and hears what comes of it.
 */
import type { Readable } from 'node:stream';
import type { Fields } from '../http/fields.ts';
import type { UpstreamFault } from './upstream-head.ts';

export interface TransportLimits {
  readonly connectMillis: number;
  readonly headMillis: number;
  readonly betweenBytesMillis: number;
  /** Connections to the upstream at once; further requests wait their turn. */
  readonly connections: number;
}

export interface UpstreamRequest {
  readonly method: string;
  /** Origin-form target. */
  readonly target: string;
  readonly fields: Fields;
  readonly body: Readable | undefined;
  /** Upstreams not to ask, by name: those that this request has come through. */
  readonly not?: string | undefined;
}

/** Hears of one request: `began`, then `inform` … `head` … `data` … `end`, or `error` at any point. Nothing after `end` or `error`. */
export interface Exchange {
  /** It is on its way; may be called before `dispatch` returns. */
  began(control: ExchangeControl): void;
  /** An informational response. */
  inform(status: number, fields: Fields): void;
  head(status: number, fields: Fields): void;
  /** Bytes of the body, valid until it returns. */
  data(chunk: Buffer): void;
  /** The body ended as its framing says. */
  end(): void;
  /** `answered`: whether a byte of a response came over this connection after the request went out. */
  error(fault: UpstreamFault, detail: string, answered: boolean): void;
}

export interface ExchangeControl {
  pause(): void;
  resume(): void;
  /** Ends it and its connection; the exchange hears nothing more. */
  abort(): void;
}

export interface Transport {
  /** `fresh`: on a connection of its own that nobody has used. */
  dispatch(request: UpstreamRequest, exchange: Exchange, fresh: boolean): void;
  /** Destroys every connection; exchanges under way hear an error. */
  close(): Promise<void>;
}
