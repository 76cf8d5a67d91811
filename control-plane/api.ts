/**
 * The control protocol: what appliances and the control plane say to each other, as JSON over HTTP on the control
 * listener under `/v1`. Types only; every part may import them. Unknown fields are ignored by both sides, so that an
 * older appliance and a newer control plane understand each other; fields are added, never changed in meaning.
 */

export type ApplianceRole = 'edge' | 'region';

/** States of the one health state machine. Only `healthy`, `suspect` and `recovering` appliances can get clients. */
export type HealthState = 'unknown' | 'healthy' | 'suspect' | 'unhealthy' | 'recovering' | 'draining' | 'maintenance';

/** `POST /v1/appliances/{id}/heartbeat`, every second over one kept connection. The first one of a boot registers. */
export interface Heartbeat {
  readonly site: string;
  readonly role: ApplianceRole;
  /** Base URL that clients use, without a trailing slash. */
  readonly url: string;
  /** Base URL of the admin listener; for links and probes by an operator, never for clients. */
  readonly admin: string;
  /** Process id of the supervisor, for the box. */
  readonly pid: number;
  /** Changes at every start of the appliance's supervisor. */
  readonly boot: string;
  readonly version: string;
  readonly atMillis: number;
  readonly load: {
    readonly connections: number;
    readonly requestsPerSecond: number;
    readonly bytesPerSecond: number;
    /** p99 over the last second. */
    readonly eventLoopDelayMillis: number;
    /** 0 idle … 1 no head-room left, the appliance's own estimate. */
    readonly used: number;
  };
  readonly store: {
    readonly state: 'ok' | 'degraded';
    readonly why: string | undefined;
    readonly bytes: number;
    readonly budgetBytes: number;
  };
  /** Answers of its own since the last heartbeat that were 5xx, and all answers. */
  readonly answers: { readonly total: number; readonly errors: number };
  /** Newest position of the purge log that every worker has applied. */
  readonly purgeLogNumber: number;
  readonly fill: FillProgress;
  /** What clients asked for since the last heartbeat that carried it: path → [requests, bytes]; at most 1,000 paths. */
  readonly popularity?: Readonly<Record<string, readonly [requests: number, bytes: number]>>;
  /** True while it finishes what it has and wants no new clients. */
  readonly draining: boolean;
}

export interface FillProgress {
  /** The manifest it works on or has finished; 0 for none. */
  readonly manifestVersion: number;
  readonly state: 'idle' | 'filling' | 'done' | 'paused';
  readonly assetsPlanned: number;
  readonly assetsDone: number;
  readonly bytesPlanned: number;
  readonly bytesDone: number;
  readonly bytesBySource: { readonly peer: number; readonly region: number; readonly origin: number };
  /** At most 20, newest last. */
  readonly failures: readonly { readonly path: string; readonly why: string }[];
}

/** The answer to a heartbeat. */
export interface HeartbeatAnswer {
  /** Number of the current snapshot. */
  readonly snapshot: number;
  readonly state: HealthState;
  /** Purges after the appliance's `purgeLogNumber`, in order, at most 1,000 at a time. */
  readonly purges: readonly PurgeEntry[];
  /** Version of the appliance's manifest; when it differs from its own, it fetches `GET /v1/appliances/{id}/manifest`. 0: none. */
  readonly manifestVersion: number;
  /** Base URL of the standby CDN: where an edge that can't serve sends its clients. */
  readonly standby?: string;
}

export interface PurgeEntry {
  readonly number: number;
  /** Exactly one of the selectors. */
  readonly selector:
    | { readonly kind: 'everything' }
    | { readonly kind: 'service'; readonly service: string }
    | { readonly kind: 'host'; readonly host: string }
    | { readonly kind: 'prefix'; readonly url: string }
    | { readonly kind: 'tag'; readonly tag: string }
    | { readonly kind: 'url'; readonly url: string };
  readonly soft: boolean;
  readonly atMillis: number;
}

/** One asset that exists in S3. */
export interface CatalogueAsset {
  /** Path at steering and at every edge, starts with `/`, percent-encoded as a URL. */
  readonly path: string;
  readonly bytes: number;
  /** Hex; of the whole body. */
  readonly sha256: string;
  readonly etag: string;
  readonly contentType: string;
  readonly lastModifiedMillis: number;
  /** Title that it belongs to: its first path segment, so that a ladder's renditions stay together. */
  readonly title: string;
}

/** `GET /v1/catalogue` at the origin gateway. */
export interface Catalogue {
  /** Rises with every change. */
  readonly version: number;
  readonly assets: readonly CatalogueAsset[];
}

/** Desired state of one appliance: what it should hold. `GET /v1/appliances/{id}/manifest`. */
export interface FillManifest {
  readonly version: number;
  readonly appliance: string;
  /** True: start now whatever the window says. */
  readonly now: boolean;
  /** In the order in which to fetch. */
  readonly assets: readonly (Pick<CatalogueAsset, 'path' | 'bytes' | 'sha256' | 'etag'> & {
    readonly pinned: boolean;
  })[];
  /** Where to fetch from, best first; one of the site fetches from outside and the others from it. */
  readonly sources: readonly FillSource[];
}

export interface FillSource {
  readonly kind: 'peer' | 'region' | 'origin';
  readonly id: string;
  readonly url: string;
}

/** One appliance as the snapshot and the API show it. */
export interface ApplianceView {
  readonly id: string;
  readonly site: string;
  readonly role: ApplianceRole;
  readonly url: string;
  readonly admin: string;
  readonly pid: number;
  readonly state: HealthState;
  /** One sentence: why it is in this state, with value and threshold. */
  readonly why: string;
  readonly sinceMillis: number;
  /** Share of its usual load that it may take: 1, or less while it ramps up after recovery. */
  readonly weight: number;
  /** 0 … 1, from its heartbeats. */
  readonly used: number;
  readonly fill: FillProgress;
}

/** One target of a ranked answer. */
export interface RankedTarget {
  readonly kind: 'appliance' | 'standby';
  readonly id: string;
  readonly site: string | undefined;
  /** Base URL; the asset is at `url + path`. */
  readonly url: string;
  /** Why it stands here, e.g. `site a by 127.0.0.0/16, rendezvous rank 1`. */
  readonly why: string;
}

/** `GET /v1/steer?path=/film/master.m3u8[&client=127.0.0.7]` at steering. */
export interface SteeringAnswer {
  readonly snapshot: number;
  readonly path: string;
  readonly client: { readonly address: string; readonly site: string | undefined; readonly prefix: string | undefined };
  /** Never empty: the standby is always last. */
  readonly targets: readonly RankedTarget[];
  readonly rejected: readonly { readonly id: string; readonly why: string }[];
  readonly ttlSeconds: number;
}
