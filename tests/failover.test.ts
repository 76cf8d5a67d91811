/**
 * The promise of the whole: a film plays in a real browser, the edge that serves it dies, the other one too, both come
 * back, and whoever watches notices nothing. Real box, headless Chromium, kill -9.
 */
import { access } from 'node:fs/promises';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startBox, type TestBox } from './support/box.ts';
import { ask } from './support/http.ts';
import { until } from './support/until.ts';

const CHROMIUM = process.env.NEARCAST_CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-gpu',
  '--autoplay-policy=no-user-gesture-required',
];
/** The promise of the mission: a dead appliance is out of every new answer in under 10 s. */
const OUT_MILLIS = 10_000;
/** No stop of playback may be longer. */
const STOP_MILLIS = 2000;
/** Dead edges stay dead for this long, then the box starts them again. */
const RESTART_SECONDS = 30;

interface PlayerStatus {
  readonly servedBy: string | undefined;
  readonly errors: readonly { readonly details: string; readonly appliance?: string }[];
}

/** What the page exposes, as far as this test uses it. */
interface PageWindow {
  readonly nearcast?: { readonly servedBy: string | undefined; readonly status: PlayerStatus };
  readonly document: {
    querySelector(selector: string): { readonly currentTime: number; readonly paused: boolean } | null;
  };
  longestStop?: number;
}

declare const window: PageWindow & { setInterval(callback: () => void, millis: number): void };
declare const performance: { now(): number };

describe('a film that plays through steering', () => {
  let box: TestBox;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    await access(CHROMIUM);
    box = await startBox({ argv: ['--restart-after', `${RESTART_SECONDS}s`, '--no-large-file'] });
    await until('both edges of ISP A get clients', 20_000, async () =>
      (await targets()).length === 3 ? true : undefined,
    );
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
    await page.goto(box.endpoints.control);
    await page.waitForFunction(() => (window.document.querySelector('video')?.currentTime ?? 0) > 2, null, {
      timeout: 60_000,
    });
    await page.evaluate(watchPlayback);
  }, 180_000);

  afterAll(async () => {
    await browser?.close();
    await box?.close();
  }, 60_000);

  /** Ids of the ranked answer for a client of ISP A, as a new client gets it now. */
  async function targets(): Promise<string[]> {
    const answer = await ask(`${box.endpoints.steering}/v1/steer?path=/film/master.m3u8`, { from: '127.0.0.1' });
    const { targets } = JSON.parse(answer.body.toString()) as { targets: { id: string }[] };
    return targets.map(({ id }) => id);
  }

  const servedBy = () => page.evaluate(() => window.nearcast?.servedBy);

  async function kill(id: string): Promise<number> {
    const { edges } = await box.read();
    process.kill(edges.find((edge) => edge.id === id)!.pid, 'SIGKILL');
    return performance.now();
  }

  async function movedFrom(ids: readonly string[]): Promise<string> {
    await page.waitForFunction((gone) => !gone.includes(window.nearcast?.servedBy), ids as (string | undefined)[], {
      timeout: 30_000,
    });
    return (await servedBy())!;
  }

  async function outWithin(id: string, since: number): Promise<number> {
    await until(`${id} is out of new answers`, OUT_MILLIS, async () =>
      (await targets()).includes(id) ? undefined : true,
    );
    return performance.now() - since;
  }

  async function longestStop(): Promise<number> {
    return page.evaluate(() => window.longestStop ?? Number.NaN);
  }

  let first: string;
  let second: string;

  test('is served by an edge of the client’s ISP', async () => {
    first = (await servedBy())!;
    expect(['a1', 'a2']).toContain(first);
    expect((await targets())[0]).toBe(first);
  });

  test('goes on from the other edge when the first is killed', async () => {
    const since = await kill(first);
    const out = await outWithin(first, since);
    second = await movedFrom([first]);
    expect([second, first].sort()).toEqual(['a1', 'a2']);
    expect(out).toBeLessThan(OUT_MILLIS);
    expect(await longestStop()).toBeLessThan(STOP_MILLIS);
  }, 60_000);

  test('goes on from the stand-in when every edge of the ISP is dead', async () => {
    const since = await kill(second);
    await outWithin(second, since);
    const third = await movedFrom([first, second]);
    expect(third).toBe('cloudflare-stand-in');
    const redirect = await ask(`${box.endpoints.steering}/film/360p/index.m3u8`, { from: '127.1.0.9', follow: true });
    expect([redirect.status, new URL(redirect.url).origin]).toEqual([200, box.endpoints.standby]);
    expect(await longestStop()).toBeLessThan(STOP_MILLIS);
  }, 60_000);

  test('is told on the page by whom, and why the others are out', async () => {
    await page.waitForFunction(
      (ids) =>
        ids.every((id) => window.document.querySelector(`tr[data-appliance="${id}"][data-state="unhealthy"]`) !== null),
      [first, second],
    );
    expect(await page.textContent('#served')).toBe('cloudflare-stand-in');
    expect(await page.textContent('#alarm')).toContain('2 of 2 edges down');
  });

  test('can come from both edges again once they are back, without anybody doing anything', async () => {
    await until('both edges get clients again', 90_000, async () => {
      const now = await targets();
      return now.includes('a1') && now.includes('a2') ? true : undefined;
    });
    for (const id of ['a1', 'a2']) {
      const { url } = (await box.read()).edges.find((edge) => edge.id === id)!;
      expect((await ask(`${url}/film/master.m3u8`)).status).toBe(200);
    }
  }, 100_000);

  test('never stood still for more than 2 s, and still plays', async () => {
    const before = await page.evaluate(() => window.document.querySelector('video')!.currentTime);
    await page.waitForFunction((then) => window.document.querySelector('video')!.currentTime !== then, before);
    expect(await longestStop()).toBeLessThan(STOP_MILLIS);
  });
});

/** Runs in the page: samples the playback position, independent of what the page itself measures. */
function watchPlayback(): void {
  const video = window.document.querySelector('video')!;
  let position = video.currentTime;
  let movedAt = performance.now();
  window.longestStop = 0;
  window.setInterval(() => {
    const now = performance.now();
    if (video.currentTime !== position) {
      position = video.currentTime;
      movedAt = now;
    }
    window.longestStop = Math.max(window.longestStop!, now - movedAt);
  }, 50);
}
