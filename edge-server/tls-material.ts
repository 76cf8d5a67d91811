/**
 * What the workers need for TLS, kept by the supervisor: the last good pair of each certificate, read again when its
 * files change or when told to, and the session ticket keys, replaced in time. A pair that can't be used leaves the
 * former one in service, also for a worker that starts meanwhile.
 */
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/log.ts';
import { type CertificateFiles, type CertificatePair, readCertificate } from './http/certificate-file.ts';

/** How often the files are looked at; a change is taken once it has stayed the same from one look to the next. */
const LOOK_MILLIS = 1000;
const TICKET_KEY_BYTES = 48;

/** For metrics: certificates named by the configuration, and how reading them went. */
export interface CertificateFigures {
  readonly configured: number;
  /** Whose newest files are not what is in service. */
  readonly failed: number;
  readonly loaded: number;
  readonly refused: number;
  /** When the first of those in service expires; undefined without one. */
  readonly soonestExpiryMillis: number | undefined;
  readonly ticketRotations: number;
}

interface Kept {
  readonly files: CertificateFiles;
  pair: CertificatePair | undefined;
  /** Why its newest files are not in service. */
  why: string | undefined;
  /** Of the files as they were last read, and as they were last seen. */
  read: string;
  seen: string;
}

export interface TlsMaterialOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly rotationMillis: number;
  readonly onCertificates: (pairs: readonly CertificatePair[]) => void;
  readonly onTicketKeys: (keys: string) => void;
}

export class TlsMaterial {
  readonly #options: TlsMaterialOptions;
  #kept: Kept[] = [];
  #ticketKeys = newKeys();
  #timers: Timer[] = [];
  #looking: Promise<void> | undefined;
  #loaded = 0;
  #refused = 0;
  #rotations = 0;

  constructor(options: TlsMaterialOptions) {
    this.#options = options;
  }

  /** Begins to look at the files and to replace the ticket keys. */
  start(): void {
    const { clock, rotationMillis } = this.#options;
    this.#timers = [clock.every(LOOK_MILLIS, () => this.#look()), clock.every(rotationMillis, () => this.#rotate())];
  }

  async close(): Promise<void> {
    for (const timer of this.#timers.splice(0)) timer.cancel();
    await this.#looking;
  }

  /** Reads these certificates, all of them anew; those that can't be used are logged and keep their former pair. */
  async configure(files: readonly CertificateFiles[]): Promise<void> {
    await this.#looking;
    const before = new Map(this.#kept.map((kept) => [identity(kept.files), kept]));
    const kept = files.map((one): Kept => {
      const former = before.get(identity(one));
      return { files: one, pair: former?.pair, why: former?.why, read: '', seen: '' };
    });
    for (const one of kept) await this.#read(one);
    this.#kept = kept;
  }

  /** Those in service, the default first. */
  get pairs(): readonly CertificatePair[] {
    return this.#kept.flatMap(({ pair }) => pair ?? []);
  }

  /** 48 bytes, base64. */
  get ticketKeys(): string {
    return this.#ticketKeys;
  }

  /** Why certificates are not in service as their files are now. */
  get problems(): string[] {
    return this.#kept.flatMap(({ why }) => why ?? []);
  }

  get figures(): CertificateFigures {
    const expiries = this.pairs.map(({ expiresMillis }) => expiresMillis);
    return {
      configured: this.#kept.length,
      failed: this.problems.length,
      loaded: this.#loaded,
      refused: this.#refused,
      soonestExpiryMillis: expiries.length === 0 ? undefined : Math.min(...expiries),
      ticketRotations: this.#rotations,
    };
  }

  #rotate(): void {
    this.#ticketKeys = newKeys();
    this.#rotations += 1;
    this.#options.onTicketKeys(this.#ticketKeys);
  }

  #look(): void {
    this.#looking ??= this.#lookAtAll().finally(() => {
      this.#looking = undefined;
    });
  }

  async #lookAtAll(): Promise<void> {
    let changed = false;
    for (const kept of this.#kept) {
      const now = await signature(kept.files);
      const steady = now === kept.seen;
      kept.seen = now;
      if (steady && now !== kept.read && (await this.#read(kept))) changed = true;
    }
    if (changed) this.#options.onCertificates(this.pairs);
  }

  /** True when another pair is in service now. */
  async #read(kept: Kept): Promise<boolean> {
    const { clock, log } = this.#options;
    // Before the files are read: what is written meanwhile is seen as a change.
    kept.read = await signature(kept.files);
    kept.seen = kept.read;
    const outcome = await readCertificate(kept.files, clock.now());
    if (!outcome.ok) {
      kept.why = `${outcome.detail ?? kept.files.certificate}: ${outcome.reason}`;
      this.#refused += 1;
      const inService = kept.pair === undefined ? 'none' : 'the former one';
      log.error({ why: outcome.reason, detail: outcome.detail, inService }, 'certificate not loaded');
      return false;
    }
    const same = kept.pair?.certificate === outcome.value.certificate && kept.pair.key === outcome.value.key;
    kept.pair = outcome.value;
    kept.why = undefined;
    if (same) return false;
    this.#loaded += 1;
    log.info({ certificate: kept.files.certificate, names: outcome.value.names }, 'certificate loaded');
    return true;
  }
}

function newKeys(): string {
  return randomBytes(TICKET_KEY_BYTES).toString('base64');
}

function identity({ certificate, key, hosts }: CertificateFiles): string {
  return JSON.stringify([certificate, key, hosts]);
}

/** What tells two states of the files apart without reading them; also through a link that points elsewhere now. */
async function signature({ certificate, key }: CertificateFiles): Promise<string> {
  const one = async (file: string) => {
    try {
      const { dev, ino, size, mtimeMs, ctimeMs } = await stat(file);
      return [dev, ino, size, mtimeMs, ctimeMs].join(':');
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code);
    }
  };
  return `${await one(certificate)} ${await one(key)}`;
}
