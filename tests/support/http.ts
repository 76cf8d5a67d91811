/** Requests from a chosen client address, as `curl --interface` makes them, with a deadline. */
import { type IncomingHttpHeaders, request } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly fields: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The URL that gave this answer, after redirects. */
  readonly url: string;
}

export interface AskOptions {
  readonly method?: string;
  readonly fields?: Readonly<Record<string, string>>;
  /** Client address. */
  readonly from?: string;
  /** Follows up to five redirects. */
  readonly follow?: boolean;
  readonly deadlineMillis?: number;
}

/** One request; rejects when the answer is cut short or the deadline passes. */
export async function ask(url: string, options: AskOptions = {}): Promise<Answer> {
  let answer = await once(url, options);
  for (let hops = 0; options.follow === true && answer.status >= 300 && answer.status < 400 && hops < 5; hops++) {
    if (answer.fields.location === undefined) break;
    answer = await once(new URL(answer.fields.location, answer.url).href, options);
  }
  return answer;
}

function once(url: string, options: AskOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(options.deadlineMillis ?? 10_000);
    const asked = request(
      url,
      {
        method: options.method ?? 'GET',
        headers: options.fields ?? {},
        localAddress: options.from,
        agent: false,
        signal,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode!, fields: response.headers, body: Buffer.concat(chunks), url }),
        );
      },
    );
    asked.on('error', reject);
    asked.end();
  });
}
