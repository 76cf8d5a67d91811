/**
 * Which purges are in force, and whether one covers a response: a look-up in a Map for each kind of scope (services are
 * few, and looked through), a
 * comparison of two numbers when nothing newer than the response was purged. A newer purge of a scope replaces an
 * older one. Pure; `purge-journal.ts` makes it durable.
 */
import { HostTable, hostName } from '../../runtime/host-table.ts';
import type { StoredResponse } from '../cache/stored-response.ts';
import type { Purge } from './contract.ts';

/** What of a cache key purges look at. */
export interface UrlOfKey {
  /** Lower case, default port dropped. */
  readonly host: string;
  /** Starts with `/`; a query may follow. */
  readonly path: string;
}

export type Scope = Purge['scope'];

/** Numbers of the newest hard and the newest soft purge of a scope; 0 for none. */
interface Mark {
  scope: Scope;
  hard: number;
  soft: number;
  /** Of a service: whether a host is one of its. */
  readonly hosts?: HostTable<boolean>;
}

/** A purge as it is kept. */
export interface NumberedPurge {
  readonly number: number;
  readonly scope: Scope;
  readonly soft: boolean;
}

interface Prefixes {
  readonly marks: Map<string, Mark>;
  /** The distinct lengths of the prefixes, so that a path is looked up once for each. */
  lengths: number[];
}

type Verdict = 'no' | 'soft' | 'hard';

export class PurgeLog {
  /** Number of the newest purge. */
  newest = 0;
  readonly #urlOf: (key: string) => UrlOfKey;
  readonly #everything = new Map<string, Mark>();
  readonly #services = new Map<string, Mark>();
  readonly #hosts = new Map<string, Mark>();
  readonly #tags = new Map<string, Mark>();
  readonly #urls = new Map<string, Mark>();
  readonly #prefixes = new Map<string, Prefixes>();
  /** Verdicts until the next purge: a response in memory is asked about at every hit. */
  #verdicts = new WeakMap<StoredResponse, Verdict>();
  #size = 0;

  constructor(urlOf: (key: string) => UrlOfKey) {
    this.#urlOf = urlOf;
  }

  /** Scopes remembered. */
  get size(): number {
    return this.#size;
  }

  /** Puts a purge in force. Returns the numbers of those that it makes superfluous. */
  add(purge: NumberedPurge): number[] {
    const scope = normalised(purge.scope);
    const mark = this.#markOf(scope);
    const superfluous: number[] = [];
    const kind = purge.soft ? 'soft' : 'hard';
    if (purge.number <= mark[kind]) return purge.number === mark[kind] ? [] : [purge.number];
    if (mark[kind] > 0) superfluous.push(mark[kind]);
    mark[kind] = purge.number;
    if (mark.hard >= mark.soft && mark.soft > 0) {
      superfluous.push(mark.soft);
      mark.soft = 0;
    }
    this.newest = Math.max(this.newest, purge.number);
    this.#verdicts = new WeakMap();
    return superfluous;
  }

  /** Whether a newer purge covers the response; hard before soft. */
  verdict(response: StoredResponse): Verdict {
    if (response.purgeNumber >= this.newest) return 'no';
    const known = this.#verdicts.get(response);
    if (known !== undefined) return known;
    const verdict = this.#judge(response);
    this.#verdicts.set(response, verdict);
    return verdict;
  }

  /** Everything in force, oldest first. */
  all(): NumberedPurge[] {
    const purges: NumberedPurge[] = [];
    for (const { scope, hard, soft } of this.#marks()) {
      if (hard > 0) purges.push({ number: hard, scope, soft: false });
      if (soft > 0) purges.push({ number: soft, scope, soft: true });
    }
    return purges.sort((a, b) => a.number - b.number);
  }

