/** Clients of tests: one request with everything that came back, or a raw socket for exact bytes. */
import { Agent, type IncomingMessage, request as nodeRequest } from 'node:http';
import { within } from './within.ts';

export { type RawClient, rawClient } from '../../edge-server/http/raw-client.ts';

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Buffer;
  /** Keeps connections; without one each request has its own. */
  readonly agent?: Agent;
  readonly deadlineMillis?: number;
}

export interface Answer {
  readonly status: number;
  readonly reason: string;
  /** Name, value, … as sent. */
  readonly raw: readonly string[];
  /** Lines of the field joined with `, `; `undefined` when absent. */
  field(name: string): string | undefined;
  lines(name: string): string[];
  readonly body: Buffer;
  readonly text: string;
  /** The framing says that nothing is missing. */
  readonly whole: boolean;
  /** Interim responses, in order. */
  readonly interim: readonly number[];
}

const NO_KEEP_ALIVE = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY });

/** Sends one request and takes the whole answer, also one that is cut short. */
export async function ask(port: number, target: string, asked: Asked = {}): Promise<Answer> {
  const started = await begin(port, target, asked);
  return within(started.answer, `the body of ${target}`, asked.deadlineMillis);
}

export interface Begun {
  readonly status: number;
  readonly message: IncomingMessage;
  /** Reads on until the end. */
  readonly answer: Promise<Answer>;
  /** Reads on until at least this many bytes have come. */
  received(bytes: number): Promise<void>;
  abort(): void;
}

/** Sends one request and resolves with the head. */
export async function begin(port: number, target: string, asked: Asked = {}): Promise<Begun> {
  const interim: number[] = [];
  const head = new Promise<IncomingMessage>((resolve, reject) => {
    const request = nodeRequest({
      host: '127.0.0.1',
      port,
      path: target,
      method: asked.method ?? 'GET',
      headers: { ...(asked.headers as Record<string, string>) },
      agent: asked.agent ?? NO_KEEP_ALIVE,
    });
    request.on('information', ({ statusCode }) => interim.push(statusCode));
    request.on('response', resolve);
    request.on('error', reject);
    request.end(asked.body);
  });
  const message = await within(head, `the head of ${target}`, asked.deadlineMillis);
  const chunks: Buffer[] = [];
  let size = 0;
  const waiting: { bytes: number; resolve: () => void }[] = [];
  const answer = new Promise<Answer>((resolve) => {
    message.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      for (const waiter of waiting) if (size >= waiter.bytes) waiter.resolve();
    });
    message.on('error', () => {});
    message.on('close', () => resolve(answerOf(message, Buffer.concat(chunks), interim)));
  });
  return {
    status: message.statusCode ?? 0,
    message,
    answer,
    received: async (bytes) => {
      if (size >= bytes) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push({ bytes, resolve });
      await within(promise, `${bytes} bytes of ${target}`, asked.deadlineMillis);
    },
    abort: () => void message.destroy(),
  };
}

function answerOf(message: IncomingMessage, body: Buffer, interim: readonly number[]): Answer {
  const raw = message.rawHeaders;
  const lines = (name: string) => raw.filter((_, i) => i % 2 === 1 && raw[i - 1]!.toLowerCase() === name);
  return {
    status: message.statusCode ?? 0,
    reason: message.statusMessage ?? '',
    raw,
    lines,
    field: (name) => (lines(name).length === 0 ? undefined : lines(name).join(', ')),
    body,
    text: body.toString('latin1'),
    whole: message.complete,
    interim,
  };
}

/** What our own Cache-Status member says. */
export function cacheStatus(answer: Answer): {
  hit: boolean;
  fwd: string | undefined;
  parameters: Map<string, string>;
} {
  const member = (answer.field('cache-status') ?? '').split(/,\s*/).at(-1) ?? '';
  const parameters = new Map<string, string>();
  for (const part of member.split(/;\s*/).slice(1)) {
    const [name = '', value = ''] = part.split('=', 2);
    parameters.set(name, value);
  }
  return { hit: parameters.has('hit'), fwd: parameters.get('fwd'), parameters };
}
