/**
 * The whole configuration of an edge: options, services and certificates from the command line, the environment and one
 * file. Owns what must hold between them; what a value means alone is its table's. Pure but for reading the file.
 */
import type { ConfigDocument } from '../runtime/config-file.ts';
import type { Fault } from '../runtime/errors.ts';
import { HostTable, hostPattern } from '../runtime/host-table.ts';
import { usage } from '../runtime/option-value.ts';
import { addressText, type ReadOptions, readOptions } from '../runtime/options.ts';
import { EDGE_OPTIONS, type EdgeOptions } from './options.ts';
import {
  type CertificateSection,
  EDGE_SECTIONS,
  type LifetimeSection,
  type ServiceSection,
} from './service-options.ts';
import { patternsOf } from './service-policy.ts';

/** What the supervisor gives its workers, also as JSON. */
export interface EdgeConfiguration {
  readonly options: EdgeOptions;
  /** Empty: one policy for every host. */
  readonly services: readonly ServiceSection[];
  /** The first is the default. */
  readonly certificates: readonly CertificateSection[];
}

export type ReadConfiguration = EdgeConfiguration & Pick<ReadOptions<typeof EDGE_OPTIONS>, 'sources' | 'document'>;

/** Reads and checks. Throws the first problem as a usage fault with its place and the fix. */
export function readConfiguration(argv: readonly string[], env: NodeJS.ProcessEnv): ReadConfiguration {
  const read = readOptions(EDGE_OPTIONS, { part: 'edge', argv, env }, EDGE_SECTIONS);
  const { services, certificates } = sectionsOf(read.document, read.options);
  const [problem] = sectionProblems(read.document);
  if (problem !== undefined) throw problem;
  const [together] = problemsTogether(read.options, services, certificates);
  if (together !== undefined) throw together;
  return { ...read, services, certificates };
}

interface Sections {
  readonly services: readonly ServiceSection[];
  readonly certificates: readonly CertificateSection[];
}

function sectionsOf(document: ConfigDocument | undefined, options: EdgeOptions): Sections {
  const { services = [], tls = [] } = (document?.values ?? {}) as {
    services?: readonly ServiceSection[];
    tls?: readonly CertificateSection[];
  };
  const named =
    options.tlsCert === undefined || options.tlsKey === undefined
      ? []
      : [{ certificate: options.tlsCert, key: options.tlsKey }];
  return { services, certificates: [...named, ...tls, ...services.flatMap((service) => service.tls ?? [])] };
}

/** What options and sections must be together; the file alone need not be all of it. */
function problemsTogether(
  options: EdgeOptions,
  services: Sections['services'],
  certificates: Sections['certificates'],
): Fault[] {
  const problems: Fault[] = [];
  if ((options.tlsCert === undefined) !== (options.tlsKey === undefined))
    problems.push(usage('option-missing', '--tls-cert and --tls-key go together', 'give both'));
  if (options.listenTls !== undefined && certificates.length === 0)
    problems.push(
      usage(
        'option-missing',
        '--listen-tls needs a certificate',
        'give --tls-cert FILE and --tls-key FILE, or tls: in the file',
      ),
    );
  const without = services.find(({ upstreams }) => upstreams === undefined);
  if (options.upstream.length === 0 && (services.length === 0 || without !== undefined))
    problems.push(
      usage(
        'option-missing',
        without === undefined ? '--upstream is required' : `service ${without.name} has no upstreams`,
        without === undefined ? 'give --upstream URL' : 'give it upstreams, or --upstream URL for all',
      ),
    );
  if (services.length > 0 && options.canonicalHost !== '')
    problems.push(
      usage(
        'option-value',
        '--canonical-host beside services would give them one key',
        'give canonical-host to the service',
      ),
    );
  if (options.control !== undefined && services.length > 0) {
    const host = new URL(options.publicUrl ?? `http://${addressText(options.listen)}`).hostname;
    const table = new HostTable<boolean>();
    for (const pattern of services.flatMap(patternsOf)) table.add(pattern, true);
    if (table.find(host) === undefined)
      problems.push(
        usage(
          'option-value',
          `no service answers for '${host}', by which the fleet probes and fills this appliance`,
          'give a service that host or *, or another --public-url',
        ),
      );
  }
  return problems;
}

