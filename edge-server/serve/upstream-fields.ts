/** The fields of a request that goes upstream for an ask: the client's, cleaned, with the edge's own. */
import { type ForwardOptions, forwardFields } from '../cache/request-fields.ts';
import type { Fields } from '../http/fields.ts';
import { type Ask, nameOf, type ServeContext } from './context.ts';

type More = Partial<Pick<ForwardOptions, 'purpose' | 'validators' | 'range' | 'ifRange'>>;

/** For the store unless `purpose` says `pass`; with Host, since the upstream is asked in the name of the key's host. */
export function upstreamFields(context: ServeContext, ask: Ask, more: More = {}): Fields {
  const { request, host } = ask;
  const name = nameOf(context);
  const fields = forwardFields(request.fields, {
    purpose: 'fetch',
    clientAddress: request.clientAddress,
    scheme: request.scheme,
    httpVersion: request.httpVersion,
    via: name,
    cdnId: name,
    policy: context.policy,
    ...more,
  });
  fields.append('host', host);
  return fields;
}
