import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SteeringAnswer } from './api.ts';
import { ControlFixture, call, FakeAppliance, heartbeat } from './fleet-fixture.ts';

const json = <T>(text: string): T => JSON.parse(text) as T;

describe('a control plane with two sites', () => {
  let control: ControlFixture;
  const a1 = new FakeAppliance('a1', 'a');
  const a2 = new FakeAppliance('a2', 'a');
  const b1 = new FakeAppliance('b1', 'b');
  beforeAll(async () => {
    control = await ControlFixture.make();
    await control.start();
    for (const appliance of [a1, a2, b1]) {
      await appliance.start();
      const joined = control.event(new RegExp(`appliance=${appliance.id} went=healthy`));
      await control.beat(appliance);
      await joined;
    }
  });
  afterAll(async () => {
    await control.remove();
    for (const appliance of [a1, a2, b1]) await appliance.stop();
  });

  const list = async (query: string, from = '127.0.0.1') =>
    json<SteeringAnswer>((await call(`${control.steering}/v1/steer?${query}`, { from })).text);

  it('redirects a client to an edge of its ISP, with path, query and the reason', async () => {
    const answer = await call(`${control.steering}/film/1.m4s?x=%2F&y`, { from: '127.2.0.7' });
    expect(answer.status).toBe(302);
    expect(answer.headers.location).toBe(`${b1.url}/film/1.m4s?x=%2F&y`);
    expect(answer.headers['cache-control']).toMatch(/^private/);
    expect(answer.headers['nearcast-reason']).toBe('site b by 127.2.0.0/16, rendezvous rank 1');
    expect(answer.headers['access-control-allow-origin']).toBe('*');
    expect(answer.headers['content-length']).toBe('0');
  });

  it('redirects a client that no ISP knows to the standby', async () => {
    const answer = await call(`${control.steering}/film/1.m4s`, { from: '127.9.0.1' });
    expect(answer.headers.location).toBe('http://standby.example.org/film/1.m4s');
  });

  it('answers HEAD as GET, and names what it allows for anything else', async () => {
    expect((await call(`${control.steering}/f`, { method: 'HEAD' })).status).toBe(302);
    const refused = await call(`${control.steering}/f`, { method: 'DELETE' });
    expect([refused.status, refused.headers.allow]).toEqual([405, 'GET, HEAD']);
    expect(refused.headers['content-type']).toBe('application/problem+json');
  });

  it('makes no open redirect of a target with two slashes', async () => {
    expect((await call(`${control.steering}//evil.example.org/x`)).headers.location).toMatch(
      /^http:\/\/127\.0\.0\.1:\d+\/\/evil/,
    );
  });

  it('gives the ranked list with reasons, for the caller or for a client that a trusted caller names', async () => {
    const own = await list('path=/film/1.m4s', '127.1.0.9');
    expect(own.client).toMatchObject({ address: '127.1.0.9', site: 'a', prefix: '127.1.0.0/16' });
    expect(own.targets.map(({ site }) => site)).toEqual(['a', 'a', 'b', undefined]);
    expect((await list('path=/f&client=127.2.0.1')).client.site).toBe('b');
    expect((await list('path=/f&client=2001:db8::1')).targets).toHaveLength(1);
  });

  it('refuses a list without a path and a client that is no address', async () => {
    expect((await call(`${control.steering}/v1/steer`)).status).toBe(400);
    expect((await call(`${control.steering}/v1/steer?path=/f&client=me`)).status).toBe(400);
  });

  it('gives content steering for HLS and DASH players', async () => {
    const answer = await call(`${control.steering}/v1/content-steering?path=/film/m.m3u8&known=a1,a2&_HLS_pathway=a1`, {
      from: '127.2.0.7',
    });
    const manifest = json<Record<string, unknown>>(answer.text);
    expect(manifest).toMatchObject({ VERSION: 1, TTL: 300, 'PATHWAY-PRIORITY': ['b1', 'standby'] });
    expect(manifest['RELOAD-URI']).toBe('/v1/content-steering?path=%2Ffilm%2Fm.m3u8&known=a1%2Ca2');
  });

  it('redirects a player whose playlist nobody has', async () => {
    expect((await call(`${control.steering}/v1/play/film/master.m3u8`, { from: '127.2.0.7' })).headers.location).toBe(
      `${b1.url}/film/master.m3u8`,
    );
  });

  it('delivers a purge with the next heartbeat and shows who has applied it', async () => {
    const asked = await call(`${control.control}/v1/purge`, {
      method: 'POST',
      body: { urls: ['/film/1.m4s'], soft: false },
    });
    expect(asked.status).toBe(202);
    const { id, last } = json<{ id: string; last: number }>(asked.text);
    const { purges } = await control.beat(a1);
    expect(purges.at(-1)).toMatchObject({
      number: last,
      soft: false,
      selector: { kind: 'url', url: 'http://cdn.example.org/film/1.m4s' },
    });
    expect((await control.beat(a1, { purgeLogNumber: last })).purges).toEqual([]);
    const status = json<{ done: boolean; appliances: { id: string; state: string }[] }>(
      (await call(`${control.control}/v1/purge/${id}`)).text,
    );
    expect(status.done).toBe(false);
    expect(status.appliances.map(({ id, state }) => [id, state])).toContainEqual(['a1', 'applied']);
    expect(status.appliances.map(({ id, state }) => [id, state])).toContainEqual(['b1', 'waiting']);
    for (const appliance of [a2, b1]) await control.beat(appliance, { purgeLogNumber: last });
    expect(json<{ done: boolean }>((await call(`${control.control}/v1/purge/${id}`)).text).done).toBe(true);
  });

  it('refuses a purge that selects nothing, with the fix', async () => {
    const refused = await call(`${control.control}/v1/purge`, { method: 'POST', body: { urls: [] } });
    expect(refused.status).toBe(400);
    expect(json<{ fix: string }>(refused.text).fix).toContain('exactly one');
  });

  it('takes a drained appliance out of new answers and back', async () => {
    expect((await call(`${control.control}/v1/appliances/b1/drain`, { method: 'POST', body: {} })).status).toBe(200);
    const drained = await list('path=/f&client=127.2.0.1');
    expect(drained.targets.map(({ id }) => id)).toEqual(['standby']);
    expect(drained.rejected).toEqual([{ id: 'b1', why: 'draining: draining by order' }]);
    await call(`${control.control}/v1/appliances/b1/resume`, { method: 'POST', body: {} });
    expect((await list('path=/f&client=127.2.0.1')).targets[0]!.id).toBe('b1');
    expect((await call(`${control.control}/v1/appliances/zz/drain`, { method: 'POST', body: {} })).status).toBe(404);
  });

  it('takes a dead appliance out at once and brings a restarted one back by itself', async () => {
    await a2.stop();
    const out = control.event(/appliance=a2 went=unhealthy because=refused/);
    await control.beat(a2); // its connection closes after the answer, as a killed process' would
    await out;
    expect((await list('path=/f')).targets.map(({ id }) => id)).not.toContain('a2');
    await a2.start();
    const back = control.event(/appliance=a2 went=recovering/);
    const beats = setInterval(() => void control.beat(a2, { boot: 'boot-2' }), 500);
    await back;
    clearInterval(beats);
    expect((await list('path=/f')).targets.map(({ id }) => id)).toContain('a2');
  });

  it('refuses what is no heartbeat, and an edge of a site that does not exist', async () => {
    const beat = (body: unknown, id = 'x1') =>
      call(`${control.control}/v1/appliances/${id}/heartbeat`, { method: 'POST', body });
    expect((await beat({})).status).toBe(400);
    expect((await beat(heartbeat({ site: 'nowhere' }))).text).toContain("there is no site 'nowhere'");
    expect((await beat(heartbeat(), 'standby')).status).toBe(409);
    expect((await beat(heartbeat(), 'a%20b')).status).toBe(409);
    expect((await control.views()).map(({ id }) => id)).not.toContain('x1');
  });

  it('takes writes as JSON alone, so that no web page elsewhere can make them', async () => {
    const plain = await call(`${control.control}/v1/purge`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
    });
    expect(plain.status).toBe(415);
    expect(
      (await call(`${control.control}/v1/purge`, { method: 'OPTIONS' })).headers['access-control-allow-methods'],
    ).toBe('GET, HEAD');
  });

  it('explains a decision for any client, shows its snapshot, and serves its page and metrics', async () => {
    const explained = json<SteeringAnswer>((await call(`${control.control}/v1/steer?path=/f&client=127.2.0.1`)).text);
    expect(explained.client.site).toBe('b');
    const signed = json<{ payload: string; signature: string }>(
      (await call(`${control.control}/v1/snapshot?format=signed`)).text,
    );
    expect(json<{ number: number }>(signed.payload).number).toBeGreaterThan(0);
    const page = await call(`${control.control}/`);
    expect(page.headers['content-type']).toContain('text/html');
    expect(page.headers['content-security-policy']).toContain("default-src 'self'");
    expect((await call(`${control.control}/console/hls.js`)).status).toBe(200);
    const metrics = (await call(`${control.control}/metrics`)).text;
    expect(metrics).toMatch(/^nearcast_control_heartbeats_total\{outcome="taken"\} [1-9]/m);
    expect(metrics).toMatch(/^nearcast_control_snapshot_number [1-9]/m);
  });

  it('takes a player’s report as a hint, and not a storm of them', async () => {
    const beacon = (body: unknown) => call(`${control.control}/v1/beacon`, { method: 'POST', body });
    expect((await beacon({ kind: 'error', appliance: 'a1', text: 'fragLoadError\u0007' })).status).toBe(204);
    expect((await beacon({ kind: 'nonsense' })).status).toBe(400);
    expect((await control.views()).find(({ id }) => id === 'a1')!.state).toBe('healthy');
    const storm = await Promise.all(Array.from({ length: 60 }, () => beacon({ kind: 'error', appliance: 'a1' })));
    expect(storm.some(({ status }) => status === 429)).toBe(true);
    const history = json<{ text: string }[]>((await call(`${control.control}/v1/events?format=json`)).text);
    expect(history.map(({ text }) => text)).toContain('player error appliance=a1 fragLoadError');
  });

  it('answers 404 and 405 with what there is', async () => {
    expect((await call(`${control.control}/v1/nothing`)).status).toBe(404);
    const wrong = await call(`${control.control}/v1/purge`);
    expect([wrong.status, wrong.headers.allow]).toEqual([405, 'POST']);
  });
});

