/**
 * The extent files of one volume as one worker sees them: names, descriptors, sizes and what each is worth.
 * It leaves what lies in them to `shared-extent.ts` and `slices.ts`, and which goes first to `eviction.ts`.
 *
 * A file's number is never given again, so a name can only ever mean the same bytes. A reader holds the descriptor
 * while it reads; an unlinked file that was read lately keeps its descriptor for a while, so that a reader in the
 * middle of a body gets the rest of it.
 */
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../runtime/clock.ts';
import { errorCode, type Files, type OpenFile } from './files.ts';

/** What a file takes is counted in blocks of this size, as `du` does on ext4, XFS and tmpfs. */
const BLOCK_BYTES = 4096;

export interface Extent {
  readonly name: string;
  readonly kind: 'shared' | 'large';
  readonly worker: number;
  /** The shared extent's number, or the body's. */
  readonly number: number;
  /** Which part of its body a large extent holds; 0 for a shared one. */
  readonly segment: number;
  /** Bytes on the disk, in whole blocks. */
  diskBytes: number;
  /** Bytes of bodies written, and those of them that nothing refers to any more, as far as this run knows. */
  bodyBytes: number;
  deadBytes: number;
  /** Reads from it, halved from time to time. */
  uses: number;
  /** Bodies being written or indexed: not a victim yet. */
  busy: number;
  sealed: boolean;
  /** The index knows that rows name it. */
  registered: boolean;
}

export function sharedName(number: number, worker: number): string {
  return `${number.toString(36)}.w${worker}.shared`;
}

export function largeName(body: number, segment: number, worker: number): string {
  return `${body.toString(36)}-${segment}.w${worker}.large`;
}

/** What a file's name says, or `undefined` for a name that is none of ours. */
export function parseExtentName(name: string): Pick<Extent, 'kind' | 'worker' | 'number' | 'segment'> | undefined {
  const match = /^([0-9a-z]{1,11})(?:-(\d{1,9}))?\.w(\d{1,5})\.(shared|large)$/.exec(name);
  if (match === null || (match[4] === 'large') !== (match[2] !== undefined)) return undefined;
  return {
    kind: match[4] as 'shared' | 'large',
    worker: Number(match[3]),
    number: Number.parseInt(match[1]!, 36),
    segment: Number(match[2] ?? 0),
  };
}

export function blocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

interface Descriptor {
  file: OpenFile;
  readonly writable: boolean;
  readers: number;
  /** No longer in the table: the last reader closes it. */
  retired: boolean;
  lastRead: number;
}

export interface ExtentsOptions {
  directory: string;
  files: Files;
  clock: Clock;
  /** Open descriptors at most. */
  descriptors: number;
  /** How long an unlinked file stays readable after its last read. */
  lingerMillis: number;
}

export class Extents {
  readonly directory: string;
  /** The extents that this worker owns. */
  readonly owned = new Map<string, Extent>();
  /** Bytes on the disk of the extents that this worker owns. */
  diskBytes = 0;
  readonly #options: ExtentsOptions;
  readonly #open: LRUCache<string, Descriptor>;
  readonly #opening = new Map<string, Promise<Descriptor>>();
  /** Unlinked, but read lately. */
  readonly #lingering = new Map<string, Descriptor>();
  /** Offsets of bodies whose checksum this worker has seen to be right, by file. */
  readonly #verified = new LRUCache<string, Set<number>>({ max: 4096 });

