/**
 * The origin of benches that need nothing installed: `/bytes/N` is N bytes, cacheable for an hour, with ranges and
 * validators. It counts what it is asked, so that a hit is known to be one. It ends at some 10 k requests/s; beside
 * other caches `nginx-origin.ts` takes its place.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { contentPieces } from './content.ts';

export interface BenchOrigin {
  readonly url: string;
  /** Process whose CPU time is the origin's; none where it is the bench itself. */
  readonly pid: number | undefined;
  /** Requests it was asked so far. */
  asked(): Promise<number>;
  close(): Promise<void>;
}

/** Date of every object, from which both origins make the same validators. */
export const LAST_MODIFIED = new Date('2019-01-01T00:00:00Z');

/** As nginx makes it from a file's date and size. */
export function entityTag(bytes: number): string {
  return `"${(LAST_MODIFIED.getTime() / 1000).toString(16)}-${bytes.toString(16)}"`;
}

export async function startOrigin(): Promise<BenchOrigin> {
  let requests = 0;
  const server: Server = createServer((request, response) => {
    requests += 1;
    const length = Number(/^\/bytes\/(\d+)/.exec(request.url ?? '')?.[1] ?? 0);
    const etag = entityTag(length);
    const fields: Record<string, string> = {
      'cache-control': 'max-age=3600',
      etag,
      'last-modified': LAST_MODIFIED.toUTCString(),
    };
    if (request.headers['if-none-match'] === etag) {
      response.writeHead(304, fields);
      response.end();
      return;
    }
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const from = range === null ? 0 : Number(range[1]);
    const to = range === null || range[2] === '' ? length - 1 : Math.min(Number(range[2]), length - 1);
    fields['content-length'] = String(to - from + 1);
    if (range !== null) fields['content-range'] = `bytes ${from}-${to}/${length}`;
    response.writeHead(range === null ? 200 : 206, fields);
    const pieces = contentPieces(from, to - from + 1);
    const more = () => {
      for (let next = pieces.next(); next.done !== true; next = pieces.next())
        if (!response.write(next.value)) return void response.once('drain', more);
      response.end();
    };
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pid: undefined,
    asked: async () => requests,
    async close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
