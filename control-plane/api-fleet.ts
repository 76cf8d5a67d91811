/** Control API, nouns site, snapshot, steer, purge, fill, beacon: each a thin face of the part that owns it. */
import type { Clock } from '../runtime/clock.ts';
import type { Tally } from '../runtime/metrics.ts';
import type { CONTROL_COUNTERS } from './counters.ts';
import type { FillPlans } from './fill-plans.ts';
import type { Fleet } from './fleet.ts';
import type { History } from './history.ts';
import { type Call, problem, type Reply, type Route } from './http-routes.ts';
import { type PurgeLog, type PurgeRefusal, purgeSelectors } from './purge-log.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import { steer } from './steering.ts';

const BEACON_TEXT = 300;
/** Each one is a line of history; a storm of them says no more than a few do. */
const BEACONS_PER_SECOND = 20;

export interface FleetApiParts {
  readonly fleet: Fleet;
  readonly purges: PurgeLog;
  readonly fillPlans: FillPlans;
  readonly snapshots: SnapshotStore;
  readonly history: History;
  readonly tally: Tally<typeof CONTROL_COUNTERS>;
  readonly clock: Clock;
  /** Canonical host of the service. */
  readonly host: string;
}

export function fleetRoutes(parts: FleetApiParts): Route[] {
  const beacons = { second: 0, count: 0 };
  return [
    { method: 'GET', path: '/v1/sites', access: 'read', handle: () => ({ status: 200, body: siteViews(parts) }) },
    { method: 'GET', path: '/v1/snapshot', access: 'read', handle: (call) => snapshotReply(parts, call) },
    { method: 'GET', path: '/v1/steer', access: 'read', handle: (call) => steerReply(parts, call) },
    { method: 'POST', path: '/v1/purge', access: 'write', handle: (call) => purgeReply(parts, call) },
    { method: 'GET', path: '/v1/purge/:id', access: 'read', handle: (call) => purgeStatusReply(parts, call) },
    { method: 'POST', path: '/v1/fill/run', access: 'write', handle: (call) => fillReply(parts, call) },
    {
      method: 'GET',
      path: '/v1/fill/status',
      access: 'read',
      handle: () => ({ status: 200, body: parts.fillPlans.status() }),
    },
    { method: 'POST', path: '/v1/beacon', access: 'report', handle: (call) => beaconReply(parts, call, beacons) },
  ];
}

function siteViews({ fleet }: FleetApiParts) {
  const views = fleet.views();
  return fleet.sites.map((site) => ({
    ...site,
    ...fleet.verdict.sites.get(site.id),
    appliances: views.filter((view) => view.site === site.id).map(({ id }) => id),
  }));
}

function snapshotReply({ snapshots }: FleetApiParts, { url }: Call): Reply {
  const { index, signed } = snapshots;
  if (index === undefined || signed === undefined)
    return problem(503, 'no-snapshot', 'nothing is published yet', 'try again in a second');
  if (url.searchParams.get('format') === 'signed')
    return { status: 200, body: { ...signed, publicKey: snapshots.publicKey } };
  return { status: 200, body: index.snapshot };
}

/** The decision explained. Any client may be named here: the control listener is the operator's. */
function steerReply({ snapshots }: FleetApiParts, { url, request }: Call): Reply {
  const path = url.searchParams.get('path');
  if (path === null || !path.startsWith('/'))
    return problem(
      400,
      'no-path',
      'path must be given and start with /',
      'GET /v1/steer?path=/film/master.m3u8&client=ADDRESS',
    );
  if (snapshots.index === undefined)
    return problem(503, 'no-snapshot', 'nothing is published yet', 'try again in a second');
  const client = url.searchParams.get('client') ?? request.socket.remoteAddress ?? '';
  return { status: 200, body: steer(snapshots.index, client, path) };
}

