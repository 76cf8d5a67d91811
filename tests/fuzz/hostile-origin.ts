/**
 * An origin on a raw socket. `/t/…` and `/u/…` get sound answers that say whose they are (X-Tag); `/h/<n>` gets one that
 * is broken in the way that `n` decides. It reads what the edge asks as strictly as the run reads everything, and keeps
 * a complaint about what it should never have been asked.
 */

import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { hashOf, Random } from './random.ts';
import { type ReadRequest, readRequests } from './request-reading.ts';

export class HostileOrigin {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #allowed: (method: string, target: string) => boolean;
  readonly complaints: string[] = [];
  requests = 0;
  hostile = 0;

  /** `allowed`: whether a client's framing contained such a request. */
  constructor(allowed: (method: string, target: string) => boolean) {
    this.#allowed = allowed;
    this.#server = createServer({ noDelay: true }, (socket) => this.#serve(socket));
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', 511, resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  get connections(): number {
    return this.#sockets.size;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let held = '';
    socket.on('data', (chunk: Buffer) => {
      held += chunk.toString('latin1');
      for (;;) {
        const read = readRequests(held, 0, 1);
        const request = read.requests[0];
        if (request === undefined) {
          if (read.stop === 'malformed') {
            this.#complain(`the edge sent what is malformed: ${JSON.stringify(held.slice(0, 400))}`);
            socket.destroy();
          }
          return;
        }
        held = held.slice(request.end);
        this.requests++;
        if (!this.#allowed(request.method, request.target))
          this.#complain(`asked for what no client asked: ${request.method} ${request.target}`);
        this.#answer(socket, request);
      }
    });
  }

  #answer(socket: Socket, request: ReadRequest): void {
    if (!request.target.startsWith('/h/')) {
      socket.write(Buffer.from(soundAnswer(request), 'latin1'));
      return;
    }
    this.hostile++;
    const { text, ending } = brokenAnswer(request);
    socket.write(Buffer.from(text, 'latin1'), () => {
      if (ending === 'end') socket.end();
      if (ending === 'reset') socket.resetAndDestroy();
    });
  }

  #complain(what: string): void {
    if (this.complaints.length < 20) this.complaints.push(what);
  }
}

/** Body of `/t/<tag>` and `/u/<tag>`. */
export function bodyOf(tag: string): string {
  const known = BODIES.get(tag);
  if (known !== undefined) return known;
  const hash = hashOf(tag);
  const length = hash % 7 === 0 ? 0 : hash % 2500;
  const body = `${tag}.`.repeat(Math.ceil(length / (tag.length + 1))).slice(0, length);
  if (BODIES.size < 4000) BODIES.set(tag, body);
  return body;
}
const BODIES = new Map<string, string>();

/** What stands behind `/t/` or `/u/` in a target that needs no normalising. */
export function tagOf(target: string): string | undefined {
  return /^(?:http:\/\/fuzz\.example\.org)?\/[tu]\/([0-9]+)$/.exec(target)?.[1];
}

function soundAnswer({ target, method, bodyLength }: ReadRequest): string {
  const tag = tagOf(target) ?? 'none';
  const body = bodyOf(tag);
  const hot = target.startsWith('/t/');
  const fields = [
    `X-Tag: ${tag}`,
    `X-Received: ${bodyLength}`,
    `Content-Type: text/plain`,
    `Content-Length: ${body.length}`,
    hot ? 'Cache-Control: max-age=3600' : 'Cache-Control: no-store',
    'ETag: "v"',
    'Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT',
  ];
  if (hot && Number(tag) % 5 === 0) fields.push('Vary: Accept-Encoding');
  if (hot && Number(tag) % 11 === 0) fields.push('Vary: X-R, Accept-Language');
  return `HTTP/1.1 200 OK\r\n${fields.join('\r\n')}\r\n\r\n${method === 'HEAD' ? '' : body}`;
}

interface Broken {
  readonly text: string;
  readonly ending: 'keep' | 'end' | 'reset';
}

