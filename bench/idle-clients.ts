/** Clients that ask once and then keep their connection without a word, as players between segments do. */
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface IdleClients {
  readonly count: number;
  close(): Promise<void>;
}

const AT_ONCE = 100;
/** Loopback addresses that they come from, so that neither ports nor a limit per address run out. */
const ADDRESSES = 50;

/** Opens `count` connections, each answered once; rejects when one is refused. */
export async function holdIdle(options: {
  readonly port: number;
  readonly tls: boolean;
  readonly count: number;
  readonly target: string;
}): Promise<IdleClients> {
  const sockets: Socket[] = [];
  let next = 0;
  const open = async () => {
    while (next < options.count) {
      const n = next++;
      sockets.push(await asked(options, `127.0.0.${2 + (n % ADDRESSES)}`));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, open));
  return {
    count: sockets.length,
    async close() {
      await Promise.all(
        sockets.map(
          (socket) =>
            new Promise((resolve) => {
              socket.once('close', resolve);
              socket.destroy();
            }),
        ),
      );
    },
  };
}

function asked(
  { port, tls, target }: { port: number; tls: boolean; target: string },
  localAddress: string,
): Promise<Socket> {
  const to = { port, host: '127.0.0.1', localAddress };
  const socket: Socket = tls
    ? connectTls({ ...to, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], servername: 'idle.example.org' })
    : connect(to);
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('an idle connection was closed')));
    socket.write(
      `GET ${target} HTTP/1.1\r\nHost: idle.example.org\r\nUser-Agent: idle (nearcast)\r\nAccept: */*\r\n\r\n`,
    );
    socket.once('data', () => resolve(socket));
  });
}

/** Resident bytes of these processes. */
export async function residentBytes(pids: readonly number[]): Promise<number> {
  let pages = 0;
  for (const pid of pids) pages += Number((await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')[1]);
  return pages * 4096;
}
