/** What every step of serving a request shares: one object, made by the worker, read by all. */

import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Flights } from '../cache/collapse.ts';
import type { RequestDirectives } from '../cache/directives.ts';
import type { CachePolicy } from '../cache/policy.ts';
import type { EdgeRequest } from '../http/exchange.ts';
import type { Purge, Store } from '../store/contract.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import type { AccessLog } from './access-log.ts';
import type { Answerable } from './answer.ts';
import type { SliceFetcher } from './body-source.ts';
import type { Compression } from './compression.ts';
import type { Counts } from './counts.ts';
import type { BackOffMemory, KeyMemory } from './memory.ts';
import type { Popularity } from './popularity.ts';

/** A response that is arriving and may be shared. */
export interface Fetched extends Answerable {
  /** False once its first bytes are neither in memory nor visible in the store. */
  joinable(): boolean;
  /** Cache-Status members that came with it from the caches behind us; '' for none. */
  readonly upstreamStatus: string;
  /** Status that the upstream answered with: 206 where a part of a 200 was fetched. */
  readonly forwardStatus: number;
  /** Came by HEAD: there is no body to open, nor is it stored. For others who asked by HEAD. */
  readonly headOnly?: boolean;
}

export interface ServeContext {
  readonly appliance: string;
  readonly store: Store;
  readonly policy: CachePolicy;
  readonly upstreams: Upstreams;
  readonly flights: Flights<Fetched>;
  readonly slices: SliceFetcher;
  readonly counts: Counts;
  readonly popularity: Popularity;
  readonly accessLog: AccessLog | undefined;
  /** Keys whose responses can't be shared, for a while. */
  readonly uncacheable: KeyMemory;
  /** Keys whose origin failed while a stale response stood in. */
  readonly backOff: BackOffMemory;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether this worker owns a key; only the owner forwards, writes and removes it. */
  owns(key: string): boolean;
  /** The owner of a key that this worker does not own, as an upstream; undefined for its own. */
  ownerOf(key: string): Upstreams | undefined;
  /** Applies purges in every worker; resolves when they are durable. */
  purge(purges: readonly Purge[]): Promise<void>;
  mayPurge(address: string): boolean;
  /** Methods that go to the origin beside GET and HEAD; `undefined` for all but CONNECT and TRACE. */
  readonly methods: ReadonlySet<string> | undefined;
  /** `undefined` where nothing is compressed. */
  readonly compression: Compression | undefined;
  /** What this worker can't take on now; the worker's own, read at each request. */
  readonly overload: Overload;
  /** Base URL where clients get the same, without a trailing slash; `undefined` when none is known. */
  nextTarget(): string | undefined;
  /** What `/healthz` over the serving port says when the appliance is part of a fleet; `undefined` for one that stands alone. */
  health(): { readonly status: number; readonly body: string } | undefined;
}

/** Why a worker that could serve had better not take on new work. */
export type Unable = 'draining' | 'disk-lost';

export interface Overload {
  /** `misses`: nothing is forwarded; `all`: only health is answered. */
  readonly sheds: 'none' | 'misses' | 'all';
  /** Requests that would be forwarded go to the next target, where one is known. */
  readonly unable: Unable | undefined;
}

/** A request together with what was worked out about it; the same for requests that a connection repeats. */
export interface Ask {
  readonly request: EdgeRequest;
  readonly key: string;
  /** Path and query to ask upstream for, normalised as in the key. */
  readonly target: string;
  readonly host: string;
  readonly path: string;
  /** `undefined` without Cache-Control. */
  readonly directives: RequestDirectives | undefined;
  /** Another edge has sent the client here; it is not sent on again. */
  readonly redirected: boolean;
  /** GET without condition or range: a hit is the whole representation. */
  readonly plain: boolean;
}

/** How this appliance names itself in Cache-Status, Via, CDN-Loop and Proxy-Status. */
export function nameOf({ appliance }: Pick<ServeContext, 'appliance'>): string {
  if (appliance !== named.appliance) named = { appliance, name: `nearcast-${appliance}` };
  return named.name;
}
/** A process has one appliance: its name is put together once. */
let named = { appliance: '', name: 'nearcast-' };
