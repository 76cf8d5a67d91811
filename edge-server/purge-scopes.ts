/** The control plane's purge selectors as the store's scopes, under the keys of this appliance. Pure. */
import type { PurgeEntry } from '../control-plane/api.ts';
import { cacheKeyOfUrl, canonicalHost, type KeyRule } from './cache/key.ts';
import type { Purge } from './store/contract.ts';

/**
 * The purges that an entry means here; a URL names both schemes' keys when it names neither's alone. An entry that
 * names nothing that could be stored here still moves the log on: it is everything of a host that does not exist.
 */
export function purgesOf(entry: PurgeEntry, rule: KeyRule): Purge[] {
  const { soft, selector } = entry;
  const logNumber = entry.number;
  const one = (scope: Purge['scope']): Purge[] => [{ scope, soft, logNumber }];
  switch (selector.kind) {
    case 'everything':
      return one({ kind: 'everything' });
    // One service an appliance so far: its purge is everything here.
    case 'service':
      return one({ kind: 'everything' });
    case 'tag':
      return one({ kind: 'tag', tag: selector.tag });
    case 'host':
      return one({ kind: 'host', host: hostOf(selector.host, rule) });
    case 'prefix':
    case 'url': {
      const key = cacheKeyOfUrl(selector.url, rule);
      if (!key.ok) return one({ kind: 'host', host: '' });
      if (selector.kind === 'url') return one({ kind: 'url', key: key.key });
      return one({ kind: 'prefix', host: key.host, prefix: key.path });
    }
  }
}

function hostOf(host: string, rule: KeyRule): string {
  return rule.canonicalHost ?? canonicalHost(host, 'http') ?? '';
}
