import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { examineIndexFile } from './index-file.ts';
import { VolumeIndex } from './volume-index.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nearcast-index-'));
  file = join(directory, 'index', 'data.mdb');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('the index’s file', () => {
  it('is examined before LMDB sees it: absent, sound, garbage', async () => {
    expect(examineIndexFile(file, 'mend')).toBe('absent');
    const index = new VolumeIndex(directory);
    await index.putRow(Buffer.from('key'), randomBytes(100_000), 1);
    await index.flushed();
    expect(examineIndexFile(file, 'look')).toBe('sound');
    await index.close();
    expect(examineIndexFile(file, 'mend')).toBe('sound');
    for (const garbage of [randomBytes(65_536), Buffer.alloc(65_536), Buffer.alloc(100)]) {
      writeFileSync(file, garbage);
      expect(examineIndexFile(file, 'mend')).toBe('garbage');
    }
    writeFileSync(file, '');
    expect(examineIndexFile(file, 'mend')).toBe('absent');
  });

  it('cut short is lengthened, so that reading what is missing is an error and not the end of the process', async () => {
    const index = new VolumeIndex(directory);
    const keys = Array.from({ length: 200 }, (_, i) => Buffer.from(`key ${i}`));
    await Promise.all(keys.map((key) => index.putRow(key, randomBytes(2000), 1)));
    await index.flushed();
    await index.close();
    const whole = statSync(file).size;
    truncateSync(file, 40_960);
    expect(examineIndexFile(file, 'look')).toBe('short');
    expect(examineIndexFile(file, 'mend')).toBe('lengthened');
    expect(statSync(file).size).toBe(whole);
    let answers = 0;
    try {
      const again = new VolumeIndex(directory);
      for (const key of keys)
        try {
          again.row(key);
        } catch {
          answers++;
        }
      await again.close();
    } catch {
      answers++;
    }
    expect(answers).toBeGreaterThan(0);
  });
});
