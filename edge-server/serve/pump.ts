/**
 * Carries a stretch of a representation from its source to a client: back-pressure on one side, patience on the other.
 * A body that can't be completed aborts the response; it is never ended as if whole (RFC 9112 §8).
 */
import type { ResponseSink } from '../http/exchange.ts';
import type { BodySource, Piece } from './body-source.ts';

/**
 * Writes bytes `[from, end)` of the source (to its end when `end` is Infinity). Returns the word for why it stopped
 * early, or `undefined` when everything was written. Ends or aborts nothing itself. `first`: the piece at `from`, when it
 * has been waited for already.
 */
export async function pump(
  source: BodySource,
  sink: ResponseSink,
  from: number,
  end: number,
  first?: Piece,
): Promise<string | undefined> {
  // A reader whose client has left must not wait for bytes that nobody may bring.
  sink.onClose(() => source.wake());
  let at = from;
  let next = first;
  while (at < end && !sink.closed) {
    const found = next ?? source.piece(at, end);
    next = undefined;
    const piece = found instanceof Promise ? await found : found;
    switch (piece.kind) {
      case 'bytes': {
        if (sink.closed) {
          piece.release?.();
          return 'client-gone';
        }
        at += piece.bytes.length;
        if (!sink.write(piece.bytes, piece.release)) await sink.drained();
        break;
      }
      case 'later':
        await piece.until;
        break;
      case 'end':
        return end === Number.POSITIVE_INFINITY ? undefined : 'short-body';
      case 'lost':
        return piece.why;
    }
  }
  return sink.closed && at < end ? 'client-gone' : undefined;
}

/** The first piece of a stretch, once it is there or known not to come; nothing is written. */
export async function firstPiece(source: BodySource, sink: ResponseSink, from: number, end: number): Promise<Piece> {
  sink.onClose(() => source.wake());
  for (;;) {
    const found = source.piece(from, end);
    const piece = found instanceof Promise ? await found : found;
    if (piece.kind !== 'later') return piece;
    if (sink.closed) return { kind: 'lost', why: 'client-gone' };
    await piece.until;
  }
}
