/**
 * The connection layer of one worker: its listening sockets, the limits on who may connect, and which front end
 * serves a connection. Everything ends in the one handler given to it.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import type { Clock } from '../../runtime/clock.ts';
import { type ReadBuffer, readByEvents, readingSocket } from './accept.ts';
import { Connection } from './connection.ts';
import type { ConnectionContext, Peer } from './connection-context.ts';
import type { Handler } from './exchange.ts';
import { HandoverServer } from './handover.ts';
import { serveHttp2 } from './http2.ts';
import { DEFAULT_LIMITS, type HttpLimits } from './limits.ts';
import type { Pressure } from './pressure.ts';
import { RequestParser } from './request-parser.ts';
import { addressGroup, clientAddress, createHttpCounters, type HttpCounters, Roster } from './roster.ts';
import type { Certificates } from './tls.ts';

export interface ListenerOptions {
  readonly handler: Handler;
  readonly clock: Clock;
  /** What differs from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<HttpLimits>;
  /** Numbers that the listener adds to; read them at any time. */
  readonly counters?: HttpCounters;
  /** Told of faults of ours; at most a line each. */
  readonly report?: (what: string, details: Record<string, unknown>) => void;
  /** False: read with plain `data` events (slower, no undocumented handle). */
  readonly moveHandles?: boolean;
}

/** Where to listen: an address, or the descriptor of a socket that another process listens on already. */
export type ListenOn =
  | { readonly host: string; readonly port: number; readonly reusePort?: boolean; readonly backlog?: number }
  | { readonly fd: number };

export interface Bound {
  readonly host: string;
  readonly port: number;
}

const READ_BYTES = 64 * 1024;
const BACKLOG = 4096;

export class Listener {
  readonly counters: HttpCounters;
  readonly limits: HttpLimits;
  readonly #roster: Roster;
  readonly #context: ConnectionContext;
  readonly #clock: Clock;
  readonly #buffer: ReadBuffer;
  readonly #handover: HandoverServer;
  readonly #servers: Server[] = [];
  readonly #tls: { server: TlsServer; certificates: Certificates }[] = [];

