/**
 * Everything that our own parser leaves alone (bodies, Upgrade, Expect, HTTP/1.0, other methods) is served by
 * `node:http` on the same connection, with the same handler and the same refusals. This file owns that server, the
 * move of a connection to it, and the checks that its parser does not make.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { plainSocket, SendProgress } from './accept.ts';
import { splitTarget } from './authority.ts';
import type { ConnectionContext, Peer } from './connection.ts';
import type { EdgeRequest } from './exchange.ts';
import { Fields } from './fields.ts';
import { NodeSink } from './node-sink.ts';
import { fieldsVerdict, type RefusalReason } from './request-rules.ts';
import { refusalBytes } from './response-bytes.ts';
import type { Member } from './roster.ts';

type Context = Omit<ConnectionContext, 'handOver' | 'parser'>;

/** A handed-over connection: its deadlines and whether anything more may be executed on it. */
class HandedConnection implements Member {
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
  #refusal: { status: number; reason: RefusalReason } | undefined;
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
    if (this.open > 0) return;
    if (this.#refusal !== undefined) this.#sendRefusal(this.#refusal);
    else if (this.draining) this.lingeringClose();
  }

  /** Refuses what came last; answers that are still due go first. */
  refuse(status: number, reason: RefusalReason): void {
    if (this.last) return;
    this.last = true;
    this.#context.counters.refused++;
    if (this.body !== undefined && !this.body.complete) this.#refuseBody(status, reason);
    else if (this.open > 0) this.#refusal = { status, reason };
    else this.#sendRefusal({ status, reason });
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
      this.refuse(408, 'header-timeout');
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
  #refuseBody(status: number, reason: RefusalReason): void {
    if (this.open === 1 && this.response?.headersSent === false) this.socket.write(refusalBytes(status, reason));
    this.socket.once('finish', () => this.destroy());
    this.socket.end();
  }

  #sendRefusal(refusal: { status: number; reason: RefusalReason }): void {
    if (this.socket.writable) this.socket.write(refusalBytes(refusal.status, refusal.reason));
    this.lingeringClose();
  }
}

export class HandoverServer {
  readonly #context: Context;
  readonly #server: Server;
  readonly #connections = new WeakMap<Duplex, HandedConnection>();

  constructor(context: Context) {
    this.#context = context;
    this.#server = strictServer(context);
    this.#server.on('request', (request, response) => this.#serve(request, response, 'none'));
    this.#server.on('checkContinue', (request, response) => this.#serve(request, response, 'continue'));
    this.#server.on('checkExpectation', (request, response) => this.#serve(request, response, 'unknown'));
    this.#server.on('connect', (_request, socket) => this.#connections.get(socket)?.refuse(405, 'connect'));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      const handed = this.#connections.get(socket);
      if (error.code === 'ECONNRESET' || !socket.writable || handed === undefined) socket.destroy();
      else handed.refuse(...clientErrorRefusal(error));
    });
  }

  /** Takes a connection of ours with the bytes that nobody has read. */
  take(from: Socket, unread: Buffer, peer: Peer): void {
    const socket = peer.scheme === 'https' ? withoutListeners(from) : plainSocket(from);
    this.#adopt(socket, peer, true);
    if (unread.length > 0) socket.unshift(unread);
    this.#server.emit('connection', socket);
    if (peer.scheme === 'http') return;
    // Node's parser reads from the handle, past what we put back, until somebody listens to the stream itself.
    socket.on('data', () => {});
    socket.resume();
  }

  /** Takes a connection that was accepted elsewhere and not read from: Unix-domain sockets. */
  accept(socket: Socket, peer: Peer): void {
    this.#adopt(socket, peer, false);
    this.#server.emit('connection', socket);
  }

  #adopt(socket: Socket, peer: Peer, heading: boolean): void {
    const { roster } = this.#context;
    const handed = new HandedConnection(socket, peer, this.#context, heading);
    this.#connections.set(socket, handed);
    socket.on('error', () => {});
    socket.on('close', () => {
      roster.remove(handed);
      peer.closed();
    });
    socket.destroySoon = () => handed.lingeringClose();
    roster.add(handed);
  }

  #serve(message: IncomingMessage, response: ServerResponse, expects: 'none' | 'continue' | 'unknown'): void {
    const handed = this.#connections.get(message.socket);
    if (handed === undefined || handed.last) return;
    const understood = understand(message, handed.peer, this.#context);
    if (understood.kind === 'refused') return handed.refuse(understood.status, understood.reason);
    if (expects === 'unknown') return handed.refuse(417, 'expectation');
    const { limits, counters, handler } = this.#context;
    const { request } = understood;
    const hasBody = request.body !== undefined;
    handed.requestBegan(hasBody ? message : undefined, response);
    counters.requests++;
    const last = limits.requestsPerConnection > 0 && handed.requests >= limits.requestsPerConnection;
    if (hasBody && expects === 'continue') continueWhenRead(message, response);
    const sink = new NodeSink(response, request.method === 'HEAD', () => {
      const unread = hasBody && !message.complete && !message.readableDidRead;
      // Node's parser stops at an Upgrade, also at one that nobody takes up.
      if (last || handed.draining || unread || request.fields.has('upgrade')) handed.last = true;
      return handed.last;
    });
    response.once('close', () => {
      // A body that nobody read to its end would be taken for the next request: the connection ends here.
      if (hasBody && !message.complete && !message.socket.destroyed) handed.lingeringClose();
      handed.requestEnded();
    });
    if (!hasBody) message.resume();
    try {
      handler(request, sink);
    } catch (error) {
      counters.handlerFaults++;
      this.#context.report('handler threw', { error });
      sink.abort('handler threw');
    }
  }
}

