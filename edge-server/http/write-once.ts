/**
 * Writes a small response that is sent once without a buffer of its own: it is put together in one buffer of the
 * process, which the kernel has copied when the write returns. Only when the client is slower does the buffer go with it.
 */
import type { Socket } from 'node:net';

const SCRATCH_BYTES = 64 * 1024;

let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** `text` is Latin-1. */
export function writeOnce(socket: Socket, text: string, body: Buffer | undefined): void {
  const length = text.length + (body?.length ?? 0);
  if (length > SCRATCH_BYTES || socket.writableLength > 0) {
    socket.write(ownBytes(text, body));
    return;
  }
  put(scratch, text, body);
  socket.write(scratch.subarray(0, length));
  // Not all has left: the rest is read from the buffer later.
  if (socket.writableLength > 0) scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
}

/** The same in a buffer of its own. */
export function ownBytes(text: string, body: Buffer | undefined): Buffer {
  const bytes = Buffer.allocUnsafeSlow(text.length + (body?.length ?? 0));
  put(bytes, text, body);
  return bytes;
}

function put(bytes: Buffer, text: string, body: Buffer | undefined): void {
  bytes.write(text, 0, text.length, 'latin1');
  body?.copy(bytes, text.length);
}
