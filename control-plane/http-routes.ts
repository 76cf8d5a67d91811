/**
 * A small HTTP face over `node:http`: a table of routes, JSON in and out, errors as problem+json (RFC 9457) with the
 * fix, deadlines and sizes bounded. Which routes there are is left to those who build the table.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Fault, listenFault } from '../runtime/errors.ts';
import type { Logger } from '../runtime/log.ts';
import { addressText, type ListenAddress } from '../runtime/options.ts';

const BODY_BYTES = 1 << 20;
const REQUEST_TIMEOUT_MILLIS = 10_000;

export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** Named segments of the route's path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Parsed JSON body of a write; `undefined` for none. */
  readonly body: unknown;
}

export interface Reply {
  readonly status: number;
  /** A string or buffer goes as it is, with its `content-type` in `fields`; anything else as JSON. */
  readonly body?: unknown;
  readonly fields?: Readonly<Record<string, string>>;
}

export interface Route {
  readonly method: 'GET' | 'POST';
  /** `/v1/appliances/:id/heartbeat`; a last segment `*` takes the rest. */
  readonly path: string;
  /** `write` needs the token, where there is one; `report` is open to players. */
  readonly access: 'read' | 'write' | 'report';
  /** `undefined`: it has taken the response over. */
  handle(call: Call): Promise<Reply | undefined> | Reply | undefined;
}

/** A problem as an answer. `fix` says what to do. */
export function problem(status: number, code: string, detail: string, fix?: string): Reply {
  const body = { type: `urn:nearcast:${code}`, title: code, status, detail, ...(fix === undefined ? {} : { fix }) };
  return { status, body, fields: { 'content-type': 'application/problem+json' } };
}

export interface RoutesOptions {
  readonly routes: readonly Route[];
  /** Bearer token that writes need; `undefined`: none, for loopback. */
  readonly token: string | undefined;
  readonly log: Logger;
  /** A connection was closed; to know whose heartbeats went with it. */
  onConnectionClosed?(socket: Socket): void;
}

export class RouteServer {
  readonly #options: RoutesOptions;
  readonly #table: { readonly route: Route; readonly segments: readonly string[] }[];
  readonly #server: Server;

  constructor(options: RoutesOptions) {
    this.#options = options;
    this.#table = options.routes.map((route) => ({ route, segments: route.path.split('/').slice(1) }));
    this.#server = createServer(
      {
        requestTimeout: REQUEST_TIMEOUT_MILLIS,
        headersTimeout: REQUEST_TIMEOUT_MILLIS,
        connectionsCheckingInterval: 1000,
        keepAliveTimeout: 60_000,
      },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.on('connection', (socket) => {
      socket.setNoDelay(true);
      socket.once('close', () => options.onConnectionClosed?.(socket));
    });
  }

  /** Listens; answers the port that it got. */
  async start(address: ListenAddress, option: string): Promise<number> {
    return listen(this.#server, address, option);
  }

  async close(): Promise<void> {
    await closeServer(this.#server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {}); // the client is gone; nobody is left to tell
    try {
      const reply = await this.#reply(request, response);
      if (reply !== undefined) send(request, response, reply);
    } catch (error) {
      const reply = faultReply(error);
      if (reply.status >= 500)
        this.#options.log.error({ err: error, path: request.url?.split('?')[0] }, 'API call failed');
      if (!response.headersSent) send(request, response, reply);
      else response.destroy();
    } finally {
      request.resume();
    }
  }

  async #reply(request: IncomingMessage, response: ServerResponse): Promise<Reply | undefined> {
    const url = URL.parse(request.url ?? '/', 'http://control');
    if (url === null) return problem(400, 'bad-target', 'the request target is not a URL');
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const segments = url.pathname.split('/').slice(1);
    const matching = this.#table.flatMap(({ route, segments: pattern }) => {
      const params = match(pattern, segments);
      return params === undefined ? [] : [{ route, params }];
    });
    if (matching.length === 0)
      return problem(404, 'not-found', `there is nothing at ${url.pathname}`, 'see control-plane/README.md');
    if (method === 'OPTIONS') return { status: 204, fields: corsFields };
    const found = matching.find(({ route }) => route.method === method);
    if (found === undefined) {
      const allow = [...new Set(matching.map(({ route }) => route.method))].join(', ');
      const refusal = problem(405, 'method', `${request.method} is not for ${url.pathname}`, `use ${allow}`);
      return { ...refusal, fields: { ...refusal.fields, allow } };
    }
    const { route, params } = found;
    if (route.method === 'GET') return route.handle({ request, response, url, params, body: undefined });
    if (route.access === 'write') {
      const refusal = tokenRefusal(request, this.#options.token);
      if (refusal !== undefined) return refusal;
    }
    // A web page elsewhere can send a form or plain text to us without asking, JSON it can't.
    if (!/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
      return problem(415, 'not-json', 'the body must be application/json', 'send content-type: application/json');
    return route.handle({ request, response, url, params, body: await jsonBody(request) });
  }
}

/** Open to every page, for reading. */
export const corsFields: Readonly<Record<string, string>> = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD',
  'access-control-expose-headers': '*',
  'access-control-max-age': '600',
};

