/** Which volume a key lives on: rendezvous hash over those that are good, so that losing one moves only its own keys. */
import { hash } from 'node:crypto';
import type { Volume } from './volume.ts';

export class Volumes {
  readonly all: readonly Volume[];
  #good: { readonly volume: Volume; readonly salt: number }[] = [];

  constructor(all: readonly Volume[]) {
    this.all = all;
    this.recount();
  }

  get good(): Volume[] {
    return this.#good.map((one) => one.volume);
  }

  /** After a volume was set aside. */
  recount(): void {
    this.#good = this.all
      .filter((volume) => volume.good)
      .map((volume) => ({ volume, salt: hash('sha256', volume.path, 'buffer').readUInt32LE(0) }));
  }

  /** The volume of a shelf by its key's hash; `undefined` when there is none left. */
  of(shelf: Buffer): Volume | undefined {
    if (this.#good.length <= 1) return this.#good[0]?.volume;
    const key = shelf.readUInt32LE(4);
    let best: Volume | undefined;
    let most = -1;
    for (const { volume, salt } of this.#good) {
      const score = mixed(key ^ salt);
      if (score > most) [most, best] = [score, volume];
    }
    return best;
  }
}

/** The finaliser of MurmurHash3: every input bit moves every output bit. */
function mixed(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
