import { defineConfig } from 'vitest/config';

/** Unit tests lie beside the code, cross-part tests in `tests/`. Two cores: few files at a time, each in its own process. */
export default defineConfig({
  test: {
    include: ['{runtime,edge-server,control-plane,origin,fill,deploy,bench,tests}/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['default'],
  },
});
