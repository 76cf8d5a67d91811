/**
 * The appliances and what is thought of them: takes heartbeats, probe results and orders, runs each appliance's state
 * machine (`health.ts`), applies the rules for many (`panic.ts`), and publishes a snapshot at every change that
 * steering should know. Making probes is left to `monitor.ts`, purges and manifests to their own files.
 */
import type { PlannedAppliance } from '../fill/planner.ts';
import { NO_FILL } from '../fill/progress.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Tally } from '../runtime/metrics.ts';
import type { ApplianceView, HealthState, Heartbeat } from './api.ts';
import { type CONTROL_COUNTERS, STATES } from './counters.ts';
import { isSilent, stateOf, step, weightOf, whyOf } from './health.ts';
import { type Health, newHealth, type Order, type Signal } from './health-record.ts';
import type { History } from './history.ts';
import { type FleetVerdict, fleetVerdict } from './panic.ts';
import type { SnapshotPublisher } from './snapshot-publisher.ts';
import type { ApplianceRecord, State } from './state.ts';
import type { Site } from './topology.ts';

const TICK_MILLIS = 500;
/** At start the last good snapshot answers until every known appliance was looked at, this long at most. */
const GRACE_MILLIS = 5000;
/** Load goes into snapshots in steps of this, so that noise makes no new snapshot. */
const USED_STEP = 0.05;
/** Weight of the newest report in the mean: a spike of a second or two moves no client. */
const USED_SMOOTHING = 0.2;

export interface FleetSettings {
  readonly standby: { readonly id: string; readonly url: string };
  readonly rankedTtlSeconds: number;
  readonly contentSteeringTtlSeconds: number;
}

export interface FleetParts {
  readonly state: State;
  readonly publisher: SnapshotPublisher;
  readonly history: History;
  readonly clock: Clock;
  readonly tally: Tally<typeof CONTROL_COUNTERS>;
  readonly settings: FleetSettings;
}

/** Who wants to know about appliances; the monitor does. */
export interface FleetListener {
  /** New, or reachable elsewhere than before. */
  known(id: string): void;
  /** Something hints at its death: look at once. */
  doubtful(id: string): void;
  /** Its answers to clients were errors: look at a real object at once. */
  misbehaving(id: string): void;
}

export type HeartbeatRefusal = 'no-such-site' | 'bad-id' | 'bad-url';

interface Member {
  record: ApplianceRecord;
  health: Health;
  heartbeat: Heartbeat | undefined;
  /** Smoothed over some seconds. */
  used: number;
  published: { state: HealthState; why: string; sinceMillis: number };
}

export class Fleet {
  readonly #parts: FleetParts;
  readonly #members = new Map<string, Member>();
  readonly #listeners = new Set<FleetListener>();
  #sites: readonly Site[] = [];
  #verdict: FleetVerdict = { frozen: undefined, members: [], sites: new Map() };
  #startedAt = 0;
  /** The operator gave it with this start, so much of the last run's snapshot may be gone. */
  #topologyIsNew = true;
  #timer: Timer | undefined;

  constructor(parts: FleetParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { state, clock } = this.#parts;
    this.#startedAt = clock.monotonic();
    this.#sites = await state.sites();
    for (const record of await state.appliances()) this.#admit(record);
    this.#settle();
    this.#timer = clock.every(TICK_MILLIS, () => this.tick());
  }

  close(): void {
    this.#timer?.cancel();
  }

