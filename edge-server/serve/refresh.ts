/**
 * The revalidation behind a stale answer (RFC 5861 §3): once per key, never in any client's way. It has no client, so
 * what comes back only goes into the store.
 */
import { freshMillisLeft } from '../cache/reuse.ts';
import type { StoredEntry } from '../store/contract.ts';
import type { Ask, ServeContext } from './context.ts';
import { type Asker, Fetch } from './fetch.ts';
import type { Taker } from './taker.ts';
import { upstreamFields } from './upstream-fields.ts';

export class Refresh implements Asker {
  static begin(context: ServeContext, ask: Ask, stale: StoredEntry, flightKey: string): void {
    const { flights, backOff, clock, counts } = context;
    const now = clock.now();
    const flight = flights.find(flightKey);
    // One that already brings what is stale now, and is only being written, refreshes nothing.
    const underWay =
      flight !== undefined && (flight.fetched === undefined || freshMillisLeft(flight.fetched.response, now) > 0);
    if (underWay || backOff.holds(ask.key, now)) return;
    counts.background += 1;
    const { etag, lastModifiedMillis } = stale.response;
    Fetch.begin(context, {
      // The client's body, if any, was for its own request.
      ask: { ...ask, request: { ...ask.request, fields: ask.request.fields, body: undefined } },
      method: 'GET',
      fields: upstreamFields(context, ask, { validators: { etag, lastModifiedMillis } }),
      unconditional: () => upstreamFields(context, ask),
      stale,
      conditional: etag !== undefined || lastModifiedMillis !== undefined,
      ranged: false,
      flight: flights.lead(flightKey),
      asker: new Refresh(),
    });
  }

  fetched(): void {}
  validated(): void {}
  stale(): void {}
  failed(): void {}

  /** What is no longer storable has nobody to go to. */
  pass(): Taker | undefined {
    return undefined;
  }
}
