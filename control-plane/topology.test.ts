import { describe, expect, it } from 'vitest';
import type { Fault } from '../runtime/errors.ts';
import { parseTopology } from './topology.ts';

function fault(text: string): Fault {
  try {
    parseTopology(text, 'topology.yaml');
  } catch (error) {
    return error as Fault;
  }
  throw new Error('it was taken');
}

describe('a topology file', () => {
  it('gives sites with defaults filled in and prefixes in canonical form', () => {
    expect(
      parseTopology(
        'sites:\n  - {id: a, name: ISP A, prefixes: [127.0.0.0/16, "2001:DB8::/32", 192.0.2.1], timeZone: Europe/Berlin, next: [b]}\n  - id: b\n',
        't',
      ),
    ).toEqual([
      {
        id: 'a',
        name: 'ISP A',
        prefixes: ['127.0.0.0/16', '2001:db8::/32', '192.0.2.1/32'],
        timeZone: 'Europe/Berlin',
        next: ['b'],
      },
      { id: 'b', name: 'b', prefixes: [], timeZone: 'UTC', next: [] },
    ]);
  });

  it.each([
    ['sites: [', 'topology.yaml:1:'],
    ['- a', 'topology.yaml:1:1: the top must be a map'],
    ['sites: []', 'topology.yaml:1:8: sites must be a list'],
    ['site:\n  - id: a', "topology.yaml:1:1: key 'site' is unknown; did you mean sites?"],
    [
      'sites:\n  - id: a\n    prefix: [10.0.0.0/8]',
      "topology.yaml:3:5: key 'prefix' is unknown; did you mean prefixes?",
    ],
    ['sites:\n  - name: x', 'topology.yaml:2:5: id must be a text'],
    ['sites:\n  - id: a b', "topology.yaml:2:9: 'a b' is not an id"],
    ['sites:\n  - id: a\n  - id: a', "topology.yaml:3:9: site 'a' is there twice"],
    [
      'sites:\n  - id: a\n    prefixes: [10.0.0.1/8]',
      "topology.yaml:3:16: '10.0.0.1/8' has bits beyond its length; did you mean 10.0.0.0/8?",
    ],
    [
      'sites:\n  - id: a\n    prefixes: [10.0.0.0/8]\n  - id: b\n    prefixes: [10.0.0.0/8]',
      "topology.yaml:5:16: 10.0.0.0/8 belongs to site 'a' already",
    ],
    ['sites:\n  - id: a\n    prefixes: 10.0.0.0/8', 'topology.yaml:3:15: prefixes must be a list'],
    ['sites:\n  - id: a\n    timeZone: Berlin', "topology.yaml:3:15: 'Berlin' is not a time zone"],
    ['sites:\n  - id: north\n    next: [nort]', "topology.yaml:3:12: there is no site 'nort'; did you mean north?"],
  ])('%j is refused with file, line and what to do', (text, line) => {
    const found = fault(text);
    expect(found.line()).toContain(line);
    expect(found.exit).toBe(2);
    expect(found.fix).toBeTruthy();
  });
});
