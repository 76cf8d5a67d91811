/**
 * HTTP/2 by hand for tests (RFC 9113 §4, RFC 7541): frames written with exact bytes, frames read strictly, and header
 * blocks of literals only. Owns one TLS connection; what is right is for the tests to say.
 */
import { connect, type TLSSocket } from 'node:tls';
import { within } from '../edge/within.ts';
import { HOST } from './conformance-edge.ts';

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const; // prettier-ignore
export const FLAG = { end: 1, ack: 1, headersEnd: 4, padded: 8, priority: 32 } as const;
export const ERROR = {
  none: 0,
  protocol: 1,
  internal: 2,
  flow: 3,
  settingsTimeout: 4,
  closed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  calm: 11,
} as const; // prettier-ignore

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, stream: number, payload: Buffer | readonly number[] = []): Buffer {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value >>> 0, 2);
  return bytes;
}

/** Literals without indexing, no Huffman coding (RFC 7541 §6.2.2). */
export function block(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length: number[] = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

export const GET: readonly (readonly [string, string])[] = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', HOST],
  [':path', '/t/1'],
];

export function get(stream: number, fields = GET, flags: number = FLAG.end | FLAG.headersEnd): Buffer {
  return frame(TYPE.headers, flags, stream, block(fields));
}

export class Http2Client {
  readonly socket: TLSSocket;
  #held = Buffer.alloc(0);
  readonly frames: Frame[] = [];
  closed = false;
  readonly #watchers = new Set<() => void>();

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      this.closed = true;
      this.#changed();
    });
  }

  /** Connects; with `settings` (default: empty) also sends the preface. */
  static async connect(port: number, settings: Buffer | undefined = Buffer.alloc(0)): Promise<Http2Client> {
    const socket = connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      servername: HOST,
      ALPNProtocols: ['h2'],
    });
    const client = new Http2Client(socket);
    await within(new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject)), 'TLS');
    if (settings !== undefined) client.send(PREFACE, frame(TYPE.settings, 0, 0, settings));
    return client;
  }

  send(...frames: Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  /** Resolves when the condition holds, or the server has closed; the answer says which. */
  async until(condition: () => boolean, what: string, millis = 10_000): Promise<'held' | 'closed'> {
    const { promise, resolve } = Promise.withResolvers<'held' | 'closed'>();
    const look = () => {
      if (condition()) resolve('held');
      else if (this.closed) resolve('closed');
    };
    this.#watchers.add(look);
    look();
    try {
      return await within(promise, what, millis);
    } finally {
      this.#watchers.delete(look);
    }
  }

  /** Error code of the GOAWAY that has come. */
  get goaway(): number | undefined {
    return this.frames.find(({ type }) => type === TYPE.goaway)?.payload.readUInt32BE(4);
  }

  resetOf(stream: number): number | undefined {
    return this.frames.find((one) => one.type === TYPE.reset && one.stream === stream)?.payload.readUInt32BE(0);
  }

  /** First byte of the block that answers a stream: an indexed or literal `:status`. */
  answered(stream: number): boolean {
    return this.frames.some((one) => one.type === TYPE.headers && one.stream === stream);
  }

  ended(stream: number): boolean {
    return this.frames.some((one) => one.stream === stream && one.type < 2 && (one.flags & FLAG.end) !== 0);
  }

  /** Whether `:status: 200` (static index 8) begins the answer. */
  ok(stream: number): boolean {
    const head = this.frames.find((one) => one.type === TYPE.headers && one.stream === stream);
    return head?.payload[0] === 0x88;
  }

  close(): void {
    this.socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    while (this.#held.length >= 9) {
      const length = this.#held.readUIntBE(0, 3);
      if (this.#held.length < 9 + length) break;
      const head = this.#held;
      const one: Frame = {
        type: head[3]!,
        flags: head[4]!,
        stream: head.readUInt32BE(5) & 0x7fffffff,
        payload: Buffer.from(head.subarray(9, 9 + length)),
      };
      this.#held = head.subarray(9 + length);
      this.frames.push(one);
      if (one.type === TYPE.settings && (one.flags & FLAG.ack) === 0) this.send(frame(TYPE.settings, FLAG.ack, 0));
    }
    this.#changed();
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}
