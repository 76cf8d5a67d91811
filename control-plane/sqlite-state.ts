/**
 * The state in one SQLite file (`node:sqlite`, WAL), for one control plane. A killed process loses nothing that was
 * acknowledged. Calls are short and synchronous inside: this is the control path, never steering's.
 */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import type { PlannedManifest } from '../fill/planner.ts';
import type { AssetPopularity } from '../fill/popularity.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import type { PurgeEntry } from './api.ts';
import type { ApplianceRecord, EventKind, HistoryEvent, NumberSeries, PurgeRequest, State } from './state.ts';
import type { Site } from './topology.ts';

/** Raise it with every change of the tables, and add the step from the one before. */
const SCHEMA = 1;
const EVENTS_KEPT = 10_000;

const TABLES = `
  CREATE TABLE site (id TEXT PRIMARY KEY, place INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE appliance (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
  CREATE TABLE purge (number INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
  CREATE TABLE purge_request (id TEXT PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;
  CREATE TABLE manifest (appliance TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
  CREATE TABLE series (name TEXT PRIMARY KEY, used INTEGER NOT NULL) STRICT;
  CREATE TABLE event (number INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL) STRICT;
  CREATE TABLE popularity (site TEXT NOT NULL, path TEXT NOT NULL, score REAL NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (site, path)) STRICT, WITHOUT ROWID;
`;

export class SqliteState implements State {
  readonly #database: DatabaseSync;
  #closed = false;

