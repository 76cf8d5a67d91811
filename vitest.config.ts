import { defineConfig } from 'vitest/config';

/** Unit tests lie beside the code, cross-part tests in `tests/`. Two cores: few files at a time, each in its own process. */
export default defineConfig({
  test: {
    include: ['{runtime,edge-server,control-plane,origin,fill,deploy,bench,tests}/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Bounds are for what hangs, on a machine that has much else to do: at a load of 18 on two cores an edge starts in 24 s.
    testTimeout: 90_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
    reporters: ['default'],
  },
});
