/**
 * What the request handler needs of a store. Implementations: the two-tier store (memory over volumes) and a
 * memory-only one; one contract suite runs on both.
 *
 * The commit point is the index: a response or a slice that is not in the index does not exist. An abandoned write
 * leaves nothing that a reader can see. Nothing here rejects for a full or broken disk: refusals are outcomes.
 */
import type { StoredResponse } from '../cache/stored-response.ts';

/** The unit of fetching, collapsing and checking. The last slice of a body is shorter. */
export const SLICE_BYTES = 1 << 20;

/** A stored response with its place. The same object for as long as it stays in the memory tier. */
export interface StoredEntry {
  readonly response: StoredResponse;
  /** The whole body when it is in memory in one piece (a body of at most one slice); an empty buffer for an empty body. */
  readonly body: Buffer | undefined;
  /** Which tier it was found in. */
  readonly tier: 'memory' | 'disk';
  /** True when every slice is present. */
  readonly complete: boolean;
  /** Belongs to the request handler: response heads prepared for this entry. The store only keeps it. */
  prepared: object | undefined;
}

/** All variants under one cache key. */
export interface Shelf {
  /** The Vary of the newest response (RFC 9111 §4.1), lower case, sorted; empty: one variant, ''. */
  readonly vary: readonly string[];
  /** Synchronous: memory, else the index. `undefined`: no such variant. */
  variant(variant: string): StoredEntry | undefined;
}

export type SliceRead =
  | {
      readonly kind: 'bytes';
      readonly bytes: Buffer /** Must be called once the bytes are no longer needed. */;
      readonly release: () => void;
    }
  /** Not stored, evicted meanwhile, or found corrupt and dropped: fetch it. */
  | { readonly kind: 'absent'; readonly why: 'never-stored' | 'evicted' | 'corrupt' | 'read-error' };

export type WriteOutcome =
  | { readonly kind: 'stored' }
  | {
      readonly kind: 'refused';
      readonly why:
        | 'no-space'
        | 'volume-failed'
        | 'too-large'
        | 'abandoned'
        | 'superseded'
        | 'digest-mismatch'
        | 'closed';
    };

/** One body on its way in. Owner worker only. `close` in one of two ways: `finish` or `abandon`. */
export interface StoreWriter {
  /**
   * Slice `n`, whole (`SLICE_BYTES`, or the rest of the body for the last). The writer owns the buffer from here on and
   * may keep it in the memory tier. Slices may come in any order. Resolves when it is indexed or refused.
   * A slice of a response not yet visible (see `begin`) becomes visible with `finish`.
   */
  slice(n: number, bytes: Buffer): Promise<WriteOutcome>;
  /** The body is whole as far as this writer goes: makes it visible, replacing what had the same key and variant. */
  finish(response: StoredResponse): Promise<WriteOutcome>;
  /** Leaves nothing behind (slices already visible by `resume` or `partial` stay). Idempotent. */
  abandon(): void;
}

/** One purge to apply. The store numbers what it applies by itself; `logNumber` is the position in the control plane's log. */
export interface Purge {
  readonly scope:
    | { readonly kind: 'everything' }
    /**
     * A service by its hosts as they were when it was purged, so that a later configuration brings nothing back:
     * patterns separated by spaces, those of other services after a `!`; the most specific one decides.
     */
    | { readonly kind: 'service'; readonly hosts: string }
    | { readonly kind: 'host'; readonly host: string }
    /** `host` and a path prefix that starts with `/`. */
    | { readonly kind: 'prefix'; readonly host: string; readonly prefix: string }
    | { readonly kind: 'tag'; readonly tag: string }
    /** A whole cache key. */
    | { readonly kind: 'url'; readonly key: string };
  /** Soft: usable as stale. Hard: gone. */
  readonly soft: boolean;
  /** Absent for a purge made at this appliance alone. */
  readonly logNumber?: number | undefined;
}

export interface StoreStat {
  readonly memory: { readonly bytes: number; readonly budgetBytes: number; readonly entries: number };
  readonly disk: { readonly bytes: number; readonly budgetBytes: number; readonly responses: number };
  readonly volumes: readonly {
    readonly path: string;
    readonly state: 'good' | 'failed';
    readonly why: string | undefined;
    readonly bytes: number;
  }[];
  readonly pinned: number;
  readonly evictedBytes: number;
  readonly corruptSlices: number;
  readonly refusedWrites: number;
}

export interface Store {
  /** Everything under a key, from memory or the index; synchronous, a few microseconds. Counts as a use for eviction. */
  shelf(key: string): Shelf | undefined;
  /**
   * A new response that replaces what has its key and variant, once finished. Not visible before `finish`.
   * With `partial`, the length and a strong validator are known and slices become visible one by one, the first with the response.
   */
  begin(response: StoredResponse, options?: { readonly partial?: boolean }): StoreWriter;
  /**
   * A response with its whole body of at most one slice, at once: visible to this worker when it returns, to others with
   * the outcome. The store owns the buffer from here on; `entry` has it whatever the outcome is.
   */
  put(response: StoredResponse, body: Buffer): { entry: StoredEntry; outcome: WriteOutcome | Promise<WriteOutcome> };
  /** Adds missing slices to a stored, incomplete response of the same id. */
  resume(entry: StoredEntry): StoreWriter;
  /** Slice `n` of a stored body; synchronous from memory. Never rejects. The checksum has been verified. */
  readSlice(entry: StoredEntry, n: number): SliceRead | Promise<SliceRead>;
  /** Whether slice `n` is stored, without reading it. */
  hasSlice(entry: StoredEntry, n: number): boolean;
  /** Replaces the metadata of a stored response, keeping its body (304). Returns the new entry. */
  freshen(entry: StoredEntry, response: StoredResponse): StoredEntry;
  /** Drops one stored response; its readers in flight keep what they hold. */
  remove(entry: StoredEntry): void;
  /** Drops every variant under a key. */
  removeKey(key: string): void;
  /** Pinned responses stay when others are evicted. */
  pin(key: string, pinned: boolean): void;

  /** The store's own number of the newest purge applied; what a fetch remembers when it begins. */
  readonly purgeNumber: number;
  /** The newest position of the control plane's purge log that has been applied; survives a restart. */
  readonly purgeLogNumber: number;
  /** Applies purges in order; in force at once, durable when the promise resolves. Log numbers at or below `purgeLogNumber` are ignored. */
  applyPurges(purges: readonly Purge[]): Promise<void>;
  /** Whether a newer purge covers it. Constant time per kind of scope; a comparison of two numbers when there is none. */
  purged(response: StoredResponse): 'no' | 'soft' | 'hard';

  stat(): StoreStat;
  /** Flushes and closes. Idempotent. */
  close(): Promise<void>;
}