  constructor(options: ExtentsOptions) {
    this.#options = options;
    this.directory = options.directory;
    this.#open = new LRUCache({ max: options.descriptors, dispose: (descriptor) => retire(descriptor) });
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Makes a new file. */
  async create(extent: Pick<Extent, 'name' | 'kind' | 'worker' | 'number' | 'segment'>): Promise<Extent> {
    const file = await this.#options.files.open(this.path(extent.name), 'create');
    this.#open.set(extent.name, { file, writable: true, readers: 0, retired: false, lastRead: 0 });
    return this.adopt(extent, 0);
  }

  /** Counts a file as this worker's own. */
  adopt(extent: Pick<Extent, 'name' | 'kind' | 'worker' | 'number' | 'segment'>, diskBytes: number): Extent {
    const { name, kind, worker, number, segment } = extent;
    const known = this.owned.get(name);
    if (known !== undefined) return known;
    const added: Extent = {
      ...{ name, kind, worker, number, segment, diskBytes },
      ...{ bodyBytes: diskBytes, deadBytes: 0, uses: 0, busy: 0, sealed: true, registered: false },
    };
    this.owned.set(name, added);
    this.diskBytes += diskBytes;
    return added;
  }

  /** Sets what a file takes on the disk. */
  resize(extent: Extent, diskBytes: number): void {
    if (this.owned.get(extent.name) !== extent) return;
    this.diskBytes += diskBytes - extent.diskBytes;
    extent.diskBytes = diskBytes;
  }

  /**
   * Fills `into` from `position`; `absent` when there is no such file, or it is too short. Rejects on an error of the
   * disk. For a client it counts as a use; for our own keeping of the store (`upkeep`) it does not.
   */
  async read(name: string, into: Buffer, position: number, purpose: 'client' | 'upkeep' = 'client') {
    const descriptor = await this.#hold(name, false);
    if (descriptor === undefined) return 'absent';
    if (purpose === 'client') {
      descriptor.lastRead = this.#options.clock.monotonic();
      const extent = this.owned.get(name);
      if (extent !== undefined) extent.uses++;
    }
    try {
      return (await descriptor.file.read(into, position)) === into.length ? 'read' : 'absent';
    } finally {
      release(descriptor);
    }
  }

  async write(name: string, pieces: Buffer[], position: number): Promise<void> {
    const descriptor = await this.#hold(name, true);
    if (descriptor === undefined) throw Object.assign(new Error(`extent ${name} is gone`), { code: 'EVANISHED' });
    try {
      await descriptor.file.write(pieces, position);
    } finally {
      release(descriptor);
    }
  }

  async truncate(name: string, length: number): Promise<void> {
    const descriptor = await this.#hold(name, true);
    if (descriptor === undefined) return;
    try {
      await descriptor.file.truncate(length);
    } finally {
      release(descriptor);
    }
  }

  /** Takes the file away. Its bytes stay readable for those who read it now or a moment ago. Never rejects. */
  async unlink(name: string): Promise<void> {
    const extent = this.owned.get(name);
    if (extent !== undefined) {
      this.diskBytes -= extent.diskBytes;
      this.owned.delete(name);
    }
    const descriptor = this.#open.get(name);
    const { clock, lingerMillis } = this.#options;
    if (descriptor !== undefined && descriptor.lastRead > 0 && clock.monotonic() - descriptor.lastRead < lingerMillis) {
      descriptor.readers++;
      this.#lingering.set(name, descriptor);
      clock.after(lingerMillis, () => this.#letGo(name));
    }
    this.#open.delete(name);
    this.#verified.delete(name);
    try {
      await this.#options.files.unlink(this.path(name));
    } catch (error) {
      // Gone already: what was wanted. Anything else leaves a file that the sweep finds again at the next start.
      if (errorCode(error) !== 'ENOENT' && extent !== undefined) this.adopt(extent, extent.diskBytes);
    }
  }

  /** Closes what lingers: its room is needed. A reader in the middle of such a body has to fetch the rest. */
  letGoAll(): void {
    for (const name of [...this.#lingering.keys()]) this.#letGo(name);
  }

  verified(name: string, offset: number): boolean {
    return this.#verified.get(name)?.has(offset) === true;
  }

  markVerified(name: string, offset: number): void {
    let offsets = this.#verified.get(name);
    if (offsets === undefined) {
      offsets = new Set();
      this.#verified.set(name, offsets);
    }
    offsets.add(offset);
  }

  forgetVerified(name: string): void {
    this.#verified.delete(name);
  }

  async close(): Promise<void> {
    this.letGoAll();
    await Promise.allSettled(this.#opening.values());
    const open = [...this.#open.values()];
    for (const descriptor of open) descriptor.retired = true;
    await Promise.allSettled(open.filter((one) => one.readers === 0).map((one) => one.file.close()));
  }

  /** A descriptor that stays open until it is released. One that was pushed out of the table meanwhile is opened again. */
  async #hold(name: string, writable: boolean): Promise<Descriptor | undefined> {
    for (;;) {
      let found = this.#open.get(name) ?? this.#lingering.get(name);
      if (found === undefined || (writable && !found.writable)) found = await this.#openFile(name, writable);
      if (found === undefined) return undefined;
      if (found.retired && found.readers === 0) continue;
      found.readers++;
      return found;
    }
  }

  /** Opens once, however many ask at a time. */
  async #openFile(name: string, writable: boolean): Promise<Descriptor | undefined> {
    const slot = writable ? `${name}+` : name;
    let opening = this.#opening.get(slot);
    if (opening === undefined) {
      opening = this.#options.files.open(this.path(name), writable ? 'write' : 'read').then((file) => {
        const descriptor = { file, writable, readers: 0, retired: false, lastRead: 0 };
        this.#open.set(name, descriptor);
        return descriptor;
      });
      this.#opening.set(slot, opening);
    }
    try {
      return await opening;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    } finally {
      this.#opening.delete(slot);
    }
  }

  #letGo(name: string): void {
    const descriptor = this.#lingering.get(name);
    if (descriptor === undefined) return;
    this.#lingering.delete(name);
    release(descriptor);
  }
}

function retire(descriptor: Descriptor): void {
  descriptor.retired = true;
  if (descriptor.readers === 0) close(descriptor);
}

function release(descriptor: Descriptor): void {
  descriptor.readers--;
  if (descriptor.retired && descriptor.readers === 0) close(descriptor);
}

/** Nothing was left in a buffer of ours, so a failing close loses nothing. */
function close(descriptor: Descriptor): void {
  descriptor.file.close().catch(() => undefined);
}
