/** What is given to those who wait for a fetch when no body arrives with it: a stored response, or what a HEAD said. */
import type { StoredResponse } from '../cache/stored-response.ts';
import type { StoredEntry } from '../store/contract.ts';
import type { UpstreamHead } from '../upstream/upstreams.ts';
import { BodySource } from './body-source.ts';
import type { Ask, Fetched, ServeContext } from './context.ts';

/** A stored response in the shape of one that arrives, for those who waited for it. */
export function stored(context: ServeContext, ask: Ask, entry: StoredEntry): Fetched {
  const { response } = entry;
  return {
    response,
    entry,
    length: response.bodyLength,
    upstreamStatus: '',
    forwardStatus: response.status,
    joinable: () => true,
    open: (from) => new BodySource({ response, store: context.store, fetcher: context.slices, ask, entry, from }),
  };
}

/** What a HEAD said, for everybody who asked by HEAD meanwhile; `response` is not stored. */
export function headOnly(response: StoredResponse, head: UpstreamHead): Fetched {
  return {
    response,
    entry: undefined,
    length: head.contentLength,
    upstreamStatus: head.fields.get('cache-status') ?? '',
    forwardStatus: head.status,
    headOnly: true,
    joinable: () => true,
    open: () => {
      throw new Error('an answer to HEAD has no body');
    },
  };
}
