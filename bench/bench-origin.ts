/**
 * The origin of every bench: `/bytes/N` is N bytes, cacheable for an hour, with ranges and validators. It counts what
 * it is asked, so that a hit is known to be one.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface BenchOrigin {
  readonly url: string;
  requests: number;
  close(): void;
}

const BLOCK = Buffer.alloc(1 << 20, 'nearcast');

export async function startOrigin(): Promise<BenchOrigin> {
  const server: Server = createServer((request, response) => {
    origin.requests += 1;
    const length = Number(/^\/bytes\/(\d+)/.exec(request.url ?? '')?.[1] ?? 0);
    const etag = `"${length}"`;
    const fields: Record<string, string> = {
      'cache-control': 'max-age=3600',
      etag,
      'last-modified': 'Tue, 01 Jan 2019 00:00:00 GMT',
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
    let left = to - from + 1;
    const more = () => {
      while (left > 0) {
        const piece = BLOCK.subarray(0, Math.min(left, BLOCK.length));
        left -= piece.length;
        if (!response.write(piece)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve));
  const origin: BenchOrigin = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: 0,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return origin;
}
