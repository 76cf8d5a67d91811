/** Services by host: each with its policy, its upstreams, its purge and its figures; replaced while serving. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Configured } from './configured.ts';
import { type Answer, begin, cacheStatus, gate, Origin } from './harness.ts';

const HTML = { 'Content-Type': 'text/html' };

for (const workers of [1, 2])
  describe(`${workers} workers`, () => {
    const films = new Origin();
    const shop = new Origin();
    let configured: Configured;
    let paths = 0;
    const path = () => `/p-${++paths}`;
    const get = (host: string, target: string, more: Record<string, string> = {}): Promise<Answer> =>
      configured.edge.get(target, { Host: host, ...more });
    const services = () => [
      {
        name: 'films',
        hosts: ['films.example.org', '*.films.example.org'],
        upstreams: [films.url],
        'canonical-host': 'films.example.org',
        'default-ttl': '1m',
        'query-except': ['utm_source'],
        'status-ttl': { 404: '1m' },
        paths: [{ prefix: '/live/', 'default-ttl': '0s' }],
        methods: ['POST'],
        'ignored-request-headers': ['X-Tracking'],
      },
      {
        name: 'shop',
        hosts: ['shop.example.org', 'www.films.example.org'],
        upstreams: [shop.url],
        'purge-from': ['192.0.2.1'],
        'set-cookie': 'strip',
      },
    ];

    beforeAll(async () => {
      await Promise.all([films.start(), shop.start()]);
      configured = await Configured.start({ services: services() }, { workers });
    });
    afterAll(async () => {
      await configured?.stop();
      await Promise.all([films.stop(), shop.stop()]);
    });

    test('the exact host goes before the wildcard, whatever its case, port and final dot', async () => {
      const target = path();
      films.on(target, { body: 'films', headers: { 'Cache-Control': 'no-store' } });
      shop.on(target, { body: 'shop', headers: { 'Cache-Control': 'no-store' } });
      const bodies = async (...hosts: string[]) =>
        Promise.all(hosts.map(async (host) => (await get(host, target)).text));
      expect(await bodies('films.example.org', 'A.B.Films.example.org:8080', 'films.example.org.')).toEqual(
        Array(3).fill('films'),
      );
      expect(await bodies('shop.example.org', 'WWW.films.example.org')).toEqual(['shop', 'shop']);
    });

    test('a host that no service names is 421', async () => {
      const answer = await get('other.example.org', path());
      expect([answer.status, cacheStatus(answer).parameters.get('detail')]).toEqual([421, 'no-service']);
      expect(answer.field('cache-control')).toBe('no-store');
    });

    test('each has lifetimes of its own, and other ones below a prefix and by status', async () => {
      const target = path();
      for (const origin of [films, shop]) origin.on(target, { headers: HTML, body: 'x' });
      await get('films.example.org', target);
      expect(cacheStatus(await get('films.example.org', target)).hit).toBe(true);
      await get('shop.example.org', target);
      expect(cacheStatus(await get('shop.example.org', target)).hit).toBe(false);
      films.on(`/live${target}`, { headers: HTML, body: 'x' });
      await get('films.example.org', `/live${target}`);
      expect(cacheStatus(await get('films.example.org', `/live${target}`)).hit).toBe(false);
      films.on(`${target}-none`, { status: 404, headers: HTML, body: 'x' });
      await get('films.example.org', `${target}-none`);
      const none = cacheStatus(await get('films.example.org', `${target}-none`));
      expect([none.hit, Number(none.parameters.get('ttl')) > 50]).toEqual([true, true]);
    });

    test('its canonical host and query rule make one key of many spellings, and are what the origin is asked', async () => {
      const target = path();
      films.on(`${target}?a=1`, { headers: { 'Cache-Control': 'max-age=60' }, body: 'x' });
      await get('a.films.example.org', `${target}?utm_source=x&a=1`);
      expect(cacheStatus(await get('films.example.org', `${target}?a=1&utm_source=y`)).hit).toBe(true);
      expect(films.requests(`${target}?a=1`).map(({ headers }) => headers.host)).toEqual(['films.example.org']);
    });

    test('a field that it ignores never reaches its origin, and nothing varies on it', async () => {
      const target = path();
      const headers = { 'Cache-Control': 'max-age=60', Vary: 'X-Tracking' };
      films.on(target, { headers, body: 'x' });
      await get('films.example.org', target, { 'X-Tracking': '1' });
      expect(cacheStatus(await get('films.example.org', target, { 'X-Tracking': '2' })).hit).toBe(true);
      expect(films.requests(target)[0]!.headers['x-tracking']).toBeUndefined();
    });

    test('methods that it does not name are 405 with those that it has', async () => {
      const target = path();
      films.on(target, { body: 'posted' });
      const ask = (method: string) => configured.edge.ask(target, { method, headers: { Host: 'films.example.org' } });
      expect((await ask('POST')).status).toBe(200);
      const refused = await ask('DELETE');
      expect([refused.status, refused.field('allow')]).toEqual([405, 'GET, HEAD, POST']);
      expect(films.hits(target)).toBe(1);
    });

    test('a response with a cookie is stored without it where the service says so', async () => {
      const target = path();
      const headers = { 'Cache-Control': 'max-age=60', 'Set-Cookie': 'a=1' };
      for (const origin of [films, shop]) origin.on(target, { headers, body: 'x' });
      await get('shop.example.org', target);
      const second = await get('shop.example.org', target);
      expect([cacheStatus(second).hit, second.field('set-cookie')]).toEqual([true, undefined]);
      await get('films.example.org', target);
      expect(cacheStatus(await get('films.example.org', target)).hit).toBe(false);
    });

    test('PURGE is for the addresses that its service allows', async () => {
      const target = path();
      const purge = (host: string) => configured.edge.ask(target, { method: 'PURGE', headers: { Host: host } });
      expect((await purge('films.example.org')).status).toBe(200);
      expect((await purge('shop.example.org')).status).toBe(403);
      expect((await purge('other.example.org')).status).toBe(421);
    });

    test('its requests, hits and bytes are counted under its name', async () => {
      const target = path();
      films.on(target, { headers: { 'Cache-Control': 'max-age=60' }, body: '12345' });
      await get('films.example.org', target);
      const requests = 'nearcast_edge_service_requests_total{service="films"}';
      const hits = 'nearcast_edge_service_hits_total{service="films"}';
      await expect.poll(() => configured.edge.metric(requests), { timeout: 5000 }).toBeGreaterThan(0);
      const before = [await configured.edge.metric(requests), await configured.edge.metric(hits)];
      await get('films.example.org', target);
      await get('films.example.org', target);
      await expect.poll(() => configured.edge.metric(hits), { timeout: 5000 }).toBeGreaterThan(before[1]!);
      expect(await configured.edge.metric(requests)).toBeGreaterThan(before[0]!);
    });

    test('SIGHUP replaces services while a response is under way, a bad file leaves the old ones running and says so', async () => {
      const target = path();
      const end = gate();
      films.on(target, {
        headers: { 'Cache-Control': 'max-age=60' },
        body: 'first ',
        rest: { after: end, body: 'last' },
      });
      shop.on(target, { headers: { 'Cache-Control': 'max-age=60' }, body: 'shop' });
      const under = await begin(configured.edge.port, target, { headers: { Host: 'films.example.org' } });
      await under.received(6);

      await configured.reload({ services: [{ name: 'shop', hosts: ['films.example.org'], upstreams: [shop.url] }] });
      expect(await configured.edge.metric('nearcast_edge_config_good')).toBe(1);
      expect((await get('films.example.org', `${target}-new`)).status).toBe(404);
      expect((await get('a.films.example.org', target)).status).toBe(421);
      end.open();
      expect(await under.answer).toMatchObject({ text: 'first last', whole: true });

      await configured.reload('services:\n  - name: shop\n    host: films.example.org\n');
      expect(await configured.edge.metric('nearcast_edge_config_good')).toBe(0);
      expect(await configured.edge.metric('nearcast_edge_config_loads_total{outcome="refused"}')).toBe(1);
      expect(configured.edge.output()).toContain(
        "edge.yaml:3:5: key 'services[0].host' is unknown; did you mean hosts?",
      );
      expect((await get('films.example.org', `${target}-new`)).status).toBe(404);

      await configured.reload({ memory: '64MiB', services: services() });
      expect(await configured.edge.metric('nearcast_edge_config_good')).toBe(1);
      expect(await configured.edge.metric('nearcast_edge_config_restart_needed')).toBe(1);
      expect((await get('a.films.example.org', path())).status).toBe(404);
    });
  });

test('without services one policy holds for every host, and a reload may bring services', async () => {
  const origin = await new Origin().start();
  const configured = await Configured.start({ upstream: origin.url }, { disk: false });
  try {
    origin.on('/a', { headers: { 'Cache-Control': 'max-age=60' }, body: 'x' });
    const status = async (host: string) => (await configured.edge.get('/a', { Host: host })).status;
    expect([await status('a.example.org'), await status('b.example.org')]).toEqual([200, 200]);
    await configured.reload({ upstream: origin.url, services: [{ name: 'a', hosts: ['a.example.org'] }] });
    expect([await status('a.example.org'), await status('b.example.org')]).toEqual([200, 421]);
    await configured.reload({
      upstream: origin.url,
      services: [
        { name: 'a', hosts: ['a.example.org'] },
        { name: 'rest', hosts: ['*'] },
      ],
    });
    expect([await status('a.example.org'), await status('b.example.org')]).toEqual([200, 200]);
    expect(origin.hits('/a')).toBe(2);
  } finally {
    await configured.stop();
    await origin.stop();
  }
});

test('a purge of a service from the control plane is of its hosts alone, also those under its wildcard', async () => {
  const origin = await new Origin().start();
  const log: { number: number; [more: string]: unknown }[] = [];
  const control = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const { purgeLogNumber } = JSON.parse(body) as { purgeLogNumber: number };
    const purges = log.filter(({ number }) => number > purgeLogNumber);
    const answer = { snapshot: 1, state: 'healthy', purges, manifestVersion: 0 };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => control.listen(0, '127.0.0.1', resolve));
  const services = [
    { name: 'films', hosts: ['*.example.org'] },
    { name: 'shop', hosts: ['shop.example.org', '*'] },
  ];
  const configured = await Configured.start(
    { upstream: origin.url, services },
    { workers: 2, more: ['--control', `http://127.0.0.1:${(control.address() as AddressInfo).port}`] },
  );
  try {
    const hosts = ['a.example.org', 'b.c.example.org', 'shop.example.org', 'other.test'];
    origin.on('/a', { headers: { 'Cache-Control': 'max-age=60' }, body: 'x' });
    const hits = () =>
      Promise.all(hosts.map(async (host) => cacheStatus(await configured.edge.get('/a', { Host: host })).hit));
    await hits();
    await expect.poll(hits).toEqual([true, true, true, true]);
    log.push({ number: 1, selector: { kind: 'service', service: 'films' }, soft: false, atMillis: 0 });
    await expect.poll(() => configured.edge.metric('nearcast_edge_purges_total'), { timeout: 5000 }).toBeGreaterThan(0);
    expect(await hits()).toEqual([false, false, true, true]);
    await configured.reload({ upstream: origin.url, services: [{ name: 'all', hosts: ['*'] }] });
    await expect.poll(hits).toEqual([true, true, true, true]);
  } finally {
    await configured.stop();
    control.closeAllConnections();
    await new Promise((resolve) => control.close(resolve));
    await origin.stop();
  }
});