/** What is wrong with the services and certificates of a file, beyond what their tables say; each with its place. */
export function sectionProblems(document: ConfigDocument | undefined): Fault[] {
  if (document === undefined) return [];
  const { services = [], tls = [] } = document.values as Partial<{
    services: ServiceSection[];
    tls: CertificateSection[];
  }>;
  const check = new Check(document);
  const owners = new Map<string, string>();
  const names = new Set<string>();
  for (const service of services) {
    check.service(service);
    if (names.has(service.name))
      check.wrong(service, 'name', `'${service.name}' is the name of two services`, 'give each its own');
    names.add(service.name);
    const canonical = service.canonicalHost?.toLowerCase();
    const own = (service.hosts ?? []).map((host) => hostPattern(host) ?? '').concat(canonical ?? []);
    for (const host of new Set(own)) {
      const other = owners.get(host);
      if (other !== undefined && host !== '')
        check.wrong(
          service,
          host === canonical ? 'canonicalHost' : 'hosts',
          `'${host}' is service ${other}'s`,
          'give each host to one service',
        );
      owners.set(host, service.name);
    }
  }
  for (const certificate of tls) check.certificate(certificate);
  return check.problems;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]{1,100}$/;
const NAME = /^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/;
const TYPE = /^[a-z\d!#$&^_.+-]+\/(?:\*|[a-z\d!#$&^_.+-]+)$/i;

class Check {
  readonly problems: Fault[] = [];
  readonly #document: ConfigDocument;

  constructor(document: ConfigDocument) {
    this.#document = document;
  }

  wrong(section: object, key: string, why: string, fix: string): void {
    this.problems.push(usage('option-value', `${this.#document.place(section, key)}: ${why}`, fix));
  }

  service(service: ServiceSection): void {
    if (service.name !== undefined && !NAME.test(service.name))
      this.wrong(
        service,
        'name',
        `'${service.name}' is no name`,
        'give lower-case letters, digits and dashes, e.g. films',
      );
    if (service.hosts?.length === 0) this.wrong(service, 'hosts', 'is empty', 'give at least one host');
    for (const host of service.hosts ?? [])
      if (hostPattern(host) === undefined)
        this.wrong(service, 'hosts', `'${host}' is no host`, 'give a.example.org, *.example.org or *');
    const { canonicalHost } = service;
    if (canonicalHost !== undefined && (hostPattern(canonicalHost) === undefined || canonicalHost.includes('*')))
      this.wrong(service, 'canonicalHost', `'${canonicalHost}' is no host`, 'give a.example.org');
    if (service.upstreams?.length === 0) this.wrong(service, 'upstreams', 'is empty', 'give a URL, or leave it out');
    const queries = (['query', 'queryOnly', 'queryExcept'] as const).filter((key) => service[key] !== undefined);
    if (queries.length > 1)
      this.wrong(
        service,
        queries[1]!,
        'is beside another rule for the query',
        'give one of query, query-only, query-except',
      );
    for (const field of service.ignoredRequestHeaders ?? [])
      if (!TOKEN.test(field))
        this.wrong(service, 'ignoredRequestHeaders', `'${field}' is no field name`, 'e.g. cookie');
    for (const method of service.methods ?? [])
      if (!TOKEN.test(method) || ['CONNECT', 'TRACE', 'PURGE'].includes(method))
        this.wrong(service, 'methods', `'${method}' can't go to an origin`, 'give POST, PUT, PATCH, DELETE, OPTIONS');
    for (const type of service.compression?.types ?? [])
      if (!TYPE.test(type))
        this.wrong(service.compression!, 'types', `'${type}' is no media type`, 'give text/* or application/json');
    this.#lifetimes(service, service);
    const prefixes = new Set<string>();
    for (const path of service.paths ?? []) {
      if (path.prefix === undefined) continue;
      if (!path.prefix.startsWith('/')) this.wrong(path, 'prefix', `'${path.prefix}' is no path`, 'begin it with /');
      if (prefixes.has(path.prefix))
        this.wrong(path, 'prefix', `'${path.prefix}' is there twice`, 'give each prefix once');
      prefixes.add(path.prefix);
      this.#lifetimes({ ...pick(service), ...path }, path);
    }
    for (const certificate of service.tls ?? []) this.certificate(certificate);
  }

  certificate(certificate: CertificateSection): void {
    for (const host of certificate.hosts ?? [])
      if (hostPattern(host) === undefined || host === '*')
        this.wrong(certificate, 'hosts', `'${host}' is no host`, 'give a.example.org or *.example.org');
  }

  #lifetimes({ minTtl, maxTtl }: LifetimeSection, section: object): void {
    if (minTtl !== undefined && maxTtl !== undefined && minTtl > maxTtl)
      this.wrong(section, 'minTtl', 'is above max-ttl', 'give a min-ttl up to max-ttl');
  }
}

function pick({ minTtl, maxTtl }: ServiceSection): LifetimeSection {
  return { ...(minTtl === undefined ? {} : { minTtl }), ...(maxTtl === undefined ? {} : { maxTtl }) };
}
