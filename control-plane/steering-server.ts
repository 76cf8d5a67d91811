/**
 * The faces of the decision towards clients: ranked list, redirect, content steering, steered playlists. Never empty,
 * never an exception: whatever fails inside, the client is sent to the standby.
 *
 * `/v1/…` and `/healthz` are steering's own; every other path is a path of content.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from '../runtime/log.ts';
import type { Tally } from '../runtime/metrics.ts';
import type { ListenAddress } from '../runtime/options.ts';
import type { SteeringAnswer } from './api.ts';
import { isMultivariant, type Pathway, steeredPlaylist, steeringManifest } from './content-steering.ts';
import type { CONTROL_COUNTERS } from './counters.ts';
import { closeServer, listen, problem, type Reply, send } from './http-routes.ts';
import type { Playlists } from './playlists.ts';
import { addressWordsText, PrefixTable, parseAddressWords, parsePrefix } from './prefixes.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import { type SteeringIndex, steer, steeringIndex } from './steering.ts';

/** A redirect is an answer to one request; kept longer it would outlive its target. */
const REDIRECT_SECONDS = 2;
/** A playlist names so many appliances at most, also such as are out now: they may come back while it plays. */
const PATHWAYS_MOST = 8;
/** Longest request target; what a cache would refuse need not be sent there (RFC 9110 §4.1 recommends 8,000). */
const TARGET_LENGTH = 8192;

export interface SteeringServerParts {
  readonly snapshots: Pick<SnapshotStore, 'index'>;
  readonly playlists: Playlists;
  readonly tally: Tally<typeof CONTROL_COUNTERS>;
  readonly log: Logger;
  /** For clients while there is no snapshot at all, and for whatever fails. */
  readonly standby: { readonly id: string; readonly url: string };
  readonly origin: string;
  readonly rankedTtlSeconds: number;
  readonly contentSteeringTtlSeconds: number;
  /** Prefixes whose clients may name another address. */
  readonly trusted: readonly string[];
}

type Face = 'redirect' | 'list' | 'content-steering' | 'playlist' | 'health' | 'other';

export class SteeringServer {
  readonly #parts: SteeringServerParts;
  readonly #server: Server;
  readonly #trusted: PrefixTable<true>;
  /** Knows the standby alone. */
  readonly #last: SteeringIndex;

