/**
 * An origin fast enough not to be the limit of misses: nginx over files, on the core that the load has. Any query gives
 * the same bytes, so that each miss can have a URL of its own. `stub_status` counts what it was asked.
 */
import { mkdir, open, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BenchOrigin, LAST_MODIFIED } from './bench-origin.ts';
import { contentPieces } from './content.ts';
import { freePort, LOAD_CPU, startPinned } from './peers/peer.ts';

/** Serves objects of `bytes`, and of one byte for the question whether a server is up. */
export async function startNginxOrigin(folder: string, bytes: number): Promise<BenchOrigin> {
  await mkdir(join(folder, 'root/bytes'), { recursive: true });
  for (const size of [1, bytes]) await writeContent(join(folder, 'root/bytes', String(size)), size);
  const port = await freePort();
  const file = join(folder, 'nginx.conf');
  await writeFile(file, configuration(folder, port));
  const url = `http://127.0.0.1:${port}`;
  const { pid, stop } = await startPinned(['nginx', '-c', file, '-p', folder], {
    cpus: LOAD_CPU,
    url,
    stopSignal: 'SIGINT',
  });
  let statusRequests = 0;
  return {
    url,
    pid,
    async asked() {
      statusRequests += 1;
      const text = await (await fetch(`${url}/status`)).text();
      return Number(/^ \d+ \d+ (\d+)/m.exec(text)![1]) - statusRequests;
    },
    close: stop,
  };
}

async function writeContent(path: string, size: number): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (const piece of contentPieces(0, size)) await file.write(piece);
  } finally {
    await file.close();
  }
  await utimes(path, LAST_MODIFIED, LAST_MODIFIED);
}

function configuration(folder: string, port: number): string {
  return `
daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log crit; user root; worker_rlimit_nofile 65536;
events { worker_connections 16384; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; tcp_nodelay on; sendfile off; output_buffers 2 128k;
  open_file_cache max=100; open_file_cache_valid 600s;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/t; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 127.0.0.1:${port} backlog=4096;
    location / { root ${folder}/root; add_header Cache-Control max-age=3600; }
    location = /status { stub_status; } }
}`;
}