const PURGE_FIXES: Readonly<Record<PurgeRefusal, string>> = {
  'no-selector': 'give exactly one of urls, prefixes, tags, hosts, service, everything, and not empty',
  'several-selectors': 'give exactly one of urls, prefixes, tags, hosts, service, everything',
  'bad-selector': 'give texts as GET /v1/purge documents them',
  'not-confirmed': 'everything means every stored response of every appliance: add "confirm": true',
  'unknown-key': 'use urls, prefixes, tags, hosts, service, everything, soft, confirm',
};

async function purgeReply({ purges, host }: FleetApiParts, { body }: Call): Promise<Reply> {
  const outcome = purgeSelectors(body, host);
  if (!outcome.ok)
    return problem(400, outcome.reason, outcome.detail ?? 'what to purge is not said', PURGE_FIXES[outcome.reason]);
  const { id } = await purges.append(outcome.value.selectors, outcome.value.soft);
  return { status: 202, body: await purges.status(id), fields: { location: `/v1/purge/${id}` } };
}

async function purgeStatusReply({ purges }: FleetApiParts, { params }: Call): Promise<Reply> {
  const status = await purges.status(params.id!);
  return status === undefined
    ? problem(404, 'no-such-purge', `there is no purge '${params.id}'`)
    : { status: 200, body: status };
}

async function fillReply({ fillPlans }: FleetApiParts, { body }: Call): Promise<Reply> {
  const order = (body ?? {}) as { now?: unknown; site?: unknown };
  if (typeof order !== 'object' || (order.now !== undefined && typeof order.now !== 'boolean'))
    return problem(400, 'bad-order', 'now must be true or false', 'send {"now": true}');
  if (order.site !== undefined && typeof order.site !== 'string')
    return problem(400, 'bad-order', 'site must be a name', 'send {"now": true, "site": "a"}');
  const outcome = await fillPlans.run({ now: order.now === true, site: order.site });
  if (outcome.ok) return { status: 202, body: outcome.value };
  switch (outcome.reason) {
    case 'no-such-site':
      return problem(404, outcome.reason, `there is no site '${outcome.detail}'`, 'see GET /v1/sites');
    case 'no-catalogue':
      return problem(
        503,
        outcome.reason,
        'the origin gateway gave no catalogue',
        'check --origin-admin and that the gateway runs',
      );
    case 'no-appliances':
      return problem(409, outcome.reason, 'no edge has reported yet', 'see GET /v1/appliances');
  }
}

/** What a player tells of its life. A hint to look, never a verdict: anybody can send it. */
function beaconReply(
  { fleet, history, tally, clock }: FleetApiParts,
  { body }: Call,
  beacons: { second: number; count: number },
): Reply {
  const second = Math.floor(clock.monotonic() / 1000);
  if (second !== beacons.second) Object.assign(beacons, { second, count: 0 });
  if (++beacons.count > BEACONS_PER_SECOND) {
    tally.add('beacons_total', 1, 'refused');
    return problem(429, 'too-many-beacons', `more than ${BEACONS_PER_SECOND} a second`, 'leave this one out');
  }
  const beacon = (body ?? {}) as { kind?: unknown; appliance?: unknown; text?: unknown };
  const { kind, appliance, text } = beacon;
  if ((kind !== 'error' && kind !== 'switch') || (appliance !== undefined && typeof appliance !== 'string')) {
    tally.add('beacons_total', 1, 'refused');
    return problem(
      400,
      'bad-beacon',
      'kind must be error or switch',
      'send {"kind": "error", "appliance": "a1", "text": "…"}',
    );
  }
  tally.add('beacons_total', 1, kind);
  const known = appliance !== undefined && fleet.has(appliance);
  if (known && kind === 'error') fleet.hint(appliance);
  const said = typeof text === 'string' ? text.slice(0, BEACON_TEXT) : '';
  history.record('player', `player ${kind}${known ? ` appliance=${appliance}` : ''} ${said}`.trim());
  return { status: 204 };
}
