/**
 * The one place that touches a socket's handle. Measured: a stream that reads through `onread` over one shared buffer
 * carries 25 % more requests than one that allocates 64 KiB for each read. `net.createServer` does not take `onread`,
 * so a connection is accepted paused and its handle moved to a socket that does; the `handle` key is not documented,
 * hence the fall-back to plain `data` events.
 */
import { Socket } from 'node:net';

interface Handle {
  readonly writeQueueSize?: number;
  reading?: boolean;
}

interface Handled {
  _handle?: Handle | null | undefined;
}

/** Called with the bytes of one read; they are valid until it returns. `false` stops reading until `resume()`. */
export type OnBytes = (bytes: Buffer, length: number) => boolean;

/** One shared read buffer and whether handles may be moved; one for a worker. */
export interface ReadBuffer {
  readonly bytes: Buffer;
  /** False: always read with `data` events. */
  readonly moveHandles: boolean;
}

/** A socket that hands what it reads to `onBytes`. `accepted` comes paused from `pauseOnConnect` and is used up. */
export function readingSocket(accepted: Socket, buffer: ReadBuffer, onBytes: OnBytes): Socket {
  const moved = buffer.moveHandles
    ? moveHandle(accepted, {
        onread: { buffer: buffer.bytes, callback: (length: number) => onBytes(buffer.bytes, length) },
      })
    : undefined;
  const socket = moved ?? accepted;
  if (moved === undefined) readByEvents(socket, onBytes);
  socket.resume();
  return socket;
}

/** Reads with plain `data` events: TLS sockets, and the fall-back. The caller resumes. */
export function readByEvents(socket: Socket, onBytes: OnBytes): void {
  socket.on('data', (chunk: Buffer) => {
    if (!onBytes(chunk, chunk.length)) socket.pause();
  });
}

/** A plain socket that reads nothing yet on the same connection, for `node:http`; `undefined` where handles can't be moved. */
export function plainSocket(socket: Socket): Socket | undefined {
  const moved = moveHandle(socket, {});
  if (moved !== undefined) socket.removeAllListeners().on('error', () => {});
  return moved;
}

/** The client's end has been read, also when `end` has not been told yet. */
export function inputEnded(socket: Socket): boolean {
  const { _readableState: state } = socket as { _readableState?: { ended?: boolean } };
  return socket.readableEnded || state?.ended === true;
}

/** Whether a client takes what is sent to it, looked at once a tick. Counts down to the kernel's queue, within one large write too. */
export class SendProgress {
  #taken = 0;
  #atMillis: number;

  constructor(nowMillis: number) {
    this.#atMillis = nowMillis;
  }

  /** How long it has taken nothing although something waits; 0 when nothing waits or it moves. */
  stuckMillis(socket: Socket, nowMillis: number): number {
    const queued = (socket as Handled)._handle?.writeQueueSize ?? 0;
    const taken = socket.bytesWritten - queued;
    if ((queued === 0 && socket.writableLength === 0) || taken !== this.#taken) {
      this.#taken = taken;
      this.#atMillis = nowMillis;
    }
    return nowMillis - this.#atMillis;
  }
}

function moveHandle(from: Socket, options: object): Socket | undefined {
  const handle = (from as Handled)._handle;
  if (handle === undefined || handle === null) return undefined;
  try {
    const to = new Socket({ handle, allowHalfOpen: true, ...options } as ConstructorParameters<typeof Socket>[0]);
    if ((to as Handled)._handle !== handle) return undefined;
    (from as Handled)._handle = null;
    // Without its handle the old socket has nothing to close; destroying it balances the server's connection count.
    from.on('error', () => {});
    from.destroy();
    return to;
  } catch {
    // Another Node that takes no `handle`: read by events instead, slower and just as right.
    return undefined;
  }
}
