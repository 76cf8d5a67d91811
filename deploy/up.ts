/** `nearcast up`, which `npm start` runs: the CDN in a box in the foreground, a table, then one line per event. */
import { resolve } from 'node:path';
import { endWithParent, onSignals } from '../runtime/closing.ts';
import { EXIT } from '../runtime/errors.ts';
import { helpText, parseOptions } from '../runtime/options.ts';
import { Box } from './box.ts';
import type { BoxPlan } from './box-plan.ts';
import { UP_OPTIONS } from './up-options.ts';

const HELP = `nearcast up: a whole CDN on loopback, as npm start runs it

  npm start
  npm start -- --content ./films --state /var/tmp/box --port-base 19000

Ctrl-C ends every process that it began. endpoints.json in the state folder lists every URL once all of it serves.

options:
`;

/** Starts the box; resolves when all of it serves. */
export async function run(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) return void process.stdout.write(HELP + helpText(UP_OPTIONS, 'up'));
  const given = parseOptions(UP_OPTIONS, { part: 'up', argv, env: process.env });
  const options = {
    ...given,
    state: resolve(given.state),
    content: given.content === undefined ? undefined : resolve(given.content),
  };
  const say = (line: string) => {
    if (!options.quiet) process.stdout.write(`${line}\n`);
  };
  const box = new Box(options, (line) => say(`${new Date().toTimeString().slice(0, 8)} ${line}`));
  const end = () => box.close();
  onSignals({ drain: end, fast: end });
  endWithParent(() => void end().then(() => process.exit(EXIT.failed)));
  say('nearcast: starting a CDN in a box ...');
  try {
    const content = await box.start();
    say(`content: ${content.files} files, ${content.uploaded.length} uploaded, ${content.deleted.length} deleted\n`);
  } catch (error) {
    await end();
    throw error;
  }
  say(table(box.plan));
  const film = options.content === undefined ? '/film/master.m3u8' : '/<a file of yours>';
  say(examples(box.plan, film, options.state));
}

/** What runs where. */
export function table(plan: BoxPlan): string {
  const rows: readonly (readonly [string, string, string])[] = [
    ['steering', plan.steering, 'clients come here first'],
    ['control plane', plan.control, 'console with the player, API under /v1'],
    ['origin', plan.origin.url, `gateway over S3; catalogue at ${plan.origin.admin}/v1/catalogue`],
    ['s3', plan.s3.url, 'the embedded S3 server'],
    ['stand-in', plan.standby.url, 'a stand-in for Cloudflare: another pull cache over the same origin'],
    ['region', plan.region.url, 'between the edges and the origin'],
    ...plan.edges.map(
      ({ name, url, site, admin }) =>
        [
          `edge ${name}`,
          url,
          `ISP ${site?.toUpperCase()} (${site === 'a' ? '127.0.x.x and 127.1.x.x' : '127.2.x.x'}); admin ${admin}`,
        ] as const,
    ),
  ];
  return rows.map(([name, url, what]) => `  ${name.padEnd(14)} ${url}   ${what}`).join('\n');
}

function examples(plan: BoxPlan, film: string, state: string): string {
  const steer = (address: string) =>
    `  curl -sL --interface ${address} -o /dev/null -w '%{url_effective}\\n' ${plan.steering}${film}`;
  return `
watch the film           ${plan.control}/
a client of ISP A, of ISP B, and of nobody:
${steer('127.0.0.7')}
${steer('127.2.0.7')}
${steer('127.9.0.7')}
why there                curl -s '${plan.steering}/v1/steer?path=${film}'
fill the edges now       npx nearcast fill run --now --control ${plan.control}
kill an edge             kill -9 <pid of an edge in ${state}/endpoints.json>
Ctrl-C ends it all.
`;
}
