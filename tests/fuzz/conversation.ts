/** One connection of the run: exact bytes in given pieces, then our side ends; everything that comes back, and how it ended. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface Exchanged {
  readonly received: Buffer;
  readonly ending: 'end' | 'reset' | 'deadline';
}

export interface Via {
  readonly port: number;
  /** `undefined`: no TLS. */
  readonly protocol: 'http/1.1' | 'h2' | undefined;
}

/** Each piece is a write of its own, in a turn of its own. Resolves when the server has closed, or at the deadline. */
export function converse(via: Via, pieces: readonly Buffer[], deadlineMillis: number): Promise<Exchanged> {
  return new Promise((resolve) => {
    const socket: Socket =
      via.protocol === undefined
        ? connect({ port: via.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
        : connectTls({
            port: via.port,
            host: '127.0.0.1',
            rejectUnauthorized: false,
            servername: 'fuzz.example.org',
            ALPNProtocols: [via.protocol],
          });
    const chunks: Buffer[] = [];
    let ending: Exchanged['ending'] = 'reset';
    const timer = setTimeout(() => {
      ending = 'deadline';
      socket.destroy();
    }, deadlineMillis);
    const writeFrom = (n: number) => {
      const piece = pieces[n];
      if (socket.destroyed || socket.writableEnded) return;
      if (piece === undefined) return void socket.end();
      socket.write(piece);
      if (n + 1 === pieces.length) socket.end();
      else setImmediate(writeFrom, n + 1);
    };
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => {});
    socket.on('end', () => {
      ending = 'end';
      socket.end();
    });
    socket.on('close', () => {
      clearTimeout(timer);
      resolve({ received: Buffer.concat(chunks), ending });
    });
    socket.once(via.protocol === undefined ? 'connect' : 'secureConnect', () => writeFrom(0));
  });
}
