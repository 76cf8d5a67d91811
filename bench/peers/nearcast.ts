/** Ours: one worker, logs off, no limit of requests on a connection (the peers have theirs off too). */
import { join } from 'node:path';
import { freePort, type Peer, startPinned } from './peer.ts';

const COMMAND = join(import.meta.dirname, '../../deploy/command.ts');

export const nearcast: Peer = {
  name: 'nearcast',
  settings: ['default'],
  package: undefined,
  async start(_setting, upstream, folder) {
    const [port, admin] = [await freePort(), await freePort()];
    const argv = [
      'edge',
      '--listen',
      `127.0.0.1:${port}`,
      '--admin',
      `127.0.0.1:${admin}`,
      '--upstream',
      upstream,
      '--cache-dir',
      folder,
      '--workers',
      '1',
    ];
    const more = ['--memory', '512MiB', '--disk', '10GiB', '--requests-per-connection', '0'];
    return startPinned([process.execPath, COMMAND, ...argv, ...more], `http://127.0.0.1:${port}`);
  },
};
