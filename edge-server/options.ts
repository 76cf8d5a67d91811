/** Every option of an edge server, once: the parser, `--help` and the README's table come from here. */
import { FILL_OPTIONS } from '../fill/options.ts';
import type { OptionsOf, OptionTable } from '../runtime/options.ts';
import { LIMIT_OPTIONS } from './limit-options.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

export const EDGE_OPTIONS = {
  listen: { kind: 'address', default: { host: '127.0.0.1', port: 8080 }, help: 'Where clients connect over HTTP.' },
  listenTls: {
    kind: 'address',
    default: undefined,
    help: 'Where clients connect over HTTPS (HTTP/2 and HTTP/1.1 by ALPN); needs --tls-cert and --tls-key, or tls: in the file.',
  },
  tlsCert: {
    kind: 'path',
    default: undefined,
    placeholder: 'FILE',
    help: 'Certificate chain, PEM; read again when the file changes, and at SIGHUP.',
  },
  tlsKey: {
    kind: 'path',
    default: undefined,
    placeholder: 'FILE',
    help: 'Private key, PEM; read again when the file changes, and at SIGHUP.',
  },
  ticketRotation: {
    kind: 'duration',
    default: 12 * 3_600_000,
    min: 1000,
    max: 7 * 86_400_000,
    help: 'How often the keys of TLS session tickets are replaced; sessions older than that begin with a full handshake.',
  },
  admin: {
    kind: 'address',
    default: { host: '127.0.0.1', port: 9080 },
    help: 'Where /healthz, /readyz and /metrics answer; keep it off public addresses.',
  },
  upstream: {
    kind: 'urls',
    default: [],
    help: 'Where to fetch what is not here; repeat for further ones, asked in order. Needed unless every service has its own.',
  },
  cacheDir: {
    kind: 'list',
    default: [],
    placeholder: 'DIR',
    help: 'Folder of the disk tier, a volume; repeat for several disks; none keeps everything in memory.',
  },
  memory: {
    kind: 'bytes',
    default: 256 * MiB,
    min: 1 * MiB,
    help: 'Budget of the memory tier for the whole server, bodies and metadata counted.',
  },
  disk: { kind: 'bytes', default: 10 * GiB, min: 16 * MiB, help: 'Budget of the disk tier over all volumes.' },
  scrubRate: {
    kind: 'bytes',
    default: 16 * MiB,
    min: 0,
    help: 'Bytes a second at which the disk tier is read and its checksums compared, all workers together; 0 for never.',
  },
  workers: { kind: 'integer', default: 0, min: 0, max: 256, help: 'Worker processes; 0 for one per core.' },
  appliance: {
    kind: 'string',
    default: 'edge',
    placeholder: 'ID',
    help: 'Name of this server in Cache-Status, Via, logs and at the control plane.',
  },
  site: { kind: 'string', default: 'local', placeholder: 'ID', help: 'The ISP site it stands in.' },
  role: {
    kind: 'string',
    default: 'edge',
    values: ['edge', 'region'],
    help: 'Edges get clients; a region stands between edges and the origin.',
  },
  publicUrl: {
    kind: 'url',
    default: undefined,
    help: 'Base URL that clients reach it by; default: http:// and the listen address.',
  },
  control: {
    kind: 'url',
    default: undefined,
    help: 'The control plane; without it the server stands alone, as a plain caching reverse proxy.',
  },
  controlTokenFile: {
    kind: 'path',
    default: undefined,
    placeholder: 'FILE',
    help: 'File with the bearer token for the control plane.',
  },
  canonicalHost: {
    kind: 'string',
    default: '',
    placeholder: 'NAME',
    help: 'Host under which every request is keyed and forwarded, whatever Host the client sent; empty keeps the client\u2019s.',
  },
  profile: {
    kind: 'string',
    default: 'safe',
    values: ['safe', 'rfc'],
    help: 'Caching policy: safe (nothing with Set-Cookie, client no-cache ignored) or rfc (all that RFC 9111 allows).',
  },
  purgeFrom: {
    kind: 'list',
    default: ['127.0.0.1', '::1'],
    placeholder: 'ADDRESS',
    help: 'Client addresses that may send PURGE.',
  },
  accessLog: {
    kind: 'string',
    default: 'none',
    placeholder: 'FILE',
    help: 'Access log as JSON lines: a file, - for stdout, or none.',
  },
  accessLogSample: {
    kind: 'integer',
    default: 1,
    min: 1,
    help: 'Writes one of so many successful requests; errors are always written.',
  },
  upstreamConnectTimeout: {
    kind: 'duration',
    default: 3000,
    min: 1,
    help: 'Longest wait for a connection to an upstream.',
  },
  upstreamHeadTimeout: {
    kind: 'duration',
    default: 10_000,
    min: 1,
    help: 'Longest wait for an upstream\u2019s response head.',
  },
  upstreamBodyTimeout: {
    kind: 'duration',
    default: 15_000,
    min: 1,
    help: 'Longest silence between bytes of an upstream\u2019s body.',
  },
  upstreamConnections: { kind: 'integer', default: 128, min: 1, help: 'Connections to one upstream, per worker.' },
  upstreamRetries: {
    kind: 'integer',
    default: 2,
    min: 0,
    max: 10,
    help: 'Further tries of a GET before the first byte of an answer, each with the next usable upstream.',
  },
  collapseTimeout: {
    kind: 'duration',
    default: 5000,
    min: 1,
    help: 'Longest wait for another request that fetches the same thing; afterwards the client goes alone.',
  },
  ...LIMIT_OPTIONS,
  drainTimeout: {
    kind: 'duration',
    default: 30_000,
    min: 0,
    help: 'At SIGTERM: how long requests under way may go on.',
  },
  ...FILL_OPTIONS,
} as const satisfies OptionTable;

export type EdgeOptions = OptionsOf<typeof EDGE_OPTIONS>;
