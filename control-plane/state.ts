/**
 * What the control plane remembers between runs, behind one interface. One contract suite (`state-contract.test.ts`)
 * runs on every implementation: SQLite for one instance now, Redis for several later, hence promises throughout.
 * Nothing here is on steering's path: it decides from the snapshot in memory.
 */

import type { PlannedManifest } from '../fill/planner.ts';
import type { AssetPopularity } from '../fill/popularity.ts';
import type { ApplianceRole, PurgeEntry } from './api.ts';
import type { Order } from './health-record.ts';
import type { Site } from './topology.ts';

/** An appliance that has reported at least once. */
export interface ApplianceRecord {
  readonly id: string;
  readonly site: string;
  readonly role: ApplianceRole;
  readonly url: string;
  readonly admin: string;
  readonly pid: number;
  readonly order: Order;
  readonly budgetBytes: number;
}

export type EventKind = 'appliance' | 'site' | 'alarm' | 'order' | 'purge' | 'fill' | 'player' | 'snapshot' | 'control';

/** One thing that happened, as the console, the history and `GET /v1/events` show it. */
export interface HistoryEvent {
  readonly number: number;
  readonly at: string;
  readonly kind: EventKind;
  readonly text: string;
}

/** A purge as it was asked for: a run of entries of the log. */
export interface PurgeRequest {
  readonly id: string;
  readonly first: number;
  readonly last: number;
  readonly atMillis: number;
}

export type NumberSeries = 'snapshot' | 'manifest';

export interface State {
  /** Replaces all sites by these. */
  putSites(sites: readonly Site[]): Promise<void>;
  sites(): Promise<readonly Site[]>;

  /** Adds or replaces. */
  putAppliance(record: ApplianceRecord): Promise<void>;
  appliances(): Promise<readonly ApplianceRecord[]>;

  /** Numbers the entries one after the other, in one step. */
  appendPurges(
    entries: readonly Omit<PurgeEntry, 'number'>[],
  ): Promise<{ request: PurgeRequest; entries: PurgeEntry[] }>;
  /** Entries after a number, in order. */
  purgesAfter(number: number, limit: number): Promise<readonly PurgeEntry[]>;
  newestPurge(): Promise<number>;
  /** The next entry is numbered above this: appliances may know more of the log than a lost database. */
  raisePurgeNumber(atLeast: number): Promise<void>;
  purgeRequest(id: string): Promise<PurgeRequest | undefined>;

  putManifests(manifests: readonly PlannedManifest[]): Promise<void>;
  manifest(appliance: string): Promise<PlannedManifest | undefined>;
  manifests(): Promise<readonly PlannedManifest[]>;

  /** Reserves `count` numbers of a series that nobody has had; answers the first. */
  reserveNumbers(series: NumberSeries, count: number, above?: number): Promise<number>;

  appendEvent(event: Omit<HistoryEvent, 'number'>): Promise<HistoryEvent>;
  /** The newest, oldest first. */
  events(limit: number): Promise<readonly HistoryEvent[]>;

  /** Replaces the scores of a site. */
  putPopularity(site: string, scores: ReadonlyMap<string, AssetPopularity>): Promise<void>;
  popularity(): Promise<ReadonlyMap<string, ReadonlyMap<string, AssetPopularity>>>;

  /** Idempotent. */
  close(): Promise<void>;
}
