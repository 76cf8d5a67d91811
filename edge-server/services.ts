/**
 * The services of one worker: for each a context of its own (policy, upstreams, counts) over what they share, and the
 * router that finds them by host. A new configuration replaces all of them between two requests; requests under way end
 * with the context that they began with. Without services there is one, for every host.
 */
import { HostTable, hostName } from '../runtime/host-table.ts';
import { addressText } from '../runtime/options.ts';
import { compressionRule } from './cache/compression.ts';
import type { KeyRule } from './cache/key.ts';
import { type CachePolicy, keyRule } from './cache/policy.ts';
import type { EdgeConfiguration } from './configuration.ts';
import type { Handler } from './http/exchange.ts';
import type { EdgeOptions } from './options.ts';
import type { PurgeTargets } from './purge-scopes.ts';
import { Compression } from './serve/compression.ts';
import type { ServeContext } from './serve/context.ts';
import { Counts, figuresOf, type ServiceFigures, summed } from './serve/counts.ts';
import { createHandler } from './serve/handler.ts';
import { Popularity } from './serve/popularity.ts';
import { Router } from './serve/router.ts';
import { Slices } from './serve/slices.ts';
import type { ServiceSection } from './service-options.ts';
import { patternsOf, purgedHosts, servicePolicy, wholePolicy } from './service-policy.ts';
import { Upstreams, type UpstreamsOptions } from './upstream/upstreams.ts';

/** Of a context, what all services have in common. */
export type SharedContext = Omit<
  ServeContext,
  'policy' | 'upstreams' | 'counts' | 'popularity' | 'slices' | 'mayPurge' | 'methods' | 'compression' | 'nextTarget'
>;

/** What is for no service, or for the one that has no name. */
const UNNAMED = '';

/** The service that fills are for, and the host and scheme under which clients ask for what is filled. */
export interface FilledService {
  readonly name: string;
  readonly policy: CachePolicy;
  readonly host: string;
  readonly scheme: 'http' | 'https';
}

interface Service {
  readonly policy: CachePolicy;
  readonly handler: Handler;
}

export class Services {
  readonly #shared: SharedContext;
  readonly #serving: { readonly port: number };
  /** Base URL of the standby CDN, once the control plane has named it. */
  standby: string | undefined;
  /** By service, for as long as the worker runs: a counter never goes back. */
  readonly #counts = new Map<string, Counts>();
  readonly #popularity = new Map<string, Popularity>();
  /**
   * By what they are made from. Those that a reload leaves behind stay until the worker ends: requests under way may
   * still fetch through them, their idle connections close by themselves, and a configuration that returns finds them.
   */
  readonly #upstreams = new Map<string, Upstreams>();
  #configuration!: EdgeConfiguration;
  #hosts = new HostTable<Service>();
  #handler!: Handler;
  #fill!: FilledService;

  constructor(
    shared: SharedContext,
    serving: { readonly port: number; readonly standby: string | undefined },
    configuration: EdgeConfiguration,
  ) {
    this.#shared = shared;
    this.#serving = serving;
    this.standby = serving.standby;
    this.apply(configuration);
  }

  /** The one handler of the listeners, whatever the configuration. */
  readonly handle: Handler = (request, sink) => this.#handler(request, sink);

