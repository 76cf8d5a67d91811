/**
 * Everything that our own parser leaves alone (bodies, Upgrade, Expect, HTTP/1.0, other methods) is served by
 * `node:http` on the same connection, with the same handler and the same refusals. This file owns that server, the
 * move of a connection to it, and the checks that its parser does not make.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { plainSocket } from './accept.ts';
import { splitTarget } from './authority.ts';
import type { ConnectionContext, Peer } from './connection-context.ts';
import { type EdgeRequest, HeadIdentity } from './exchange.ts';
import { Fields } from './fields.ts';
import { HandedConnection } from './handed-connection.ts';
import { NodeSink } from './node-sink.ts';
import { fieldsVerdict, type RefusalReason } from './request-rules.ts';

type Context = Omit<ConnectionContext, 'handOver' | 'parser'>;

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
    this.#server.on('connect', (_request, socket) => this.#connections.get(socket)?.refuse(405, 'connect', 'CONNECT'));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      const handed = this.#connections.get(socket);
      if (error.code === 'ECONNRESET' || !socket.writable || handed === undefined) socket.destroy();
      else handed.refuse(...clientErrorRefusal(error), undefined);
    });
  }

  /** Takes a connection of ours with the bytes that nobody has read. `ended`: the client's end of it has been read. */
  take(from: Socket, unread: Buffer, peer: Peer, ended: boolean): void {
    const moved = peer.scheme === 'https' ? undefined : plainSocket(from);
    const socket = moved ?? withoutListeners(from);
    this.#adopt(socket, peer, true);
    if (ended && moved === undefined) {
      // A stream that is over takes nothing back: node's parser is given the bytes, and the end, as it would hear them.
      this.#server.emit('connection', socket);
      socket.emit('data', unread);
      socket.emit('end');
      return;
    }
    if (unread.length > 0) socket.unshift(unread);
    this.#server.emit('connection', socket);
    // The handle tells an end once: the client gets its answer, and then the connection closes.
    if (ended) socket.push(null);
    if (moved !== undefined) return;
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
    socket.destroySoon = () => handed.nodeEnds();
    roster.add(handed);
  }

  #serve(message: IncomingMessage, response: ServerResponse, expects: 'none' | 'continue' | 'unknown'): void {
    const handed = this.#connections.get(message.socket);
    handed?.inTurn(message, () => this.#serveNow(handed, message, response, expects));
  }

  #serveNow(
    handed: HandedConnection,
    message: IncomingMessage,
    response: ServerResponse,
    expects: 'none' | 'continue' | 'unknown',
  ): void {
    const understood = understand(message, handed.peer, this.#context);
    if (understood.kind === 'refused') return handed.refuse(understood.status, understood.reason, message.method);
    if (expects === 'unknown') return handed.refuse(417, 'expectation', message.method);
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
      if (last || handed.draining || handed.lastOfOverfull || unread || request.fields.has('upgrade'))
        handed.last = true;
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
  // A client may end its side once it has asked; node would end ours with the answer still due.
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
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
    headIdentity: new HeadIdentity(),
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
