/** Varnish with malloc storage. Tried: the default pools, and one pool with its threads made beforehand, for one core. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, type Peer, startPinned } from './peer.ts';

export const varnish: Peer = {
  name: 'varnish',
  settings: ['default', 'one pool'],
  package: 'varnish',
  async start(setting, upstream, folder) {
    const port = await freePort();
    const [host, backendPort] = upstream.replace('http://', '').split(':');
    await mkdir(join(folder, 'v'), { recursive: true });
    await writeFile(join(folder, 'bench.vcl'), `vcl 4.1; backend o { .host = "${host}"; .port = "${backendPort}"; }`);
    await Promise.all([chmod(folder, 0o755), chmod(join(folder, 'v'), 0o755)]);
    const pools = setting === 'one pool' ? ['-p', 'thread_pools=1', '-p', 'thread_pool_min=200'] : [];
    const argv = [
      'varnishd',
      '-F',
      '-n',
      join(folder, 'v'),
      '-a',
      `127.0.0.1:${port}`,
      '-f',
      join(folder, 'bench.vcl'),
      '-s',
      'malloc,1g',
      '-T',
      'none',
    ];
    return startPinned([...argv, '-p', 'default_grace=0', ...pools], `http://127.0.0.1:${port}`);
  },
};
