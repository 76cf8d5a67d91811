/**
 * What each appliance of one site should hold: catalogue × popularity × capacity → lists of assets. Pure and
 * deterministic: the same input gives the same lists in whatever order the input comes.
 *
 * The rule, in order:
 * 1. An appliance whose share holds the whole catalogue gets all of it.
 * 2. The others get copies by popularity: the k-th copy of an asset is worth its score ÷ k, the worthiest is placed
 *    first, and each goes to the next appliance in the title's rendezvous order that has room. So the number of
 *    copies is in proportion to popularity, and every asset that fits somewhere has a copy before any unasked-for one
 *    has two.
 * 3. What lay there yesterday counts a little more, so that two assets of about equal worth do not change places.
 *
 * Who fetches from whom is left to `planner.ts`; scores are kept by `popularity.ts`.
 */
import type { CatalogueAsset } from '../control-plane/api.ts';
import { bid, compareText, hashOf } from './rendezvous.ts';

export type PlaceableAsset = Pick<CatalogueAsset, 'path' | 'bytes' | 'title' | 'lastModifiedMillis'>;

export interface Shelf {
  readonly id: string;
  /** Bytes that filled assets may take there. */
  readonly capacityBytes: number;
}

export interface SitePlacementInput<A extends PlaceableAsset> {
  readonly assets: readonly A[];
  readonly appliances: readonly Shelf[];
  /** Score of a path at this site now; `undefined` where nobody has asked yet (a new title, say). */
  readonly scoreOf: (path: string) => number | undefined;
  /** Whether an appliance was to hold a path by its previous manifest. */
  readonly heldBefore?: (appliance: string, path: string) => boolean;
}

export interface SitePlacement<A extends PlaceableAsset> {
  /** Appliance → its assets, most wanted first. Every appliance of the input has an entry. */
  readonly byAppliance: ReadonlyMap<string, readonly A[]>;
  /** Assets that found no room at the site, most wanted first. */
  readonly unplaced: readonly A[];
}

/** How much more an asset counts for having been there before: it takes a tenth more demand to displace it. */
export const STICKINESS = 1.1;

/** A title bigger than this part of the smallest share is spread over the site file by file. */
const TITLE_SHARE = 0.1;

interface Ranked<A> {
  readonly asset: A;
  readonly score: number;
  /** Chooses its appliances: the title, so that a player finds all of a ladder at one edge; or the path. */
  readonly placedBy: string;
}

interface Room {
  readonly id: string;
  readonly hash: number;
  freeBytes: number;
  readonly held: Set<number>;
}

/** Places a catalogue on the appliances of one site. */
export function sitePlacement<A extends PlaceableAsset>(input: SitePlacementInput<A>): SitePlacement<A> {
  const ranked = rankedAssets(input);
  const totalBytes = ranked.reduce((sum, { asset }) => sum + asset.bytes, 0);
  const rooms = input.appliances
    .map(({ id, capacityBytes }) => ({ id, hash: hashOf(id), freeBytes: capacityBytes, held: new Set<number>() }))
    .sort((a, b) => compareText(a.id, b.id));
  const narrow = rooms.filter((room) => room.freeBytes < totalBytes);
  placeByWorth(ranked, narrow);

  const all = ranked.map(({ asset }) => asset);
  const byAppliance = new Map<string, readonly A[]>();
  for (const room of rooms)
    byAppliance.set(room.id, narrow.includes(room) ? [...room.held].sort((a, b) => a - b).map((i) => all[i]!) : all);
  const unplaced = narrow.length < rooms.length ? [] : all.filter((_, i) => rooms.every((room) => !room.held.has(i)));
  return { byAppliance, unplaced };
}

/** Most wanted first; among the unasked-for the newest. */
function rankedAssets<A extends PlaceableAsset>(input: SitePlacementInput<A>): Ranked<A>[] {
  const titles = new Map<string, { bytes: number; scored: number; score: number }>();
  for (const asset of input.assets) {
    const title = titles.get(asset.title) ?? { bytes: 0, scored: 0, score: 0 };
    const score = input.scoreOf(asset.path);
    title.bytes += asset.bytes;
    if (score !== undefined) {
      title.scored++;
      title.score += score;
    }
    titles.set(asset.title, title);
  }
  const smallest = Math.min(...input.appliances.map((appliance) => appliance.capacityBytes));
  return input.assets
    .map((asset) => {
      const title = titles.get(asset.title)!;
      // A new file of a known title is likely to be asked for as its siblings are.
      const prior = title.scored > 0 ? title.score / title.scored : 0;
      const before = input.appliances.some(({ id }) => input.heldBefore?.(id, asset.path));
      const score = (input.scoreOf(asset.path) ?? prior) * (before ? STICKINESS : 1);
      return { asset, score, placedBy: title.bytes <= smallest * TITLE_SHARE ? asset.title : asset.path };
    })
    .sort(
      (a, b) =>
        b.score - a.score ||
        b.asset.lastModifiedMillis - a.asset.lastModifiedMillis ||
        compareText(a.asset.path, b.asset.path),
    );
}

/**
 * Merges one list a copy number, each in the order of `ranked` with its worth divided by that number, and places the
 * worthiest head until every list is used up.
 */
function placeByWorth<A extends PlaceableAsset>(ranked: readonly Ranked<A>[], rooms: readonly Room[]): void {
  const next = rooms.map(() => 0);
  const orders = new Map<string, Room[]>();
  for (;;) {
    let copy = -1;
    let worth = -1;
    for (let k = 0; k < next.length; k++) {
      const head = ranked[next[k]!];
      if (head !== undefined && head.score / (k + 1) > worth) [copy, worth] = [k, head.score / (k + 1)];
    }
    if (copy < 0) return;
    const index = next[copy]!++;
    const { asset, placedBy } = ranked[index]!;
    const order = orders.get(placedBy) ?? roomsInOrder(placedBy, rooms);
    orders.set(placedBy, order);
    const room = order.find((candidate) => candidate.freeBytes >= asset.bytes && !candidate.held.has(index));
    room?.held.add(index);
    if (room !== undefined) room.freeBytes -= asset.bytes;
  }
}

function roomsInOrder(key: string, rooms: readonly Room[]): Room[] {
  const keyHash = hashOf(key);
  return [...rooms].sort((a, b) => bid(keyHash, b.hash) - bid(keyHash, a.hash) || compareText(a.id, b.id));
}
