/**
 * Options of limits: what a client may ask of a connection, and when an overloaded server gives up what. Part of the one
 * table in `options.ts`. 0 switches a limit off, except for sizes of a request head: a buffer needs an end.
 */
import type { OptionTable } from '../runtime/options.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

export const LIMIT_OPTIONS = {
  requestLine: {
    kind: 'bytes',
    default: 8 * KiB,
    min: 256,
    max: 1 * MiB,
    help: 'Longest request line; a longer one is 414.',
  },
  headerFields: {
    kind: 'bytes',
    default: 16 * KiB,
    min: 256,
    max: 1 * MiB,
    help: 'All header fields of a request together; more is 431.',
  },
  headerLines: {
    kind: 'integer',
    default: 100,
    min: 1,
    max: 10_000,
    help: 'Header field lines of a request; more is 431.',
  },
  headerTimeout: {
    kind: 'duration',
    default: 10_000,
    min: 0,
    help: 'Time a client has for a request head; 0 for no limit.',
  },
  handshakeTimeout: {
    kind: 'duration',
    default: 10_000,
    min: 0,
    help: 'Time a client has for a TLS handshake; 0 for no limit.',
  },
  idleTimeout: {
    kind: 'duration',
    default: 65_000,
    min: 0,
    help: 'How long an idle keep-alive connection stays; 0 for no limit.',
  },
  sendTimeout: {
    kind: 'duration',
    default: 30_000,
    min: 0,
    help: 'How long a client may take nothing while we send, or send nothing of a body; 0 for no limit.',
  },
  lingerTimeout: {
    kind: 'duration',
    default: 2_000,
    min: 0,
    help: 'How long a client may go on sending after its connection was closed, before a reset; 0 for no limit.',
  },
  requestsPerConnection: {
    kind: 'integer',
    default: 1000,
    min: 0,
    help: 'Requests on one HTTP/1.1 connection; 0 for no limit.',
  },
  connectionsPerClient: {
    kind: 'integer',
    default: 256,
    min: 0,
    help: 'Connections of one client address (/64 for IPv6) to one worker; 0 for no limit.',
  },
  connections: { kind: 'integer', default: 20_000, min: 0, help: 'Connections to one worker; 0 for no limit.' },
  http2Streams: {
    kind: 'integer',
    default: 100,
    min: 0,
    help: 'Concurrent streams of one HTTP/2 connection; 0 for no limit.',
  },
  http2Resets: {
    kind: 'integer',
    default: 100,
    min: 0,
    help: 'Streams that an HTTP/2 client may reset at once; more is ENHANCE_YOUR_CALM; 0 for no limit.',
  },
  http2ResetRate: {
    kind: 'integer',
    default: 10,
    min: 0,
    help: 'Resets a second by which that allowance grows again.',
  },
  http2Overhead: {
    kind: 'bytes',
    default: 64 * KiB,
    min: 0,
    help: 'What an HTTP/2 client may send at once beside requests and bodies (PING, SETTINGS, empty frames); more is ENHANCE_YOUR_CALM; 0 for no limit.',
  },
  http2OverheadRate: {
    kind: 'bytes',
    default: 8 * KiB,
    min: 0,
    help: 'Bytes a second by which that allowance grows again.',
  },
  nextTarget: {
    kind: 'url',
    default: undefined,
    help: 'Base URL where clients get the same when this server can\u2019t serve them (overload, draining, disks lost): they get 307. Default: the control plane\u2019s standby; none for a region.',
  },
  shedMissesDelay: {
    kind: 'duration',
    default: 100,
    min: 0,
    help: 'p99 of the event-loop delay from which nothing is forwarded: 307 to the next target, else 503; hits are served; 0 for never.',
  },
  shedAllDelay: {
    kind: 'duration',
    default: 500,
    min: 0,
    help: 'p99 of the event-loop delay from which everything but /healthz and PURGE is answered so; 0 for never.',
  },
  memoryLimit: {
    kind: 'bytes',
    default: undefined,
    min: 0,
    help: 'Resident memory of all workers together, to which the three percentages apply; 0 for no limit. Default: the machine\u2019s, or its control group\u2019s.',
  },
  memoryIdlePercent: {
    kind: 'number',
    default: 85,
    min: 0,
    max: 100,
    help: 'Percentage of a worker\u2019s share of --memory-limit from which idle connections are closed after 5 s; 0 for never.',
  },
  memoryClosePercent: {
    kind: 'number',
    default: 92,
    min: 0,
    max: 100,
    help: 'Percentage from which connections are not kept: Connection: close, GOAWAY; 0 for never.',
  },
  memoryRefusePercent: {
    kind: 'number',
    default: 95,
    min: 0,
    max: 100,
    help: 'Percentage from which new connections are refused; 0 for never.',
  },
} as const satisfies OptionTable;
