/**
 * The current snapshot and its copies on disk: signed with Ed25519, the last three kept, the newest good one used at
 * the next start. Writing happens behind the answer to whoever publishes: a full disk stops no decision.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../runtime/errors.ts';
import type { Logger } from '../runtime/log.ts';
import { type Snapshot, type SnapshotRefusal, snapshotRefusal } from './snapshot.ts';
import { type SteeringIndex, steeringIndex } from './steering.ts';

/** How a snapshot travels and lies on disk. The signature is over the bytes of `payload`. */
export interface SignedSnapshot {
  /** The snapshot as JSON text. */
  readonly payload: string;
  /** Ed25519, base64. */
  readonly signature: string;
}

const KEPT = 3;
const KEY_FILE = 'snapshot-key.pem';

export class SnapshotStore {
  readonly #folder: string;
  readonly #log: Logger;
  #key: KeyObject | undefined;
  #publicKey: KeyObject | undefined;
  #current: { index: SteeringIndex; signed: SignedSnapshot } | undefined;
  #pending: SignedSnapshot | undefined;
  #writing: Promise<void> | undefined;

  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Loads or makes the key, and the newest snapshot on disk that is good. */
  async start(): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true });
      this.#key = await loadKey(join(this.#folder, KEY_FILE));
    } catch (error) {
      throw new Fault('state-unusable', `${this.#folder}: ${error instanceof Error ? error.message : String(error)}`, {
        source: 'operator',
        fix: 'give a folder that this user may write with --state',
        cause: error,
      });
    }
    this.#publicKey = createPublicKey(this.#key);
    for (const name of await this.#files()) {
      const outcome = this.#opened(await readFile(join(this.#folder, name), 'utf8').catch(() => ''));
      if (typeof outcome === 'string') {
        this.#log.warn({ file: name, why: outcome }, 'snapshot on disk refused; trying the one before');
        continue;
      }
      this.#current = outcome;
      return;
    }
  }

  /** Ready for decisions; `undefined` before the first snapshot of all. */
  get index(): SteeringIndex | undefined {
    return this.#current?.index;
  }

  get signed(): SignedSnapshot | undefined {
    return this.#current?.signed;
  }

  /** PEM; what steering elsewhere checks signatures with. */
  get publicKey(): string {
    return this.#publicKey!.export({ type: 'spki', format: 'pem' }).toString();
  }

  /** Makes a snapshot the current one, at once; answers why not when it is refused. */
  publish(snapshot: Snapshot, forced = false): SnapshotRefusal | undefined {
    const refusal = snapshotRefusal(snapshot, this.#current?.index.snapshot, forced);
    if (refusal !== undefined) return refusal;
    const payload = JSON.stringify(snapshot);
    const signed = { payload, signature: sign(null, Buffer.from(payload), this.#key!).toString('base64') };
    this.#current = { index: steeringIndex(snapshot), signed };
    this.#pending = signed;
    this.#writing ??= this.#write();
    return undefined;
  }

  /** Waits until what was published is on disk. */
  async close(): Promise<void> {
    await this.#writing;
  }

  /** One writer; what was published meanwhile is written next, older ones in between are skipped. */
  async #write(): Promise<void> {
    for (let next = this.#pending; next !== undefined; next = this.#pending) {
      this.#pending = undefined;
      try {
        const { number } = JSON.parse(next.payload) as Snapshot;
        const path = join(this.#folder, `snapshot-${String(number).padStart(16, '0')}.json`);
        await writeFile(`${path}.part`, JSON.stringify(next));
        await rename(`${path}.part`, path);
        for (const old of (await this.#files()).slice(KEPT)) await rm(join(this.#folder, old), { force: true });
      } catch (error) {
        // The decision goes on from memory; only a restart would begin from an older one.
        this.#log.error({ err: error }, 'snapshot not written to disk');
      }
    }
    this.#writing = undefined;
  }

  /** Newest first. */
  async #files(): Promise<string[]> {
    const names = await readdir(this.#folder);
    return names
      .filter((name) => /^snapshot-\d{16}\.json$/.test(name))
      .sort()
      .reverse();
  }

  #opened(
    text: string,
  ): { index: SteeringIndex; signed: SignedSnapshot } | 'unparsable' | 'bad-signature' | SnapshotRefusal {
    try {
      const signed = JSON.parse(text) as SignedSnapshot;
      const bytes = Buffer.from(signed.payload);
      if (!verify(null, bytes, this.#publicKey!, Buffer.from(signed.signature, 'base64'))) return 'bad-signature';
      const snapshot: unknown = JSON.parse(signed.payload);
      const refusal = snapshotRefusal(snapshot, undefined);
      return refusal ?? { index: steeringIndex(snapshot as Snapshot), signed };
    } catch {
      return 'unparsable'; // cut short or not ours; the name says all that the operator needs
    }
  }
}

async function loadKey(path: string): Promise<KeyObject> {
  const pem = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (pem !== undefined) return createPrivateKey(pem);
  const { privateKey } = generateKeyPairSync('ed25519');
  await writeFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  return privateKey;
}
