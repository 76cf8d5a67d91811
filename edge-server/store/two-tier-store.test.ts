import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../runtime/log.ts';
import { openStore, type StoreOptions } from './open-store.ts';
import { describePut } from './put-contract.ts';
import { describeStore, type OpenedStore } from './store-contract.ts';

const MIB = 1 << 20;
const BASE: StoreOptions = {
  ...{ memoryBytes: 64 * MIB, diskBytes: 1024 * MIB, volumes: [], workerIndex: 0, workerCount: 1, log: silentLog() },
};

async function inMemory(): Promise<OpenedStore> {
  const store = await openStore(BASE);
  return { store, close: () => store.close() };
}

function onDisks(memoryBytes: number, disks: number) {
  return async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nearcast-store-'));
    const volumes = Array.from({ length: disks }, (_, i) => join(directory, `disk-${i}`));
    const store = await openStore({ ...BASE, memoryBytes, volumes });
    return {
      store,
      close: async () => {
        await store.close();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  };
}

describeStore('memory only', inMemory);
describeStore('memory over one volume', onDisks(64 * MIB, 1));
describeStore('a memory that holds nothing, over two volumes', onDisks(1, 2), false);

describePut('memory only', inMemory);
describePut('memory over one volume', onDisks(64 * MIB, 1));
describePut('a memory that holds nothing, over two volumes', onDisks(1, 2));
