/**
 * Varnish with malloc storage, no grace. It speaks no TLS here, and its disk rows are not taken: they are held to nginx.
 * Which settings are tried, and why, stands in the README of this folder.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DISK_BYTES, freePort, type Peer, serverCpus, startPinned } from './peer.ts';

const SETTINGS: Readonly<Record<string, readonly string[]>> = {
  'two pools': [],
  'one pool': ['-p', 'thread_pools=1', '-p', 'thread_pool_min=200'],
  'one pool, nothing counted per session': [
    ...['-p', 'thread_pools=1', '-p', 'thread_pool_min=100', '-p', 'workspace_client=16k'],
    ...['-p', 'vsl_mask=-ReqHeader,-RespHeader,-VCL_call,-VCL_return,-ReqURL,-Hit,-Timestamp,-ReqAcct'],
  ],
};

export const varnish: Peer = {
  name: 'varnish',
  settings: ({ protocol, from, figure, cores }) =>
    protocol !== 'http' || from === 'disk' || figure === 'latency' || cores === 2 ? [] : Object.keys(SETTINGS),
  async start({ setting, scenario, upstream, folder }) {
    const port = await freePort();
    const [host, backendPort] = upstream.replace('http://', '').split(':');
    await mkdir(join(folder, 'v'), { recursive: true });
    await writeFile(join(folder, 'bench.vcl'), `vcl 4.1; backend o { .host = "${host}"; .port = "${backendPort}"; }`);
    await Promise.all([chmod(folder, 0o755), chmod(join(folder, 'v'), 0o755)]);
    const argv = ['varnishd', '-F', '-n', join(folder, 'v'), '-a', `127.0.0.1:${port}`, '-T', 'none'];
    argv.push('-f', join(folder, 'bench.vcl'), '-s', `malloc,${DISK_BYTES}`, '-p', 'default_grace=0');
    return startPinned([...argv, ...SETTINGS[setting]!], {
      cpus: serverCpus(scenario),
      url: `http://127.0.0.1:${port}`,
    });
  },
};
