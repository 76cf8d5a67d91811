/** Every option of the origin gateway, once: the parser, `--help` and the README's table come from here. */
import type { OptionsOf, OptionTable } from '../runtime/options.ts';

export const ORIGIN_OPTIONS = {
  listen: {
    kind: 'address',
    default: { host: '127.0.0.1', port: 8100 },
    help: 'Where edges, fills and the standby CDN fetch content.',
  },
  admin: {
    kind: 'address',
    default: { host: '127.0.0.1', port: 9100 },
    help: 'Where /v1/catalogue, /healthz, /readyz and /metrics answer; keep it off public addresses.',
  },
  s3Endpoint: {
    kind: 'url',
    default: undefined,
    help: 'Base URL of the S3 service; default: Amazon\u2019s of the region.',
  },
  s3Bucket: {
    kind: 'string',
    default: undefined,
    required: true,
    placeholder: 'NAME',
    help: 'The bucket that is served.',
  },
  s3Region: {
    kind: 'string',
    default: 'us-east-1',
    placeholder: 'REGION',
    help: 'Region that requests are signed for.',
  },
  s3AccessKeyFile: {
    kind: 'path',
    default: undefined,
    placeholder: 'FILE',
    help: 'File with the access key id; default: AWS_ACCESS_KEY_ID in the environment.',
  },
  s3SecretKeyFile: {
    kind: 'path',
    default: undefined,
    placeholder: 'FILE',
    help: 'File with the secret access key; default: AWS_SECRET_ACCESS_KEY in the environment.',
  },
  s3PathStyle: {
    kind: 'boolean',
    default: true,
    help: 'Puts the bucket into the path instead of the host name, as most S3 services want it.',
  },
  s3Connections: { kind: 'integer', default: 64, min: 1, max: 10_000, help: 'Connections to the S3 service.' },
  s3ConnectTimeout: { kind: 'duration', default: 3000, min: 1, help: 'Longest wait for a connection to S3.' },
  s3HeadTimeout: { kind: 'duration', default: 10_000, min: 1, help: 'Longest wait for the head of an answer of S3.' },
  s3BodyTimeout: { kind: 'duration', default: 15_000, min: 1, help: 'Longest silence between bytes of a body of S3.' },
  state: {
    kind: 'path',
    default: './nearcast-origin',
    placeholder: 'DIR',
    help: 'Folder of the catalogue and its digests, so that a body is hashed once; made when missing.',
  },
  catalogueInterval: {
    kind: 'duration',
    default: 60_000,
    min: 100,
    help: 'How often the bucket is listed for the catalogue.',
  },
  playlistCacheControl: {
    kind: 'string',
    default: 'public, max-age=60',
    help: 'Cache-Control of playlists (m3u8, mpd) whose object carries none; short, since they may be edited.',
  },
  mediaCacheControl: {
    kind: 'string',
    default: 'public, max-age=86400, immutable',
    help: 'Cache-Control of media (mp4, m4s, ts, vtt and so on) whose object carries none.',
  },
  otherCacheControl: {
    kind: 'string',
    default: 'public, max-age=3600',
    help: 'Cache-Control of everything else whose object carries none.',
  },
  missingCacheControl: {
    kind: 'string',
    default: 'public, max-age=5',
    help: 'Cache-Control of a 404.',
  },
  connections: { kind: 'integer', default: 4096, min: 1, help: 'Client connections at a time.' },
  sendTimeout: {
    kind: 'duration',
    default: 30_000,
    min: 1000,
    help: 'How long a client may take nothing while we send.',
  },
  drainTimeout: {
    kind: 'duration',
    default: 30_000,
    min: 0,
    help: 'At SIGTERM: how long requests under way may go on.',
  },
} as const satisfies OptionTable;

export type OriginOptions = OptionsOf<typeof ORIGIN_OPTIONS>;
