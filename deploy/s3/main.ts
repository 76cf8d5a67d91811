/** Entry of the box's S3 server as its own process. */
import { readFile } from 'node:fs/promises';
import { endWithParent, onSignals } from '../../runtime/closing.ts';
import { EXIT, Fault } from '../../runtime/errors.ts';
import { helpText, parseOptions } from '../../runtime/options.ts';
import { S3_OPTIONS } from './options.ts';
import { S3Server } from './server.ts';

const HELP = `nearcast s3: the S3 server of the box, one bucket in files; not for production

  nearcast s3 --listen 127.0.0.1:18004 --dir ./objects --access-key-file ./key --secret-key-file ./secret

options:
`;

/** Starts the server; resolves when it answers. */
export async function run(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) return void process.stdout.write(HELP + helpText(S3_OPTIONS, 's3'));
  const options = parseOptions(S3_OPTIONS, { part: 's3', argv, env: process.env });
  const secret = async (file: string) => {
    try {
      return (await readFile(file, 'utf8')).trim();
    } catch (error) {
      throw new Fault('secret-unreadable', `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
        source: 'operator',
        fix: 'give a file that this user may read',
        exit: EXIT.usage,
        cause: error,
      });
    }
  };
  const server = new S3Server({
    folder: options.dir,
    bucket: options.bucket,
    credentials: { accessKey: await secret(options.accessKeyFile), secretKey: await secret(options.secretKeyFile) },
  });
  onSignals({ drain: () => server.close(), fast: () => server.close() });
  endWithParent(() => process.exit(1));
  await server.start(options.listen);
}