  listen(listener: FleetListener): void {
    this.#listeners.add(listener);
    for (const id of this.#members.keys()) listener.known(id);
  }

  get sites(): readonly Site[] {
    return this.#sites;
  }

  get verdict(): FleetVerdict {
    return this.#verdict;
  }

  has(id: string): boolean {
    return this.#members.has(id);
  }

  /** Where and how to probe it. */
  probeTarget(id: string): { readonly url: string; readonly state: HealthState; readonly unsure: boolean } | undefined {
    const member = this.#members.get(id);
    if (member === undefined) return undefined;
    const { machine, lightLast } = member.health;
    // Until it is settled whether it lives, look every second: second looks after a failure, and the rise.
    const unsure =
      machine === 'unknown' || (machine === 'unhealthy' ? lightLast?.ok === true : lightLast?.ok === false);
    return { url: member.record.url, state: stateOf(member.health), unsure };
  }

  /** Takes a heartbeat; the first one registers. */
  heartbeat(
    id: string,
    heartbeat: Heartbeat,
  ): { readonly state: HealthState } | { readonly refused: HeartbeatRefusal } {
    const { tally, settings } = this.#parts;
    const refused = this.#refusal(id, heartbeat, settings.standby.id);
    tally.add('heartbeats_total', 1, refused === undefined ? 'taken' : 'refused');
    if (refused !== undefined) return { refused };
    const member = this.#register(id, heartbeat);
    const { boot, draining, answers } = heartbeat;
    if (member.health.boot !== undefined && member.health.boot !== boot) {
      this.#parts.history.record('appliance', `appliance=${id} restarted pid=${heartbeat.pid}`);
      for (const listener of this.#listeners) listener.doubtful(id);
    }
    member.heartbeat = heartbeat;
    member.used += (Math.min(1, heartbeat.load.used) - member.used) * USED_SMOOTHING;
    this.#signal(member, { kind: 'heartbeat', boot, draining, answers });
    return { state: member.published.state };
  }

  /** The other side closed the connection that brought its heartbeats. */
  connectionLost(id: string): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#signal(member, { kind: 'connection-lost' });
    for (const listener of this.#listeners) listener.doubtful(id);
  }

  /** A client says that it got nothing from it: worth a look, never more, for anybody can say so. */
  hint(id: string): void {
    if (this.#members.has(id)) for (const listener of this.#listeners) listener.doubtful(id);
  }

  probed(id: string, signal: Extract<Signal, { kind: 'probe' }>): void {
    const member = this.#members.get(id);
    if (member !== undefined) this.#signal(member, signal);
  }

  /** Drains, maintains, or lifts the order. `false`: no such appliance. */
  async order(id: string, order: Order): Promise<boolean> {
    const member = this.#members.get(id);
    if (member === undefined) return false;
    member.record = { ...member.record, order };
    this.#signal(member, { kind: 'order', order });
    await this.#parts.state.putAppliance(member.record);
    return true;
  }

  get standbyUrl(): string {
    return this.#parts.settings.standby.url;
  }

  tick(): void {
    for (const member of this.#members.values()) this.#step(member, { kind: 'tick' });
    this.#settle();
  }

  views(): ApplianceView[] {
    const now = this.#parts.clock.monotonic();
    return [...this.#members.values()].map(({ record, health, heartbeat, used, published }) => ({
      id: record.id,
      site: record.site,
      role: record.role,
      url: record.url,
      admin: record.admin,
      pid: record.pid,
      ...published,
      weight: weightOf(health, now),
      used,
      fill: heartbeat?.fill ?? NO_FILL,
    }));
  }

  /** What is known of each beyond its view. */
  heartbeatOf(id: string): Heartbeat | undefined {
    return this.#members.get(id)?.heartbeat;
  }

  /** As the fill's planner wants them. */
  planned(): PlannedAppliance[] {
    return [...this.#members.values()].map(({ record, published }) => ({
      id: record.id,
      site: record.site,
      role: record.role,
      url: record.url,
      budgetBytes: record.budgetBytes,
      state: published.state,
    }));
  }

  #refusal(id: string, heartbeat: Heartbeat, standby: string): HeartbeatRefusal | undefined {
    if (id === standby) return 'bad-id';
    if (URL.parse(heartbeat.url) === null) return 'bad-url';
    // A region serves no clients, so it needs no site with prefixes.
    if (heartbeat.role === 'edge' && !this.#sites.some((site) => site.id === heartbeat.site)) return 'no-such-site';
    return undefined;
  }

  #register(id: string, { site, role, url, admin, pid, store }: Heartbeat): Member {
    const known = this.#members.get(id);
    const order = known?.record.order ?? 'none';
    const record = { id, site, role, url, admin, pid, order, budgetBytes: store.budgetBytes };
    if (known !== undefined && JSON.stringify(known.record) === JSON.stringify(record)) return known;
    const moved = known?.record.url !== url;
    const member = known ?? this.#admit(record);
    member.record = record;
    if (known === undefined) this.#parts.history.record('appliance', `appliance=${id} joined site=${site} url=${url}`);
    if (moved) for (const listener of this.#listeners) listener.known(id);
    this.#parts.state
      .putAppliance(record)
      .catch((error: unknown) => this.#parts.history.record('alarm', `appliance=${id} not kept: ${String(error)}`));
    return member;
  }

  #admit(record: ApplianceRecord): Member {
    const { clock } = this.#parts;
    const health = newHealth(clock.monotonic(), record.order);
    const published = { state: stateOf(health), why: whyOf(health), sinceMillis: clock.now() };
    const member: Member = { record, health, heartbeat: undefined, used: 0, published };
    this.#members.set(record.id, member);
    return member;
  }

