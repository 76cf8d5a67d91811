/**
 * Keeps the purge log in the index of every good volume: one row a purge, in the order of their numbers, and a head
 * row with the newest number and the control plane's position. Numbers are given inside a transaction, so that all
 * workers of an appliance count as one.
 */
import type { Purge } from './contract.ts';
import type { NumberedPurge, PurgeLog, Scope } from './purge-log.ts';
import type { Volume } from './volume.ts';
import type { PurgeRows } from './volume-index.ts';
import { troubleOf } from './volume-state.ts';
import type { Volumes } from './volumes.ts';

const HEAD = Buffer.from([0xff]);
const SCOPES: ReadonlySet<unknown> = new Set(['everything', 'service', 'host', 'prefix', 'tag', 'url']);

interface Head {
  newest: number;
  logNumber: number;
}

export class PurgeJournal {
  readonly #log: PurgeLog;
  readonly #volumes: Volumes;
  /** Purges kept one by one; more are folded. */
  readonly #limit: number;
  logNumber = 0;

  constructor(log: PurgeLog, volumes: Volumes, limit: number) {
    this.#log = log;
    this.#volumes = volumes;
    this.#limit = limit;
  }

  /** Reads what the volumes remember, and tells each what only another knows (a new or returned disk). */
  load(): void {
    for (const volume of this.#volumes.good) volume.look(() => this.#read(volume, 0));
    for (const volume of this.#volumes.good) {
      const head = volume.look(() => readHead(volume));
      if (this.#log.newest === 0 || (head?.newest === this.#log.newest && head.logNumber === this.logNumber)) continue;
      const change = { added: this.#log.all(), gone: [] };
      this.#tryChange(volume, (rows) => this.#write(rows, change));
    }
  }

  /** Takes over what other workers have applied since. A look at one row when there is nothing new. */
  refresh(): void {
    for (const volume of this.#volumes.good) {
      volume.look(() => volume.index.renew());
      const head = volume.look(() => readHead(volume));
      if (head === undefined || (head.newest <= this.#log.newest && head.logNumber <= this.logNumber)) continue;
      volume.look(() => this.#read(volume, this.#log.newest));
    }
  }

  /** In force when it returns; on every good volume's disk when the promise resolves. */
  async apply(purges: readonly Purge[]): Promise<void> {
    const change: { added: NumberedPurge[]; gone: number[] } = { added: [], gone: [] };
    const [first, ...others] = this.#volumes.good;
    let applied = false;
    const applyAll = () => {
      if (applied) return;
      applied = true;
      for (const purge of purges) this.#applyOne(purge, change);
      this.#fold(change);
    };
    const write = (rows: PurgeRows) => this.#write(rows, change);
    const failed = new Map<Volume, unknown>();
    if (first !== undefined) {
      const error = this.#tryChange(first, (rows) => {
        this.#read(first, this.#log.newest);
        applyAll();
        write(rows);
      });
      if (error !== undefined) failed.set(first, error);
    }
    // Without a disk that takes it, a purge is in force all the same: what it is about lives in memory then.
    applyAll();
    for (const volume of others) {
      const error = this.#tryChange(volume, write);
      if (error !== undefined) failed.set(volume, error);
    }
    for (const [volume, error] of failed) await this.#insist(volume, write, error);
    for (const volume of this.#volumes.good) await volume.changing(() => volume.index.flushed());
  }

  /** Forgets purges that no stored response is old enough for. */
  compact(oldestResponse: number): void {
    const gone = this.#log.forgetUpTo(oldestResponse);
    if (gone.length === 0) return;
    for (const volume of this.#volumes.good) this.#tryChange(volume, (rows) => this.#write(rows, { added: [], gone }));
  }

  #applyOne(purge: Purge, change: { added: NumberedPurge[]; gone: number[] }): void {
    if (purge.logNumber !== undefined) {
      if (purge.logNumber <= this.logNumber) return;
      this.logNumber = purge.logNumber;
    }
    const numbered = { number: this.#log.newest + 1, scope: purge.scope, soft: purge.soft };
    change.gone.push(...this.#log.add(numbered));
    change.added.push(numbered);
  }

  /** Too many to keep: the older half becomes one purge of everything as old. It covers more, never less. */
  #fold(change: { added: NumberedPurge[]; gone: number[] }): void {
    if (this.#log.size <= this.#limit) return;
    const older = this.#log.all().slice(0, Math.ceil(this.#limit / 2));
    const number = older.at(-1)!.number;
    change.gone.push(...this.#log.forgetUpTo(number));
    const folded = { number, scope: { kind: 'everything' } as const, soft: older.every((purge) => purge.soft) };
    change.gone.push(...this.#log.add(folded));
    change.added.push(folded);
  }

  #read(volume: Volume, after: number): void {
    for (const { key, text } of volume.index.purges(numberKey(after + 1))) {
      if (key.equals(HEAD)) continue;
      this.#log.add(parsePurge(key, text));
    }
    const head = readHead(volume);
    if (head === undefined) return;
    this.#log.newest = Math.max(this.#log.newest, head.newest);
    this.logNumber = Math.max(this.logNumber, head.logNumber);
  }

  #write(rows: PurgeRows, change: { added: readonly NumberedPurge[]; gone: readonly number[] }): void {
    for (const number of change.gone) rows.remove(numberKey(number));
    for (const { number, scope, soft } of change.added)
      if (!change.gone.includes(number) || scope.kind === 'everything')
        rows.put(numberKey(number), JSON.stringify({ scope, soft }));
    rows.put(HEAD, JSON.stringify({ newest: this.#log.newest, logNumber: this.logNumber }));
  }

  /** What went wrong, if anything did. */
  #tryChange(volume: Volume, change: (rows: PurgeRows) => void): unknown {
    try {
      volume.index.changePurges(change);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  /** A volume that can't remember a purge, also with room made for it, must not be read after a restart: set aside. */
  async #insist(volume: Volume, change: (rows: PurgeRows) => void, error: unknown): Promise<void> {
    if (troubleOf(error) === 'no-space' && (await volume.makeRoom())) {
      if (this.#tryChange(volume, change) === undefined) return;
    }
    volume.setAside(`a purge could not be kept: ${(error as Error).message}`);
  }
}

function readHead(volume: Volume): Head | undefined {
  const text = volume.index.purge(HEAD);
  if (text === undefined) return undefined;
  try {
    const { newest, logNumber } = JSON.parse(text) as Partial<Head>;
    if (Number.isSafeInteger(newest) && Number.isSafeInteger(logNumber))
      return { newest: newest!, logNumber: logNumber! };
  } catch {
    // Not what we wrote: as if it were not there; the control plane's log is applied again from the start.
  }
  return undefined;
}

/** A row that can't be read stands for some purge: taken for one of everything, it covers whatever that was. */
function parsePurge(key: Buffer, text: string): NumberedPurge {
  const number = key.length === 8 ? key.readDoubleBE(0) : 0;
  try {
    const { scope, soft } = JSON.parse(text) as { scope: Scope; soft: unknown };
    if (SCOPES.has(scope.kind) && (scope.kind !== 'service' || typeof scope.hosts === 'string'))
      return { number, scope, soft: soft === true };
  } catch {
    // Not JSON.
  }
  return { number, scope: { kind: 'everything' }, soft: false };
}

function numberKey(number: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeDoubleBE(number, 0);
  return key;
}
