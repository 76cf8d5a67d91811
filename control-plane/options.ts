/** Every option of the control plane, once: the parser, `--help` and the README's table come from here. */
import type { OptionsOf, OptionTable } from '../runtime/options.ts';

export const CONTROL_OPTIONS = {
  listen: {
    kind: 'address',
    default: { host: '127.0.0.1', port: 9000 },
    help: 'Where the control API and the web page answer; beyond loopback it needs --token-file.',
  },
  steering: {
    kind: 'address',
    default: { host: '127.0.0.1', port: 8000 },
    help: 'Where clients are steered: redirects, ranked lists, content steering.',
  },
  steeringUrl: {
    kind: 'url',
    default: undefined,
    help: 'Base URL that clients reach steering by; default: http:// and the steering address.',
  },
  state: {
    kind: 'path',
    default: './nearcast-control',
    placeholder: 'DIR',
    help: 'Folder of the database, the signing key and the last good snapshots; made when missing.',
  },
  topology: {
    kind: 'path',
    default: undefined,
    placeholder: 'FILE',
    help: 'YAML file with the sites, read into the database at start; without it the database\u2019s sites stand.',
  },
  origin: {
    kind: 'url',
    default: undefined,
    required: true,
    help: 'The origin gateway: the last source of a fill, and where multivariant playlists are read.',
  },
  originAdmin: {
    kind: 'url',
    default: undefined,
    help: 'Admin URL of the origin gateway, for its catalogue; without it no fill is planned and no deep probe made.',
  },
  standby: {
    kind: 'url',
    default: undefined,
    required: true,
    help: 'The standby CDN: last in every ranked answer, first for clients that no site serves.',
  },
  standbyName: {
    kind: 'string',
    default: 'standby',
    placeholder: 'NAME',
    help: 'What the standby CDN is called in answers and on the page.',
  },
  service: {
    kind: 'string',
    default: 'default',
    placeholder: 'ID',
    help: 'Name of the service, for purges by service.',
  },
  host: {
    kind: 'string',
    default: 'cdn.example.org',
    placeholder: 'NAME',
    help: 'Canonical host of the service: what a purge of a bare path means.',
  },
  tokenFile: {
    kind: 'path',
    default: undefined,
    placeholder: 'FILE',
    help: 'File with the bearer token that every write needs.',
  },
  trustClientFrom: {
    kind: 'list',
    default: ['127.0.0.0/8', '::1/128'],
    placeholder: 'PREFIX',
    help: 'Addresses that may name another client address with ?client= at steering.',
  },
  contentSteeringTtl: {
    kind: 'duration',
    default: 300_000,
    min: 1000,
    max: 3_600_000,
    help: 'How long a player keeps a content-steering answer (hls.js reloads at 300 s).',
  },
  rankedTtl: {
    kind: 'duration',
    default: 300_000,
    min: 1000,
    max: 3_600_000,
    help: 'How long a client may keep a ranked list.',
  },
} as const satisfies OptionTable;

export type ControlOptions = OptionsOf<typeof CONTROL_OPTIONS>;