  constructor(options: ListenerOptions) {
    this.counters = options.counters ?? createHttpCounters();
    this.limits = Object.freeze({ ...DEFAULT_LIMITS, ...options.limits });
    this.#clock = options.clock;
    this.#roster = new Roster(this.limits, options.clock, this.counters);
    this.#buffer = { bytes: Buffer.allocUnsafeSlow(READ_BYTES), moveHandles: options.moveHandles ?? true };
    this.#context = {
      handler: options.handler,
      limits: this.limits,
      parser: new RequestParser(this.limits),
      roster: this.#roster,
      counters: this.counters,
      report: options.report ?? (() => {}),
      handOver: (...connection) => this.#handover.take(...connection),
    };
    this.#handover = new HandoverServer(this.#context);
  }

  /** Listens for cleartext HTTP/1.1. Rejects with the system's error, for `listenFault`. */
  listen(on: ListenOn): Promise<Bound> {
    return this.#listen(on, (socket) => this.#acceptCleartext(socket));
  }

  /** Listens for TLS with ALPN h2 and http/1.1. */
  listenTls(on: ListenOn, certificates: Certificates): Promise<Bound> {
    const server = createTlsServer({
      ...certificates.serverOptions(this.limits.handshakeMillis),
      allowHalfOpen: true,
      noDelay: true,
    });
    server.on('secureConnection', (socket) => this.#acceptSecure(socket));
    server.on('tlsClientError', (_error, socket) => {
      this.counters.tlsFailures++;
      socket.destroy();
    });
    this.#tls.push({ server, certificates });
    return this.#listen(on, (socket) => this.#beginHandshake(server, socket));
  }

  /**
   * Serves a Unix-domain socket, for workers among themselves, through `node:http`; `clientAddress` is ''.
   * Not counted against the limits of clients.
   */
  listenPath(path: string, handler: Handler = this.#context.handler): Promise<void> {
    const limits = { ...this.limits, requestsPerConnection: 0 };
    const front = new HandoverServer({ ...this.#context, handler, limits });
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      front.accept(socket, { scheme: 'http', clientAddress: '', closed: () => {} }),
    );
    this.#servers.push(server);
    this.#roster.start();
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path }, () => {
        server.on('error', (error) => this.#context.report('listening socket', { error }));
        resolve();
      });
    });
  }

  /** After `replace` or `rotateTicketKeys`: new handshakes use the new ones, connections stay. */
  renewTls(): void {
    for (const { server, certificates } of this.#tls) {
      server.setSecureContext(certificates.defaultOptions());
      if (certificates.ticketKeys !== undefined) server.setTicketKeys(certificates.ticketKeys);
    }
  }

  /** While memory is short: what connections give up, from now on and until it is called again. */
  press(pressure: Pressure): void {
    this.#roster.press(pressure);
  }

  /** Stops accepting, lets what runs finish with `Connection: close`, cuts the rest at the deadline. */
  async drain(deadlineMillis: number): Promise<void> {
    const closed = this.#stopAccepting();
    await this.#roster.drain(deadlineMillis);
    await closed;
  }

  /** Ends at once. Idempotent. */
  async close(): Promise<void> {
    const closed = this.#stopAccepting();
    this.#roster.close();
    await closed;
  }

  #listen(on: ListenOn, accept: (socket: Socket) => void): Promise<Bound> {
    // Paused: the handle moves to a socket that reads without allocating. Half-open: a client may end its side first.
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, accept);
    this.#servers.push(server);
    this.#roster.start();
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen('fd' in on ? on : { backlog: BACKLOG, ...on }, () => {
        server.off('error', reject);
        server.on('error', (error) => this.#context.report('listening socket', { error }));
        const address = server.address();
        if (address !== null && typeof address === 'object') resolve({ host: address.address, port: address.port });
        else resolve({ host: '', port: 0 });
      });
    });
  }

  #admit(socket: Socket): { peer: Pick<Peer, 'clientAddress' | 'closed'> } | undefined {
    const address = clientAddress(socket.remoteAddress);
    const group = addressGroup(address);
    if (this.#roster.admit(group) !== 'admitted') {
      socket.on('error', ignoreError);
      socket.resetAndDestroy();
      return undefined;
    }
    return { peer: { clientAddress: address, closed: () => this.#roster.release(group) } };
  }

  #acceptCleartext(accepted: Socket): void {
    const admitted = this.#admit(accepted);
    if (admitted === undefined) return;
    const connection = new Connection(this.#context, { scheme: 'http', ...admitted.peer });
    connection.attach(readingSocket(accepted, this.#buffer, (bytes, length) => connection.received(bytes, length)));
  }

  #beginHandshake(server: TlsServer, accepted: Socket): void {
    const admitted = this.#admit(accepted);
    if (admitted === undefined) return;
    // Known to the roster also while the handshake has not ended; the TCP socket always closes.
    const member = { tick() {}, drain() {}, destroy: () => void accepted.destroy() };
    this.#roster.add(member);
    accepted.once('close', () => {
      this.#roster.remove(member);
      admitted.peer.closed();
    });
    server.emit('connection', accepted);
  }

  #acceptSecure(socket: TLSSocket): void {
    const peer: Peer = { scheme: 'https', clientAddress: clientAddress(socket.remoteAddress), closed: () => {} };
    if (socket.alpnProtocol === 'h2') {
      serveHttp2(socket, peer, this.#context);
      return;
    }
    const connection = new Connection(this.#context, peer);
    connection.attach(socket);
    readByEvents(socket, (bytes, length) => connection.received(bytes, length));
  }

  #stopAccepting(): Promise<unknown> {
    const servers = this.#servers.splice(0);
    return Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/** The connection layer of one worker. Listen on as many addresses as needed; `drain` or `close` ends them all. */
export function createListener(options: ListenerOptions): Listener {
  return new Listener(options);
}

/** A refused connection has nobody to tell. */
function ignoreError(): void {}