/** A `node:http` server as strict as our parser; it never listens, connections are given to it. */
function strictServer({ limits }: Pick<ConnectionContext, 'limits'>): Server {
  const server = createServer({
    insecureHTTPParser: false,
    requireHostHeader: false, // Checked by the shared rules, which also know which hosts are malformed.
    maxHeaderSize: limits.requestLineBytes + limits.fieldBytes,
    headersTimeout: limits.headerMillis,
    requestTimeout: 0,
    keepAliveTimeout: 0,
    connectionsCheckingInterval: limits.tickMillis,
    noDelay: true,
  });
  // Node drops what is beyond silently; the shared limit refuses it instead.
  server.maxHeadersCount = 0;
  server.timeout = 0;
  return server;
}

type Understood =
  | { readonly kind: 'request'; readonly request: EdgeRequest }
  | { readonly kind: 'refused'; readonly status: number; readonly reason: RefusalReason };

function understand(message: IncomingMessage, peer: Peer, { limits }: Pick<ConnectionContext, 'limits'>): Understood {
  const refused = (status: number, reason: RefusalReason): Understood => ({ kind: 'refused', status, reason });
  const raw = message.rawHeaders;
  const version = message.httpVersion;
  if (version !== '1.0' && version !== '1.1') return refused(505, 'version');
  const method = message.method ?? '';
  const rawTarget = message.url ?? '';
  if (method.length + rawTarget.length + 12 > limits.requestLineBytes) return refused(414, 'request-line-too-long');
  if (raw.length / 2 > limits.fieldLines) return refused(431, 'field-lines');
  let fieldBytes = 2;
  for (const part of raw) fieldBytes += part.length + 2;
  if (fieldBytes > limits.fieldBytes) return refused(431, 'fields-too-large');
  const split = splitTarget(method, rawTarget, peer.scheme);
  if (split.kind === 'refused') return refused(400, split.reason);
  const fields = Fields.fromRaw(raw);
  const verdict = fieldsVerdict(fields.flat, version);
  if (verdict.kind === 'refused') return refused(400, verdict.reason);
  // A 1.0 request with a body must say how long it is (RFC 1945 §7.2.2).
  if (version === '1.0' && (method === 'POST' || method === 'PUT') && !fields.has('content-length'))
    return refused(400, 'unframed-body');
  if (split.authority !== undefined) fields.set('host', split.authority);
  const request: EdgeRequest = {
    method,
    scheme: peer.scheme,
    authority: split.authority ?? verdict.host,
    target: split.target,
    fields,
    httpVersion: version,
    clientAddress: peer.clientAddress,
    body: verdict.body === 'none' ? undefined : message,
    headIdentity: fields,
  };
  return { kind: 'request', request };
}

/** Sends 100 once the handler begins to read, so that a refused body is never invited (RFC 9110 §10.1.1). */
function continueWhenRead(message: IncomingMessage, response: ServerResponse): void {
  let sent = false;
  const send = () => {
    if (sent || response.headersSent || response.destroyed) return;
    sent = true;
    response.writeContinue();
  };
  message.once('resume', send);
  message.on('newListener', (event) => {
    if (event === 'readable' || event === 'data') send();
  });
}

function clientErrorRefusal(error: NodeJS.ErrnoException): [status: number, reason: RefusalReason] {
  if (error.code === 'HPE_HEADER_OVERFLOW') return [431, 'fields-too-large'];
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'header-timeout'];
  return [400, 'malformed'];
}

function withoutListeners(socket: Socket): Socket {
  socket.pause();
  socket.removeAllListeners('data');
  return socket;
}
