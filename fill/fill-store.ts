/**
 * What the fill agent needs of a store, and no more: the edge puts this over its own store. A body that is being
 * taken in is visible to nobody before `commit`, and an abandoned one leaves nothing behind.
 */

export interface FillStore {
  /** What is held of this path: complete with which digest, or not. `undefined`: nothing. */
  held(path: string): Promise<HeldAsset | undefined>;
  /** Begins to take a body in; invisible until `commit`. `undefined`: another worker owns this path. */
  begin(path: string, head: FillHead, expected: { readonly sha256: string }): FillWrite | undefined;
  /** Whether this worker is the one that stores this path. */
  owns(path: string): boolean;
  /** Pinned assets stay when others are evicted. */
  pin(path: string, pinned: boolean): void;
}

export interface HeldAsset {
  readonly complete: boolean;
  /** Hex; known when a fill brought it. */
  readonly sha256: string | undefined;
  readonly etag: string | undefined;
}

/** The response head that came with the first byte. */
export interface FillHead {
  readonly status: number;
  /** Flat lower-case name, value, …; what belongs to the asset, Age and Via included. */
  readonly fields: readonly string[];
  /** Of the whole body. */
  readonly length: number;
  /** When the request was sent and the head received; wall clock. */
  readonly requestMillis: number;
  readonly responseMillis: number;
}

/** Ends in exactly one of `commit` and `abandon`. */
export interface FillWrite {
  /** The next bytes, in order. Resolves when more may come; the buffer is the store's from here on. */
  write(chunk: Buffer): Promise<void>;
  /** All bytes were written and their digest is right: makes the asset servable. */
  commit(): Promise<{ readonly kind: 'stored' } | { readonly kind: 'refused'; readonly why: string }>;
  /** Leaves nothing behind. Idempotent. */
  abandon(): void;
}