function brokenAnswer({ target }: ReadRequest): Broken {
  const random = new Random(hashOf(target));
  const ending = random.pick(['keep', 'end', 'end', 'reset'] as const);
  const body = 'b'.repeat(random.below(300));
  const head = (...fields: string[]) => `HTTP/1.1 200 OK\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;
  const stored = random.pick(['Cache-Control: max-age=60', 'Cache-Control: no-store', 'ETag: "h"', 'Vary: *']);
  switch (random.below(19)) {
    case 0:
      return { text: random.bytes(random.below(4000)), ending: 'end' };
    case 1:
      return {
        text: head(stored, `X-${random.bytes(5)}: ${random.bytes(20)}`, `Content-Length: ${body.length}`) + body,
        ending,
      };
    case 2:
      return {
        text: head(stored, `Content-Length: ${body.length + 10}`) + body,
        ending: random.pick(['end', 'reset']),
      };
    case 3:
      return { text: head(stored, `Content-Length: ${Math.max(0, body.length - 10)}`) + body, ending };
    case 4:
      return {
        text: `${head(stored, 'Transfer-Encoding: chunked')}${random.pick(['zz', '-1', '5;', 'fffffffffffffffff', ''])}\r\n${body}\r\n0\r\n\r\n`,
        ending: 'end',
      };
    case 5:
      return {
        text: `${head(stored, 'Transfer-Encoding: chunked')}${body.length.toString(16)}\r\n${body}\r\n`,
        ending: random.pick(['end', 'reset']),
      };
    case 6:
      return {
        text: `HTTP/1.1 ${random.pick(['20 OK', '1000 x', '200', '200 caf\xe9\x01', '099 x', '-1 x', '600 x', '200  \x7f', 'abc'])}\r\nContent-Length: 2\r\n\r\nok`,
        ending: 'end',
      };
    case 7: {
      const sound = head(stored, `Content-Length: ${body.length}`, 'X: y', 'Date: x') + body;
      const at = random.below(sound.length);
      return { text: sound.slice(0, at) + String.fromCharCode(random.below(256)) + sound.slice(at + 1), ending: 'end' };
    }
    case 8:
      return { text: '', ending: random.pick(['end', 'reset']) };
    case 9:
      return { text: head(stored, 'Content-Length: 5', 'Transfer-Encoding: chunked') + body, ending: 'end' };
    case 10:
      return {
        text: `${random.pick(['HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 102 Processing\r\n\r\n', 'HTTP/1.1 199 x\r\n\r\n', 'HTTP/1.1 101 Switching Protocols\r\n\r\n']).repeat(random.between(1, 4))}${head(stored, `Content-Length: ${body.length}`)}${body}`,
        ending,
      };
    case 11:
      return {
        text: random.pick([
          'HTTP/1.1 304 Not Modified\r\nETag: "v"\r\n\r\n',
          'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nabcde',
          'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 9-4/x\r\nContent-Length: 5\r\n\r\nabcde',
          'HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */0\r\nContent-Length: 0\r\n\r\n',
        ]),
        ending,
      };
    case 12:
      return {
        text: head(...Array.from({ length: 3000 }, (_, i) => `X-${i}: ${i}`), 'Content-Length: 0'),
        ending: 'end',
      };
    case 13:
      return {
        text: `HTTP/1.1 200 ${'r'.repeat(20_000)}\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n`,
        ending: 'end',
      };
    case 14:
      return { text: head('Content-Length: 2', 'Content-Length: 3') + body, ending: 'end' };
    case 15:
      return { text: `HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nabcde`, ending };
    case 16:
      return { text: `HTTP/1.0 200 OK\r\n${stored}\r\n\r\n${body}`, ending: 'end' };
    case 17:
      return {
        text:
          head(
            'Connection: X-Gone, Cache-Control, Content-Length',
            'X-Gone: 1',
            'Set-Cookie: a=b',
            'Keep-Alive: x',
            'Trailer: Z',
            `Content-Length: ${body.length}`,
          ) + body,
        ending,
      };
    default:
      return {
        text: `${head(stored, 'Transfer-Encoding: chunked', 'Trailer: X')}2\r\nab\r\n0\r\nContent-Length: 100\r\n${random.pick(['nocolon', 'X: y', 'Host: evil'])}\r\n\r\n`,
        ending,
      };
  }
} // prettier-ignore
