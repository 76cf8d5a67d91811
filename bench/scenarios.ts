/** What the edge bench asks for, row by row, and the bar that each row is held to. */
import { entityTag } from './bench-origin.ts';

/** What our figure must be, as a multiple of a peer's. */
export interface Bar {
  readonly ratio: number;
  /** The best of all peers in this row, or nginx alone. */
  readonly against: 'best' | 'nginx';
}

export interface Scenario {
  /** As `--only` takes it. */
  readonly name: string;
  readonly title: string;
  /** Where the answer comes from: `memory` and `disk` are hits, nothing may reach the origin; every `miss` does. */
  readonly from: 'memory' | 'disk' | 'miss';
  /** `tls` is HTTP/1.1 over TLS 1.3, `h2` HTTP/2 over TLS 1.3. */
  readonly protocol: 'http' | 'tls' | 'h2';
  /** `rate` at full load, or `latency` (p50) at 70 % of the weaker server's rate. */
  readonly figure: 'rate' | 'latency';
  /** Bytes of the object. */
  readonly bytes: number;
  /** Objects asked for at random. */
  readonly objects: number;
  /** Asks for pieces of this many bytes at random offsets. */
  readonly rangeBytes: number | undefined;
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly connections: number;
  /** Workers of the server, and cores that it is pinned to; with two the load has the same two. */
  readonly cores: 1 | 2;
  readonly bar: Bar;
}

/** What a browser sends with every request: nine fields with Host, 400 bytes. */
const BROWSER: Readonly<Record<string, string>> = {
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'accept-encoding': 'gzip, deflate, br, zstd',
  'accept-language': 'en-GB,en;q=0.9',
  'sec-fetch-dest': 'video',
  'sec-fetch-mode': 'cors',
  'sec-fetch-site': 'same-site',
  referer: 'https://www.example.org/watch/4711',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36',
};

const KIB = 1024;
const MIB = 1024 * 1024;
const LARGE = 16 * MIB;
const FILM = 100_000_000;

const best = (ratio: number): Bar => ({ ratio, against: 'best' });
const nginx = (ratio: number): Bar => ({ ratio, against: 'nginx' });

function scenario(name: string, title: string, bytes: number, bar: Bar, more: Partial<Scenario> = {}): Scenario {
  return {
    name,
    title,
    from: 'memory',
    protocol: 'http',
    figure: 'rate',
    bytes,
    objects: 1,
    rangeBytes: undefined,
    status: 200,
    fields: {},
    // Few for large bodies: each has its whole answer in the socket buffers and the caches of the processor.
    connections: isLarge({ bytes, rangeBytes: more.rangeBytes }) ? 8 : 64,
    cores: 1,
    bar,
    ...more,
  };
}

export const SCENARIOS: readonly Scenario[] = [
  scenario('memory-1k', '1 KiB', KIB, best(1.25)),
  scenario('memory-1k-browser', '1 KiB, browser', KIB, best(1.15), { fields: BROWSER }),
  scenario('304', '304', KIB, best(1.15), { status: 304, fields: { 'if-none-match': entityTag(KIB) } }),
  scenario('memory-64k', '64 KiB', 64 * KIB, best(1.1)),
  scenario('range-64k', '64 KiB of 100 MB', FILM, best(1.1), { status: 206, rangeBytes: 64 * KIB }),
  scenario('memory-1m', '1 MiB', MIB, best(0.9)),
  scenario('memory-100m', '100 MB', FILM, nginx(1)),
  scenario('tls-1k', 'TLS, 1 KiB, browser', KIB, best(1.05), { protocol: 'tls', fields: BROWSER }),
  scenario('tls-100m', 'TLS, 100 MB', FILM, nginx(1.1), { protocol: 'tls' }),
  scenario('h2-1k', 'HTTP/2, 1 KiB', KIB, nginx(0.65), { protocol: 'h2' }),
  scenario('h2-100m', 'HTTP/2, 100 MB', FILM, nginx(1.2), { protocol: 'h2' }),
  scenario('miss-1k', 'miss stored, 1 KiB', KIB, nginx(1.1), { from: 'miss' }),
  scenario('miss-64k', 'miss stored, 64 KiB', 64 * KIB, nginx(0.7), { from: 'miss' }),
  scenario('p50', 'p50 at 70 % load, 1 KiB', KIB, nginx(1), { figure: 'latency', fields: BROWSER }),
  scenario('two-cores', 'two workers, 1 KiB', KIB, nginx(1), { cores: 2, fields: BROWSER }),
  scenario('disk-1k', 'disk, 1 KiB', KIB, nginx(0.7), { from: 'disk', objects: 12_000 }),
  scenario('disk-64k', 'disk, 64 KiB', 64 * KIB, nginx(0.9), { from: 'disk', objects: 2000 }),
  scenario('disk-1m', 'disk, 1 MiB', MIB, nginx(0.8), { from: 'disk', objects: 256 }),
  scenario('disk-100m', 'disk, 100 MB', FILM, nginx(0.9), { from: 'disk', objects: 4 }),
];

/** Whether an answer takes a good part of a round, so that bytes are counted instead of answers. */
export function isLarge({ bytes, rangeBytes }: Pick<Scenario, 'bytes' | 'rangeBytes'>): boolean {
  return bytes > LARGE && rangeBytes === undefined;
}

/** The same row small enough for a test: it shows that the row works, not how fast anything is. */
export function quick(one: Scenario): Scenario {
  return { ...one, objects: Math.min(one.objects, 16), connections: Math.min(one.connections, 4) };
}

/** Path of one object; every object of a size has the same bytes. */
export function pathOf(scenario: Scenario, object: number | string): string {
  return `/bytes/${scenario.bytes}?n=${object}`;
}

/** Offsets that range requests begin at: spread over the object, on no boundary. */
export function rangeStarts(scenario: Scenario, count: number): number[] {
  const span = scenario.bytes - (scenario.rangeBytes ?? 0);
  return Array.from({ length: count }, (_, i) => Math.floor(((i * 0.618_033_988_749) % 1) * span));
}
