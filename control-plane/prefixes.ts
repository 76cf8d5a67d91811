/**
 * Longest prefix match over IPv4 and IPv6. Pure. The prefixes are flattened once into disjoint ranges, so that a
 * look-up is one binary search and overlapping prefixes cost nothing. What a prefix means is left to the caller.
 */

/** An address as 1 (IPv4) or 4 (IPv6) unsigned 32-bit words. IPv4-mapped IPv6 is IPv4. */
export type AddressWords = readonly number[];

export interface Prefix {
  /** As written, canonical: host bits cleared. */
  readonly text: string;
  readonly words: AddressWords;
  readonly length: number;
}

/** `192.0.2.7`, `2001:db8::1`, `::ffff:192.0.2.7`, with or without a zone → words; `undefined` for anything else. */
export function parseAddressWords(text: string): AddressWords | undefined {
  if (!text.includes(':')) return parseV4(text);
  const zone = text.indexOf('%');
  return parseV6(zone < 0 ? text : text.slice(0, zone));
}

export function addressWordsText(words: AddressWords): string {
  if (words.length === 1) {
    const [word] = words as [number];
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  }
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  const zeros = longestZeros(groups);
  if (zeros === undefined) return groups.map((group) => group.toString(16)).join(':');
  const side = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  return `${side(groups.slice(0, zeros.from))}::${side(groups.slice(zeros.to))}`;
}

/** `192.0.2.0/24` or a lone address (all bits). Host bits that are set are refused, as a typing error that they are. */
export function parsePrefix(text: string): Prefix | { readonly wrong: string } {
  const slash = text.lastIndexOf('/');
  const words = parseAddressWords(slash < 0 ? text : text.slice(0, slash));
  if (words === undefined) return { wrong: `'${text}' is not an address with a prefix length` };
  const bits = words.length * 32;
  const lengthText = slash < 0 ? String(bits) : text.slice(slash + 1);
  const length = /^\d{1,3}$/.test(lengthText) ? Number(lengthText) : Number.NaN;
  if (!(length >= 0 && length <= bits)) return { wrong: `'${text}': the length is a number from 0 to ${bits}` };
  const cleared = words.map((word, i) => (word & maskOf(length - i * 32)) >>> 0);
  const canonical = `${addressWordsText(cleared)}/${length}`;
  if (cleared.some((word, i) => word !== words[i]))
    return { wrong: `'${text}' has bits beyond its length; did you mean ${canonical}?` };
  return { text: canonical, words: cleared, length };
}

/** Finds the longest of the given prefixes that covers an address. Immutable. */
export class PrefixTable<V> {
  readonly #v4: Ranges;
  readonly #v6: Ranges;
  readonly #entries: readonly { readonly prefix: Prefix; readonly value: V }[];

  /** Of equal prefixes the last one holds. */
  constructor(entries: readonly { readonly prefix: Prefix; readonly value: V }[]) {
    this.#entries = entries;
    this.#v4 = flatten(entries, 1);
    this.#v6 = flatten(entries, 4);
  }

  get size(): number {
    return this.#entries.length;
  }

  longest(address: AddressWords): { readonly prefix: Prefix; readonly value: V } | undefined {
    const ranges = address.length === 1 ? this.#v4 : this.#v6;
    const found = rangeOf(ranges, address);
    return found < 0 ? undefined : this.#entries[found];
  }
}

/** Disjoint ranges: range `i` begins at `starts[i * words …]` and belongs to entry `owners[i]`, -1 for nobody. */
interface Ranges {
  readonly words: number;
  readonly starts: Uint32Array;
  readonly owners: Int32Array;
}

function flatten(entries: readonly { readonly prefix: Prefix }[], words: 1 | 4): Ranges {
  const bits = BigInt(words * 32);
  const sorted = entries
    .map(({ prefix }, index) => ({ prefix, index }))
    .filter(({ prefix }) => prefix.words.length === words)
    .map(({ prefix, index }) => {
      const start = numberOf(prefix.words);
      return { start, end: start + (1n << (bits - BigInt(prefix.length))) - 1n, length: prefix.length, index };
    })
    .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.length - b.length || a.index - b.index));
  const starts: bigint[] = [];
  const owners: number[] = [];
  const mark = (start: bigint, owner: number) => {
    if (starts.at(-1) === start) owners[owners.length - 1] = owner;
    else {
      starts.push(start);
      owners.push(owner);
    }
  };
  const open: { end: bigint; index: number }[] = [];
  const closeUntil = (limit: bigint | undefined) => {
    for (let top = open.at(-1); top !== undefined && (limit === undefined || top.end < limit); top = open.at(-1)) {
      open.pop();
      if (top.end + 1n < 1n << bits) mark(top.end + 1n, open.at(-1)?.index ?? -1);
    }
  };
  for (const { start, end, index } of sorted) {
    closeUntil(start);
    mark(start, index);
    open.push({ end, index });
  }
  closeUntil(undefined);

  const flat = new Uint32Array(starts.length * words);
  starts.forEach((start, i) => {
    for (let w = 0; w < words; w++)
      flat[i * words + w] = Number((start >> BigInt((words - 1 - w) * 32)) & 0xffff_ffffn);
  });
  return { words, starts: flat, owners: Int32Array.from(owners) };
}

function rangeOf({ words, starts, owners }: Ranges, address: AddressWords): number {
  let low = 0;
  let high = owners.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (atOrBefore(starts, middle * words, address)) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? -1 : owners[low - 1]!;
}

function atOrBefore(starts: Uint32Array, at: number, address: AddressWords): boolean {
  for (let w = 0; w < address.length; w++) {
    const start = starts[at + w]!;
    const word = address[w]!;
    if (start !== word) return start < word;
  }
  return true;
}

function numberOf(words: AddressWords): bigint {
  return words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
}

function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? 0xffff_ffff : (0xffff_ffff << (32 - bits)) >>> 0;
}

function parseV4(text: string): AddressWords | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let word = 0;
  for (const part of parts) {
    // A leading zero is refused: some readers take it for octal.
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    word = word * 256 + Number(part);
  }
  return [word];
}

function parseV6(text: string): AddressWords | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0]!);
  const tail = halves.length === 2 ? groupsOf(halves[1]!) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const words = [0, 2, 4, 6].map((i) => groups[i]! * 65_536 + groups[i + 1]!);
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? [words[3]!] : words;
}

function groupsOf(text: string): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (i === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part);
      if (v4 === undefined) return undefined;
      groups.push(v4[0]! >>> 16, v4[0]! & 0xffff);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

function longestZeros(groups: readonly number[]): { from: number; to: number } | undefined {
  let best: { from: number; to: number } | undefined;
  for (let from = 0; from < groups.length; from++) {
    let to = from;
    while (to < groups.length && groups[to] === 0) to++;
    if (to - from >= 2 && (best === undefined || to - from > best.to - best.from)) best = { from, to };
    if (to > from) from = to;
  }
  return best;
}
