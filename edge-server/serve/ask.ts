/** Works out what a request asks for: its key and the few facts that every later step needs. */
import { requestDirectives } from '../cache/directives.ts';
import { cacheKey, type KeyRefusal, type KeyRule } from '../cache/key.ts';
import type { EdgeRequest } from '../http/exchange.ts';
import type { Ask } from './context.ts';
import { withoutMark } from './redirect-mark.ts';

export type AskOutcome = { readonly ok: true; readonly ask: Ask } | { readonly ok: false; readonly reason: KeyRefusal };

/** Any of these makes a hit more than the whole representation. */
const SELECTIVE = new Set(['range', 'if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since']);

export function askOf(asked: EdgeRequest, rule: KeyRule): AskOutcome {
  const target = withoutMark(asked.target);
  const request = target === undefined ? asked : { ...asked, target };
  const key = cacheKey(request, rule);
  if (!key.ok) return key;
  const { flat } = request.fields;
  let plain = request.method === 'GET';
  for (let i = 0; i < flat.length && plain; i += 2) plain = !SELECTIVE.has(flat[i]!);
  const ask: Ask = {
    request,
    key: key.key,
    target: key.query === undefined ? key.path : `${key.path}?${key.query}`,
    host: key.host,
    path: key.path,
    directives: requestDirectives(request.fields),
    redirected: target !== undefined,
    plain,
  };
  return { ok: true, ask };
}
