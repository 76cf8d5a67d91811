/**
 * What steering needs, as one immutable, numbered document; checked before it is believed. Pure.
 * Signing and keeping it on disk is `snapshot-store.ts`, making it `fleet.ts`, deciding from it `steering.ts`.
 */
import type { ApplianceView } from './api.ts';

export interface SnapshotSite {
  readonly id: string;
  readonly name: string;
  readonly prefixes: readonly string[];
  /** Sites to try after this one, in order. */
  readonly next: readonly string[];
  readonly state: 'open' | 'failed-over';
  readonly why: string;
}

export type SnapshotAppliance = Pick<
  ApplianceView,
  'id' | 'site' | 'role' | 'url' | 'state' | 'why' | 'weight' | 'used'
>;

export interface Snapshot {
  /** Rises by at least one with every change, also over restarts. */
  readonly number: number;
  readonly atMillis: number;
  readonly standby: { readonly id: string; readonly url: string };
  readonly sites: readonly SnapshotSite[];
  readonly appliances: readonly SnapshotAppliance[];
  readonly rankedTtlSeconds: number;
  readonly contentSteeringTtlSeconds: number;
  /** Why the monitor froze the states, or `null`. */
  readonly frozen: string | null;
}

export type SnapshotRefusal = 'not-a-snapshot' | 'older' | 'no-standby' | 'sites-vanished' | 'appliances-vanished';

/** Largest share of sites or appliances that may vanish from one snapshot to the next without `force`. */
const VANISH_SHARE = 0.25;
/** Below so many, single ones may go: a quarter of three is none. */
const VANISH_FREE = 2;

/** Why `next` must not replace `current`; `undefined` when it may. A topology that an operator just gave is `forced`. */
export function snapshotRefusal(
  next: unknown,
  current: Snapshot | undefined,
  forced = false,
): SnapshotRefusal | undefined {
  if (!isSnapshot(next)) return 'not-a-snapshot';
  if (URL.parse(next.standby.url) === null) return 'no-standby';
  if (current === undefined) return undefined;
  if (next.number <= current.number) return 'older';
  if (forced) return undefined;
  if (vanished(current.sites, next.sites)) return 'sites-vanished';
  if (vanished(current.appliances, next.appliances)) return 'appliances-vanished';
  return undefined;
}

function vanished(before: readonly { id: string }[], after: readonly { id: string }[]): boolean {
  const kept = new Set(after.map(({ id }) => id));
  const gone = before.filter(({ id }) => !kept.has(id)).length;
  return gone > 0 && (after.length === 0 || gone > Math.max(VANISH_FREE, before.length * VANISH_SHARE));
}

function isSnapshot(value: unknown): value is Snapshot {
  const snapshot = value as Snapshot | null;
  return (
    typeof snapshot === 'object' &&
    snapshot !== null &&
    Number.isSafeInteger(snapshot.number) &&
    snapshot.number > 0 &&
    typeof snapshot.standby?.url === 'string' &&
    Array.isArray(snapshot.sites) &&
    snapshot.sites.every(
      (site) => typeof site?.id === 'string' && Array.isArray(site.prefixes) && Array.isArray(site.next),
    ) &&
    Array.isArray(snapshot.appliances) &&
    snapshot.appliances.every(
      (one) => typeof one?.id === 'string' && typeof one.url === 'string' && typeof one.state === 'string',
    )
  );
}
