/** Control API, noun event: what happens, as server-sent events, or the history as JSON with `?format=json`. */
import type { Clock } from '../runtime/clock.ts';
import type { History } from './history.ts';
import { type Call, corsFields, problem, type Reply, type Route } from './http-routes.ts';
import type { HistoryEvent } from './state.ts';

const LISTENERS_MOST = 200;
/** Longer silences are cut by what stands between. */
const COMMENT_MILLIS = 15_000;
/** A listener that reads slower than this much is cut off; it comes back and asks from where it was. */
const BEHIND_BYTES = 1 << 20;

export interface EventApiParts {
  readonly history: History;
  readonly clock: Clock;
}

export class EventApi {
  readonly #parts: EventApiParts;
  #listeners = 0;

  constructor(parts: EventApiParts) {
    this.#parts = parts;
  }

  routes(): Route[] {
    return [{ method: 'GET', path: '/v1/events', access: 'read', handle: (call) => this.#events(call) }];
  }

  #events(call: Call): Reply | undefined {
    const { searchParams } = call.url;
    const limit = Math.min(500, Math.max(0, Number(searchParams.get('limit') ?? 100) || 0));
    if (searchParams.get('format') === 'json') return { status: 200, body: this.#parts.history.recent(limit) };
    if (call.request.method === 'HEAD') return { status: 200, fields: { 'content-type': 'text/event-stream' } };
    if (this.#listeners >= LISTENERS_MOST)
      return problem(503, 'too-many-listeners', `${LISTENERS_MOST} listen already`, 'use ?format=json');
    this.#stream(call, searchParams.has('limit') ? limit : 0);
    return undefined;
  }

  #stream({ request, response }: Call, limit: number): void {
    const { history, clock } = this.#parts;
    this.#listeners++;
    response.writeHead(200, { ...corsFields, 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    const tell = (event: HistoryEvent) => {
      if (response.writableLength > BEHIND_BYTES) response.destroy();
      else response.write(`id: ${event.number}\ndata: ${JSON.stringify(event)}\n\n`);
    };
    response.write(': events of the control plane\n\n');
    const last = Number(request.headers['last-event-id']);
    const missed =
      Number.isSafeInteger(last) && last > 0
        ? history.recent(500).filter(({ number }) => number > last)
        : history.recent(limit);
    for (const event of missed) tell(event);
    const stop = history.listen(tell);
    const comments = clock.every(COMMENT_MILLIS, () => void response.write(': still here\n\n'));
    response.once('close', () => {
      stop();
      comments.cancel();
      this.#listeners--;
    });
  }
}