  #signal(member: Member, signal: Signal): void {
    if (this.#step(member, signal)) this.#settle();
  }

  /** Runs the machine; `true` when others should know. */
  #step(member: Member, signal: Signal): boolean {
    const { clock, history, tally } = this.#parts;
    const now = clock.monotonic();
    const { health, transition } = step(member.health, signal, now);
    const reweighted = weightOf(health, now) !== weightOf(member.health, now);
    member.health = health;
    if (transition === undefined) return reweighted;
    const { to, because, window, lastedMillis, why } = transition;
    const good = window.split('1').length - 1;
    const since = new Date(clock.now() - lastedMillis).toISOString();
    tally.add('transitions_total', 1, to);
    history.record(
      'appliance',
      `appliance=${member.record.id} went=${to} because=${because} window=${window} good=${good}/${window.length} since=${since} (${why})`,
    );
    if (because === 'heartbeats-missed') for (const listener of this.#listeners) listener.doubtful(member.record.id);
    if (to === 'suspect' && (because === 'errors-in-a-row' || because === 'error-share'))
      for (const listener of this.#listeners) listener.misbehaving(member.record.id);
    return true;
  }

  /** Applies the rules for many and publishes what changed. */
  #settle(): void {
    const { clock, history } = this.#parts;
    const now = clock.monotonic();
    const members = [...this.#members.values()];
    const before = this.#verdict;
    this.#verdict = fleetVerdict(
      members.map(({ record, health, published }) => ({
        id: record.id,
        site: record.site,
        role: record.role,
        state: stateOf(health),
        why: whyOf(health),
        silent: isSilent(health, now),
        published: published.state,
      })),
      this.#sites.map(({ id }) => id),
    );
    for (const [i, member] of members.entries()) {
      const { state, why } = this.#verdict.members[i]!;
      const same = member.published.state === state;
      member.published = { state, why, sinceMillis: same ? member.published.sinceMillis : clock.now() };
    }
    if ((before.frozen === undefined) !== (this.#verdict.frozen === undefined))
      history.record(
        'alarm',
        this.#verdict.frozen === undefined ? 'states move again' : `frozen: ${this.#verdict.frozen}`,
      );
    for (const [id, { state, why }] of this.#verdict.sites)
      if (state !== (before.sites.get(id)?.state ?? 'open'))
        history.record('site', `site=${id} went=${state} (${why})`);
    this.#publish();
  }

  #publish(): void {
    const { publisher, settings, tally } = this.#parts;
    if (publisher.published && this.#inGrace()) return;
    publisher.publish(
      {
        standby: settings.standby,
        sites: this.#sites.map(({ id, name, prefixes, next }) => {
          const { state, why } = this.#verdict.sites.get(id)!;
          return { id, name, prefixes, next, state, why };
        }),
        appliances: this.views().map(({ id, site, role, url, state, why, weight, used }) => {
          return { id, site, role, url, state, why, weight, used: Math.round(used / USED_STEP) * USED_STEP };
        }),
        rankedTtlSeconds: settings.rankedTtlSeconds,
        contentSteeringTtlSeconds: settings.contentSteeringTtlSeconds,
        frozen: this.#verdict.frozen ?? null,
      },
      this.#topologyIsNew,
    );
    this.#topologyIsNew = false;
    const { members, sites, frozen } = this.#verdict;
    for (const state of STATES)
      tally.set('appliances', members.filter((member) => member.state === state).length, state);
    tally.set('frozen', frozen === undefined ? 0 : 1);
    tally.set('sites_failed_over', [...sites.values()].filter(({ state }) => state === 'failed-over').length);
  }

  /** After a start nobody has been looked at yet; what was true before is better than nothing. */
  #inGrace(): boolean {
    if (this.#parts.clock.monotonic() - this.#startedAt >= GRACE_MILLIS) return false;
    return [...this.#members.values()].some(({ health }) => stateOf(health) === 'unknown');
  }
}
