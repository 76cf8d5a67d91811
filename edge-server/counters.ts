/** What an edge counts: one table, a sentence each, and when an operator should care. */
import type { MetricTable } from '../runtime/metrics.ts';

/** How a request was answered; the same words as in `Cache-Status` and the access log. */
export const CACHE_OUTCOMES = [
  'hit',
  'stale',
  'revalidated',
  'miss',
  'collapsed',
  'partial',
  'pass',
  'relay',
  'error',
  'refused',
  'shed',
  'control',
] as const;
export type CacheOutcome = (typeof CACHE_OUTCOMES)[number];

export const EDGE_COUNTERS = {
  requests_total: {
    kind: 'counter',
    label: { name: 'cache', values: CACHE_OUTCOMES },
    help: 'Requests answered, by what the cache did.',
    advice: 'A falling share of hit means cold or purged content.',
  },
  response_bytes_total: {
    kind: 'counter',
    label: { name: 'cache', values: CACHE_OUTCOMES },
    help: 'Body bytes given to clients, by what the cache did.',
    advice: 'The byte hit ratio is hit over all; below 95 % at a filled appliance look at the fill receipt.',
  },
  responses_total: {
    kind: 'counter',
    label: { name: 'class', values: ['1xx', '2xx', '3xx', '4xx', '5xx'] },
    help: 'Responses by status class.',
    advice: 'A rise of 5xx takes the appliance out of steering; look at upstream_faults_total.',
  },
  own_errors_total: {
    kind: 'counter',
    help: 'Responses with 5xx that this server made itself, because no upstream gave a usable answer or by a fault of its own.',
    advice: 'Any rise: the control plane counts these against the appliance.',
  },
  upstream_requests_total: {
    kind: 'counter',
    help: 'Requests sent to upstreams.',
    advice: 'Rises with misses and revalidations.',
  },
  upstream_bytes_total: {
    kind: 'counter',
    help: 'Body bytes received from upstreams.',
    advice: 'Compare with response_bytes_total for what the cache saves.',
  },
  upstream_faults_total: {
    kind: 'counter',
    label: {
      name: 'fault',
      values: [
        'connection_refused',
        'connection_timeout',
        'connection_terminated',
        'dns_error',
        'tls_error',
        'http_response_timeout',
        'http_response_incomplete',
        'http_protocol_error',
        'aborted',
      ],
    },
    help: 'Upstream responses that did not come or not come whole.',
    advice: 'Anything but aborted that keeps rising: look at the upstream it names in the log.',
  },
  collapsed_waits_total: {
    kind: 'counter',
    label: { name: 'ending', values: ['joined', 'uncacheable', 'lead', 'failed', 'deadline'] },
    help: 'Requests that waited for another one\u2019s fetch, by how the wait ended.',
    advice: 'Many deadline: the upstream is slow; many uncacheable: content that should be cacheable is not.',
  },
  aborted_responses_total: {
    kind: 'counter',
    help: 'Responses cut because their body could not be completed.',
    advice: 'Each is a client that had to ask again; look at upstream_faults_total.',
  },
  stored_total: {
    kind: 'counter',
    help: 'Responses stored whole.',
    advice: 'Zero beside many misses: nothing is storable, see detail= in Cache-Status.',
  },
  store_refused_total: {
    kind: 'counter',
    label: {
      name: 'why',
      values: ['no-space', 'volume-failed', 'too-large', 'abandoned', 'superseded', 'digest-mismatch', 'closed'],
    },
    help: 'Writes that the store refused.',
    advice: 'no-space or volume-failed: look at the disks.',
  },
  background_revalidations_total: {
    kind: 'counter',
    help: 'Refreshes behind a stale answer.',
    advice: 'None while stale rises: the upstream is in back-off.',
  },
  purges_total: { kind: 'counter', help: 'Purges applied.', advice: 'Compare with the control plane\u2019s log.' },
  connections: {
    kind: 'gauge',
    help: 'Open client connections.',
    advice: 'Near the limit, clients are refused: add an appliance.',
  },
  connections_refused_total: {
    kind: 'counter',
    help: 'Connections refused over a limit.',
    advice: 'From many addresses: add capacity; from few: an attack.',
  },
  http2_floods_total: {
    kind: 'counter',
    help: 'HTTP/2 connections ended with ENHANCE_YOUR_CALM: too many resets, or too much beside requests.',
    advice: 'An attack; if they are your clients, what do they send?',
  },
  memory_bytes: { kind: 'gauge', help: 'Bytes in the memory tier.', advice: 'At its budget in normal service.' },
  disk_bytes: {
    kind: 'gauge',
    help: 'Bytes in the disk tier.',
    advice: 'At its budget in normal service; zero after a restart means a lost volume.',
  },
  volumes_failed: { kind: 'gauge', help: 'Volumes set aside after errors.', advice: 'Above zero: replace the disk.' },
  corrupt_slices_total: {
    kind: 'counter',
    help: 'Stored bytes whose checksum was wrong; dropped and fetched again.',
    advice: 'More than a few: the disk or its cable is failing.',
  },
  compressed_responses_total: {
    kind: 'counter',
    label: { name: 'coding', values: ['zstd', 'br', 'gzip'] },
    help: 'Responses compressed while they were stored.',
    advice: 'None where a service says compression: its origin compresses, or its types are not listed.',
  },
  compression_saved_bytes_total: {
    kind: 'counter',
    help: 'Bytes by which compressed responses became shorter, once for each stored one.',
    advice: 'Little beside many compressed_responses_total: the types listed do not compress.',
  },
  service_requests_total: {
    kind: 'counter',
    label: { name: 'service', values: [], open: true },
    help: 'Requests answered, by service; only where the configuration has services.',
    advice: 'Tells which service a change in requests_total comes from.',
  },
  service_hits_total: {
    kind: 'counter',
    label: { name: 'service', values: [], open: true },
    help: 'Requests answered by a fresh hit, by service.',
    advice: 'A falling share of service_requests_total: look at that service\u2019s policy and origin.',
  },
  service_response_bytes_total: {
    kind: 'counter',
    label: { name: 'service', values: [], open: true },
    help: 'Body bytes given to clients, by service.',
    advice: 'For the bill and for capacity.',
  },
  service_hit_bytes_total: {
    kind: 'counter',
    label: { name: 'service', values: [], open: true },
    help: 'Body bytes of fresh hits, by service.',
    advice: 'Over service_response_bytes_total it is the byte hit ratio of the service.',
  },
  service_errors_total: {
    kind: 'counter',
    label: { name: 'service', values: [], open: true },
    help: 'Responses with 5xx, by service.',
    advice: 'A rise in one service alone: its origin.',
  },
  config_loads_total: {
    kind: 'counter',
    label: { name: 'outcome', values: ['loaded', 'refused'] },
    help: 'Configurations read, at the start and at each SIGHUP.',
    advice: 'refused rises: the log says file, line and key; the old configuration runs on.',
  },
  config_good: {
    kind: 'gauge',
    help: '1 while the newest configuration read is the one that runs.',
    advice: '0: correct the file and send SIGHUP again.',
  },
  config_loaded_timestamp_seconds: {
    kind: 'gauge',
    help: 'When the configuration that runs was loaded, seconds since 1970.',
    advice: 'Older than the last change: SIGHUP was forgotten.',
  },
  config_restart_needed: {
    kind: 'gauge',
    help: '1 while the configuration differs from what runs in options that only a restart changes.',
    advice: 'Restart in a quiet hour; the log names the options.',
  },
  certificates: { kind: 'gauge', help: 'Certificates that the configuration names.', advice: 'As many as expected.' },
  certificates_failed: {
    kind: 'gauge',
    help: 'Certificates whose newest files are not in service.',
    advice: 'Above zero: the log says which file and why; the former pair is in service where there was one.',
  },
  certificate_loads_total: {
    kind: 'counter',
    label: { name: 'outcome', values: ['loaded', 'refused'] },
    help: 'Certificates read from new files.',
    advice: 'refused rises: a renewal wrote something unusable.',
  },
  certificate_expiry_timestamp_seconds: {
    kind: 'gauge',
    help: 'When the first of the certificates in service expires, seconds since 1970; 0 without TLS.',
    advice: 'Less than two weeks ahead: the renewal does not work.',
  },
  ticket_rotations_total: {
    kind: 'counter',
    help: 'Replacements of the TLS session ticket keys.',
    advice: 'None within a day: the supervisor is stuck.',
  },
  shed_requests_total: {
    kind: 'counter',
    label: { name: 'answer', values: ['redirected', 'unavailable', 'stale'] },
    help: 'Requests that were not served because of overload, draining or lost disks: sent to the next target, told 503, or given a stale response.',
    advice: 'unavailable: clients got nothing; give --next-target, add an appliance.',
  },
  overload_level: {
    kind: 'gauge',
    help: 'What the worst worker sheds: 0 nothing, 1 what it would forward, 2 everything but health.',
    advice: 'Above zero for minutes: add an appliance.',
  },
  memory_level: {
    kind: 'gauge',
    help: 'What memory does to connections at the worst worker: 0 nothing, 1 short idle time, 2 no keep-alive, 3 new ones refused.',
    advice: 'Above zero: raise --memory-limit, or lower --memory or --connections.',
  },
  resident_memory_bytes: {
    kind: 'gauge',
    help: 'Resident memory of the largest worker.',
    advice: 'Compare with --memory-limit divided by the workers.',
  },
  event_loop_delay_seconds: {
    kind: 'gauge',
    help: 'p99 of the event-loop delay over the last second, worst worker.',
    advice: 'Above 0.1 the worker is overloaded.',
  },
} as const satisfies MetricTable;
