/** Entry of the box's S3 server as its own process. */
import { readFile } from 'node:fs/promises';
import { endWithParent, onSignals } from '../../runtime/closing.ts';
import { parseOptions } from '../../runtime/options.ts';
import { S3_OPTIONS } from './options.ts';
import { S3Server } from './server.ts';

/** Starts the server; resolves when it answers. */
export async function run(argv: readonly string[]): Promise<void> {
  const options = parseOptions(S3_OPTIONS, { part: 's3', argv, env: process.env });
  const secret = async (file: string) => (await readFile(file, 'utf8')).trim();
  const server = new S3Server({
    folder: options.dir,
    bucket: options.bucket,
    credentials: { accessKey: await secret(options.accessKeyFile), secretKey: await secret(options.secretKeyFile) },
  });
  onSignals({ drain: () => server.close(), fast: () => server.close() });
  endWithParent(() => process.exit(1));
  await server.start(options.listen);
}
