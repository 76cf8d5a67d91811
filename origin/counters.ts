/** Every counter of the origin gateway, once: metrics and the README's table come from here. */
import type { MetricTable } from '../runtime/metrics.ts';

export const ORIGIN_COUNTERS = {
  responses_total: {
    kind: 'counter',
    help: 'Answers by how they ended.',
    advice: 'Care when s3-* or cut grows: S3 or the way to it is at fault.',
    label: {
      name: 'outcome',
      values: [
        'whole',
        'part',
        'not-modified',
        'precondition-failed',
        'unsatisfiable',
        'bad-target',
        'bad-method',
        'not-found',
        's3-denied',
        's3-credentials',
        's3-busy',
        's3-timeout',
        's3-unreachable',
        's3-failed',
        'cut',
        'client-gone',
      ],
    },
  },
  body_bytes_total: { kind: 'counter', help: 'Body bytes sent.', advice: 'The traffic that the edges did not save.' },
  s3_ready: {
    kind: 'gauge',
    help: '1 while the last look at the bucket succeeded.',
    advice: 'Alarm when 0 for a minute.',
  },
  catalogue_assets: { kind: 'gauge', help: 'Assets in the catalogue.', advice: 'A sudden drop is a deletion in S3.' },
  catalogue_version: { kind: 'gauge', help: 'Version of the catalogue.', advice: 'Rises with every change in S3.' },
  catalogue_failures_total: {
    kind: 'counter',
    help: 'Listings of the bucket that failed.',
    advice: 'Care when it grows: new content is not planned for the fill.',
  },
  digested_bytes_total: {
    kind: 'counter',
    help: 'Bytes read to compute a digest that S3 did not carry.',
    advice: 'Upload with a SHA-256 checksum to make this 0.',
  },
} as const satisfies MetricTable;
