/**
 * Values by host name: exact names, wildcards (`*.example.org` is every name below it), and one for all others (`*`).
 * The most specific pattern wins. Names only: what a host means, and which certificate fits it, is decided elsewhere.
 */

/** Lower case, without port, final dot or surrounding space; brackets of an IPv6 literal stay. Undefined for no host. */
export function hostName(authority: string): string | undefined {
  const lower = authority.trim().toLowerCase();
  const port = lower.startsWith('[') ? lower.indexOf(':', lower.indexOf(']')) : lower.indexOf(':');
  const name = (port < 0 ? lower : lower.slice(0, port)).replace(/\.$/, '');
  return name === '' ? undefined : name;
}

const LABEL = '[a-z\\d_](?:[a-z\\d_-]{0,61}[a-z\\d_])?';
const NAME = new RegExp(`^(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*$`);
const LITERAL = /^\[[\da-f:.]{2,45}\]$/;

/** A pattern in its normal form; undefined when it is none. Without a port: a service is named by its hosts. */
export function hostPattern(text: string): string | undefined {
  const pattern = text.toLowerCase().replace(/\.$/, '');
  if (pattern === '*') return pattern;
  return pattern.length <= 253 && (NAME.test(pattern) || LITERAL.test(pattern)) ? pattern : undefined;
}

export class HostTable<T> {
  readonly #exact = new Map<string, T>();
  /** By what follows the `*`, with its dot. */
  readonly #wild = new Map<string, T>();
  #others: T | undefined;

  /** Names a normal pattern's value; the first one that names a pattern keeps it, and is returned. */
  add(pattern: string, value: T): T {
    const kept = this.named(pattern);
    if (kept !== undefined) return kept;
    if (pattern === '*') this.#others = value;
    else if (pattern.startsWith('*.')) this.#wild.set(pattern.slice(1), value);
    else this.#exact.set(pattern, value);
    return value;
  }

  /** The value under this very pattern. */
  named(pattern: string): T | undefined {
    if (pattern === '*') return this.#others;
    return pattern.startsWith('*.') ? this.#wild.get(pattern.slice(1)) : this.#exact.get(pattern);
  }

  /** The value for a name as `hostName` gives it: its own, else the longest wildcard's, else that of all others. */
  find(name: string): T | undefined {
    const exact = this.#exact.get(name);
    if (exact !== undefined) return exact;
    if (this.#wild.size > 0)
      for (let dot = name.indexOf('.', 1); dot >= 0; dot = name.indexOf('.', dot + 1)) {
        const wild = this.#wild.get(name.slice(dot));
        if (wild !== undefined) return wild;
      }
    return this.#others;
  }
}
