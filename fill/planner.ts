/**
 * The plan of a fill: one manifest for each edge, with where to fetch from. Pure: time and version are arguments.
 * What goes where is `placement.ts`; keeping manifests and handing them out is left to the control plane, obeying
 * them to the agent (`agent.ts`).
 *
 * Regions get no manifest. They fill by being asked: one elected appliance of each site fetches an asset from the
 * region, and the region, which joins equal requests, fetches it from the origin once.
 */
import type {
  ApplianceRole,
  Catalogue,
  CatalogueAsset,
  FillManifest,
  FillSource,
  HealthState,
} from '../control-plane/api.ts';
import { sitePlacement } from './placement.ts';
import { decayedScore, type Popularity } from './popularity.ts';
import { hashOf, rendezvousFirst, rendezvousOrder } from './rendezvous.ts';
import { DEFAULT_WINDOW, type FillWindow } from './window.ts';

/** Part of an appliance's disk budget that a manifest may take; the rest is for what clients pull through. */
export const FILL_SHARE = 0.8;

export interface PlannedAppliance {
  readonly id: string;
  readonly site: string;
  readonly role: ApplianceRole;
  readonly url: string;
  /** Its disk budget (`Heartbeat.store.budgetBytes`); a manifest takes `FILL_SHARE` of it at most. */
  readonly budgetBytes: number;
  /** One that is down is still planned for, but neither elected nor named as a source. Absent: up. */
  readonly state?: HealthState;
}

export interface PlannedSite {
  readonly id: string;
  /** IANA time zone of its window; UTC when absent. */
  readonly zone?: string;
  /** 02:00-14:00 when absent. */
  readonly window?: FillWindow;
  /** Region appliances that serve it, best first. Absent: all of them, in an order that spreads the sites. */
  readonly regions?: readonly string[];
}

export interface PlanInput {
  readonly catalogue: Catalogue;
  readonly appliances: readonly PlannedAppliance[];
  readonly popularity: Popularity;
  /** Only sites that say more than their appliances do need to be here. */
  readonly sites: readonly PlannedSite[];
  /** The origin gateway, the last source. */
  readonly origin: { readonly id: string; readonly url: string };
  /** Of the manifests to make. Higher than any before. */
  readonly version: number;
  /** True: the agents start at once, whatever the window says. */
  readonly now: boolean;
  /** Wall clock, for the decay of popularity. */
  readonly atMillis: number;
  /** Plans for this site only. */
  readonly site?: string | undefined;
  /** The manifests in force, so that little moves. */
  readonly previous?: readonly FillManifest[];
}

/** A manifest with what the agent can use beyond the protocol's first version; all of it travels as JSON. */
export interface PlannedManifest extends FillManifest {
  readonly assets: readonly (FillManifest['assets'][number] & {
    /** Which appliance of the site fetches it from outside. The others get it from that one. */
    readonly fetcher?: string;
  })[];
  /** When the site may be filled; the agent's own setting when absent. */
  readonly window?: FillWindow & { readonly zone: string };
}

/** One manifest for each edge appliance (of `site` when given), ordered as the input. */
export function planManifests(input: PlanInput): PlannedManifest[] {
  const edges = input.appliances.filter(({ role, site }) => role === 'edge' && (input.site ?? site) === site);
  const manifests = new Map<string, PlannedManifest>();
  for (const site of new Set(edges.map((edge) => edge.site)))
    for (const manifest of siteManifests(
      site,
      edges.filter((edge) => edge.site === site),
      input,
    ))
      manifests.set(manifest.appliance, manifest);
  return edges.map((edge) => manifests.get(edge.id)!);
}

/** Which of several appliances fetches an asset from outside the site for all of them. */
export function electedFetcher(path: string, holders: readonly { readonly id: string }[]): string | undefined {
  return rendezvousOrder(path, holders)[0]?.id;
}

function siteManifests(site: string, edges: readonly PlannedAppliance[], input: PlanInput): PlannedManifest[] {
  const scores = input.popularity.get(site);
  const before = new Map(
    input.previous?.map(({ appliance, assets }) => [appliance, new Set(assets.map((a) => a.path))]),
  );
  const placement = sitePlacement({
    assets: input.catalogue.assets,
    appliances: edges.map(({ id, budgetBytes }) => ({ id, capacityBytes: Math.floor(budgetBytes * FILL_SHARE) })),
    scoreOf: (path) => {
      const known = scores?.get(path);
      return known === undefined ? undefined : decayedScore(known, input.atMillis);
    },
    heldBefore: (appliance, path) => before.get(appliance)?.has(path) === true,
  });
  const planned = plannedAssets(edges, placement.byAppliance);
  const described = input.sites.find(({ id }) => id === site);
  return edges.map((edge) => ({
    version: input.version,
    appliance: edge.id,
    now: input.now,
    assets: placement.byAppliance.get(edge.id)!.map((asset) => planned.get(asset)!),
    sources: sourcesOf(edge, edges, described?.regions, input),
    ...(described === undefined ? {} : windowOf(described)),
  }));
}

/** Each placed asset as a manifest has it; its fetcher is elected among the holders that are up, else among all. */
function plannedAssets(
  edges: readonly PlannedAppliance[],
  byAppliance: ReadonlyMap<string, readonly CatalogueAsset[]>,
): Map<CatalogueAsset, PlannedManifest['assets'][number]> {
  const holders = new Map<CatalogueAsset, PlannedAppliance[]>();
  for (const edge of edges)
    for (const asset of byAppliance.get(edge.id)!) {
      const list = holders.get(asset);
      if (list === undefined) holders.set(asset, [edge]);
      else list.push(edge);
    }
  const hashes = new Map(edges.map(({ id }) => [id, hashOf(id)]));
  const planned = new Map<CatalogueAsset, PlannedManifest['assets'][number]>();
  for (const [asset, all] of holders) {
    const up = all.filter(isUp);
    const { path, bytes, sha256, etag } = asset;
    const fetcher = rendezvousFirst(hashOf(path), up.length > 0 ? up : all, hashes)!.id;
    planned.set(asset, { path, bytes, sha256, etag, pinned: true, fetcher });
  }
  return planned;
}

/** Peers of the site, then the regions, then the origin. */
function sourcesOf(
  edge: PlannedAppliance,
  edges: readonly PlannedAppliance[],
  regions: readonly string[] | undefined,
  { appliances, origin }: PlanInput,
): FillSource[] {
  const allRegions = appliances.filter(({ role }) => role === 'region').filter(isUp);
  const ordered =
    regions === undefined
      ? rendezvousOrder(edge.site, allRegions)
      : regions.flatMap((id) => allRegions.filter((region) => region.id === id));
  return [
    ...edges
      .filter((peer) => peer.id !== edge.id && isUp(peer))
      .map(({ id, url }) => ({ kind: 'peer' as const, id, url })),
    ...ordered.map(({ id, url }) => ({ kind: 'region' as const, id, url })),
    { kind: 'origin', id: origin.id, url: origin.url },
  ];
}

function windowOf({ zone, window }: PlannedSite): Pick<PlannedManifest, 'window'> {
  if (zone === undefined && window === undefined) return {};
  return { window: { zone: zone ?? 'UTC', ...(window ?? DEFAULT_WINDOW) } };
}

function isUp({ state }: PlannedAppliance): boolean {
  return state !== 'unhealthy' && state !== 'unknown' && state !== 'maintenance';
}
