/** One asset of a manifest on its way into the store, and when it counts as being there. Pure but for its own record. */
import type { HeldAsset } from './fill-store.ts';
import type { PlannedManifest } from './planner.ts';
import type { Waiting } from './site-peers.ts';

export interface Task {
  asset: PlannedManifest['assets'][number];
  state: 'waiting' | 'active' | 'ended';
  /** Bytes of the body taken in so far. */
  received: number;
  /** How often it was put back. */
  deferrals: number;
  readonly waiting: Waiting;
  readonly abort: AbortController;
}

export function newTask(asset: Task['asset']): Task {
  const waiting = { since: undefined, passedOver: new Set<string>() };
  return { asset, state: 'waiting', received: 0, deferrals: 0, waiting, abort: new AbortController() };
}

/** A fetch under way of the same bytes serves the new manifest too; `undefined`: begin anew. */
export function continuedTask(running: Task | undefined, asset: Task['asset']): Task | undefined {
  if (running?.state !== 'active' || running.asset.sha256 !== asset.sha256) return undefined;
  running.asset = asset;
  return running;
}

/**
 * Whether what the store has is the manifest's version: by digest where a fill brought it, by a strong validator where
 * a client's request did (RFC 9110 §8.8.1: equal strong validators, equal bytes).
 */
export function isHeld(held: HeldAsset | undefined, asset: Task['asset']): boolean {
  if (held === undefined || !held.complete) return false;
  if (held.sha256 !== undefined) return held.sha256.toLowerCase() === asset.sha256.toLowerCase();
  return held.etag?.startsWith('"') === true && held.etag.replaceAll('"', '') === asset.etag.replaceAll('"', '');
}
