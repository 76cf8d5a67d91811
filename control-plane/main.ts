/** `nearcast control`: options in, a running control plane, signals out. */
import { onSignals } from '../runtime/closing.ts';
import { createLog } from '../runtime/log.ts';
import { helpText, parseOptions } from '../runtime/options.ts';
import { startControlPlane } from './control-plane.ts';
import { CONTROL_OPTIONS } from './options.ts';

const USAGE = `nearcast control: topology, health, steering, purges and fills of a fleet of caches

  nearcast control --origin http://127.0.0.1:8100 --standby https://standby.example.org --topology topology.yaml

`;

/** Runs until a signal ends the process; resolves once it serves. */
export async function run(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help')) {
    process.stdout.write(USAGE + helpText(CONTROL_OPTIONS, 'control'));
    return;
  }
  const options = parseOptions(CONTROL_OPTIONS, { part: 'control', argv, env: process.env });
  const log = createLog({ part: 'control' });
  const running = await startControlPlane(options, log);
  log.info({ controlPort: running.controlPort, steeringPort: running.steeringPort }, 'serving');
  onSignals({ drain: () => running.close(), fast: () => running.close() });
}
