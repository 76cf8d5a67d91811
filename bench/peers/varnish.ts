/**
 * Varnish with malloc storage, no grace. It speaks no TLS here, and its disk rows are not taken: they are held to nginx.
 * Which settings are tried, and why, stands in the README of this folder.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DISK_BYTES, freePort, type Peer, serverCpus, startPinned } from './peer.ts';

/** Its log in shared memory, written by every request, is its access log: off, as all logs are. */
const LOG_OFF =
  '-Debug,-VCL_call,-VCL_return,-ReqHeader,-ReqMethod,-ReqURL,-ReqProtocol,-RespHeader,-RespProtocol,-RespStatus,-RespReason,-RespUnset,-ReqStart,-ReqAcct,-Timestamp,-Hit,-Begin,-End,-Link,-SessOpen,-SessClose,-BereqHeader,-BerespHeader,-ObjHeader';

const SETTINGS: Readonly<Record<string, readonly string[]>> = {
  'two pools': [],
  'one pool': ['-p', 'thread_pools=1', '-p', 'thread_pool_min=200'],
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
    argv.push(
      '-f',
      join(folder, 'bench.vcl'),
      '-s',
      `malloc,${DISK_BYTES}`,
      '-p',
      'default_grace=0',
      '-p',
      `vsl_mask=${LOG_OFF}`,
    );
    return startPinned([...argv, ...SETTINGS[setting]!], {
      cpus: serverCpus(scenario),
      url: `http://127.0.0.1:${port}`,
    });
  },
};
