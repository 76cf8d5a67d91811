/** Ours: its defaults, logs off, no limit of requests on a connection and no shedding (the peers have none either). */
import { join } from 'node:path';
import { DISK_BYTES, freePort, MEMORY_BYTES, type Peer, serverCpus, startPinned } from './peer.ts';

const COMMAND = join(import.meta.dirname, '../../deploy/command.ts');
/** The least it takes: a small part of any disk row's working set. */
const LEAST_MEMORY_BYTES = 1024 ** 2;

export const nearcast: Peer = {
  name: 'nearcast',
  settings: () => ['default'],
  async start({ scenario, upstream, folder, certificate, key }) {
    const [port, tlsPort, admin] = [await freePort(), await freePort(), await freePort()];
    const argv = ['edge', '--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`, '--upstream', upstream];
    argv.push('--workers', String(scenario.cores), '--requests-per-connection', '0');
    argv.push('--shed-misses-delay', '0', '--shed-all-delay', '0');
    argv.push('--cache-dir', folder, '--disk', String(DISK_BYTES));
    argv.push('--memory', String(scenario.from === 'disk' ? LEAST_MEMORY_BYTES : MEMORY_BYTES));
    if (scenario.protocol !== 'http')
      argv.push('--listen-tls', `127.0.0.1:${tlsPort}`, '--tls-cert', certificate, '--tls-key', key);
    const running = await startPinned([process.execPath, COMMAND, ...argv], {
      cpus: serverCpus(scenario),
      url: `http://127.0.0.1:${port}`,
    });
    return scenario.protocol === 'http' ? running : { ...running, url: `https://127.0.0.1:${tlsPort}` };
  },
};
