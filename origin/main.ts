/** Composition root of the origin gateway: reads options and secrets, looks at the bucket once, then serves. */
import { readFile } from 'node:fs/promises';
import { systemClock } from '../runtime/clock.ts';
import { Closing, endWithParent, onSignals } from '../runtime/closing.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import { createLog, type Logger } from '../runtime/log.ts';
import { Tally } from '../runtime/metrics.ts';
import { helpText, parseOptions } from '../runtime/options.ts';
import { Admin } from './admin.ts';
import { CatalogueKeeper } from './catalogue.ts';
import { CatalogueStore } from './catalogue-store.ts';
import { ORIGIN_COUNTERS } from './counters.ts';
import { Gateway } from './gateway.ts';
import { ObjectStore } from './object-store.ts';
import { ORIGIN_OPTIONS, type OriginOptions } from './options.ts';
import { Readiness } from './readiness.ts';
import { startFault } from './s3-failure.ts';

const HELP = `nearcast origin: the gateway over S3, from which edges, fills and the standby CDN fetch

  nearcast origin --s3-endpoint http://127.0.0.1:9000 --s3-bucket films \\
    --s3-access-key-file ./access-key --s3-secret-key-file ./secret-key

Ready when GET /readyz on the admin address is 200. SIGTERM drains, SIGINT ends fast.

options:
`;

export interface OriginServer {
  readonly port: number;
  readonly adminPort: number;
  close(drainMillis: number): Promise<void>;
}

/** The part's entry: resolves when it serves, rejects with a `Fault`; then it lives until a signal or its parent's end. */
export async function run(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) return void process.stdout.write(HELP + helpText(ORIGIN_OPTIONS, 'origin'));
  const options = parseOptions(ORIGIN_OPTIONS, { part: 'origin', argv, env: process.env });
  const server = await startOrigin(options, process.env, createLog({ part: 'origin' }));
  onSignals({ drain: () => server.close(options.drainTimeout), fast: () => server.close(0) });
  endWithParent(() => process.exit(1));
}

/** Starts a gateway; everything that it opened is closed again when it can't start. */
export async function startOrigin(options: OriginOptions, env: NodeJS.ProcessEnv, log: Logger): Promise<OriginServer> {
  const closing = new Closing();
  try {
    return await open(options, env, log, closing);
  } catch (error) {
    await closing.close();
    throw error;
  }
}

async function open(
  options: OriginOptions,
  env: NodeJS.ProcessEnv,
  log: Logger,
  closing: Closing,
): Promise<OriginServer> {
  const objects = await objectStore(options, env);
  closing.add('S3 client', objects, () => objects.close());
  const stop = new AbortController();
  await objects.check(stop.signal).catch((error: unknown) => {
    throw startFault(error, options.s3Endpoint ?? 'Amazon S3', options.s3Bucket);
  });
  const tally = new Tally(ORIGIN_COUNTERS);
  tally.set('s3_ready', 1);
  const store = new CatalogueStore(options.state, systemClock.now());
  closing.add('catalogue store', store, () => store.close());
  const catalogue = new CatalogueKeeper({ objects, store, tally, bodyTimeoutMillis: options.s3BodyTimeout });
  const readiness = new Readiness(objects, systemClock, (reason) => {
    tally.set('s3_ready', reason === undefined ? 1 : 0);
    if (reason === undefined) log.info('S3 can be read again');
    else log.error({ reason }, 'S3 cannot be read');
  });
  closing.add('readiness', readiness, () => readiness.close());
  readiness.start();

  const listing = keepListing(catalogue, options.catalogueInterval, stop.signal, (error) => {
    tally.add('catalogue_failures_total');
    log.warn({ err: String(error) }, 'the bucket could not be listed');
  });
  closing.add('catalogue', listing, () => {
    stop.abort();
    return listing;
  });

  let drainMillis = 0;
  let draining = false;
  const admin = new Admin({
    catalogue,
    tally,
    notReady: () => (draining ? 'draining' : readiness.reason === undefined ? undefined : `S3: ${readiness.reason}`),
  });
  closing.add('admin', admin, () => admin.close());
  const gateway = new Gateway({
    ...options,
    store: objects,
    tally,
    log,
    digest: (key, etag) => catalogue.digest(key, etag),
    storageFailed: (reason) => readiness.failed(reason),
  });
  closing.add('gateway', gateway, () => gateway.close(drainMillis));
  const port = await gateway.start(options.listen);
  const adminPort = await admin.start(options.admin);
  log.info({ port, adminPort, bucket: options.s3Bucket }, 'serving');
  return {
    port,
    adminPort,
    async close(millis) {
      draining = true;
      drainMillis = millis;
      await closing.close(millis + 5000);
    },
  };
}

/** Lists the bucket now and at every interval until aborted. */
async function keepListing(
  catalogue: CatalogueKeeper,
  intervalMillis: number,
  signal: AbortSignal,
  failed: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    await catalogue.refresh(signal).catch((error: unknown) => {
      if (!signal.aborted) failed(error);
    });
    await new Promise<void>((resolve) => {
      const timer = systemClock.after(intervalMillis, done);
      signal.addEventListener('abort', done, { once: true });
      function done() {
        timer.cancel();
        signal.removeEventListener('abort', done);
        resolve();
      }
      if (signal.aborted) done();
    });
  }
}

async function objectStore(options: OriginOptions, env: NodeJS.ProcessEnv): Promise<ObjectStore> {
  const accessKeyId = await secret(options.s3AccessKeyFile, 's3-access-key-file', env.AWS_ACCESS_KEY_ID);
  const secretAccessKey = await secret(options.s3SecretKeyFile, 's3-secret-key-file', env.AWS_SECRET_ACCESS_KEY);
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined))
    throw new Fault('s3-credentials', 'only one of access key id and secret access key is given', {
      source: 'operator',
      fix: 'give both --s3-access-key-file and --s3-secret-key-file',
      exit: EXIT.usage,
    });
  const token = env.AWS_SESSION_TOKEN;
  return new ObjectStore({
    endpoint: options.s3Endpoint,
    bucket: options.s3Bucket,
    region: options.s3Region,
    credentials:
      accessKeyId === undefined || secretAccessKey === undefined
        ? undefined
        : { accessKeyId, secretAccessKey, ...(token === undefined ? {} : { sessionToken: token }) },
    pathStyle: options.s3PathStyle,
    connections: options.s3Connections,
    connectTimeoutMillis: options.s3ConnectTimeout,
    headTimeoutMillis: options.s3HeadTimeout,
  });
}

async function secret(file: string | undefined, option: string, variable: string | undefined) {
  if (file === undefined) return variable;
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new Fault('secret-unreadable', `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      source: 'operator',
      fix: `give --${option} a file that this user may read`,
      exit: EXIT.usage,
      cause: error,
    });
  }
}
