/**
 * One row: each server at its best setting for it, checked byte by byte, then rounds of load that alternate between the
 * servers. Of each round: rate, latency, the server's CPU time, the load's, and what reached the origin.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BenchOrigin } from './bench-origin.ts';
import { type Client, openClient } from './client.ts';
import { byH2load } from './h2load.ts';
import { byAutocannon, type Loader, type Measured, missPath } from './load.ts';
import { loadCpus, type Peer, type Running } from './peers/peer.ts';
import { cpuSecondsBetween, sampleCpu } from './process-cpu.ts';
import { isLarge, type Scenario } from './scenarios.ts';
import { figureOf, median, type Round, type ServerResult, type Trial } from './verdict.ts';

export interface Rig {
  /** On a file system of memory. */
  readonly folder: string;
  readonly origin: BenchOrigin;
  /** For HTTP/1.1 at full load. */
  readonly loader: Loader;
  readonly seconds: number;
  readonly rounds: number;
  /** Whether each peer's settings are tried; else its first is taken. */
  readonly tryAll: boolean;
  readonly certificate: string;
  readonly key: string;
  /** Ends the run: the row under way rejects, its servers are stopped. */
  readonly signal: AbortSignal;
}

interface Server {
  readonly peer: Peer;
  readonly setting: string;
  readonly tried: Readonly<Record<string, Trial>>;
  readonly running: Running;
  readonly client: Client;
  readonly folder: string;
  readonly rounds: Round[];
  storedShare: number | undefined;
}

/** To warm up, to try a setting, to find the rate for latency. */
const SHORT = { seconds: 1, rate: undefined } as const;
/** Load of the latency rows: well below where queues form. */
const LOAD_SHARE = 0.7;
const STORED_SAMPLE = 64;

/** The first peer is ours. Rejects where a server answers wrongly. */
export async function measureRow(rig: Rig, peers: readonly Peer[], scenario: Scenario): Promise<ServerResult[]> {
  const servers: Server[] = [];
  try {
    for (const peer of peers) servers.push(await atItsBest(rig, peer, scenario));
    const rate = scenario.figure === 'latency' ? await sharedRate(rig, servers, scenario) : undefined;
    for (let round = 0; round < rig.rounds; round++)
      for (let i = 0; i < servers.length; i++) {
        // Each is first in turn: what a round leaves behind falls on all alike.
        const server = servers[(round + i) % servers.length]!;
        const tag = randomUUID().slice(0, 8);
        const one = await oneRound(rig, server.running, scenario, { seconds: rig.seconds, rate, tag });
        server.rounds.push(one);
        // autocannon makes up its URLs itself: what it asked for can't be asked for again.
        if (scenario.from === 'miss' && round === rig.rounds - 1 && rig.loader !== byAutocannon)
          server.storedShare = await storedShare(rig, server, scenario, tag, one.requests);
      }
  } finally {
    for (const server of servers) await stopped(server);
  }
  return servers.map(({ peer, setting, tried, rounds, storedShare: share }) => ({
    server: peer.name,
    setting,
    tried,
    rounds,
    storedShare: share,
  }));
}

async function atItsBest(rig: Rig, peer: Peer, scenario: Scenario): Promise<Server> {
  const settings = peer.settings(scenario);
  if (!rig.tryAll || settings.length === 1) return started(rig, peer, settings[0]!, scenario);
  const tried: Record<string, Trial> = {};
  const faults: unknown[] = [];
  for (const setting of settings) {
    let server: Server | undefined;
    try {
      server = await started(rig, peer, setting, scenario);
      const full: Scenario = { ...scenario, figure: 'rate' };
      const round = await oneRound(rig, server.running, full, { ...SHORT, tag: 'trial' });
      tried[setting] = {
        figure: Math.round(figureOf(full, round)),
        cpuMicros: Math.round(round.serverMicrosPerRequest),
      };
    } catch (error) {
      // A setting that this version or this kernel lacks is worth nothing; the others are tried.
      rig.signal.throwIfAborted();
      faults.push(error);
      tried[setting] = { figure: 0, cpuMicros: undefined };
    } finally {
      if (server !== undefined) await stopped(server);
    }
  }
  if (faults.length === settings.length) throw faults[0];
  const best = settings.reduce((a, b) => (tried[b]!.figure > tried[a]!.figure ? b : a));
  return { ...(await started(rig, peer, best, scenario)), tried };
}

