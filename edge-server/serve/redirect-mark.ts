/**
 * The loop guard of redirects between edges: only the URL survives a redirect, so the URL carries a query parameter
 * that says that somebody has sent this client on already. It is taken off before anything else looks at the target:
 * it is in no key, in no access log and in no request upstream.
 */
const MARK = 'nearcast-redirected=1';

/** The target with the mark. */
export function withMark(target: string): string {
  return `${target}${target.includes('?') ? '&' : '?'}${MARK}`;
}

/** The target without any mark, or `undefined` when it has none. */
export function withoutMark(target: string): string | undefined {
  const at = target.indexOf(MARK);
  if (at < 0) return undefined;
  const question = target.indexOf('?');
  if (question < 0 || question > at) return undefined;
  const parameters = target.slice(question + 1).split('&');
  const kept = parameters.filter((parameter) => parameter !== MARK);
  if (kept.length === parameters.length) return undefined;
  return kept.length === 0 ? target.slice(0, question) : `${target.slice(0, question)}?${kept.join('&')}`;
}
