/** For tests: files whose n-th write, or whose reads, fail as a full or broken disk's do. */
import { type Files, type OpenFile, systemFiles } from './files.ts';

export class FaultyFiles implements Files {
  /** Called before each operation; what it returns is thrown. */
  fault: (operation: 'open' | 'write' | 'read' | 'unlink' | 'truncate', count: number) => string | undefined = () =>
    undefined;
  readonly counts = { open: 0, write: 0, read: 0, unlink: 0, truncate: 0 };
  readonly list = systemFiles.list;
  readonly size = systemFiles.size;
  readonly space = systemFiles.space;
  readonly makeDirectory = systemFiles.makeDirectory;
  readonly removeDirectory = systemFiles.removeDirectory;
  readonly readText = systemFiles.readText;
  readonly writeText = systemFiles.writeText;

  async open(path: string, mode: 'read' | 'write' | 'create'): Promise<OpenFile> {
    this.#meet('open');
    const file = await systemFiles.open(path, mode);
    return {
      read: async (into, position) => {
        this.#meet('read');
        return file.read(into, position);
      },
      write: async (pieces, position) => {
        try {
          this.#meet('write');
        } catch (error) {
          // Half of it arrives, as on a disk that fills up in the middle.
          const half = Buffer.concat(pieces);
          await file.write([half.subarray(0, half.length >> 1)], position);
          throw error;
        }
        await file.write(pieces, position);
      },
      truncate: async (length) => {
        this.#meet('truncate');
        await file.truncate(length);
      },
      close: () => file.close(),
    };
  }

  async unlink(path: string): Promise<void> {
    this.#meet('unlink');
    await systemFiles.unlink(path);
  }

  #meet(operation: keyof FaultyFiles['counts']): void {
    const code = this.fault(operation, ++this.counts[operation]);
    if (code !== undefined) throw Object.assign(new Error(`${code}: injected`), { code });
  }
}
