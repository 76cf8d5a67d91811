/**
 * Which service a request is for: its host's exact name, else the longest wildcard, else the service of all others.
 * A host that no service names is 421 (RFC 9110 §15.5.20: the server is not configured to answer for the target's
 * origin, and the client may try another connection). One look-up in a Map a request; none where there is one policy.
 */
import { type HostTable, hostName } from '../../runtime/host-table.ts';
import { cacheStatus } from '../cache/cache-status.ts';
import type { EdgeRequest, Handler, ResponseSink } from '../http/exchange.ts';
import { nameOf, type ServeContext } from './context.ts';
import { sendOwn } from './errors.ts';

/** Hosts as clients spell them, with their ports; more than this is somebody's play, and begins anew. */
const MOST_SPELLINGS = 2000;

export class Router {
  readonly #context: Pick<ServeContext, 'appliance' | 'counts' | 'health'>;
  readonly #hosts: HostTable<Handler>;
  #bySpelling = new Map<string, Handler>();

  /** `context` counts what is for no service. */
  constructor(context: Pick<ServeContext, 'appliance' | 'counts' | 'health'>, hosts: HostTable<Handler>) {
    this.#context = context;
    this.#hosts = hosts;
  }

  readonly handle: Handler = (request, sink) => {
    const handler = this.#bySpelling.get(request.authority) ?? this.#find(request.authority);
    if (handler === undefined) this.#misdirected(request, sink);
    else handler(request, sink);
  };

  #find(authority: string): Handler | undefined {
    const name = hostName(authority);
    const handler = name === undefined ? undefined : this.#hosts.find(name);
    if (handler === undefined) return undefined;
    if (this.#bySpelling.size >= MOST_SPELLINGS) this.#bySpelling = new Map();
    this.#bySpelling.set(authority, handler);
    return handler;
  }

  #misdirected(request: EdgeRequest, sink: ResponseSink): void {
    const { counts } = this.#context;
    const health = request.target === '/healthz' ? this.#context.health() : undefined;
    if (health !== undefined) {
      counts.answer('control', health.status, 0);
      return sendOwn(sink, request.method, health.status, health.body);
    }
    counts.answer('refused', 421, 0);
    const own = cacheStatus(nameOf(this.#context), { kind: 'forwarded', why: 'bypass', detail: 'no-service' });
    sendOwn(sink, request.method, 421, 'no service here has this host', ['cache-status', own]);
  }
}
