/** The processes of the box, their ports and their command lines, from its options. Pure. */
import { join } from 'node:path';
import type { ApplianceRole } from '../control-plane/api.ts';
import type { UpOptions } from './up-options.ts';

export const BUCKET = 'content';
/** Host under which every cache of the box keys and forwards. */
export const HOST = 'media.example.org';
export const STANDBY_ID = 'cloudflare-stand-in';

/** Two ISPs on loopback; every other loopback address is nobody's client. */
export const SITES = [
  { id: 'a', name: 'ISP A', prefixes: ['127.0.0.0/16', '127.1.0.0/16'], timeZone: 'UTC', next: [] },
  { id: 'b', name: 'ISP B', prefixes: ['127.2.0.0/16'], timeZone: 'UTC', next: [] },
] as const;

export interface PlannedProcess {
  readonly name: string;
  readonly kind: 's3' | 'origin' | 'control' | 'region' | 'standby' | 'edge';
  /** What `nearcast` is given. */
  readonly argv: readonly string[];
  readonly url: string;
  readonly admin: string | undefined;
  readonly site: string | undefined;
  /** Answers below 500 once the process serves. */
  readonly readyUrl: string;
}

export interface BoxPlan {
  readonly ports: readonly number[];
  readonly steering: string;
  readonly control: string;
  readonly s3: PlannedProcess;
  readonly origin: PlannedProcess;
  readonly controlPlane: PlannedProcess;
  readonly standby: PlannedProcess;
  readonly region: PlannedProcess;
  readonly edges: readonly PlannedProcess[];
  readonly files: {
    readonly accessKey: string;
    readonly secretKey: string;
    readonly topology: string;
    readonly samples: string;
    readonly uploaded: string;
    readonly endpoints: string;
    readonly logs: string;
  };
}

/** Where everything runs: steering N, control N+1, origin N+2/3, S3 N+4, stand-in N+5/6, region N+7/8, edges from N+10. */
export function boxPlan(options: Pick<UpOptions, 'portBase' | 'state'>): BoxPlan {
  const { portBase, state } = options;
  const address = (offset: number) => `127.0.0.1:${portBase + offset}`;
  const url = (offset: number) => `http://${address(offset)}`;
  const files = {
    accessKey: join(state, 's3', 'access-key'),
    secretKey: join(state, 's3', 'secret-key'),
    topology: join(state, 'topology.yaml'),
    samples: join(state, 'samples'),
    uploaded: join(state, 'uploaded.json'),
    endpoints: join(state, 'endpoints.json'),
    logs: join(state, 'logs'),
  };
  const s3Url = url(4);
  const s3: PlannedProcess = {
    name: 's3',
    kind: 's3',
    argv: words('s3', {
      listen: address(4),
      dir: join(state, 's3', 'objects'),
      bucket: BUCKET,
      'access-key-file': files.accessKey,
      'secret-key-file': files.secretKey,
    }),
    url: s3Url,
    admin: undefined,
    site: undefined,
    readyUrl: s3Url,
  };
  const origin: PlannedProcess = {
    name: 'origin',
    kind: 'origin',
    argv: words('origin', {
      listen: address(2),
      admin: address(3),
      's3-endpoint': s3Url,
      's3-bucket': BUCKET,
      's3-access-key-file': files.accessKey,
      's3-secret-key-file': files.secretKey,
      state: join(state, 'origin'),
      'catalogue-interval': '5s',
    }),
    url: url(2),
    admin: url(3),
    site: undefined,
    // Ready means S3 can be read and the catalogue is whole, so that a first fill misses nothing.
    readyUrl: `${url(3)}/v1/catalogue`,
  };
  const controlPlane: PlannedProcess = {
    name: 'control plane',
    kind: 'control',
    argv: words('control', {
      listen: address(1),
      steering: address(0),
      state: join(state, 'control'),
      topology: files.topology,
      origin: url(2),
      'origin-admin': url(3),
      standby: url(5),
      'standby-name': STANDBY_ID,
      host: HOST,
      // Short, so that a player shows soon what steering thinks; 300 s in production.
      'content-steering-ttl': '10s',
    }),
    url: url(1),
    admin: undefined,
    site: undefined,
    readyUrl: `${url(1)}/readyz`,
  };
  const cache = (id: string, role: ApplianceRole, offset: number, more: Record<string, string | string[]>) => ({
    argv: words('edge', {
      listen: address(offset),
      admin: address(offset + 1),
      'cache-dir': join(state, 'caches', id),
      memory: '64MiB',
      disk: '2GiB',
      workers: '1',
      // Ten processes and a reader share the cores of a desk: a late event loop there is no overload.
      'shed-misses-delay': '1s',
      'shed-all-delay': '5s',
      appliance: id,
      role,
      'canonical-host': HOST,
      ...more,
    }),
    url: url(offset),
    admin: url(offset + 1),
    readyUrl: `${url(offset + 1)}/readyz`,
  });
  const standby: PlannedProcess = {
    name: STANDBY_ID,
    kind: 'standby',
    site: undefined,
    ...cache(STANDBY_ID, 'edge', 5, { upstream: url(2) }),
  };
  const region: PlannedProcess = {
    name: 'region',
    kind: 'region',
    site: undefined,
    ...cache('region', 'region', 7, { site: 'region', upstream: url(2), control: url(1) }),
  };
  const edges = ['a1', 'a2', 'b1', 'b2'].map((id, index): PlannedProcess => {
    const site = id[0]!;
    const more = { site, upstream: [region.url, origin.url], control: url(1) };
    return { name: id, kind: 'edge', site, ...cache(id, 'edge', 10 + 2 * index, more) };
  });
  const ports = [...Array(9).keys(), ...edges.flatMap((_, index) => [10 + 2 * index, 11 + 2 * index])];
  return {
    ports: ports.map((offset) => portBase + offset),
    steering: url(0),
    control: url(1),
    s3,
    origin,
    controlPlane,
    standby,
    region,
    edges,
    files,
  };
}

function words(part: string, options: Readonly<Record<string, string | readonly string[]>>): string[] {
  return [
    part,
    ...Object.entries(options).flatMap(([name, value]) =>
      (typeof value === 'string' ? [value] : value).flatMap((one) => [`--${name}`, one]),
    ),
  ];
}
