/**
 * What the configuration file says of services and certificates, once: the reader, `config check`, the published JSON
 * schema and the README's table come from here. What a service leaves out is its profile's (`cache/policy.ts`).
 */
import type { Shape, ValuesOf } from '../runtime/config-shape.ts';

/** Lifetimes and stale windows, of a service and of a path prefix in it. */
const LIFETIMES = {
  defaultTtl: {
    kind: 'duration',
    default: undefined,
    min: 0,
    help: 'Lifetime of 200, 203, 204, 300, 301 and 308 about which the origin says nothing; 0 for none.',
  },
  negativeTtl: {
    kind: 'duration',
    default: undefined,
    min: 0,
    help: 'Lifetime of 404, 405, 410, 414 and 501 about which the origin says nothing; 0 for none.',
  },
  minTtl: {
    kind: 'duration',
    default: undefined,
    min: 0,
    help: 'Raises a positive lifetime below it; one of 0, which asks for validation, stays. The same as max-ttl fixes it.',
  },
  maxTtl: { kind: 'duration', default: undefined, min: 0, help: 'Lowers any lifetime above it.' },
  statusTtl: {
    kind: 'mapping',
    keys: '[2-5]\\d\\d',
    what: 'status',
    of: { kind: 'duration', default: undefined, min: 0, help: 'Lifetime of responses with this status.' },
    help: 'Lifetime by status (404: 1m) where the origin says nothing; before default-ttl, negative-ttl and heuristics.',
  },
  staleWhileRevalidate: {
    kind: 'duration',
    default: undefined,
    min: 0,
    help: 'How long after its lifetime a response answers while it is revalidated, where the origin says nothing of it.',
  },
  staleIfError: {
    kind: 'duration',
    default: undefined,
    min: 0,
    help: 'How long after its lifetime a response stands in for a failing origin, where the origin says nothing of it.',
  },
} as const satisfies Shape;

export const CERTIFICATE_SHAPE = {
  certificate: {
    kind: 'path',
    default: undefined,
    required: true,
    placeholder: 'FILE',
    help: 'Certificate chain, PEM.',
  },
  key: { kind: 'path', default: undefined, required: true, placeholder: 'FILE', help: 'Its private key, PEM.' },
  hosts: {
    kind: 'list',
    default: undefined,
    placeholder: 'HOST',
    help: 'Names for which it is shown; by default those that it holds. A wildcard stands for one label.',
  },
} as const satisfies Shape;