/** A fresh server whose cache holds what the row asks for. */
async function started(rig: Rig, peer: Peer, setting: string, scenario: Scenario): Promise<Server> {
  const folder = await mkdtemp(join(rig.folder, `${peer.name}-`));
  const { certificate, key, origin } = rig;
  const running = await peer
    .start({ setting, scenario, upstream: origin.url, folder, certificate, key })
    .catch(async (error: unknown) => {
      await rm(folder, { recursive: true, force: true });
      throw error;
    });
  const client = openClient(running.url, scenario, rig.signal);
  const server = { peer, setting, tried: {}, running, client, folder, rounds: [], storedShare: undefined };
  try {
    await client.fill(scenario);
    if (rig.tryAll) await oneRound(rig, running, { ...scenario, figure: 'rate' }, { ...SHORT, tag: 'warm' });
  } catch (error) {
    await stopped(server);
    throw error;
  }
  return server;
}

async function stopped({ client, running, folder }: Server): Promise<void> {
  client.close();
  await running.stop();
  await rm(folder, { recursive: true, force: true });
}

/** 70 % of what the weaker server can. */
async function sharedRate(rig: Rig, servers: readonly Server[], scenario: Scenario): Promise<number> {
  const most = servers.map(() => [] as number[]);
  for (let trial = 0; trial < (rig.tryAll ? 3 : 1); trial++)
    for (const [i, { running }] of servers.entries()) {
      const round = await oneRound(rig, running, { ...scenario, figure: 'rate' }, { ...SHORT, tag: 'rate' });
      most[i]!.push(round.requestsPerSecond);
    }
  return LOAD_SHARE * Math.min(...most.map(median));
}

async function oneRound(
  rig: Rig,
  running: Running,
  scenario: Scenario,
  load: { readonly seconds: number; readonly rate: number | undefined; readonly tag: string },
): Promise<Round> {
  const { origin, signal } = rig;
  signal.throwIfAborted();
  const asked = await origin.asked();
  const [server, source] = [
    await sampleCpu(running.pid),
    origin.pid === undefined ? undefined : await sampleCpu(origin.pid),
  ];
  const loader = scenario.protocol === 'h2' || scenario.figure === 'latency' ? byH2load : rig.loader;
  const measured = await loader(running.url, scenario, {
    ...load,
    cpus: loadCpus(scenario),
    folder: rig.folder,
    signal,
  });
  const serverSeconds = cpuSecondsBetween(server, await sampleCpu(running.pid));
  const originSeconds = source === undefined ? undefined : cpuSecondsBetween(source, await sampleCpu(origin.pid!));
  return toRound(measured, scenario, {
    serverSeconds,
    originSeconds,
    originRequests: (await origin.asked()) - asked,
  });
}

function toRound(
  measured: Measured,
  scenario: Scenario,
  {
    serverSeconds,
    originSeconds,
    originRequests,
  }: { serverSeconds: number; originSeconds: number | undefined; originRequests: number },
): Round {
  const { requests, seconds, loadCpuSeconds } = measured;
  // A large answer may be under way at a round's end: its bytes count for their part of a request.
  const answers = isLarge(scenario) ? (measured.bytesPerSecond * seconds) / scenario.bytes : requests;
  return {
    requests,
    requestsPerSecond: measured.requestsPerSecond,
    bytesPerSecond: measured.bytesPerSecond,
    p50Millis: measured.p50Millis,
    p99Millis: measured.p99Millis,
    errors: measured.errors,
    originRequests,
    serverMicrosPerRequest: (serverSeconds * 1e6) / Math.max(answers, 1),
    serverCores: serverSeconds / seconds,
    loadCores: loadCpuSeconds === undefined ? undefined : loadCpuSeconds / seconds,
    originCores: originSeconds === undefined ? undefined : originSeconds / seconds,
  };
}

/** Asks again for some of a round's misses: what was stored does not reach the origin. */
async function storedShare(
  rig: Rig,
  server: Server,
  scenario: Scenario,
  tag: string,
  requests: number,
): Promise<number> {
  // Of the first half: the load's end cuts off as many as there are connections, some of which waited long.
  const half = Math.max(1, requests >> 1);
  const count = Math.min(STORED_SAMPLE, half);
  const paths = Array.from({ length: count }, (_, i) => missPath(scenario, tag, half - Math.floor((i * half) / count)));
  const before = await rig.origin.asked();
  await server.client.ask(scenario, paths);
  return 1 - ((await rig.origin.asked()) - before) / count;
}
