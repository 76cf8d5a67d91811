/** Control API, noun appliance: heartbeats, orders, manifests, views. */
import type { Socket } from 'node:net';
import type { HeartbeatAnswer } from './api.ts';
import type { FillPlans } from './fill-plans.ts';
import type { Fleet, HeartbeatRefusal } from './fleet.ts';
import type { Order } from './health-record.ts';
import { checkedHeartbeat } from './heartbeat-check.ts';
import type { History } from './history.ts';
import { type Call, problem, type Reply, type Route } from './http-routes.ts';
import type { PurgeLog } from './purge-log.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import { ID_PATTERN } from './topology.ts';

export interface ApplianceApiParts {
  readonly fleet: Fleet;
  readonly purges: PurgeLog;
  readonly fillPlans: FillPlans;
  readonly snapshots: SnapshotStore;
  readonly history: History;
}

export class ApplianceApi {
  readonly #parts: ApplianceApiParts;
  /** Which appliance's heartbeats came over which connection. */
  readonly #connections = new WeakMap<Socket, string>();

  constructor(parts: ApplianceApiParts) {
    this.#parts = parts;
  }

  /** To be told of every closed connection. */
  connectionClosed(socket: Socket): void {
    const id = this.#connections.get(socket);
    if (id !== undefined) this.#parts.fleet.connectionLost(id);
  }

  routes(): Route[] {
    const order = (verb: string, order: Order): Route => ({
      method: 'POST',
      path: `/v1/appliances/:id/${verb}`,
      access: 'write',
      handle: ({ params }) => this.#order(params.id!, order),
    });
    return [
      {
        method: 'GET',
        path: '/v1/appliances',
        access: 'read',
        handle: () => ({ status: 200, body: this.#parts.fleet.views() }),
      },
      { method: 'GET', path: '/v1/appliances/:id', access: 'read', handle: ({ params }) => this.#one(params.id!) },
      { method: 'GET', path: '/v1/appliances/:id/manifest', access: 'read', handle: (call) => this.#manifest(call) },
      {
        method: 'POST',
        path: '/v1/appliances/:id/heartbeat',
        access: 'write',
        handle: (call) => this.#heartbeat(call),
      },
      order('drain', 'draining'),
      order('maintenance', 'maintenance'),
      order('resume', 'none'),
    ];
  }

  #one(id: string): Reply {
    const view = this.#parts.fleet.views().find((one) => one.id === id);
    if (view === undefined) return unknownAppliance(id);
    return { status: 200, body: { ...view, heartbeat: this.#parts.fleet.heartbeatOf(id) ?? null } };
  }

  async #manifest({ params }: Call): Promise<Reply> {
    const manifest = await this.#parts.fillPlans.manifestOf(params.id!);
    if (manifest !== undefined) return { status: 200, body: manifest };
    return problem(404, 'no-manifest', `nothing is planned for '${params.id}'`, 'POST /v1/fill/run');
  }

  async #heartbeat({ params, body, request }: Call): Promise<Reply> {
    const { fleet, purges, fillPlans, snapshots } = this.#parts;
    const id = params.id!;
    if (!ID_PATTERN.test(id)) return heartbeatProblem('bad-id', id);
    const checked = checkedHeartbeat(body);
    if (!checked.ok)
      return problem(
        400,
        checked.reason,
        `wrong or missing: ${checked.detail}`,
        'see Heartbeat in control-plane/api.ts',
      );
    const heartbeat = checked.value;
    const taken = fleet.heartbeat(id, heartbeat);
    if ('refused' in taken)
      return heartbeatProblem(taken.refused, taken.refused === 'no-such-site' ? heartbeat.site : id);
    this.#connections.set(request.socket, id);
    fillPlans.heard(id, heartbeat);
    const answer: HeartbeatAnswer = {
      snapshot: snapshots.index?.snapshot.number ?? 0,
      state: taken.state,
      purges: await purges.missing(heartbeat.purgeLogNumber),
      manifestVersion: fillPlans.versionOf(id),
      standby: fleet.standbyUrl,
    };
    return { status: 200, body: answer };
  }

  async #order(id: string, order: Order): Promise<Reply> {
    const { fleet, history } = this.#parts;
    if (!(await fleet.order(id, order))) return unknownAppliance(id);
    history.record('order', `appliance=${id} order=${order === 'none' ? 'resume' : order}`);
    return this.#one(id);
  }
}

function unknownAppliance(id: string): Reply {
  return problem(404, 'no-such-appliance', `no appliance '${id}' has reported`, 'see GET /v1/appliances');
}

function heartbeatProblem(refused: HeartbeatRefusal, word: string): Reply {
  switch (refused) {
    case 'no-such-site':
      return problem(
        409,
        refused,
        `there is no site '${word}'`,
        'start the appliance with a --site of the topology, or add it there',
      );
    case 'bad-id':
      return problem(
        409,
        refused,
        `'${word}' can't be an appliance's id`,
        'use letters, digits, - _ . and not the name of the standby',
      );
    case 'bad-url':
      return problem(409, refused, `'${word}' gave a URL that is none`, 'start it with --public-url http://host:port');
  }
}
