/** What connections of every kind are given: the handler, the limits, and where to count and report. */
import type { Socket } from 'node:net';
import type { Handler } from './exchange.ts';
import type { HttpLimits } from './limits.ts';
import type { RequestParser } from './request-parser.ts';
import type { HttpCounters, Roster } from './roster.ts';

/** What all connections of a worker share. */
export interface ConnectionContext {
  readonly handler: Handler;
  readonly limits: HttpLimits;
  readonly parser: RequestParser;
  readonly roster: Roster;
  readonly counters: HttpCounters;
  /** Takes the connection over, with the bytes that nobody has read, `ended` when no more will come; the connection object is dead afterwards. */
  readonly handOver: (socket: Socket, unread: Buffer, peer: Peer, ended: boolean) => void;
  /** A fault of ours worth a log line. */
  readonly report: (what: string, details: Record<string, unknown>) => void;
}

export interface Peer {
  readonly scheme: 'http' | 'https';
  readonly clientAddress: string;
  /** Called once when the connection is gone, whoever served it last. */
  readonly closed: () => void;
}