describe('a control plane', () => {
  let control: ControlFixture;
  beforeEach(async () => {
    control = await ControlFixture.make();
  });
  afterEach(() => control.remove());

  it('answers from the last good snapshot right after a restart, before any appliance has reported', async () => {
    const b1 = await new FakeAppliance('b1', 'b').start();
    await control.start();
    const healthy = control.event(/b1 went=healthy/);
    await control.beat(b1);
    await healthy;
    const before = (await call(`${control.steering}/v1/steer?path=/f&client=127.2.0.1`)).text;
    await control.stop();
    await control.start();
    const after = json<SteeringAnswer>((await call(`${control.steering}/v1/steer?path=/f&client=127.2.0.1`)).text);
    expect(after.targets[0]!.id).toBe('b1');
    expect(after.snapshot).toBe(json<SteeringAnswer>(before).snapshot);
    const again = control.event(/b1 went=healthy because=answers-again window=1+ good=1/);
    await control.beat(b1);
    await again;
    await b1.stop();
  });

  it('never goes back in its numbers, also when its snapshots are lost', async () => {
    await control.start();
    const first = json<{ number: number }>((await call(`${control.control}/v1/snapshot`)).text).number;
    await control.stop();
    const folder = join(control.folder, 'state', 'snapshots');
    for (const name of await readdir(folder)) if (name.endsWith('.json')) await writeFile(join(folder, name), 'lost');
    await control.start();
    expect(json<{ number: number }>((await call(`${control.control}/v1/snapshot`)).text).number).toBeGreaterThan(first);
  });

  it('with a token takes no write without it', async () => {
    const file = join(control.folder, 'token');
    await writeFile(file, 'a-long-enough-token\n');
    await control.start('--token-file', file);
    const purge = (authorization?: string) =>
      call(`${control.control}/v1/purge`, {
        method: 'POST',
        body: { urls: ['/a'] },
        headers: authorization === undefined ? {} : { authorization },
      });
    expect((await purge()).status).toBe(401);
    expect((await purge('Bearer wrong')).status).toBe(401);
    expect((await purge('Bearer a-long-enough-token')).status).toBe(202);
    expect((await call(`${control.control}/v1/appliances`)).status).toBe(200);
  });

  it.each([
    ['beyond loopback without a token', ['--listen', '0.0.0.0:0'], 'token-missing'],
    ['with an unreadable token', ['--token-file', '/nonexistent'], 'token-unreadable'],
    ['with an unreadable topology', ['--topology', '/nonexistent'], 'topology-unreadable'],
    ['with a folder that is none', ['--state', '/dev/null/x'], 'state-unusable'],
    ['with a prefix that is none', ['--trust-client-from', 'me'], 'option-value'],
  ])('does not start %s, and says what to do', async (_, options, code) => {
    await expect(control.start(...options)).rejects.toMatchObject({ code, fix: expect.any(String) });
  });

  it('says whose port is taken', async () => {
    await control.start();
    const other = await ControlFixture.make();
    const port = new URL(control.steering).port;
    await expect(other.start('--steering', `127.0.0.1:${port}`)).rejects.toMatchObject({
      code: 'port-in-use',
      fix: expect.stringContaining('--steering'),
    });
    await other.remove();
  });
});
