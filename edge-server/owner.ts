/** Which worker owns a key: rendezvous hashing, so that a change of the number of workers moves few keys. Pure. */
import { crc32 } from 'node:zlib';

/** Index of the owner among `count` workers. */
export function ownerOf(key: string, count: number): number {
  if (count <= 1) return 0;
  const hash = crc32(key);
  let owner = 0;
  let most = -1;
  for (let index = 0; index < count; index++) {
    const weight = mixed(hash, index);
    if (weight > most) [owner, most] = [index, weight];
  }
  return owner;
}

/** A 32-bit mix of a hash and an index (the finaliser of MurmurHash3): CRC alone is linear and would favour some. */
function mixed(hash: number, index: number): number {
  let mix = (hash ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0;
  mix = Math.imul(mix ^ (mix >>> 16), 0x85ebca6b) >>> 0;
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35) >>> 0;
  return (mix ^ (mix >>> 16)) >>> 0;
}
