/** For tests: an origin that is sockets only, and an exchange that notes what it hears. */
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import type { Fields } from '../http/fields.ts';
import type { Exchange, ExchangeControl } from './transport.ts';
import type { UpstreamFault } from './upstream-head.ts';

export interface Asked {
  /** Counted from 0 in the order of arrival. */
  readonly connection: number;
  readonly socket: Socket;
  /** The request's head, with its empty line. */
  readonly text: string;
}

/** What comes, in its order, for those who wait for it one by one. */
class Queue<T> {
  readonly #there: T[] = [];
  readonly #waiting: ((one: T) => void)[] = [];

  push(one: T): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#there.push(one);
    else waiting(one);
  }

  next(): Promise<T> {
    const there = this.#there.shift();
    return there === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(there);
  }

  get length(): number {
    return this.#there.length;
  }
}

export class RawOrigin {
  readonly #server: Server;
  readonly #sockets: Socket[] = [];
  readonly #asked = new Queue<Asked>();
  readonly #closed = new Queue<number>();

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  static async listen(where: ListenOptions = { host: '127.0.0.1', port: 0 }): Promise<RawOrigin> {
    const origin = new RawOrigin();
    await new Promise<void>((resolve, reject) => {
      origin.#server.once('error', reject);
      origin.#server.listen(where, resolve);
    });
    return origin;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Connections that came. */
  get connections(): number {
    return this.#sockets.length;
  }

  /** Requests that nobody has taken with `asked`. */
  get unseen(): number {
    return this.#asked.length;
  }

  asked(): Promise<Asked> {
    return this.#asked.next();
  }

  /** The next connection that has been closed, by its number. */
  closed(): Promise<number> {
    return this.#closed.next();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    const connection = this.#sockets.push(socket) - 1;
    let held = '';
    socket.on('error', () => undefined);
    socket.on('close', () => this.#closed.push(connection));
    socket.on('data', (bytes) => {
      held += bytes.toString('latin1');
      for (let end = held.indexOf('\r\n\r\n'); end >= 0; end = held.indexOf('\r\n\r\n')) {
        const text = held.slice(0, end + 4);
        held = held.slice(end + 4);
        this.#asked.push({ connection, socket, text });
      }
    });
  }
}

export class Heard implements Exchange {
  readonly words: string[] = [];
  readonly pieces: Buffer[] = [];
  status = 0;
  fields: Fields | undefined;
  bytes = 0;
  fault: UpstreamFault | undefined;
  answered = false;
  control: ExchangeControl | undefined;
  /** Called with each word as it is heard. */
  on: (word: string) => void = () => undefined;
  readonly #over = Promise.withResolvers<this>();
  readonly #head = Promise.withResolvers<this>();
  readonly #keep: boolean;

  /** `keep`: body bytes are kept. */
  constructor(keep = true) {
    this.#keep = keep;
  }

  /** Resolves at `end` or `error`. */
  get over(): Promise<this> {
    return this.#over.promise;
  }

  get gotHead(): Promise<this> {
    return this.#head.promise;
  }

  get body(): Buffer {
    return Buffer.concat(this.pieces);
  }

  began(control: ExchangeControl): void {
    this.control = control;
    this.on('began');
  }

  inform(status: number): void {
    this.#say(`inform ${status}`);
  }

  head(status: number, fields: Fields): void {
    this.status = status;
    this.fields = fields;
    this.#say(`head ${status}`);
    this.#head.resolve(this);
  }

  data(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.#keep) this.pieces.push(Buffer.from(chunk));
    if (this.words.at(-1) !== 'data') this.words.push('data');
    this.on('data');
  }

  end(): void {
    this.#say('end');
    this.#over.resolve(this);
  }

  error(fault: UpstreamFault, _detail: string, answered: boolean): void {
    this.fault = fault;
    this.answered = answered;
    this.#say(`error ${fault}`);
    this.#over.resolve(this);
  }

  #say(word: string): void {
    this.words.push(word);
    this.on(word.split(' ')[0]!);
  }
}
