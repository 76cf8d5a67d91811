/** The control plane's purge selectors as the store's scopes, under the keys of this appliance. Pure. */
import type { PurgeEntry } from '../control-plane/api.ts';
import { cacheKeyOfUrl, canonicalHost, type KeyRule } from './cache/key.ts';
import type { Purge } from './store/contract.ts';

/** What the configuration in force makes of hosts and services. */
export interface PurgeTargets {
  /** How keys of a host are made; undefined where no service answers for it. */
  ruleOf(host: string): KeyRule | undefined;
  /** The hosts of a service, in the form of the store's scope; undefined where there is none of that name. */
  hostsOf(service: string): string | undefined;
}

/**
 * The purges that an entry means here; a URL names both schemes' keys when it names neither's alone. An entry that
 * names nothing that could be stored here still moves the log on: it is everything of a host that does not exist.
 */
export function purgesOf(entry: PurgeEntry, targets: PurgeTargets): Purge[] {
  const { soft, selector } = entry;
  const logNumber = entry.number;
  const one = (scope: Purge['scope']): Purge[] => [{ scope, soft, logNumber }];
  const nothing = () => one({ kind: 'host', host: '' });
  switch (selector.kind) {
    case 'everything':
      return one({ kind: 'everything' });
    case 'service': {
      const hosts = targets.hostsOf(selector.service);
      return hosts === undefined ? nothing() : one({ kind: 'service', hosts });
    }
    case 'tag':
      return one({ kind: 'tag', tag: selector.tag });
    case 'host':
      return one({ kind: 'host', host: hostOf(selector.host, targets) });
    case 'prefix':
    case 'url': {
      const authority = /^https?:\/\/([^/?#]*)/i.exec(selector.url)?.[1];
      const rule = authority === undefined ? undefined : targets.ruleOf(authority);
      const key = rule === undefined ? undefined : cacheKeyOfUrl(selector.url, rule);
      if (key?.ok !== true) return nothing();
      if (selector.kind === 'url') return one({ kind: 'url', key: key.key });
      return one({ kind: 'prefix', host: key.host, prefix: key.path });
    }
  }
}

function hostOf(host: string, targets: PurgeTargets): string {
  return targets.ruleOf(host)?.canonicalHost ?? canonicalHost(host, 'http') ?? '';
}
