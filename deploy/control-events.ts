/** Listens to the control plane's event stream, across its restarts, each event once. */
import { setTimeout as wait } from 'node:timers/promises';

export interface ControlEvent {
  readonly at: string;
  readonly kind: string;
  readonly text: string;
}

const AGAIN_MILLIS = 500;

/** Calls `tell` for every event until aborted. */
export async function listenToControl(
  control: string,
  tell: (event: ControlEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  let last: string | undefined;
  while (!signal.aborted) {
    try {
      const response = await fetch(`${control}/v1/events`, {
        signal,
        headers: last === undefined ? {} : { 'last-event-id': last },
      });
      if (response.ok && response.body !== null)
        for await (const { id, data } of serverSentEvents(response.body)) {
          last = id ?? last;
          tell(JSON.parse(data) as ControlEvent);
        }
      else await response.body?.cancel();
    } catch {
      // The control plane is away or went away: that is told as the process's end; the stream goes on when it is back.
    }
    await wait(AGAIN_MILLIS, undefined, { signal }).catch(() => {}); // Aborted: the loop's condition.
  }
}

/** Events of a `text/event-stream` body (HTML Standard §9.2), with their ids. */
export async function* serverSentEvents(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ id: string | undefined; data: string }> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    const blocks = rest.split('\n\n');
    rest = blocks.pop()!;
    for (const block of blocks) {
      const lines = block.split('\n');
      const field = (name: string) =>
        lines
          .filter((line) => line.startsWith(`${name}:`))
          .map((line) => line.slice(name.length + 1).replace(/^ /, ''));
      const data = field('data');
      if (data.length > 0) yield { id: field('id').at(-1), data: data.join('\n') };
    }
  }
}