  /** Puts a configuration in force. */
  apply(configuration: EdgeConfiguration): void {
    const { options, services } = configuration;
    const hosts = new HostTable<Service>();
    const handlers = new HostTable<Handler>();
    if (services.length === 0) {
      const policy = wholePolicy(options);
      hosts.add('*', this.#service(UNNAMED, policy, { options, section: undefined }));
    }
    for (const section of services) {
      const service = this.#service(section.name, servicePolicy(section, options), { options, section });
      for (const pattern of patternsOf(section)) {
        hosts.add(pattern, service);
        handlers.add(pattern, service.handler);
      }
    }
    const { appliance, health } = this.#shared;
    this.#handler =
      hosts.named('*') !== undefined && services.length === 0
        ? hosts.named('*')!.handler
        : new Router({ appliance, health, counts: this.#countsOf(UNNAMED) }, handlers).handle;
    this.#configuration = configuration;
    this.#hosts = hosts;
    this.#fill = this.#filled(options);
  }

  /** What fills are for: the service of the host by which clients reach this appliance. */
  get fill(): FilledService {
    return this.#fill;
  }

  /** What purge selectors of the control plane mean under the configuration in force. */
  get purgeTargets(): PurgeTargets {
    const { services } = this.#configuration;
    return {
      ruleOf: (host): KeyRule | undefined => {
        const service = this.#hosts.find(hostName(host) ?? '');
        return service === undefined ? undefined : keyRule(service.policy);
      },
      hostsOf: (name) => (services.length === 0 ? '*' : purgedHosts(name, services)),
    };
  }

  purged(count: number): void {
    this.#countsOf(UNNAMED).purges += count;
  }

  /** All services together, in the shape of the counter table. */
  snapshot(): ReturnType<Counts['snapshot']> {
    return summed(Array.from(this.#counts.values(), (counts) => counts.snapshot()));
  }

  /** Figures of each named service. */
  figures(): Record<string, ServiceFigures> {
    return Object.fromEntries(
      Array.from(this.#counts, ([name, counts]) => [name, figuresOf(counts)] as const).filter(
        ([name]) => name !== UNNAMED,
      ),
    );
  }

  /** What was asked for since the last call, of the service that is filled. */
  takePopularity(): ReturnType<Popularity['take']> {
    let taken: ReturnType<Popularity['take']> = {};
    for (const [name, popularity] of this.#popularity) {
      const asked = popularity.take();
      if (name === this.#fill.name) taken = asked;
    }
    return taken;
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#upstreams.values(), (upstreams) => upstreams.close()));
  }

  #service(
    name: string,
    policy: CachePolicy,
    from: { readonly options: EdgeOptions; readonly section: ServiceSection | undefined },
  ): Service {
    const { options, section } = from;
    const purgeFrom = section?.purgeFrom ?? options.purgeFrom;
    const methods = section?.methods;
    const slices = new Slices();
    const counts = this.#countsOf(name);
    const context: ServeContext = {
      ...this.#shared,
      policy,
      slices,
      upstreams: this.#upstreamsOf(section?.upstreams ?? options.upstream, options),
      counts,
      popularity: this.#popularityOf(name),
      mayPurge: (address) => purgeFrom.includes(address.startsWith('::ffff:') ? address.slice(7) : address),
      nextTarget: () => section?.nextTarget ?? this.#nextTarget(name),
      methods: methods === undefined ? undefined : new Set(methods),
      compression:
        section?.compression === undefined
          ? undefined
          : new Compression(compressionRule(section.compression), (coding, saved) => counts.compressed(coding, saved)),
    };
    slices.context = context;
    return { policy, handler: createHandler(context) };
  }

  /**
   * Elsewhere another host may mean another service: what the control plane or `--next-target` names is for the service
   * that clients reach under this appliance's own host. A region answers caches, which know themselves where to go on.
   */
  #nextTarget(name: string): string | undefined {
    if (name !== this.#fill.name) return undefined;
    const { nextTarget, role } = this.#configuration.options;
    return nextTarget ?? (role === 'region' ? undefined : this.standby);
  }

  #filled(options: EdgeOptions): FilledService {
    const { host, protocol } = new URL(
      options.publicUrl ?? `http://${addressText({ host: options.listen.host, port: this.#serving.port })}`,
    );
    const service = this.#hosts.find(hostName(host) ?? '');
    const policy = service?.policy ?? wholePolicy(options);
    const { services } = this.#configuration;
    const name = services.find((section) =>
      patternsOf(section).some((one) => this.#hosts.named(one) === service),
    )?.name;
    return {
      name: name ?? UNNAMED,
      policy,
      host: policy.canonicalHost ?? host,
      scheme: protocol === 'https:' ? 'https' : 'http',
    };
  }

  #upstreamsOf(urls: readonly string[], options: EdgeOptions): Upstreams {
    const made: Omit<UpstreamsOptions, 'clock'> = { urls, limits: upstreamLimits(options) };
    const key = JSON.stringify(made);
    let upstreams = this.#upstreams.get(key);
    if (upstreams === undefined) {
      upstreams = new Upstreams({ ...made, clock: this.#shared.clock });
      this.#upstreams.set(key, upstreams);
    }
    return upstreams;
  }

  #countsOf(name: string): Counts {
    return made(this.#counts, name, () => new Counts());
  }

  #popularityOf(name: string): Popularity {
    return made(this.#popularity, name, () => new Popularity());
  }
}

export function upstreamLimits(options: EdgeOptions): UpstreamsOptions['limits'] {
  return {
    connectMillis: options.upstreamConnectTimeout,
    headMillis: options.upstreamHeadTimeout,
    betweenBytesMillis: options.upstreamBodyTimeout,
    connections: options.upstreamConnections,
    retries: options.upstreamRetries,
  };
}

function made<T>(map: Map<string, T>, name: string, make: () => T): T {
  let one = map.get(name);
  if (one === undefined) {
    one = make();
    map.set(name, one);
  }
  return one;
}