/** Listens on an address; answers the port. Throws the fault that names the option. */
export async function listen(server: Server, address: ListenAddress, option: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenFault(error, addressText(address), option)));
    server.listen(address.port, address.host, () => resolve());
  });
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : address.port;
}

export async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

export function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  const raw = typeof reply.body === 'string' || Buffer.isBuffer(reply.body);
  const body =
    reply.body === undefined ? undefined : raw ? (reply.body as string | Buffer) : `${JSON.stringify(reply.body)}\n`;
  const fields: Record<string, string | number> = {
    'cache-control': 'no-store',
    ...(request.method === 'GET' || request.method === 'HEAD' ? corsFields : {}),
    ...(body === undefined || raw ? {} : { 'content-type': 'application/json' }),
    ...reply.fields,
  };
  if (reply.status !== 204) fields['content-length'] = body === undefined ? 0 : Buffer.byteLength(body);
  if (!request.complete) fields.connection = 'close';
  response.writeHead(reply.status, fields);
  response.end(request.method === 'HEAD' ? undefined : body);
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  const rest = pattern.at(-1) === '*';
  if (rest ? segments.length < pattern.length : segments.length !== pattern.length) return undefined;
  const params = Object.create(null) as Record<string, string>;
  for (const [i, expected] of pattern.entries()) {
    if (rest && i === pattern.length - 1) {
      params.rest = segments.slice(i).join('/');
      return params;
    }
    const segment = segments[i]!;
    if (!expected.startsWith(':')) {
      if (segment !== expected) return undefined;
      continue;
    }
    const decoded = decodedSegment(segment);
    if (decoded === undefined || decoded === '') return undefined;
    params[expected.slice(1)] = decoded;
  }
  return params;
}

function decodedSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined; // a broken escape names nothing that we have
  }
}

function tokenRefusal(request: IncomingMessage, token: string | undefined): Reply | undefined {
  if (token === undefined) return undefined;
  const given = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
  const fix = 'send authorization: Bearer TOKEN with the token of --token-file';
  // Hashed first, so that the comparison takes the same time for every length.
  const digest = (text: string) => createHash('sha256').update(text).digest();
  if (given !== undefined && timingSafeEqual(digest(given), digest(token))) return undefined;
  const refusal = problem(401, 'token', given === undefined ? 'this needs a token' : 'the token is wrong', fix);
  return { ...refusal, fields: { ...refusal.fields, 'www-authenticate': 'Bearer' } };
}

async function jsonBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES)
      throw new Fault('body-too-large', `the body is longer than ${BODY_BYTES} bytes`, { source: 'client' });
    chunks.push(chunk);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch (error) {
    throw new Fault('not-json', 'the body is not JSON', { source: 'client', fix: 'send one JSON value', cause: error });
  }
}

function faultReply(error: unknown): Reply {
  if (!(error instanceof Fault)) return problem(500, 'internal', 'it failed inside; the log says more');
  if (error.source === 'client')
    return problem(error.code === 'body-too-large' ? 413 : 400, error.code, error.message, error.fix);
  return problem(error.retry ? 503 : 500, error.code, error.message, error.fix);
}
