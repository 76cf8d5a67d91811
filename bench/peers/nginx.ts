/**
 * nginx with proxy_cache, logs off, open_file_cache, no limit of requests on a connection. The cache lies on tmpfs, its
 * best case for hits from files; it has no memory tier of its own, so its memory and disk rows differ only in the number
 * of objects. Which settings are tried for which row, and why, stands in the README of this folder.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isLarge, type Scenario } from '../scenarios.ts';
import { DISK_BYTES, freePort, type Peer, type StartOptions, serverCpus, startPinned } from './peer.ts';

/** Directives of http, and of the location, by the name of the setting. */
const SETTINGS: Readonly<
  Record<string, { readonly http: string; readonly location?: string; readonly listen?: string }>
> = {
  'sendfile off': { http: 'sendfile off;' },
  'sendfile off, 128k': { http: 'sendfile off; output_buffers 2 128k;' },
  'sendfile off, 1m': { http: 'sendfile off; output_buffers 1 1m;' },
  'sendfile on': { http: 'sendfile on; sendfile_max_chunk 2m;' },
  'slice 1m': {
    http: 'sendfile on;',
    location:
      'slice 1m; proxy_cache_key $uri$is_args$args$slice_range; proxy_set_header Range $slice_range; proxy_cache_valid 206 1h;',
  },
  'slice 1m, sendfile off': {
    http: 'sendfile off; output_buffers 2 128k;',
    location:
      'slice 1m; proxy_cache_key $uri$is_args$args$slice_range; proxy_set_header Range $slice_range; proxy_cache_valid 206 1h;',
  },
  'tls 16k': { http: 'sendfile off; ssl_buffer_size 16k;' },
  'tls 16k, buffers 128k': { http: 'sendfile off; output_buffers 2 128k; ssl_buffer_size 16k;' },
  'tls 64k, buffers 1m': { http: 'sendfile off; output_buffers 1 1m; ssl_buffer_size 64k;' },
  'ktls, sendfile on': { http: 'sendfile on; ssl_conf_command Options KTLS;' },
  'h2 chunks 8k': { http: 'sendfile off; http2_chunk_size 8k;' },
  'h2 chunks 64k': { http: 'sendfile off; output_buffers 2 128k; http2_chunk_size 64k;' },
  'h2 chunks 128k, tls 64k': { http: 'sendfile off; output_buffers 1 1m; http2_chunk_size 128k; ssl_buffer_size 64k;' },
  'proxy buffers 8k': { http: 'sendfile off;' },
  'proxy buffers 64k': {
    http: 'sendfile off; proxy_buffer_size 64k; proxy_buffers 4 64k; proxy_busy_buffers_size 128k;',
  },
  'no lock, proxy buffers 64k': {
    http: 'sendfile off; proxy_buffer_size 64k; proxy_buffers 4 64k; proxy_busy_buffers_size 128k;',
    location: 'proxy_cache_lock off;',
  },
  reuseport: { http: 'sendfile off;', listen: ' reuseport' },
};

export const nginx: Peer = {
  name: 'nginx',
  settings: settingsFor,
  async start(options) {
    const [port, tlsPort] = [await freePort(), await freePort()];
    const { folder, scenario } = options;
    await mkdir(join(folder, 'cache'), { recursive: true });
    await writeFile(join(folder, 'nginx.conf'), configuration(options, port, tlsPort));
    const running = await startPinned(['nginx', '-c', join(folder, 'nginx.conf'), '-p', folder], {
      cpus: serverCpus(scenario),
      url: `http://127.0.0.1:${port}`,
      stopSignal: 'SIGINT',
    });
    return scenario.protocol === 'http' ? running : { ...running, url: `https://127.0.0.1:${tlsPort}` };
  },
};

function settingsFor(scenario: Scenario): readonly string[] {
  const large = isLarge(scenario);
  if (scenario.protocol === 'tls')
    return large ? ['tls 16k', 'tls 64k, buffers 1m', 'ktls, sendfile on'] : ['tls 16k', 'sendfile on'];
  if (scenario.protocol === 'h2')
    return large ? ['h2 chunks 64k', 'h2 chunks 128k, tls 64k'] : ['h2 chunks 8k', 'sendfile on'];
  if (scenario.from === 'miss') return ['proxy buffers 8k', 'proxy buffers 64k', 'no lock, proxy buffers 64k'];
  if (scenario.cores === 2) return ['sendfile off', 'reuseport'];
  if (scenario.rangeBytes !== undefined)
    return ['sendfile off, 128k', 'sendfile on', 'slice 1m', 'slice 1m, sendfile off'];
  if (scenario.status === 304 || scenario.bytes < 16_384) return ['sendfile off', 'sendfile on'];
  return large ? ['sendfile on', 'sendfile off, 1m'] : ['sendfile off, 128k', 'sendfile on', 'sendfile off, 1m'];
}

function configuration(
  { setting, scenario, upstream, folder, certificate, key }: StartOptions,
  port: number,
  tlsPort: number,
): string {
  const { http, location = '', listen = '' } = SETTINGS[setting]!;
  const tls =
    scenario.protocol === 'http'
      ? ''
      : `listen 127.0.0.1:${tlsPort} ssl ${scenario.protocol === 'h2' ? 'http2' : ''} backlog=4096;
    ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;`;
  // What a setting may say itself is said once.
  const lock = location.includes('proxy_cache_lock') ? '' : 'proxy_cache_lock on;';
  return `
daemon off; worker_processes ${scenario.cores}; pid ${folder}/pid; error_log ${folder}/error.log crit; user root;
worker_rlimit_nofile 65536;
events { worker_connections 16384; multi_accept on; }
http {
  access_log off; ${http} tcp_nopush off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 65;
  http2_max_requests 1000000000; http2_max_concurrent_streams 128;
  open_file_cache max=200000 inactive=600s; open_file_cache_valid 600s; open_file_cache_min_uses 1;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/t; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=c:200m max_size=${DISK_BYTES} inactive=10h use_temp_path=off manager_files=10000 manager_sleep=50ms manager_threshold=1s;
  upstream o { server ${upstream.replace('http://', '')}; keepalive 128; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:${port} backlog=4096${listen}; ${tls}
    location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache c; ${lock}
      proxy_cache_valid 200 1h; proxy_cache_revalidate on; proxy_force_ranges on; add_header Cache-Status $upstream_cache_status;
      ${location} }
  }
}`;
}
