/** The sample files beside the film: the same bytes on every machine, from a key stream, made once into a folder. */
import { createCipheriv } from 'node:crypto';
import { mkdir, open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';

const KiB = 1024;
const MiB = 1024 * KiB;
const BLOCK = Buffer.alloc(4 * MiB);

/** Makes `files/0.bin`, `1k.bin`, `1m.bin` and, when asked, `200m.bin` below the folder, unless they are there. */
export async function makeSampleFiles(folder: string, large: boolean): Promise<void> {
  const files = join(folder, 'files');
  await mkdir(files, { recursive: true });
  const sizes: readonly (readonly [string, number])[] = [
    ['0.bin', 0],
    ['1k.bin', KiB],
    ['1m.bin', MiB],
    ...(large ? [['200m.bin', 200 * MiB] as const] : []),
  ];
  for (const [name, bytes] of sizes) await makeFile(join(files, name), bytes);
}

/** Deterministic bytes (AES-128-CTR over zeros, the counter begins at the size), streamed. */
async function makeFile(path: string, bytes: number): Promise<void> {
  const present = await stat(path).catch(() => undefined); // Absent is the usual case at the first start.
  if (present?.size === bytes) return;
  const start = Buffer.alloc(16);
  start.writeUInt32BE(bytes, 0);
  const stream = createCipheriv('aes-128-ctr', Buffer.from('nearcast samples'), start);
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w');
  try {
    for (let left = bytes; left > 0; left -= BLOCK.length)
      await file.writeFile(stream.update(BLOCK.subarray(0, Math.min(left, BLOCK.length))));
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
