/**
 * The steering decision: client address and path → ranked targets, with the reason of each. Pure, on an immutable
 * snapshot that is indexed once. Every face (JSON, redirect, content steering) is a form of this one answer.
 *
 * Address → site by longest prefix → its edges that may get clients, in weighted rendezvous order of the title, those
 * over their load bound behind the others → the next sites' edges in the same way → the standby, always last. So the
 * answer is never empty, and a client that no site knows gets the standby alone, never one unlucky site.
 */
import { bid, compareText, hashOf } from '../fill/rendezvous.ts';
import type { HealthState, RankedTarget, SteeringAnswer } from './api.ts';
import { PrefixTable, parseAddressWords, parsePrefix } from './prefixes.ts';
import type { Snapshot, SnapshotAppliance, SnapshotSite } from './snapshot.ts';

/** Bounded load (Mirrokni, Thorup, Zadimoghaddam 2016): nobody first in line beyond 1.25 times the mean … */
export const LOAD_BOUND = 1.25;
/** … as long as it matters: below this use, order is worth more than balance. */
export const LOAD_FLOOR = 0.85;

/** A snapshot made ready for decisions. Immutable. */
export interface SteeringIndex {
  readonly snapshot: Snapshot;
  readonly prefixes: PrefixTable<IndexedSite>;
  readonly standby: RankedTarget;
}

interface IndexedSite {
  readonly site: SnapshotSite;
  /** Edges that may get clients. */
  readonly edges: readonly IndexedEdge[];
  readonly rejected: readonly { readonly id: string; readonly why: string }[];
  readonly next: IndexedSite[];
}

interface IndexedEdge {
  readonly appliance: SnapshotAppliance;
  readonly hash: number;
  readonly overBound: string | undefined;
}

export function steeringIndex(snapshot: Snapshot): SteeringIndex {
  const sites = new Map(snapshot.sites.map((site) => [site.id, indexedSite(site, snapshot.appliances)]));
  const entries = [];
  for (const indexed of sites.values()) {
    for (const id of indexed.site.next) {
      const next = sites.get(id);
      if (next !== undefined && next !== indexed) indexed.next.push(next);
    }
    for (const text of indexed.site.prefixes) {
      const prefix = parsePrefix(text);
      // The topology was checked when it came in; a prefix that this version can't read serves nobody rather than everybody.
      if (!('wrong' in prefix)) entries.push({ prefix, value: indexed });
    }
  }
  const { id, url } = snapshot.standby;
  return {
    snapshot,
    prefixes: new PrefixTable(entries),
    standby: { kind: 'standby', id, site: undefined, url, why: 'standby, always last' },
  };
}

/** The ranked list for one client and path. Never empty. */
export function steer(index: SteeringIndex, client: string, path: string): SteeringAnswer {
  const words = parseAddressWords(client);
  const match = words === undefined ? undefined : index.prefixes.longest(words);
  const answer = {
    snapshot: index.snapshot.number,
    path,
    client: { address: client, site: match?.value.site.id, prefix: match?.prefix.text },
    ttlSeconds: index.snapshot.rankedTtlSeconds,
  };
  if (match === undefined) {
    const why = words === undefined ? `no address: ${client}` : `no site serves ${client}`;
    return { ...answer, targets: [{ ...index.standby, why: `standby: ${why}` }], rejected: [] };
  }
  const { site } = match.value;
  if (site.state === 'failed-over') {
    const rejected = match.value.edges.map(({ appliance }) => ({
      id: appliance.id,
      why: `site ${site.id} failed over`,
    }));
    const why = `standby: site ${site.id} failed over: ${site.why}`;
    return { ...answer, targets: [{ ...index.standby, why }], rejected: [...match.value.rejected, ...rejected] };
  }
  const targets: RankedTarget[] = [];
  const rejected: { id: string; why: string }[] = [];
  const title = hashOf(titleOf(path));
  rank(match.value, title, `site ${site.id} by ${match.prefix.text}`, targets, rejected);
  for (const next of match.value.next) {
    // A site that has lost half of its own is no place to send others to.
    if (next.site.state === 'open') rank(next, title, `next site ${next.site.id} after ${site.id}`, targets, rejected);
    else rejected.push({ id: next.site.id, why: `site ${next.site.id} failed over: ${next.site.why}` });
  }
  targets.push(index.standby);
  return { ...answer, targets, rejected };
}

/** What an asset is placed by: its first path segment, so that a ladder's segments are all asked of one edge. */
export function titleOf(path: string): string {
  const query = path.indexOf('?');
  const end = query < 0 ? path.length : query;
  const slash = path.indexOf('/', 1);
  return path.slice(1, slash < 0 || slash > end ? end : slash);
}

/** Whether an appliance in this state may get new clients. */
export function mayServe(state: HealthState): boolean {
  return state === 'healthy' || state === 'suspect' || state === 'recovering';
}

function indexedSite(site: SnapshotSite, appliances: readonly SnapshotAppliance[]): IndexedSite {
  const all = appliances.filter(({ site: at, role }) => at === site.id && role === 'edge');
  const up = all.filter(({ state }) => mayServe(state));
  const mean = up.reduce((sum, { used }) => sum + used, 0) / Math.max(1, up.length);
  const bound = Math.max(LOAD_FLOOR, LOAD_BOUND * mean);
  return {
    site,
    edges: up.map((appliance) => ({ appliance, hash: hashOf(appliance.id), overBound: overBound(appliance, bound) })),
    rejected: all
      .filter(({ state }) => !mayServe(state))
      .map(({ id, state, why }) => ({ id, why: `${state}: ${why}` })),
    next: [],
  };
}

function overBound({ used }: SnapshotAppliance, bound: number): string | undefined {
  return used > bound ? `load ${used.toFixed(2)} over its bound ${bound.toFixed(2)}` : undefined;
}

function rank(
  { edges, rejected: out }: IndexedSite,
  title: number,
  because: string,
  targets: RankedTarget[],
  rejected: { id: string; why: string }[],
): void {
  const order = edges
    .map((edge) => ({ edge, strength: strength(title, edge) }))
    .sort(
      (a, b) =>
        Number(a.edge.overBound !== undefined) - Number(b.edge.overBound !== undefined) ||
        b.strength - a.strength ||
        compareText(a.edge.appliance.id, b.edge.appliance.id),
    );
  for (const [i, { edge }] of order.entries()) {
    const { id, site, url, state, weight } = edge.appliance;
    const notes = [
      `${because}, rendezvous rank ${i + 1}`,
      ...(edge.overBound === undefined ? [] : [edge.overBound]),
      ...(weight < 1 ? [`weight ${weight}`] : []),
      ...(state === 'healthy' ? [] : [state]),
    ];
    targets.push({ kind: 'appliance', id, site, url, why: notes.join(', ') });
  }
  rejected.push(...out);
}

/** Weighted rendezvous: -w / ln(u). With equal weights it is the order of `fill/rendezvous.ts`, so steering meets the fill. */
function strength(title: number, { hash, appliance }: IndexedEdge): number {
  const u = (bid(title, hash) + 0.5) / 2 ** 32;
  return -appliance.weight / Math.log(u);
}
