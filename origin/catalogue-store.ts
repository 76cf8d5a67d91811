/**
 * What the catalogue remembers between runs: every object with its digest, and the version. SQLite, so that a bucket of
 * millions is no file to rewrite; a lost folder only means that digests are learnt again.
 */
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { CatalogueAsset } from '../control-plane/api.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import { makeFolder } from '../runtime/folder.ts';

export interface KnownObject {
  readonly key: string;
  readonly asset: CatalogueAsset;
}

export class CatalogueStore {
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #get: StatementSync;
  readonly #keys: StatementSync;
  readonly #remove: StatementSync;

  /** Opens or makes the database in the folder. Throws a `Fault` that names the folder when it can't. */
  constructor(folder: string, nowMillis: number) {
    try {
      makeFolder(folder);
      this.#database = new DatabaseSync(join(folder, 'catalogue.sqlite'), { timeout: 1000 });
      this.#database.exec(`
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = NORMAL;
        CREATE TABLE IF NOT EXISTS object (key TEXT PRIMARY KEY, etag TEXT NOT NULL, asset TEXT NOT NULL) STRICT;
        CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;`);
    } catch (error) {
      throw new Fault('state-unusable', `${folder}: ${(error as Error).message}`, {
        source: 'disk',
        fix: 'give --state a folder that this user may write',
        exit: EXIT.failed,
        cause: error,
      });
    }
    // A new folder starts at the clock, so that the version rises also after a loss of the old one.
    this.#database
      .prepare("INSERT OR IGNORE INTO state VALUES ('version', ?)")
      .run(Math.floor(nowMillis / 1000) * 1000);
    this.#put = this.#database.prepare('INSERT OR REPLACE INTO object VALUES (?, ?, ?)');
    this.#get = this.#database.prepare('SELECT etag, asset FROM object WHERE key = ?');
    this.#keys = this.#database.prepare('SELECT key FROM object');
    this.#remove = this.#database.prepare('DELETE FROM object WHERE key = ?');
  }

  get version(): number {
    return Number(this.#database.prepare("SELECT number FROM state WHERE name = 'version'").get()!.number);
  }

  get(key: string): CatalogueAsset | undefined {
    const row = this.#get.get(key);
    return row === undefined ? undefined : (JSON.parse(String(row.asset)) as CatalogueAsset);
  }

  keys(): string[] {
    return this.#keys.all().map((row) => String(row.key));
  }

  /** Every asset, in key order. */
  assets(): CatalogueAsset[] {
    const rows = this.#database.prepare('SELECT asset FROM object ORDER BY key').all();
    return rows.map((row) => JSON.parse(String(row.asset)) as CatalogueAsset);
  }

  /** Applies a change as one transaction and raises the version once; answers it. */
  apply(changed: readonly KnownObject[], removed: readonly string[]): number {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      for (const { key, asset } of changed) this.#put.run(key, asset.etag, JSON.stringify(asset));
      for (const key of removed) this.#remove.run(key);
      this.#database.exec("UPDATE state SET number = number + 1 WHERE name = 'version'; COMMIT");
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
    return this.version;
  }

  close(): void {
    this.#database.close();
  }
}
