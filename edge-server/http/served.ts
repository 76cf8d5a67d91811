/** For tests: a listener on loopback under a virtual clock, with what its handler has been given. */
import { VirtualClock } from '../../runtime/clock.ts';
import type { EdgeRequest, Handler, ResponseSink } from './exchange.ts';
import type { HttpLimits } from './limits.ts';
import { createListener, type Listener } from './listener.ts';
import { type RawClient, rawClient } from './raw-client.ts';

export interface Served {
  listener: Listener;
  clock: VirtualClock;
  port: number;
  requests: EdgeRequest[];
  sinks: ResponseSink[];
  connect(): Promise<RawClient>;
}

const open: { listener: Listener; clients: RawClient[] }[] = [];
/** For `afterEach`. */
export async function closeServed(): Promise<void> {
  for (const { listener, clients } of open.splice(0)) {
    for (const client of clients) client.destroy();
    await listener.close();
  }
}

/** A listener on a free port whose time a test moves; everything is closed by `closeServed`. */
export async function serve(handler: Handler, limits: Partial<HttpLimits> = {}, moveHandles = true): Promise<Served> {
  const clock = new VirtualClock();
  const requests: EdgeRequest[] = [];
  const sinks: ResponseSink[] = [];
  const listener = createListener({
    clock,
    limits,
    moveHandles,
    handler: (request, sink) => {
      requests.push(request);
      sinks.push(sink);
      handler(request, sink);
    },
  });
  const { port } = await listener.listen({ host: '127.0.0.1', port: 0 });
  const clients: RawClient[] = [];
  open.push({ listener, clients });
  const connect = async () => {
    const client = await rawClient(port);
    clients.push(client);
    return client;
  };
  return { listener, clock, port, requests, sinks, connect };
}

/** Waits until the condition holds, by turns of the event loop; no time is involved. */
export async function eventually(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000; turn++) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('never came true');
}
