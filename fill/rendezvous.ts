/**
 * Rendezvous hashing (Thaler and Ravishankar 1998): which of several members comes first for a key, the same answer
 * wherever it is computed; when a member joins or leaves, only the keys that it wins or had won change. Pure.
 */

/** A 32-bit hash of a text (FNV-1a over UTF-16 units, then the finaliser of MurmurHash3). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return finalise(hash);
}

/** How strongly a member bids for a key; the highest wins. Both are results of `hashOf`. */
export function bid(keyHash: number, memberHash: number): number {
  return finalise(Math.imul(keyHash, 0x9e3779b1) ^ memberHash);
}

/** Members in order of preference for a key; equal bids fall back to the name, so that the order is always total. */
export function rendezvousOrder<M extends { readonly id: string }>(key: string, members: readonly M[]): M[] {
  const keyHash = hashOf(key);
  return members
    .map((member) => ({ member, strength: bid(keyHash, hashOf(member.id)) }))
    .sort((a, b) => b.strength - a.strength || compareText(a.member.id, b.member.id))
    .map(({ member }) => member);
}

/** Who comes first in `rendezvousOrder`, for many keys: `hashes` are the members' `hashOf(id)`. */
export function rendezvousFirst<M extends { readonly id: string }>(
  keyHash: number,
  members: readonly M[],
  hashes: ReadonlyMap<string, number>,
): M | undefined {
  let first: M | undefined;
  let strongest = -1;
  for (const member of members) {
    const strength = bid(keyHash, hashes.get(member.id)!);
    if (strength > strongest || (strength === strongest && member.id < first!.id))
      [first, strongest] = [member, strength];
  }
  return first;
}

/** Order of texts by code unit, the same in every locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function finalise(value: number): number {
  let hash = value;
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return hash >>> 0;
}
