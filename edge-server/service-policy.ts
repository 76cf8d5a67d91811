/** What a service's section means: its cache policy, its hosts, the hosts that a purge of it covers. Pure. */
import { hostName, hostPattern } from '../runtime/host-table.ts';
import { compressionRule } from './cache/compression.ts';
import type { QueryRule } from './cache/key.ts';
import { type CachePolicy, cachePolicy, type PathOverrides, type PolicyOverrides } from './cache/policy.ts';
import type { EdgeOptions } from './options.ts';
import type { LifetimeSection, ServiceSection } from './service-options.ts';

/** The policy of an edge without services. */
export function wholePolicy(options: EdgeOptions): CachePolicy {
  return cachePolicy(options.profile as 'safe' | 'rfc', {
    ...(options.canonicalHost === '' ? {} : { canonicalHost: options.canonicalHost.toLowerCase() }),
    forwardSurrogateFields: options.role === 'region',
  });
}

/** A service's own policy: its profile, or the edge's, with what its section says. */
export function servicePolicy(section: ServiceSection, options: EdgeOptions): CachePolicy {
  const { canonicalHost, requestDirectives, ignoredRequestHeaders } = section;
  const profile = (section.profile ?? options.profile) as 'safe' | 'rfc';
  const overrides: PolicyOverrides = given({
    query: queryRule(section),
    canonicalHost: canonicalHost === undefined ? undefined : hostPattern(canonicalHost),
    ignoredRequestFields: ignoredRequestHeaders && new Set(ignoredRequestHeaders.map((name) => name.toLowerCase())),
    setCookie: section.setCookie as CachePolicy['setCookie'] | undefined,
    honourRequestDirectives: requestDirectives === undefined ? undefined : requestDirectives === 'honour',
    surrogateControl: section.surrogateControl,
    heuristics: section.heuristics,
    heuristicCapMillis: section.heuristicCap,
    requestErrors: section.requestErrors as CachePolicy['requestErrors'] | undefined,
    staleBesideSharedMaxAge: section.staleBesideSharedMaxAge,
    storePost: section.storePost,
    deceptionGuard: section.deceptionGuard,
    forwardSurrogateFields: options.role === 'region',
    vary: section.compression && {
      ...cachePolicy(profile).vary,
      preferredCodings: compressionRule(section.compression).preference,
    },
    ...lifetimes(section),
  });
  const paths = (section.paths ?? []).map((path) => ({ prefix: path.prefix, overrides: lifetimes(path) }));
  return cachePolicy(profile, overrides, paths);
}

function lifetimes(section: LifetimeSection): PathOverrides {
  const { statusTtl } = section;
  return given({
    defaultTtlMillis: section.defaultTtl,
    negativeTtlMillis: section.negativeTtl,
    minTtlMillis: section.minTtl,
    maxTtlMillis: section.maxTtl,
    statusTtlMillis:
      statusTtl && new Map(Object.entries(statusTtl).map(([status, millis]) => [Number(status), millis])),
    staleWhileRevalidateMillis: section.staleWhileRevalidate,
    staleIfErrorMillis: section.staleIfError,
  });
}

function queryRule({ query, queryOnly, queryExcept }: ServiceSection): QueryRule | undefined {
  if (queryOnly !== undefined) return { kind: 'only', names: new Set(queryOnly) };
  if (queryExcept !== undefined) return { kind: 'except', names: new Set(queryExcept) };
  return query === undefined ? undefined : { kind: query as 'keep' | 'drop' | 'sort' };
}

/** Without what is undefined, so that it does not hide what lies below. */
function given<T extends object>(all: T): { [N in keyof T]?: Exclude<T[N], undefined> } {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as never;
}

/** The patterns that a service is found by: its hosts, and the host that its keys hold. */
export function patternsOf({ hosts, canonicalHost }: ServiceSection): string[] {
  const patterns = hosts.flatMap((host) => hostPattern(host) ?? []);
  const canonical = canonicalHost === undefined ? undefined : hostName(canonicalHost);
  return canonical === undefined ? patterns : [...patterns, canonical];
}

/** The hosts of one service as a purge of it keeps them: its patterns, and after a `!` those of the others. */
export function purgedHosts(name: string, services: readonly ServiceSection[]): string | undefined {
  const own = services.find((service) => service.name === name);
  if (own === undefined) return undefined;
  const others = services.filter((service) => service !== own).flatMap(patternsOf);
  return [...new Set([...patternsOf(own), ...others.map((pattern) => `!${pattern}`)])].sort().join(' ');
}
