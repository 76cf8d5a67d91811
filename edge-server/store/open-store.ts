/** Opens a store: checks the directories that the operator named, opens their indexes, and puts the parts together. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { EXIT, Fault } from '../../runtime/errors.ts';
import { makeFolder } from '../../runtime/folder.ts';
import type { Logger } from '../../runtime/log.ts';
import { BufferPool } from './buffer-pool.ts';
import { errorCode, type Files, systemFiles } from './files.ts';
import { Housekeeping } from './housekeeping.ts';
import { examineIndexFile, type IndexFile } from './index-file.ts';
import { MemoryTier } from './memory-tier.ts';
import { Numbers } from './numbers.ts';
import { PurgeJournal } from './purge-journal.ts';
import { PurgeLog, type UrlOfKey } from './purge-log.ts';
import type { SharedStore } from './shared-store.ts';
import { ShelfRows } from './shelf-rows.ts';
import { Shelves } from './shelves.ts';
import { TwoTierStore } from './two-tier-store.ts';
import { Uses } from './uses.ts';
import { Volume } from './volume.ts';
import { VolumeIndex } from './volume-index.ts';
import { MARKER, type Marker } from './volume-state.ts';
import { Volumes } from './volumes.ts';

export interface StoreOptions {
  /** This worker's share of the memory tier. */
  memoryBytes: number;
  /** What all volumes together may take, all workers together. */
  diskBytes: number;
  /** Directories, each on a disk of its own. Empty: memory only. */
  volumes: readonly string[];
  workerIndex: number;
  workerCount: number;
  log: Logger;
  clock?: Clock;
  files?: Files;
  /** Keys whose rows this worker has changed: the other workers' stores want to hear of them (`changed`). */
  onChange?: (keys: readonly string[]) => void;
  /** A volume was set aside: the other workers' stores want to hear of it (`volumeFailed`). */
  onVolumeState?: (path: string, state: 'failed', why: string) => void;
  /** Volumes that were set aside in this start of the edge, with the reason: their disk may not have taken the marker. */
  asideVolumes?: ReadonlyMap<string, string>;
  /** Bodies up to this size live in the index. */
  inlineBytes?: number;
  /** Size of a shared extent; by default 64 MiB, less where the budget is small. */
  extentBytes?: number;
  /** Open descriptors at most, each volume. */
  descriptors?: number;
  /** How long an evicted file stays readable after its last read. */
  lingerMillis?: number;
  /** Part of a volume's budget that its index, with the small bodies in it, may take. */
  indexShare?: number;
  /** How long after the start files that nothing names are taken away: a predecessor may still be ending. */
  sweepDelayMillis?: number;
  /** Purges remembered one by one; beyond it the older half is folded into one of everything as old. */
  purgeLimit?: number;
}

const MIB = 1 << 20;

/** Opens the store. Serves at once: nothing is scanned first. Throws a `Fault` for a directory that can't be used. */
export async function openStore(options: StoreOptions): Promise<SharedStore> {
  const clock = options.clock ?? systemClock;
  const files = options.files ?? systemFiles;
  const uses = new Uses();
  const pool = new BufferPool(64);
  const numbers = new Numbers(clock.now());
  const counts = { corruptSlices: 0, evictedBytes: 0, refusedWrites: 0, readErrors: 0 };
  const aside = new Map<string, string>();
  const opened: Volume[] = [];
  for (const path of options.volumes) {
    const why = options.asideVolumes?.get(path) ?? setAsideEarlier(path);
    if (why !== undefined) {
      options.log.error({ volume: path, because: why }, 'volume stays set aside');
      aside.set(path, why);
      continue;
    }
    checkDirectory(path);
    const budgetBytes = await budgetOf(files, path, options.diskBytes / options.volumes.length);
    const volume = new Volume({
      ...{ path, worker: options.workerIndex, workers: options.workerCount, files, numbers, pool, uses, counts, clock },
      ...{ log: options.log, budgetBytes, index: await openIndex(path, options.log) },
      extentBytes: options.extentBytes ?? extentBytesFor(budgetBytes / options.workerCount),
      descriptors: options.descriptors ?? 512,
      lingerMillis: options.lingerMillis ?? 30_000,
      onSetAside: (failed, because) => {
        volumes.recount();
        options.onVolumeState?.(failed.path, 'failed', because);
      },
    });
    opened.push(volume);
  }
  const volumes = new Volumes(opened);
  const changes = new Changes(options.onChange);
  const memory = new MemoryTier(options.memoryBytes, (shelf) => {
    // Without a volume nothing else is evicted by its uses.
    if (shelf.uses > 0 && options.volumes.length > 0) uses.touch(shelf.hash.readUInt32LE(0), shelf.uses);
  });
  const rows = new ShelfRows({
    inlineBytes: options.inlineBytes ?? 16 << 10,
    onChange: (key) => changes.add(key),
  });
  const shelves = new Shelves({
    ...{ memory, volumes, uses, rows },
    shared: options.workerCount > 1 && opened.length > 0,
  });
  const purgeLog = new PurgeLog(urlOfKey);
  const journal = new PurgeJournal(purgeLog, volumes, options.purgeLimit ?? 50_000);
  journal.load();
  const housekeeping = new Housekeeping({
    ...{ volumes, memory, purgeLog, journal, clock, log: options.log, firstNumber: numbers.next() },
    alone: options.workerCount === 1,
    indexShare: options.indexShare ?? 1 / 2,
    sweepDelayMillis: options.sweepDelayMillis ?? 10_000,
  });
  housekeeping.start();
  return new TwoTierStore(
    {
      ...{ memory, volumes, shelves, purgeLog, journal, numbers, pool, uses, counts, clock },
      diskBytes: options.diskBytes,
      aside,
      onChange: (key) => changes.add(key),
      housekeeping,
    },
    options.workerCount > 1 && opened.length > 0,
  );
}