  constructor(parts: SteeringServerParts) {
    this.#parts = parts;
    this.#trusted = new PrefixTable(
      parts.trusted.flatMap((text) => {
        const prefix = parsePrefix(text);
        return 'wrong' in prefix ? [] : [{ prefix, value: true as const }];
      }),
    );
    const { standby, rankedTtlSeconds, contentSteeringTtlSeconds } = parts;
    this.#last = steeringIndex({
      number: 0,
      atMillis: 0,
      standby,
      sites: [],
      appliances: [],
      rankedTtlSeconds,
      contentSteeringTtlSeconds,
      frozen: null,
    });
    this.#server = createServer(
      { requestTimeout: 10_000, headersTimeout: 10_000, connectionsCheckingInterval: 1000, keepAliveTimeout: 65_000 },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.on('connection', (socket) => socket.setNoDelay(true));
  }

  /** Listens; answers the port that it got. */
  start(address: ListenAddress): Promise<number> {
    return listen(this.#server, address, 'steering');
  }

  close(): Promise<void> {
    return closeServer(this.#server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {}); // the client is gone; nobody is left to tell
    let reply: Reply;
    try {
      reply = await this.#reply(request);
    } catch (error) {
      this.#parts.tally.add('steering_faults_total');
      this.#parts.log.error({ err: error }, 'steering failed inside; the client goes to the standby');
      reply = redirect(steer(this.#last, '', '/'), printable(request.url ?? '/'));
    }
    send(request, response, reply);
    request.resume();
  }

  #reply(request: IncomingMessage): Reply | Promise<Reply> {
    const target = originForm(request.url ?? '/');
    if (target === undefined || target.length > TARGET_LENGTH)
      return this.#counted('other', problem(target === undefined ? 400 : 414, 'bad-target', 'the target is no path'));
    if (request.method === 'OPTIONS')
      return { status: 204, fields: { 'access-control-allow-headers': '*', 'access-control-allow-origin': '*' } };
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      const refusal = problem(405, 'method', `${request.method} is not for steering`, 'use GET or HEAD');
      return this.#counted('other', { ...refusal, fields: { ...refusal.fields, allow: 'GET, HEAD' } });
    }
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
    if (path === '/healthz')
      return this.#counted('health', { status: 200, body: { status: 'ok', snapshot: this.#index.snapshot.number } });
    if (path === '/v1/steer') return this.#list(request, query);
    if (path === '/v1/content-steering') return this.#contentSteering(request, query);
    if (path.startsWith('/v1/play/')) return this.#playlist(request, path.slice('/v1/play'.length), query);
    if (path.startsWith('/v1/'))
      return this.#counted(
        'other',
        problem(404, 'not-found', `steering has nothing at ${path}`, 'see control-plane/README.md'),
      );
    if (query.get('steering') === 'hls' && path.endsWith('.m3u8')) return this.#playlist(request, path, query);
    return this.#counted('redirect', redirect(this.#steer(clientOf(request), path), target));
  }

  get #index(): SteeringIndex {
    return this.#parts.snapshots.index ?? this.#last;
  }

  #steer(client: string, path: string): SteeringAnswer {
    const answer = steer(this.#index, client, path);
    this.#parts.tally.add('steering_answers_total', 1, answer.targets[0]!.kind);
    return answer;
  }

  #counted(face: Face, reply: Reply): Reply {
    this.#parts.tally.add('steering_requests_total', 1, face);
    return reply;
  }

  #list(request: IncomingMessage, query: URLSearchParams): Reply {
    const path = query.get('path');
    if (path === null || !path.startsWith('/'))
      return this.#counted(
        'list',
        problem(400, 'no-path', 'path must be given and start with /', 'GET /v1/steer?path=/film/master.m3u8'),
      );
    const client = this.#client(request, query);
    if (typeof client !== 'string') return this.#counted('list', client);
    return this.#counted('list', {
      status: 200,
      body: this.#steer(client, path),
      fields: { 'cache-control': 'private, no-cache' },
    });
  }

  #contentSteering(request: IncomingMessage, query: URLSearchParams): Reply {
    const client = this.#client(request, query);
    if (typeof client !== 'string') return this.#counted('content-steering', client);
    const answer = this.#steer(client, query.get('path') ?? '/');
    const kept = new URLSearchParams([...query].filter(([name]) => !name.startsWith('_')));
    const manifest = steeringManifest({
      answer,
      known: (query.get('known') ?? '').split(',').filter((id) => id !== ''),
      reloadUri: `/v1/content-steering?${kept}`,
      ttlSeconds: this.#index.snapshot.contentSteeringTtlSeconds,
    });
    // Also the media type that DASH players expect is plain JSON.
    return this.#counted('content-steering', { status: 200, body: manifest });
  }

  async #playlist(request: IncomingMessage, path: string, query: URLSearchParams): Promise<Reply> {
    const client = this.#client(request, query);
    if (typeof client !== 'string') return this.#counted('playlist', client);
    const answer = this.#steer(client, path);
    const rest = new URLSearchParams([...query].filter(([name]) => name !== 'steering' && name !== 'client'));
    const target = rest.size === 0 ? path : `${path}?${rest}`;
    const sources = [this.#parts.origin, ...answer.targets.map(({ url }) => url).reverse()];
    const playlist = await this.#parts.playlists.read(target, sources);
    // Nothing to add pathways to: the player gets what there is, or learns at the target that there is nothing.
    if (playlist === undefined || !isMultivariant(playlist)) return this.#counted('playlist', redirect(answer, target));
    const pathways = this.#pathways(answer);
    const asked = new URLSearchParams({ path, known: pathways.map(({ id }) => id).join(',') });
    const named = query.get('client');
    if (named !== null) asked.set('client', named);
    const body = steeredPlaylist({ playlist, target, pathways, serverUri: `/v1/content-steering?${asked}` });
    return this.#counted('playlist', {
      status: 200,
      body,
      fields: { 'content-type': 'application/vnd.apple.mpegurl', ...reasons(answer) },
    });
  }

  /** The ranked targets, then those that are out now; the standby always among them. */
  #pathways({ targets, rejected }: SteeringAnswer): Pathway[] {
    const appliances = targets.filter(({ kind }) => kind === 'appliance').slice(0, PATHWAYS_MOST);
    const out = rejected.flatMap(({ id }) => {
      const found = this.#index.snapshot.appliances.find((appliance) => appliance.id === id);
      return found === undefined ? [] : [{ id, url: found.url }];
    });
    const standby = targets.at(-1)!;
    return [...appliances, standby, ...out.slice(0, PATHWAYS_MOST - appliances.length)];
  }

  /** The client's address: the connection's, or one that a trusted caller names. Headers are not believed. */
  #client(request: IncomingMessage, query: URLSearchParams): string | Reply {
    const own = clientOf(request);
    const named = query.get('client');
    if (named === null || named === '') return own;
    const words = parseAddressWords(own);
    if (words === undefined || this.#trusted.longest(words) === undefined)
      return problem(
        403,
        'client-not-yours',
        `${own} may not ask for another client`,
        'leave client out, or add the caller to --trust-client-from',
      );
    if (parseAddressWords(named) === undefined)
      return problem(400, 'bad-client', `'${named.slice(0, 60)}' is not an address`, 'give an IPv4 or IPv6 address');
    return named;
  }
}

function redirect(answer: SteeringAnswer, target: string): Reply {
  const first = answer.targets[0]!;
  return {
    status: 302,
    fields: {
      location: first.url + target,
      'cache-control': `private, max-age=${REDIRECT_SECONDS}`,
      ...reasons(answer),
    },
  };
}

function reasons({ targets, snapshot }: SteeringAnswer): Record<string, string> {
  const { id, why } = targets[0]!;
  return { 'nearcast-target': id, 'nearcast-reason': printable(why), 'nearcast-snapshot': String(snapshot) };
}

/** IPv4-mapped addresses as IPv4, as people write them. */
function clientOf(request: IncomingMessage): string {
  const address = request.socket.remoteAddress ?? '';
  const words = address.startsWith('::ffff:') ? parseAddressWords(address) : undefined;
  return words === undefined ? address : addressWordsText(words);
}

/** Path and query of the request target, also of one in absolute form; safe to repeat in a header. */
function originForm(target: string): string | undefined {
  if (target.startsWith('/')) return printable(target);
  const rest = /^https?:\/\/[^/?#]+(\/.*)?$/i.exec(target);
  return rest === null ? undefined : printable(rest[1] ?? '/');
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, (character) => encodeURIComponent(character.isWellFormed() ? character : '?'));
}
