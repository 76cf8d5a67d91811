/** Every counter of the control plane, once: /metrics and the README's table come from here. */
import type { MetricTable } from '../runtime/metrics.ts';

export const STATES = ['unknown', 'healthy', 'suspect', 'unhealthy', 'recovering', 'draining', 'maintenance'] as const;

export const CONTROL_COUNTERS = {
  steering_answers_total: {
    kind: 'counter',
    help: 'Steering answers by what stands first in them.',
    advice: 'Mostly appliance; a rising share of standby means that clients are unknown or sites are failed over.',
    label: { name: 'first', values: ['appliance', 'standby'] },
  },
  steering_requests_total: {
    kind: 'counter',
    help: 'Requests at steering by face.',
    advice: 'Only for proportion.',
    label: { name: 'face', values: ['redirect', 'list', 'content-steering', 'playlist', 'health', 'other'] },
  },
  steering_faults_total: {
    kind: 'counter',
    help: 'Requests at steering that failed inside and were answered with the standby.',
    advice: 'Must stay 0; the log names the fault.',
  },
  heartbeats_total: {
    kind: 'counter',
    help: 'Heartbeats by outcome.',
    advice: 'refused means that an appliance is configured for a site that does not exist, or speaks another protocol.',
    label: { name: 'outcome', values: ['taken', 'refused'] },
  },
  probes_total: {
    kind: 'counter',
    help: 'Probes of appliances by result.',
    advice:
      'Look at the appliance that the log names when others than ok rise; inconclusive is trouble behind the appliance.',
    label: {
      name: 'result',
      values: [
        'ok',
        'inconclusive',
        'refused',
        'reset',
        'timeout',
        'unreachable',
        'status',
        'garbage',
        'wrong-appliance',
        'short-body',
        'wrong-digest',
      ],
    },
  },
  transitions_total: {
    kind: 'counter',
    help: 'Changes of an appliance\u2019s state by the state entered.',
    advice: 'unhealthy more than a few times an hour is flapping: see the history.',
    label: { name: 'to', values: STATES },
  },
  appliances: {
    kind: 'gauge',
    help: 'Appliances by state.',
    advice: 'Any unhealthy one should have a person who knows why.',
    label: { name: 'state', values: STATES },
  },
  sites_failed_over: {
    kind: 'gauge',
    help: 'Sites whose clients go to the standby because over half of their edges are down.',
    advice: 'Wake somebody when it is not 0.',
  },
  frozen: {
    kind: 'gauge',
    help: '1 while the monitor doubts itself because most of the fleet went silent.',
    advice: 'Wake somebody: nothing new is taken out while it lasts.',
  },
  snapshot_number: {
    kind: 'gauge',
    help: 'Number of the current snapshot.',
    advice: 'Must never fall.',
  },
  snapshots_refused_total: {
    kind: 'counter',
    help: 'Snapshots that were not published because they looked absurd.',
    advice: 'Must stay 0; steering goes on from the last good one.',
  },
  purges_total: { kind: 'counter', help: 'Purge entries appended to the log.', advice: 'Only for proportion.' },
  purge_lag_entries: {
    kind: 'gauge',
    help: 'Purge entries that the furthest-behind appliance in service has not applied.',
    advice: 'Above 0 for more than 5 s means that an appliance still serves what was purged.',
  },
  beacons_total: {
    kind: 'counter',
    help: 'Reports from players by kind.',
    advice: 'error rising while probes are ok is a fault that probes can\u2019t see.',
    label: { name: 'kind', values: ['error', 'switch', 'refused'] },
  },
  catalogue_failures_total: {
    kind: 'counter',
    help: 'Failed reads of the origin\u2019s catalogue.',
    advice: 'While it rises no new content is filled, and deep probes use an old list.',
  },
} as const satisfies MetricTable;