/** Host and path of a key that is a canonical URL, `scheme://host/path?query`. */
export function urlOfKey(key: string): UrlOfKey {
  const start = key.indexOf('://') + 3;
  const slash = key.indexOf('/', start);
  if (start < 3 || slash < 0) return { host: '', path: '/' };
  return { host: key.slice(start, slash), path: key.slice(slash) };
}

/** Keys changed in one turn of the event loop are told together. */
class Changes {
  readonly #tell: ((keys: readonly string[]) => void) | undefined;
  #keys = new Set<string>();

  constructor(tell: ((keys: readonly string[]) => void) | undefined) {
    this.#tell = tell;
  }

  add(key: string): void {
    if (this.#tell === undefined) return;
    this.#keys.add(key);
    if (this.#keys.size === 1)
      setImmediate(() => {
        const keys = [...this.#keys];
        this.#keys = new Set();
        this.#tell!(keys);
      });
  }
}

/** What was asked for, but no more than nine tenths of the file system: a budget beyond the disk would never be met. */
async function budgetOf(files: Files, path: string, askedBytes: number): Promise<number> {
  try {
    return Math.min(askedBytes, (await files.space(path)).totalBytes * 0.9);
  } catch {
    // A file system that does not say how large it is.
    return askedBytes;
  }
}

/** So that a budget holds at least 16 extents: the unit of eviction stays a small part of the whole. */
function extentBytesFor(shareBytes: number): number {
  return Math.min(64 * MIB, Math.max(MIB, Math.floor(shareBytes / 16)));
}

/** Makes the directory where there is none and tries it. */
function checkDirectory(path: string): void {
  try {
    makeFolder(join(path, 'extents'));
    const trial = join(path, `.trial-${process.pid}`);
    writeFileSync(trial, 'nearcast');
    rmSync(trial);
  } catch (error) {
    throw new Fault('volume-unusable', `${path}: ${errorCode(error)}`, {
      source: 'operator',
      fix: `name a directory that this user may write to, or make it: mkdir -p ${path}`,
      exit: EXIT.failed,
      cause: error,
    });
  }
}

/**
 * Why the volume was set aside in an earlier run. What it holds is given up: other volumes have newer responses for
 * its keys since. One whose index alone was bad comes back at once; another when an operator removes the marker.
 */
function setAsideEarlier(path: string): string | undefined {
  let marker: Partial<Marker>;
  try {
    marker = JSON.parse(readFileSync(join(path, MARKER), 'utf8')) as Partial<Marker>;
  } catch (error) {
    return errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR' ? undefined : 'its marker can not be read';
  }
  try {
    rmSync(join(path, 'index'), { recursive: true, force: true });
    if (marker.fault === 'index') {
      rmSync(join(path, MARKER));
      return undefined;
    }
  } catch {
    // A disk that does not let go of its index keeps its marker as well.
  }
  return String(marker.because);
}

/** Opens a volume's index. One that is no index any more goes, and a new one is begun: its bodies are then swept. */
async function openIndex(path: string, log: Logger): Promise<VolumeIndex> {
  const folder = join(path, 'index');
  try {
    const found = await settledIndexFile(join(folder, 'data.mdb'));
    if (found === 'lengthened') log.error({ volume: path }, 'index was cut short: what is missing reads as an error');
    if (found !== 'garbage') return new VolumeIndex(path);
    log.error({ volume: path }, 'index is garbage, a new one is begun');
  } catch (error) {
    log.error({ volume: path, because: (error as Error).message }, 'index unreadable, a new one is begun');
  }
  rmSync(folder, { recursive: true, force: true });
  return new VolumeIndex(path);
}

/** Another worker may be making the file at this moment: garbage is believed when it stays so. */
async function settledIndexFile(path: string): Promise<IndexFile> {
  for (let look = 0; look < 3; look++) {
    const found = examineIndexFile(path, 'mend');
    if (found !== 'garbage') return found;
    await setTimeout(50);
  }
  return 'garbage';
}
