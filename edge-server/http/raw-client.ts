/** For tests: a raw TCP client that sends exact bytes and waits for bytes or for the end, never for time. */
import { connect, type Socket } from 'node:net';

export interface RawClient {
  readonly socket: Socket;
  send(bytes: string | Buffer): void;
  /** Ends our side only. */
  halfClose(): void;
  /** What has come so far, as latin1. */
  text(): string;
  bytes(): Buffer;
  /** Resolves once what has come satisfies the test; rejects when the connection ends before. */
  until(test: (text: string) => boolean): Promise<string>;
  /** Resolves with everything when the server has closed: `end` for a clean close, `reset` otherwise. */
  closed(): Promise<{ how: 'end' | 'reset'; text: string }>;
  destroy(): void;
}

export async function rawClient(port: number, host = '127.0.0.1'): Promise<RawClient> {
  const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return wrap(socket);
}

export function wrap(socket: Socket): RawClient {
  const chunks: Buffer[] = [];
  let how: 'end' | 'reset' | undefined;
  const watchers = new Set<() => void>();
  const changed = () => {
    for (const watcher of [...watchers]) watcher();
  };
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    changed();
  });
  socket.on('end', () => {
    how ??= 'end';
    socket.end();
    changed();
  });
  socket.on('error', () => {
    how ??= 'reset';
  });
  socket.on('close', () => {
    how ??= 'reset';
    changed();
  });
  const text = () => Buffer.concat(chunks).toString('latin1');
  return {
    socket,
    send: (bytes) => void socket.write(bytes),
    halfClose: () => void socket.end(),
    text,
    bytes: () => Buffer.concat(chunks),
    until: (test) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const now = text();
          if (test(now)) resolve(now);
          else if (how !== undefined) reject(new Error(`closed (${how}) after: ${now.slice(0, 500)}`));
          else return;
          watchers.delete(look);
        };
        watchers.add(look);
        look();
      }),
    closed: () =>
      new Promise((resolve) => {
        const look = () => {
          if (how === undefined) return;
          watchers.delete(look);
          resolve({ how, text: text() });
        };
        watchers.add(look);
        look();
      }),
    destroy: () => void socket.destroy(),
  };
}

/** One chunked body decoded strictly; throws where the framing is not exact. Returns the body and what follows it. */
export function dechunk(bytes: Buffer): { body: Buffer; rest: Buffer } {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const line = bytes.toString('latin1', at, lineEnd);
    if (lineEnd < 0 || !/^[0-9a-f]+$/.test(line)) throw new Error(`bad chunk size ${JSON.stringify(line)}`);
    const size = Number.parseInt(line, 16);
    const dataAt = lineEnd + 2;
    const end = dataAt + size;
    if (bytes.toString('latin1', end, end + 2) !== '\r\n') throw new Error('chunk does not end in CRLF');
    if (size === 0) return { body: Buffer.concat(parts), rest: bytes.subarray(end + 2) };
    parts.push(bytes.subarray(dataAt, end));
    at = end + 2;
  }
}
