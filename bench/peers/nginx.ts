/**
 * nginx with proxy_cache, one worker, logs off. Tried: sendfile off (best for small hits), sendfile on without
 * tcp_nopush (best for large ones; with tcp_nopush a 64 KiB hit on a kept connection stalls 40 ms), both with
 * open_file_cache. The cache lies on tmpfs, which is nginx's best case for hits from files.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, type Peer, startPinned } from './peer.ts';

export const nginx: Peer = {
  name: 'nginx',
  settings: ['sendfile off', 'sendfile on'],
  package: 'nginx-light',
  async start(setting, upstream, folder) {
    const port = await freePort();
    await mkdir(join(folder, 'cache'), { recursive: true });
    await writeFile(join(folder, 'nginx.conf'), configuration(setting, upstream, folder, port));
    return startPinned(['nginx', '-c', join(folder, 'nginx.conf'), '-p', folder], `http://127.0.0.1:${port}`, 'SIGINT');
  },
};

function configuration(setting: string, upstream: string, folder: string, port: number): string {
  return `
daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log crit; user root;
worker_rlimit_nofile 65536;
events { worker_connections 16384; multi_accept on; }
http {
  access_log off; ${setting}; tcp_nopush off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 65;
  open_file_cache max=200000 inactive=600s; open_file_cache_valid 600s; open_file_cache_min_uses 1;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/t; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=c:200m max_size=20g inactive=10h use_temp_path=off;
  upstream o { server ${upstream.replace('http://', '')}; keepalive 128; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache c; proxy_cache_lock on;
      proxy_cache_valid 200 1h; proxy_cache_revalidate on; proxy_force_ranges on; add_header Cache-Status $upstream_cache_status; }
  }
}`;
}
