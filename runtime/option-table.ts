/** What an option table says: kinds, defaults, bounds, and the type of what is parsed from it. */

export interface ListenAddress {
  host: string;
  /** 0 lets the system choose. */
  port: number;
}

export interface Kinds {
  string: string;
  integer: number;
  number: number;
  /** Bytes; written `256MiB`, `10GB` or a plain number. */
  bytes: number;
  /** Milliseconds; written `500ms`, `10s`, `5m`, `12h`, `1d` or a plain number of milliseconds. */
  duration: number;
  boolean: boolean;
  /** `host:port`. */
  address: ListenAddress;
  /** An http or https URL without a trailing slash. */
  url: string;
  path: string;
  /** Strings; on the command line repeated or comma-separated. */
  list: readonly string[];
  /** http or https URLs, as `list`. */
  urls: readonly string[];
}
export type OptionKind = keyof Kinds;

export interface OptionSpec<K extends OptionKind = OptionKind> {
  kind: K;
  /** `undefined` makes the option absent unless given; with `required` it must be given. */
  default: Kinds[K] | undefined;
  required?: boolean;
  min?: number;
  max?: number;
  /** Closed set of values of a `string`. */
  values?: readonly string[];
  /** Placeholder in `--help`, e.g. `DIR`. */
  placeholder?: string;
  /** One sentence: what it does and, for a limit, where the number comes from. */
  help: string;
}

/** Keys are camelCase; `cacheDir` is `--cache-dir`, `NEARCAST_EDGE_CACHE_DIR` and `cache-dir:` in YAML. */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

export type OptionsOf<T extends OptionTable> = {
  readonly [N in keyof T]: T[N]['default'] extends undefined
    ? T[N] extends { required: true }
      ? Kinds[T[N]['kind']]
      : Kinds[T[N]['kind']] | undefined
    : Kinds[T[N]['kind']];
};
