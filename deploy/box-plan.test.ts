import { expect, test } from 'vitest';
import { CONTROL_OPTIONS } from '../control-plane/options.ts';
import { parseTopology } from '../control-plane/topology.ts';
import { EDGE_OPTIONS } from '../edge-server/options.ts';
import { ORIGIN_OPTIONS } from '../origin/options.ts';
import { parseOptions } from '../runtime/options.ts';
import { boxPlan, SITES } from './box-plan.ts';
import { S3_OPTIONS } from './s3/options.ts';

const plan = boxPlan({ portBase: 18_000, state: '/state' });

test('every port is taken once, and every address of a process is among them', () => {
  expect(new Set(plan.ports).size).toBe(plan.ports.length);
  const processes = [plan.s3, plan.origin, plan.controlPlane, plan.standby, plan.region, ...plan.edges];
  const used = processes.flatMap(({ url, admin }) => [url, ...(admin === undefined ? [] : [admin])]);
  expect([...used, plan.steering].map((url) => Number(new URL(url).port)).sort()).toEqual([...plan.ports].sort());
});

test('each part understands the options that the box gives it', () => {
  const parsed = (
    table: typeof EDGE_OPTIONS | typeof ORIGIN_OPTIONS | typeof CONTROL_OPTIONS | typeof S3_OPTIONS,
    argv: readonly string[],
  ) => parseOptions(table, { part: argv[0]!, argv: argv.slice(1) });
  parsed(S3_OPTIONS, plan.s3.argv);
  parsed(ORIGIN_OPTIONS, plan.origin.argv);
  parsed(CONTROL_OPTIONS, plan.controlPlane.argv);
  for (const { argv } of [plan.region, plan.standby, ...plan.edges]) parsed(EDGE_OPTIONS, argv);
});

test('edges ask the region and then the origin; the stand-in asks the origin alone and belongs to no fleet', () => {
  for (const { argv } of plan.edges) {
    const { upstream, control } = parseOptions(EDGE_OPTIONS, { part: 'edge', argv: argv.slice(1) });
    expect(upstream).toEqual([plan.region.url, plan.origin.url]);
    expect(control).toBe(plan.control);
  }
  const standIn = parseOptions(EDGE_OPTIONS, { part: 'edge', argv: plan.standby.argv.slice(1) });
  expect(standIn).toMatchObject({ upstream: [plan.origin.url], control: undefined, appliance: 'cloudflare-stand-in' });
});

test('the sites are a topology that the control plane accepts', () => {
  expect(parseTopology(JSON.stringify({ sites: SITES }), 'sites').map(({ id }) => id)).toEqual(['a', 'b']);
});
