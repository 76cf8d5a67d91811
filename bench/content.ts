/** The bytes that every bench serves: known at each offset, so that an answer's digest can be computed beforehand. */
import { createHash } from 'node:crypto';

/** One period of the content: not compressible, and never the same at two offsets less than a period apart. */
const PERIOD = (() => {
  const block = Buffer.alloc(1 << 20);
  let digest = createHash('sha256').update('nearcast').digest();
  for (let at = 0; at < block.length; at += digest.length) {
    digest.copy(block, at);
    digest = createHash('sha256').update(digest).digest();
  }
  return block;
})();

/** Content from `from` on, in pieces of at most a period, `length` bytes together. */
export function* contentPieces(from: number, length: number): Generator<Buffer> {
  for (let at = from; at < from + length; ) {
    const start = at % PERIOD.length;
    const piece = PERIOD.subarray(start, Math.min(PERIOD.length, start + from + length - at));
    at += piece.length;
    yield piece;
  }
}

const digests = new Map<string, string>();

/** SHA-256 in hex of `length` bytes from `from` on. */
export function contentDigest(from: number, length: number): string {
  const name = `${from}-${length}`;
  let digest = digests.get(name);
  if (digest === undefined) {
    const hash = createHash('sha256');
    for (const piece of contentPieces(from, length)) hash.update(piece);
    digest = hash.digest('hex');
    digests.set(name, digest);
  }
  return digest;
}
