/**
 * Whom an appliance asks for an asset, and how long it waits for its site's elected fetcher. Knows the sources of one
 * manifest and what was heard from the peers; holds no clock and does no I/O, time is an argument.
 */
import type { FillSource } from '../control-plane/api.ts';
import type { SourceRefusal } from './asset-fetch.ts';
import { rendezvousOrder } from './rendezvous.ts';

/** The wait for one asset. */
export interface Waiting {
  /** Since when for the one elected now; `undefined` before the first asking. */
  since: number | undefined;
  /** Elected ones that were waited for in vain. */
  readonly passedOver: Set<string>;
}

export interface Asking {
  /** In the order in which to ask. */
  readonly sources: readonly FillSource[];
  /** The peer that is waited for; `undefined`: the own appliance is elected, and asks outside the site. */
  readonly waitsFor: string | undefined;
}

export interface SitePeersOptions {
  readonly ownAppliance: string;
  readonly sources: readonly FillSource[];
  /** How long the elected peer may be away or without news of anything. */
  readonly patienceMillis: number;
}

interface WantedAsset {
  readonly path: string;
  readonly bytes: number;
  readonly fetcher?: string;
}

/** A body is waited for as if the peer fetched it at this rate, and twice that long. */
const SLOW_BYTES_PER_SECOND = 10_000_000;
/** A peer that did not answer is not asked again for this long. */
const AWAY_MILLIS = 1000;
/** Peers asked besides the elected one: enough to spread the load within the site, few enough to cost nothing. */
const OTHER_PEERS = 2;

export class SitePeers {
  readonly #own: string;
  readonly #patienceMillis: number;
  readonly #peers: readonly FillSource[];
  readonly #outside: readonly FillSource[];
  /** Peers that did not answer: since when, and when last asked. */
  readonly #away = new Map<string, { since: number; asked: number }>();
  /** When each peer last gave a body. */
  readonly #gave = new Map<string, number>();

  constructor({ ownAppliance, sources, patienceMillis }: SitePeersOptions) {
    this.#own = ownAppliance;
    this.#patienceMillis = patienceMillis;
    this.#peers = sources.filter(({ kind, id }) => kind === 'peer' && id !== ownAppliance);
    const outside = sources.filter(({ kind }) => kind !== 'peer');
    this.#outside = [
      ...outside.filter(({ kind }) => kind === 'region'),
      ...outside.filter(({ kind }) => kind === 'origin'),
    ];
  }

  /** Whom to ask for an asset now. */
  ask(asset: WantedAsset, waiting: Waiting, nowMillis: number): Asking {
    waiting.since ??= nowMillis;
    const elected = this.#elected(asset, waiting.passedOver);
    const near = rendezvousOrder(asset.path, this.#peers).filter(({ id }) => !this.#isAway(id, nowMillis));
    const others = near.filter(({ id }) => id !== elected).slice(0, OTHER_PEERS);
    if (elected === this.#own) return { sources: [...others, ...this.#outside], waitsFor: undefined };
    return { sources: [...near.filter(({ id }) => id === elected), ...others], waitsFor: elected };
  }

  gave(peer: string, nowMillis: number): void {
    this.#away.delete(peer);
    this.#gave.set(peer, nowMillis);
  }

  refused(peer: string, { why }: SourceRefusal, nowMillis: number): void {
    if (why !== 'unreachable') this.#away.delete(peer);
    else this.#away.set(peer, { since: this.#away.get(peer)?.since ?? nowMillis, asked: nowMillis });
  }

  /**
   * Called when the one waited for did not have the asset. `true`: it has been away, or has given nothing at all, for
   * as long as patience goes; it is passed over, and the next in order is waited for, or is the own appliance.
   */
  passesOver(asset: WantedAsset, waitsFor: string, waiting: Waiting, nowMillis: number): boolean {
    const away = this.#away.get(waitsFor);
    const news = Math.max(waiting.since ?? nowMillis, this.#gave.get(waitsFor) ?? 0);
    const patience = this.#patienceMillis + (2000 * asset.bytes) / SLOW_BYTES_PER_SECOND;
    const over = away === undefined ? nowMillis - news >= patience : nowMillis - away.since >= this.#patienceMillis;
    if (over) {
      waiting.passedOver.add(waitsFor);
      waiting.since = nowMillis;
    }
    return over;
  }

  /** The manifest's choice, then rendezvous order; the own appliance when everybody else was waited for in vain. */
  #elected({ path, fetcher }: WantedAsset, passedOver: ReadonlySet<string>): string {
    const members = [{ id: this.#own }, ...this.#peers];
    const order = rendezvousOrder(path, members).map(({ id }) => id);
    if (fetcher !== undefined && order.includes(fetcher)) order.unshift(fetcher);
    return order.find((id) => !passedOver.has(id)) ?? this.#own;
  }

  #isAway(peer: string, nowMillis: number): boolean {
    const away = this.#away.get(peer);
    return away !== undefined && nowMillis - away.asked < AWAY_MILLIS;
  }
}
