/**
 * Manifests: made on demand from catalogue, popularity and fleet by fill's pure planner, kept, and handed to the
 * appliances. Also the popularity that heartbeats bring. How a plan comes about is `fill/planner.ts`, obeying it the
 * appliance's agent.
 */
import { type PlannedManifest, planManifests } from '../fill/planner.ts';
import { type AssetPopularity, withoutForgotten, withReport } from '../fill/popularity.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Outcome } from '../runtime/outcome.ts';
import type { FillProgress, Heartbeat } from './api.ts';
import type { CatalogueReader } from './catalogue.ts';
import type { Fleet } from './fleet.ts';
import type { History } from './history.ts';
import type { State } from './state.ts';

const KEEP_POPULARITY_MILLIS = 60_000;

export interface FillPlansParts {
  readonly state: State;
  readonly fleet: Fleet;
  readonly catalogue: CatalogueReader;
  readonly history: History;
  readonly clock: Clock;
  /** URL of the origin gateway, the last source. */
  readonly origin: string;
}

export interface FillRun {
  readonly version: number;
  readonly catalogueVersion: number;
  readonly manifests: readonly {
    readonly appliance: string;
    readonly assets: number;
    readonly bytes: number;
  }[];
}

export interface FillStatus {
  readonly appliances: readonly {
    readonly id: string;
    readonly site: string;
    /** Version of the manifest it is to obey; 0 for none. */
    readonly wanted: number;
    readonly done: boolean;
    readonly progress: FillProgress;
  }[];
  readonly done: boolean;
}

export class FillPlans {
  readonly #parts: FillPlansParts;
  readonly #versions = new Map<string, number>();
  readonly #popularity = new Map<string, ReadonlyMap<string, AssetPopularity>>();
  readonly #reported = new Map<string, string>();
  readonly #changed = new Set<string>();
  #timer: Timer | undefined;

  constructor(parts: FillPlansParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { state, clock } = this.#parts;
    for (const { appliance, version } of await state.manifests()) this.#versions.set(appliance, version);
    for (const [site, scores] of await state.popularity()) this.#popularity.set(site, scores);
    this.#timer = clock.every(KEEP_POPULARITY_MILLIS, () => void this.#keep());
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#keep();
  }

  /** Version of an appliance's manifest; 0 for none. */
  versionOf(appliance: string): number {
    return this.#versions.get(appliance) ?? 0;
  }

  manifestOf(appliance: string): Promise<PlannedManifest | undefined> {
    return this.#parts.state.manifest(appliance);
  }

  /** What a heartbeat says about demand and about the fill under way. */
  heard(appliance: string, { site, role, popularity, fill }: Heartbeat): void {
    const { clock, catalogue, history } = this.#parts;
    // What edges asked the region for is not what clients asked for.
    if (role === 'edge' && popularity !== undefined && Object.keys(popularity).length > 0) {
      const before = this.#popularity.get(site) ?? new Map<string, AssetPopularity>();
      this.#popularity.set(
        site,
        withReport(before, popularity, (path) => catalogue.bytesOf(path), clock.now()),
      );
      this.#changed.add(site);
    }
    const told = `${fill.manifestVersion} ${fill.state}`;
    if (fill.manifestVersion === 0 || this.#reported.get(appliance) === told) return;
    this.#reported.set(appliance, told);
    const { peer, region, origin } = fill.bytesBySource;
    history.record(
      'fill',
      `appliance=${appliance} fill=${fill.state} manifest=${fill.manifestVersion} assets=${fill.assetsDone}/${fill.assetsPlanned} bytes=${fill.bytesDone}/${fill.bytesPlanned} peer=${peer} region=${region} origin=${origin} failures=${fill.failures.length}`,
    );
  }

  /** Makes new manifests for all edges, or those of a site. `now`: the agents start at once, whatever the window says. */
  async run(order: {
    readonly now: boolean;
    readonly site?: string | undefined;
  }): Promise<Outcome<FillRun, 'no-catalogue' | 'no-such-site' | 'no-appliances'>> {
    const { state, fleet, catalogue, clock, history, origin } = this.#parts;
    if (order.site !== undefined && !fleet.sites.some(({ id }) => id === order.site))
      return { ok: false, reason: 'no-such-site', detail: order.site };
    await catalogue.refresh();
    if (catalogue.current.version === 0) return { ok: false, reason: 'no-catalogue' };
    const appliances = fleet.planned();
    if (!appliances.some(({ role, site }) => role === 'edge' && (order.site ?? site) === site))
      return { ok: false, reason: 'no-appliances' };
    const manifests = planManifests({
      catalogue: catalogue.current,
      appliances,
      popularity: this.#popularity,
      sites: fleet.sites.map(({ id, timeZone }) => ({ id, zone: timeZone })),
      origin: { id: 'origin', url: origin },
      version: await state.reserveNumbers('manifest', 1, Math.max(0, ...this.#versions.values())),
      now: order.now,
      atMillis: clock.now(),
      site: order.site,
      previous: await state.manifests(),
    });
    await state.putManifests(manifests);
    for (const { appliance, version } of manifests) this.#versions.set(appliance, version);
    const run: FillRun = {
      version: manifests[0]!.version,
      catalogueVersion: catalogue.current.version,
      manifests: manifests.map(({ appliance, assets }) => ({
        appliance,
        assets: assets.length,
        bytes: assets.reduce((sum, { bytes }) => sum + bytes, 0),
      })),
    };
    const where = order.site === undefined ? 'every site' : `site ${order.site}`;
    history.record('fill', `fill=${run.version} planned for ${where}${order.now ? ', at once' : ', in its window'}`);
    return { ok: true, value: run };
  }

  status(): FillStatus {
    const appliances = this.#parts.fleet
      .views()
      .filter(({ role }) => role === 'edge')
      .map(({ id, site, fill }) => {
        const wanted = this.versionOf(id);
        const done = wanted === 0 || (fill.manifestVersion === wanted && fill.state === 'done');
        return { id, site, wanted, done, progress: fill };
      });
    return { appliances, done: appliances.every(({ done }) => done) };
  }

  async #keep(): Promise<void> {
    const { state, clock, history } = this.#parts;
    const sites = [...this.#changed];
    this.#changed.clear();
    for (const site of sites) {
      const scores = withoutForgotten(this.#popularity.get(site)!, clock.now());
      this.#popularity.set(site, scores);
      // Lost popularity makes tomorrow's plan a little worse; nothing else depends on it.
      await state.putPopularity(site, scores).catch((error: unknown) => {
        this.#changed.add(site);
        history.record('alarm', `popularity of site=${site} not kept: ${String(error)}`);
      });
    }
  }
}
