/**
 * Apache Traffic Server with a RAM cache over a file on tmpfs, logs off, no Via fields. It is run from folders of its
 * own (`--run-root`), without its manager. Which settings are tried, and why, stands in the README of this folder.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isLarge } from '../scenarios.ts';
import { DISK_BYTES, freePort, MEMORY_BYTES, type Peer, type StartOptions, serverCpus, startPinned } from './peer.ts';

/** Records beside those that every setting has. */
const SETTINGS: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
  'one thread, LRU': { 'exec_thread.limit': 1, 'cache.ram_cache.algorithm': 1 },
  'one thread, CLFUS': { 'exec_thread.limit': 1, 'cache.ram_cache.algorithm': 0 },
  'two threads, LRU': { 'exec_thread.limit': 2, 'cache.ram_cache.algorithm': 1 },
};

export const trafficserver: Peer = {
  name: 'trafficserver',
  settings(scenario) {
    const { from, protocol, figure, cores } = scenario;
    if (from === 'disk' || figure === 'latency' || cores === 2) return [];
    // It stalls there now and then, and h2load with it (README).
    if (protocol === 'h2' && isLarge(scenario)) return [];
    // The RAM cache's algorithm is of no matter where one object is hit under TLS, or nothing is hit.
    return Object.keys(SETTINGS).filter(
      (name) => (protocol === 'http' && from === 'memory') || !name.includes('CLFUS'),
    );
  },
  async start(options) {
    const { folder, scenario } = options;
    const [port, tlsPort] = [await freePort(), await freePort()];
    for (const name of ['etc', 'run', 'log', 'cache']) await mkdir(join(folder, name), { recursive: true });
    for (const [name, text] of Object.entries(files(options, port, tlsPort))) await writeFile(join(folder, name), text);
    const running = await startPinned(['traffic_server', `--run-root=${join(folder, 'runroot.yaml')}`], {
      cpus: serverCpus(scenario),
      url: `http://127.0.0.1:${port}`,
    });
    return scenario.protocol === 'http' ? running : { ...running, url: `https://127.0.0.1:${tlsPort}` };
  },
};

function files(options: StartOptions, port: number, tlsPort: number): Record<string, string> {
  const { folder, setting, scenario, upstream, certificate, key } = options;
  const tls = scenario.protocol === 'http' ? '' : ` ${tlsPort}:ip-in=127.0.0.1:ssl`;
  const records: Record<string, string | number> = {
    'http.server_ports': `${port}:ip-in=127.0.0.1${tls}`,
    'admin.user_id': '#-1',
    crash_log_helper: 'NULL',
    'exec_thread.autoconfig': 0,
    accept_threads: 0,
    'log.logging_enabled': 0,
    'diags.show_location': 0,
    'http.insert_response_via_str': 0,
    'http.insert_request_via_str': 0,
    'http.response_server_enabled': 0,
    'http.server_session_sharing.pool': 'global',
    'cache.ram_cache.size': MEMORY_BYTES,
    // An object of 100 MB is kept in RAM too.
    'cache.ram_cache_cutoff': 2 * 100_000_000,
    'cache.min_average_object_size': 2000,
    'url_remap.remap_required': 1,
    'ssl.server.cipher_suite': 'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ssl.server.TLSv1_3.cipher_suites': 'TLS_AES_128_GCM_SHA256',
    ...SETTINGS[setting]!,
  };
  const lines = Object.entries(records).map(
    ([name, value]) => `CONFIG proxy.config.${name} ${typeof value === 'number' ? 'INT' : 'STRING'} ${value}`,
  );
  return {
    'runroot.yaml': runRoot(folder),
    'etc/records.config': `${lines.join('\n')}\n`,
    'etc/remap.config': `map / ${upstream}/\n`,
    'etc/storage.config': `${join(folder, 'cache')} ${DISK_BYTES}\n`,
    'etc/ip_allow.yaml': 'ip_allow:\n  - apply: in\n    ip_addrs: [127.0.0.1]\n    action: allow\n    methods: ALL\n',
    'etc/ssl_multicert.config': `dest_ip=* ssl_cert_name=${certificate} ssl_key_name=${key}\n`,
  };
}

function runRoot(folder: string): string {
  const ours = {
    prefix: '',
    sysconfdir: 'etc',
    datadir: 'cache',
    localstatedir: 'run',
    runtimedir: 'run',
    logdir: 'log',
    cachedir: 'cache',
  };
  const system = {
    exec_prefix: '/usr',
    bindir: '/usr/bin',
    sbindir: '/usr/bin',
    includedir: '/usr/include',
    libdir: '/usr/lib/trafficserver',
    libexecdir: '/usr/lib/trafficserver/modules',
    mandir: '/usr/share/man',
    infodir: '/usr/share/info',
  };
  const lines = [
    ...Object.entries(ours).map(([name, path]) => `${name}: ${join(folder, path)}`),
    ...Object.entries(system).map(([name, path]) => `${name}: ${path}`),
  ];
  return `${lines.join('\n')}\n`;
}
