/**
 * A scripted origin on `node:http`: each path has its replies in order (the last one repeats), counts its requests and
 * keeps them. A reply is a response, or exact bytes on the socket for faults of framing, or code. Barriers are gates:
 * a reply waits for its gate; a test waits for the n-th request.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type Gate, within } from './within.ts';

export interface Seen {
  readonly method: string;
  readonly target: string;
  /** Joined as `node:http` does. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Name, value, … as sent. */
  readonly raw: readonly string[];
  readonly body: Buffer;
  /** Counts connections, so that reuse can be told. */
  readonly connection: number;
}

export interface Plain {
  readonly status?: number;
  /** Pairs keep order and repeats. */
  readonly headers?: Readonly<Record<string, string>> | readonly (readonly [string, string])[];
  readonly body?: string | Buffer;
  /** Without Content-Length, in chunks. */
  readonly chunked?: boolean;
  /** The head waits for it. */
  readonly hold?: Gate;
  /** After head and `body`, this comes when the gate opens. */
  readonly rest?: { readonly after: Gate; readonly body: string | Buffer };
  /** Without a Date. */
  readonly bare?: boolean;
  /** Declares this length, whatever `body` is, and cuts the connection after `body`. */
  readonly cutAt?: number;
}

/** Exact bytes, then the connection is ended, is reset, or stays but answers nothing more. */
export interface Raw {
  readonly bytes: string | Buffer;
  readonly ending: 'keep' | 'end' | 'reset';
  readonly hold?: Gate;
}

export type Reply = Plain | Raw | ((seen: Seen, response: ServerResponse, n: number) => Answered | Promise<Answered>);

/** What code that answers by itself gives back: nothing, or what is to be sent. */
type Answered = Plain | Raw | undefined;

interface Path {
  replies: readonly Reply[];
  seen: Seen[];
  waiting: { n: number; resolve: () => void }[];
}

export class Origin {
  readonly #server: Server;
  readonly #paths = new Map<string, Path>();
  readonly #sockets = new Set<Socket>();
  readonly #numbers = new WeakMap<Socket, number>();
  #connections = 0;
  port = 0;

  constructor() {
    this.#server = createServer({ keepAliveTimeout: 0, insecureHTTPParser: false }, (request, response) => {
      void this.#answer(request, response);
    });
    this.#server.on('connection', (socket) => {
      this.#numbers.set(socket, ++this.#connections);
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
  }

  async start(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Scripts a path (with its query); replies in order, the last one repeats. Counts begin anew. */
  on(target: string, ...replies: Reply[]): void {
    this.#paths.set(target, { replies, seen: [], waiting: [] });
  }

  requests(target: string): readonly Seen[] {
    return this.#paths.get(target)?.seen ?? [];
  }

  hits(target: string): number {
    return this.requests(target).length;
  }

  /** Resolves once `target` has been asked `n` times. */
  async asked(target: string, n: number): Promise<void> {
    const path = this.#paths.get(target);
    if (path === undefined) throw new Error(`${target} is not scripted`);
    if (path.seen.length >= n) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    path.waiting.push({ n, resolve });
    await within(promise, `${n} requests for ${target} (${path.seen.length} came)`);
  }

  /** Drops every connection. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.disconnect();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = request.url ?? '';
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const path = this.#paths.get(target);
    if (path === undefined) return void response.writeHead(404, { 'cache-control': 'no-store' }).end('not scripted');
    const seen: Seen = {
      method: request.method ?? '',
      target,
      headers: request.headers,
      raw: request.rawHeaders,
      body: Buffer.concat(chunks),
      connection: this.#numbers.get(request.socket) ?? 0,
    };
    path.seen.push(seen);
    const n = path.seen.length;
    for (const waiter of path.waiting) if (n >= waiter.n) waiter.resolve();
    let reply: Reply | undefined = path.replies[Math.min(n, path.replies.length) - 1];
    if (typeof reply === 'function') reply = (await reply(seen, response, n)) ?? undefined;
    if (reply === undefined) return;
    await reply.hold?.opened;
    if ('bytes' in reply) sendRaw(request.socket, reply);
    else await sendPlain(request, response, reply);
  }
}

function sendRaw(socket: Socket, { bytes, ending }: Raw): void {
  socket.write(bytes, () => {
    if (ending === 'end') socket.end();
    if (ending === 'reset') socket.resetAndDestroy();
  });
}

async function sendPlain(request: IncomingMessage, response: ServerResponse, reply: Plain): Promise<void> {
  const { status = 200, headers = {}, body = '', chunked = false, cutAt } = reply;
  const pairs = Array.isArray(headers) ? headers : Object.entries(headers);
  const bytes = Buffer.from(body);
  const rest = reply.rest === undefined ? undefined : Buffer.from(reply.rest.body);
  const raw = pairs.flatMap(([name, value]: readonly [string, string]) => [name, value]);
  const length = cutAt ?? bytes.length + (rest?.length ?? 0);
  if (!chunked && status !== 204 && status !== 304 && !pairs.some(([name]) => /^content-length$/i.test(name)))
    raw.push('Content-Length', String(length));
  if (reply.bare !== true && pairs.every(([name]) => !/^date$/i.test(name))) raw.push('Date', new Date().toUTCString());
  response.sendDate = false;
  response.writeHead(status, raw);
  if (request.method === 'HEAD' || status === 204 || status === 304) return void response.end();
  if (cutAt === undefined && rest === undefined) return void response.end(bytes);
  response.flushHeaders();
  await new Promise<void>((resolve) => response.write(bytes, () => resolve()));
  if (cutAt !== undefined) return void request.socket.destroy();
  await reply.rest!.after.opened;
  response.end(rest);
}
