/** What a cache remembers about one response. Immutable: freshening or completing one makes a new record. */

/** How long a response may be used, decided once when it is stored. All durations in milliseconds. */
export interface Freshness {
  /** Freshness lifetime (RFC 9111 §4.2.1). */
  readonly lifetimeMillis: number;
  /** stale-while-revalidate window after the lifetime (RFC 5861 §3); 0 for none. */
  readonly staleWhileRevalidateMillis: number;
  /** stale-if-error window after the lifetime (RFC 5861 §4); 0 for none. */
  readonly staleIfErrorMillis: number;
  /** must-revalidate, proxy-revalidate, s-maxage: stale is never used without the origin's word (RFC 9111 §5.2.2). */
  readonly staleForbidden: boolean;
  /** no-cache: each use needs validation. */
  readonly alwaysValidate: boolean;
  /** RFC 8246: reloads do not force validation while fresh. */
  readonly immutable: boolean;
  /** Where the lifetime came from, for `explain` and tests. */
  readonly from:
    | 'cdn-cache-control'
    | 's-maxage'
    | 'max-age'
    | 'expires'
    | 'heuristic'
    | 'default'
    | 'negative'
    | 'override'
    | 'none';
}

export interface StoredResponse {
  /** Unique to this stored version within its appliance; a replaced or restarted body gets another. */
  readonly id: string;
  /** The whole cache key, compared on every hit (a hash alone is not trusted). */
  readonly key: string;
  /** Vary field names in lower case, sorted; empty for none. */
  readonly vary: readonly string[];
  /** Which variant this is: normalised values of the `vary` fields; '' without Vary. */
  readonly variant: string;
  readonly status: number;
  /** Fields to send, flat lower-case name, value, …; hop-by-hop, Age, and what must not be reused are already gone. */
  readonly fields: readonly string[];
  /** Length of the whole representation in bytes. */
  readonly bodyLength: number;
  readonly etag: string | undefined;
  /** Last-Modified as milliseconds since 1970. */
  readonly lastModifiedMillis: number | undefined;
  /** When the request that brought it (or last freshened it) was sent, and its response head received; wall clock, milliseconds. */
  readonly requestMillis: number;
  readonly responseMillis: number;
  /** corrected_initial_age of RFC 9111 §4.2.3, in milliseconds. */
  readonly initialAgeMillis: number;
  readonly freshness: Freshness;
  /** Number of the newest purge known when its fetch began. */
  readonly purgeNumber: number;
  /** For purging by tag: from Surrogate-Key, Cache-Tag, Cache-Groups. */
  readonly tags: readonly string[];
  /** SHA-256 of the whole body in hex where the fill checked it. */
  readonly sha256: string | undefined;
}