export const SERVICE_SHAPE = {
  name: {
    kind: 'string',
    default: undefined,
    required: true,
    placeholder: 'NAME',
    help: 'Its name in metrics, logs and purges: lower-case letters, digits and dashes.',
  },
  hosts: {
    kind: 'list',
    default: undefined,
    required: true,
    placeholder: 'HOST',
    help: 'Hosts that it answers for, without port: a.example.org, *.example.org (every name below), * (all that no service names).',
  },
  upstreams: {
    kind: 'urls',
    default: undefined,
    help: 'Where to fetch what is not here, asked in order; by default --upstream.',
  },
  nextTarget: {
    kind: 'url',
    default: undefined,
    help: 'Base URL where its clients get the same when this server can\u2019t serve them; by default --next-target for the service of --public-url, none for others.',
  },
  profile: {
    kind: 'string',
    default: undefined,
    values: ['safe', 'rfc'],
    help: 'What holds unless said otherwise here; by default --profile.',
  },
  canonicalHost: {
    kind: 'string',
    default: undefined,
    placeholder: 'HOST',
    help: 'Host under which its requests are keyed and forwarded, whatever host the client named.',
  },
  query: {
    kind: 'string',
    default: undefined,
    values: ['keep', 'drop', 'sort'],
    help: 'The query in the key and upstream: as it is, none, or in order of its names. By default keep.',
  },
  queryOnly: {
    kind: 'list',
    default: undefined,
    placeholder: 'NAME',
    help: 'Keeps these query parameters alone, sorted; instead of query.',
  },
  queryExcept: {
    kind: 'list',
    default: undefined,
    placeholder: 'NAME',
    help: 'Keeps all query parameters but these; instead of query.',
  },
  ...LIFETIMES,
  heuristics: {
    kind: 'boolean',
    default: undefined,
    help: 'Whether a tenth of its age is the lifetime of a response with Last-Modified alone (RFC 9111 §4.2.2).',
  },
  heuristicCap: { kind: 'duration', default: undefined, min: 0, help: 'Longest heuristic lifetime; by default 1d.' },
  setCookie: {
    kind: 'string',
    default: undefined,
    values: ['refuse', 'strip', 'store'],
    help: 'Responses with Set-Cookie: not stored, stored without it, or stored with it.',
  },
  requestDirectives: {
    kind: 'string',
    default: undefined,
    values: ['ignore', 'honour'],
    help: 'Whether a client\u2019s Cache-Control reaches into this cache.',
  },
  ignoredRequestHeaders: {
    kind: 'list',
    default: undefined,
    placeholder: 'NAME',
    help: 'Request fields that never reach the origin, so that nothing varies on them: cookie, user-agent.',
  },
  requestErrors: {
    kind: 'string',
    default: undefined,
    values: ['refuse', 'store'],
    help: 'Whether 400, 413 and 414 with explicit freshness are stored, for a minute at most.',
  },
  surrogateControl: { kind: 'boolean', default: undefined, help: 'Whether Surrogate-Control is obeyed.' },
  staleBesideSharedMaxAge: {
    kind: 'boolean',
    default: undefined,
    help: 'Whether the stale windows count beside s-maxage, which by RFC 9111 §5.2.2.10 forbids them.',
  },
  storePost: {
    kind: 'boolean',
    default: undefined,
    help: 'Whether a POST whose Content-Location is its own target is stored for GET.',
  },
  deceptionGuard: {
    kind: 'boolean',
    default: undefined,
    help: 'Whether a page under a static file\u2019s name (/account/x.css) is refused by the cache; by default yes.',
  },
  methods: {
    kind: 'list',
    default: undefined,
    placeholder: 'METHOD',
    help: 'Methods that go to the origin beside GET and HEAD; others are 405. By default all but CONNECT and TRACE.',
  },
  purgeFrom: {
    kind: 'list',
    default: undefined,
    placeholder: 'ADDRESS',
    help: 'Client addresses that may send PURGE for its hosts; by default --purge-from.',
  },
  paths: {
    kind: 'sections',
    most: 100,
    of: {
      prefix: {
        kind: 'string',
        default: undefined,
        required: true,
        placeholder: 'PATH',
        help: 'Paths that start with it, after normalisation; the longest one counts.',
      },
      ...LIFETIMES,
    },
    help: 'Lifetimes of paths below a prefix, where they differ from the service\u2019s.',
  },
  compression: {
    kind: 'section',
    of: {
      encodings: {
        kind: 'list',
        default: undefined,
        values: ['zstd', 'br', 'gzip'],
        placeholder: 'CODING',
        help: 'Codings in order of preference; by default zstd, br, gzip. A client gets the first that it takes.',
      },
      types: {
        kind: 'list',
        default: undefined,
        placeholder: 'TYPE',
        help: 'Media types that it compresses (text/*, application/json); by default text, JSON, JavaScript, XML, SVG, WebAssembly, HLS and DASH manifests.',
      },
      minimum: {
        kind: 'bytes',
        default: undefined,
        min: 0,
        help: 'Shorter bodies stay as they are; by default 1KiB.',
      },
    },
    help: 'Compresses what the origin sends uncompressed, once, while it is stored. Absent: nothing is compressed.',
  },
  tls: {
    kind: 'sections',
    most: 100,
    of: CERTIFICATE_SHAPE,
    help: 'Certificates of its hosts; the same as at the top.',
  },
} as const satisfies Shape;

/** What the file of an edge holds beside its options. */
export const EDGE_SECTIONS = {
  services: {
    kind: 'sections',
    most: 500,
    of: SERVICE_SHAPE,
    help: 'Services by host, each with a policy of its own. Without any, one policy holds for every host.',
  },
  tls: {
    kind: 'sections',
    most: 1000,
    of: CERTIFICATE_SHAPE,
    help: 'Certificates by server name; the first one (or --tls-cert) is for clients that send no name or an unknown one.',
  },
} as const satisfies Shape;

export type ServiceSection = ValuesOf<typeof SERVICE_SHAPE>;
export type CertificateSection = ValuesOf<typeof CERTIFICATE_SHAPE>;
export type LifetimeSection = ValuesOf<typeof LIFETIMES>;