  /** Forgets purges up to `number`: no response is older. */
  forgetUpTo(number: number): number[] {
    const gone: number[] = [];
    for (const mark of this.#marks())
      for (const kind of ['hard', 'soft'] as const)
        if (mark[kind] > 0 && mark[kind] <= number) {
          gone.push(mark[kind]);
          mark[kind] = 0;
        }
    for (const purge of this.#marks()) if (purge.hard === 0 && purge.soft === 0) this.#drop(purge.scope);
    return gone;
  }

  #judge(response: StoredResponse): Verdict {
    const { purgeNumber, key, tags } = response;
    let verdict = worse('no', this.#everything.get(''), purgeNumber);
    if (this.#urls.size > 0) verdict = worse(verdict, this.#urls.get(key), purgeNumber);
    if (this.#tags.size > 0) for (const tag of tags) verdict = worse(verdict, this.#tags.get(tag), purgeNumber);
    if (this.#services.size + this.#hosts.size + this.#prefixes.size === 0 || verdict === 'hard') return verdict;
    const { host, path } = this.#urlOf(key);
    for (const mark of this.#services.values())
      if (mark.hosts?.find(hostName(host) ?? '') === true) verdict = worse(verdict, mark, purgeNumber);
    verdict = worse(verdict, this.#hosts.get(host), purgeNumber);
    const prefixes = this.#prefixes.get(host);
    for (const length of prefixes?.lengths ?? []) {
      if (length > path.length) break;
      verdict = worse(verdict, prefixes!.marks.get(path.slice(0, length)), purgeNumber);
    }
    return verdict;
  }

  *#marks(): Generator<Mark> {
    for (const table of [this.#everything, this.#services, this.#hosts, this.#tags, this.#urls]) yield* table.values();
    for (const { marks } of this.#prefixes.values()) yield* marks.values();
  }

  #markOf(scope: Scope): Mark {
    const { table, name } = this.#tableOf(scope);
    let mark = table.get(name);
    if (mark !== undefined) return mark;
    mark = { scope, hard: 0, soft: 0, ...(scope.kind === 'service' ? { hosts: serviceHosts(scope.hosts) } : {}) };
    table.set(name, mark);
    this.#size++;
    if (scope.kind === 'prefix') this.#countLengths(scope.host);
    return mark;
  }

  #drop(scope: Scope): void {
    const { table, name } = this.#tableOf(scope);
    if (table.delete(name)) this.#size--;
    if (scope.kind !== 'prefix') return;
    if (table.size === 0) this.#prefixes.delete(scope.host);
    else this.#countLengths(scope.host);
  }

  #countLengths(host: string): void {
    const prefixes = this.#prefixes.get(host)!;
    const lengths = new Set(Array.from(prefixes.marks.keys(), (prefix) => prefix.length));
    prefixes.lengths = [...lengths].sort((a, b) => a - b);
  }

  #tableOf(scope: Scope): { table: Map<string, Mark>; name: string } {
    switch (scope.kind) {
      case 'everything':
        return { table: this.#everything, name: '' };
      case 'service':
        return { table: this.#services, name: scope.hosts };
      case 'host':
        return { table: this.#hosts, name: scope.host };
      case 'tag':
        return { table: this.#tags, name: scope.tag };
      case 'url':
        return { table: this.#urls, name: scope.key };
      case 'prefix': {
        let prefixes = this.#prefixes.get(scope.host);
        if (prefixes === undefined) {
          prefixes = { marks: new Map(), lengths: [] };
          this.#prefixes.set(scope.host, prefixes);
        }
        return { table: prefixes.marks, name: scope.prefix };
      }
    }
  }
}

function worse(verdict: Verdict, mark: Mark | undefined, purgeNumber: number): Verdict {
  if (mark === undefined || verdict === 'hard') return verdict;
  if (mark.hard > purgeNumber) return 'hard';
  return mark.soft > purgeNumber ? 'soft' : verdict;
}

/** Hosts as cache keys hold them: lower case, without the default ports and a dangling colon (RFC 9110 §4.2.3). */
function normalised(scope: Scope): Scope {
  if (scope.kind !== 'host' && scope.kind !== 'prefix') return scope;
  return { ...scope, host: scope.host.toLowerCase().replace(/:0*(?:80|443)?$/, '') };
}

/** `a.example.org *.example.org !www.example.org` as a table: whether a host is meant. */
function serviceHosts(text: string): HostTable<boolean> {
  const table = new HostTable<boolean>();
  for (const word of text.split(' ')) table.add(word.replace(/^!/, ''), !word.startsWith('!'));
  return table;
}