  /** Opens or makes the file. Throws a `Fault` when it can't be used. */
  constructor(file: string) {
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(file);
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000;');
      migrate(database, file);
    } catch (error) {
      database?.close();
      if (error instanceof Fault) throw error;
      throw new Fault('state-unusable', `${file}: ${error instanceof Error ? error.message : String(error)}`, {
        source: 'operator',
        fix: 'give a folder that this user may write and that no other control plane uses, with --state',
        cause: error,
      });
    }
    this.#database = database;
  }

  async putSites(sites: readonly Site[]): Promise<void> {
    this.#transaction(() => {
      this.#run('DELETE FROM site');
      for (const [place, site] of sites.entries())
        this.#run('INSERT INTO site (id, place, body) VALUES (?, ?, ?)', site.id, place, JSON.stringify(site));
    });
  }

  async sites(): Promise<readonly Site[]> {
    return this.#bodies<Site>('SELECT body FROM site ORDER BY place');
  }

  async putAppliance(record: ApplianceRecord): Promise<void> {
    this.#run('INSERT OR REPLACE INTO appliance (id, body) VALUES (?, ?)', record.id, JSON.stringify(record));
  }

  async appliances(): Promise<readonly ApplianceRecord[]> {
    return this.#bodies<ApplianceRecord>('SELECT body FROM appliance ORDER BY id');
  }

  async appendPurges(
    entries: readonly Omit<PurgeEntry, 'number'>[],
  ): Promise<{ request: PurgeRequest; entries: PurgeEntry[] }> {
    return this.#transaction(() => {
      const first = this.#newestPurge() + 1;
      const numbered = entries.map((entry, i) => ({ number: first + i, ...entry }));
      for (const entry of numbered)
        this.#run('INSERT INTO purge (number, body) VALUES (?, ?)', entry.number, JSON.stringify(entry));
      const last = first + entries.length - 1;
      const request = { id: `p${first}-${last}`, first, last, atMillis: entries[0]?.atMillis ?? 0 };
      this.#run(
        'INSERT INTO purge_request (id, first, last, at) VALUES (?, ?, ?, ?)',
        request.id,
        first,
        last,
        request.atMillis,
      );
      return { request, entries: numbered };
    });
  }

  async purgesAfter(number: number, limit: number): Promise<readonly PurgeEntry[]> {
    return this.#bodies<PurgeEntry>('SELECT body FROM purge WHERE number > ? ORDER BY number LIMIT ?', number, limit);
  }

  async newestPurge(): Promise<number> {
    return this.#newestPurge();
  }

  async raisePurgeNumber(atLeast: number): Promise<void> {
    this.#run(
      "INSERT INTO series (name, used) VALUES ('purge', ?) ON CONFLICT (name) DO UPDATE SET used = max(used, excluded.used)",
      atLeast,
    );
  }

  async purgeRequest(id: string): Promise<PurgeRequest | undefined> {
    const row = this.#database.prepare('SELECT id, first, last, at FROM purge_request WHERE id = ?').get(id);
    if (row === undefined) return undefined;
    return { id: String(row.id), first: Number(row.first), last: Number(row.last), atMillis: Number(row.at) };
  }

  async putManifests(manifests: readonly PlannedManifest[]): Promise<void> {
    this.#transaction(() => {
      for (const manifest of manifests)
        this.#run(
          'INSERT OR REPLACE INTO manifest (appliance, body) VALUES (?, ?)',
          manifest.appliance,
          JSON.stringify(manifest),
        );
    });
  }

  async manifest(appliance: string): Promise<PlannedManifest | undefined> {
    return this.#bodies<PlannedManifest>('SELECT body FROM manifest WHERE appliance = ?', appliance)[0];
  }

  async manifests(): Promise<readonly PlannedManifest[]> {
    return this.#bodies<PlannedManifest>('SELECT body FROM manifest ORDER BY appliance');
  }

  async reserveNumbers(series: NumberSeries, count: number, above = 0): Promise<number> {
    return this.#transaction(() => {
      const used = Math.max(above, this.#number('SELECT used AS n FROM series WHERE name = ?', series));
      this.#run(
        'INSERT INTO series (name, used) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET used = excluded.used',
        series,
        used + count,
      );
      return used + 1;
    });
  }

  async appendEvent(event: Omit<HistoryEvent, 'number'>): Promise<HistoryEvent> {
    const { at, kind, text } = event;
    const { lastInsertRowid } = this.#run('INSERT INTO event (at, kind, text) VALUES (?, ?, ?)', at, kind, text);
    const number = Number(lastInsertRowid);
    if (number % 1000 === 0) this.#run('DELETE FROM event WHERE number <= ?', number - EVENTS_KEPT);
    return { number, at, kind, text };
  }

  async events(limit: number): Promise<readonly HistoryEvent[]> {
    const rows = this.#database
      .prepare('SELECT number, at, kind, text FROM event ORDER BY number DESC LIMIT ?')
      .all(limit);
    return rows
      .map((row) => ({
        number: Number(row.number),
        at: String(row.at),
        kind: String(row.kind) as EventKind,
        text: String(row.text),
      }))
      .reverse();
  }

  async putPopularity(site: string, scores: ReadonlyMap<string, AssetPopularity>): Promise<void> {
    this.#transaction(() => {
      this.#run('DELETE FROM popularity WHERE site = ?', site);
      const insert = this.#database.prepare('INSERT INTO popularity (site, path, score, at) VALUES (?, ?, ?, ?)');
      for (const [path, { score, atMillis }] of scores) insert.run(site, path, score, atMillis);
    });
  }

  async popularity(): Promise<ReadonlyMap<string, ReadonlyMap<string, AssetPopularity>>> {
    const all = new Map<string, Map<string, AssetPopularity>>();
    for (const row of this.#database.prepare('SELECT site, path, score, at FROM popularity').iterate()) {
      const site = String(row.site);
      const scores = all.get(site) ?? new Map<string, AssetPopularity>();
      all.set(site, scores);
      scores.set(String(row.path), { score: Number(row.score), atMillis: Number(row.at) });
    }
    return all;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#database.close();
  }

  #newestPurge(): number {
    return Math.max(
      this.#number('SELECT max(number) AS n FROM purge'),
      this.#number("SELECT used AS n FROM series WHERE name = 'purge'"),
    );
  }

  #number(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#database.prepare(sql).get(...values)?.n ?? 0);
  }

  #run(sql: string, ...values: SQLInputValue[]) {
    return this.#database.prepare(sql).run(...values);
  }

  #bodies<T>(sql: string, ...values: SQLInputValue[]): T[] {
    return this.#database
      .prepare(sql)
      .all(...values)
      .map((row) => JSON.parse(String(row.body)) as T);
  }

  #transaction<T>(work: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const value = work();
      this.#database.exec('COMMIT');
      return value;
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}

function migrate(database: DatabaseSync, file: string): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0);
  if (version === SCHEMA) return;
  if (version > SCHEMA)
    throw new Fault(
      'state-newer',
      `${file} was written by a newer nearcast (schema ${version}, this one knows ${SCHEMA})`,
      {
        source: 'operator',
        fix: 'start the newer version, or give another folder with --state',
        exit: EXIT.conflict,
      },
    );
  database.exec(`BEGIN IMMEDIATE; ${TABLES} PRAGMA user_version = ${SCHEMA}; COMMIT;`);
}
