/** The programs beside Node that tests and benches drive, and the Debian packages that hold them; installed when root. */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Complaint } from './toolchain.js';

/** Program → package, by what needs them. */
const NEEDED = {
  test: {
    chromium: 'chromium',
    nginx: 'nginx-light',
    varnishd: 'varnish',
    wrk: 'wrk',
    'redis-server': 'redis-server',
    curl: 'curl',
    openssl: 'openssl',
    unshare: 'util-linux',
    slowhttptest: 'slowhttptest',
    h2load: 'nghttp2-client',
  },
  bench: {
    nginx: 'nginx-light',
    varnishd: 'varnish',
    traffic_server: 'trafficserver',
    wrk: 'wrk',
    h2load: 'nghttp2-client',
    openssl: 'openssl',
  },
};
const POLICY = '/usr/sbin/policy-rc.d';

/** `what` is `test` or `bench`. Installs its packages whose programs are not on this machine; without root, says the command and ends. */
export async function ensureDebianPackages(what) {
  const missing = Object.entries(NEEDED[what])
    .filter(([program]) => !isHere(program))
    .map(([, name]) => name);
  if (missing.length === 0) return;
  const install = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (!isHere('apt-get'))
    throw new Complaint(`error: packages-missing: ${what} needs ${missing.join(', ')}; install them by hand`);
  if (process.getuid?.() !== 0)
    throw new Complaint(
      `error: packages-missing: ${what} needs ${missing.join(', ')}; run: sudo apt-get update && sudo ${install}`,
    );
  process.stderr.write(`nearcast: installing Debian packages: ${missing.join(' ')}\n`);
  apt('apt-get update -qq');
  withoutServices(() => apt(install));
}

/** Packages of servers start them; the policy forbids it while we install (Debian policy, invoke-rc.d). */
function withoutServices(work) {
  if (existsSync(POLICY)) return work();
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const remove = () => rmSync(POLICY, { force: true });
  process.once('exit', remove);
  try {
    work();
  } finally {
    remove();
    process.off('exit', remove);
  }
}

function apt(line) {
  const [command, ...args] = line.split(' ');
  const { status } = spawnSync(command, args, {
    stdio: ['ignore', process.stderr, process.stderr],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (status !== 0) throw new Complaint(`error: packages-missing: ${line} ended with ${status}; see its lines above`);
}

function isHere(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  return folders.some((folder) => folder !== '' && existsSync(join(folder, program)));
}
