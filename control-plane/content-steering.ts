/**
 * The decision as players read it: HLS content steering (draft-pantos-hls-rfc8216bis §7, the form that DASH clients
 * read too, ETSI TS 103 998), and multivariant playlists with one pathway for each target. Pure.
 */
import type { RankedTarget, SteeringAnswer } from './api.ts';

export interface SteeringManifest {
  readonly VERSION: 1;
  readonly TTL: number;
  readonly 'RELOAD-URI': string;
  readonly 'PATHWAY-PRIORITY': readonly string[];
  readonly 'PATHWAY-CLONES'?: readonly {
    readonly 'BASE-ID': string;
    readonly ID: string;
    readonly 'URI-REPLACEMENT': { readonly HOST: string };
  }[];
}

/** A pathway: a target that plays, or one that may play again later. */
export type Pathway = Pick<RankedTarget, 'id' | 'url'>;

export interface ManifestInput {
  readonly answer: SteeringAnswer;
  /** Pathways that the player's playlist has already; the standby's is always one. */
  readonly known: readonly string[];
  readonly reloadUri: string;
  readonly ttlSeconds: number;
}

/** Pathways in order of rank, with clones for targets that the player's playlist does not name. */
export function steeringManifest({ answer, known, reloadUri, ttlSeconds }: ManifestInput): SteeringManifest {
  const base = answer.targets.at(-1)!;
  const has = new Set([...known, base.id]);
  const unknown = answer.targets.filter(({ id }) => !has.has(id));
  const clones = unknown.flatMap((target) => {
    const host = replacementHost(base.url, target.url);
    return host === undefined ? [] : [{ 'BASE-ID': base.id, ID: target.id, 'URI-REPLACEMENT': { HOST: host } }];
  });
  return {
    VERSION: 1,
    TTL: ttlSeconds,
    'RELOAD-URI': reloadUri,
    // A player passes over pathways that its playlist lacks (§7.2), so all may stand here.
    'PATHWAY-PRIORITY': answer.targets.map(({ id }) => id),
    ...(clones.length === 0 ? {} : { 'PATHWAY-CLONES': clones }),
  };
}

/** A clone changes the host alone: scheme, port and path must be the base's. */
function replacementHost(base: string, target: string): string | undefined {
  const from = URL.parse(base);
  const to = URL.parse(target);
  if (from === null || to === null) return undefined;
  const same = from.protocol === to.protocol && from.port === to.port && from.pathname === to.pathname;
  return same ? to.hostname : undefined;
}

/** Whether a playlist lists variants (and not segments). */
export function isMultivariant(playlist: string): boolean {
  return /^#EXTM3U/.test(playlist) && /^#EXT-X-STREAM-INF:/m.test(playlist);
}

export interface PlaylistInput {
  readonly playlist: string;
  /** Path and query that the playlist has at every target. */
  readonly target: string;
  /** Best first; the first one is where the player begins. */
  readonly pathways: readonly Pathway[];
  /** Where the player asks for steering. */
  readonly serverUri: string;
}

/** Attributes that name a rendition group. */
const GROUP_ATTRIBUTES = /\b(GROUP-ID|AUDIO|VIDEO|SUBTITLES|CLOSED-CAPTIONS)="([^"]*)"/g;

/**
 * A multivariant playlist in which every variant is there once for each pathway, under absolute URIs, so that a player
 * moves between targets without asking anybody. Each pathway has rendition groups of its own.
 */
export function steeredPlaylist({ playlist, target, pathways, serverUri }: PlaylistInput): string {
  const head: string[] = [];
  const variants: { tag: string; uri: string | undefined }[] = [];
  let open: { tag: string; uri: string | undefined } | undefined;
  for (const line of playlist.split(/\r?\n/)) {
    if (line === '' || line.startsWith('#EXT-X-CONTENT-STEERING:') || line === '#EXTM3U') continue;
    if (open !== undefined && !line.startsWith('#')) {
      open.uri = line.trim();
      open = undefined;
    } else if (line.startsWith('#EXT-X-STREAM-INF:')) {
      open = { tag: line, uri: undefined };
      variants.push(open);
    } else if (/^#EXT-X-(?:MEDIA|I-FRAME-STREAM-INF):/.test(line)) variants.push({ tag: line, uri: undefined });
    else if (line.startsWith('#')) head.push(line);
  }
  const first = pathways[0]!;
  const lines = [
    '#EXTM3U',
    ...head.map((line) => withAbsoluteUri(line, first.url + target)),
    `#EXT-X-CONTENT-STEERING:SERVER-URI="${serverUri}",PATHWAY-ID="${first.id}"`,
  ];
  for (const { id, url } of pathways)
    for (const [i, { tag, uri }] of variants.entries()) {
      const grouped = tag.replace(GROUP_ATTRIBUTES, (_, name: string, group: string) => `${name}="${group}_${id}"`);
      const absolute = withAbsoluteUri(grouped, url + target);
      if (tag.startsWith('#EXT-X-MEDIA:')) {
        lines.push(absolute);
        continue;
      }
      const stable = tag.includes('STABLE-VARIANT-ID=') ? '' : `,STABLE-VARIANT-ID="v${i}"`;
      lines.push(`${absolute}${stable},PATHWAY-ID="${id}"`);
      if (uri !== undefined) lines.push(absoluteUri(uri, url + target));
    }
  return `${lines.join('\n')}\n`;
}

function withAbsoluteUri(line: string, base: string): string {
  return line.replace(/\bURI="([^"]*)"/, (_, uri: string) => `URI="${absoluteUri(uri, base)}"`);
}

function absoluteUri(uri: string, base: string): string {
  return URL.parse(uri, base)?.href ?? uri;
}
