/** What the supervisor and its workers say to each other over the IPC channel. */
import type { FillManifest, FillProgress, PurgeEntry } from '../control-plane/api.ts';
import type { EdgeConfiguration } from './configuration.ts';
import type { CertificatePair } from './http/certificate-file.ts';
import type { OverloadFigures } from './overload-watch.ts';
import type { ServiceFigures } from './serve/counts.ts';
import type { Purge, StoreStat } from './store/contract.ts';

/** How a worker begins: the supervisor's first message. An environment would be too small for many services. */
export interface WorkerStart {
  readonly configuration: EdgeConfiguration;
  readonly index: number;
  readonly count: number;
  /** Folder of the Unix sockets between the workers. */
  readonly socketFolder: string;
  /** Port that the supervisor found for `listen`, also where that says 0. */
  readonly port: number;
  readonly tlsPort: number | undefined;
  /** Volumes that were set aside since the supervisor began: path → why. */
  readonly aside: Readonly<Record<string, string>>;
  /** Base URL of the standby CDN, where the control plane has named it already. */
  readonly standby: string | undefined;
  /** 48 bytes, base64: TLS session ticket keys that all workers share. */
  readonly ticketKeys: string;
  /** The first is the default; none without TLS. */
  readonly certificates: readonly CertificatePair[];
}

export type ToWorker =
  | { readonly kind: 'start'; readonly start: WorkerStart }
  /** From the control plane's log: to be made durable by this worker, and in force in it. */
  | { readonly kind: 'apply-purges'; readonly ask: number; readonly entries: readonly PurgeEntry[] }
  /** Another worker has made purges durable: in force in this one when it answers. */
  | { readonly kind: 'purges-changed'; readonly ask: number; readonly purges: readonly Purge[] }
  | { readonly kind: 'purged'; readonly ask: number; readonly ok: boolean }
  | { readonly kind: 'manifest'; readonly manifest: FillManifest }
  | { readonly kind: 'changed'; readonly keys: readonly string[] }
  | { readonly kind: 'volume-failed'; readonly path: string; readonly why: string }
  /** To be in force when it answers. */
  | { readonly kind: 'configure'; readonly ask: number; readonly configuration: EdgeConfiguration }
  | { readonly kind: 'certificates'; readonly pairs: readonly CertificatePair[] }
  | { readonly kind: 'ticket-keys'; readonly keys: string }
  /** From the control plane: where clients go that this server can't serve. */
  | { readonly kind: 'next-target'; readonly url: string }
  | { readonly kind: 'close'; readonly drain: boolean };

export type FromWorker =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'fault';
      readonly code: string;
      readonly message: string;
      readonly fix: string | undefined;
      readonly source: string;
      readonly exit: number;
    }
  | { readonly kind: 'report'; readonly report: WorkerReport }
  | {
      readonly kind: 'answer';
      readonly ask: number;
      readonly error: string | undefined;
      readonly purges: readonly Purge[];
    }
  /** This worker has made purges durable: the others are to have them in force before it answers its client. */
  | { readonly kind: 'purged-here'; readonly ask: number; readonly purges: readonly Purge[] }
  /** Keys that this worker, their owner, has replaced or removed. */
  | { readonly kind: 'changed'; readonly keys: readonly string[] }
  | { readonly kind: 'volume-failed'; readonly path: string; readonly why: string };

/** Once a second. */
export interface WorkerReport {
  readonly counters: Record<string, number | Record<string, number>>;
  /** By name; empty where there are no services. */
  readonly services: Readonly<Record<string, ServiceFigures>>;
  readonly connections: number;
  readonly eventLoopDelayMillis: number;
  readonly overload: OverloadFigures;
  readonly store: StoreStat;
  readonly purgeLogNumber: number;
  readonly fill: FillProgress;
  /** Asked for since the last report: path → [requests, bytes], at most 1,000. */
  readonly popularity: Readonly<Record<string, readonly [requests: number, bytes: number]>>;
}
