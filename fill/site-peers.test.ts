import { expect, test } from 'vitest';
import type { FillSource } from '../control-plane/api.ts';
import { SitePeers, type Waiting } from './site-peers.ts';

const source = (kind: FillSource['kind'], id: string): FillSource => ({ kind, id, url: `http://${id}.example.org` });
const all = [
  source('origin', 'origin'),
  source('peer', 'a2'),
  source('peer', 'a3'),
  source('region', 'r1'),
  source('peer', 'a1'),
];
const peersOf = (sources = all) => new SitePeers({ ownAppliance: 'a1', sources, patienceMillis: 20_000 });
const asset = { path: '/film/1.m4s', bytes: 0, fetcher: 'a2' };
const waiting = (): Waiting => ({ since: undefined, passedOver: new Set() });
const ids = (sources: readonly FillSource[]) => sources.map(({ id }) => id);
const away = { why: 'unreachable', detail: 'ECONNREFUSED' } as const;

test('one that is not elected asks the elected peer, then another, and nobody outside', () => {
  expect(peersOf().ask(asset, waiting(), 0)).toEqual({
    sources: [source('peer', 'a2'), source('peer', 'a3')],
    waitsFor: 'a2',
  });
});

test('the elected one asks peers, then region, then origin, never itself', () => {
  const { sources, waitsFor } = peersOf().ask({ ...asset, fetcher: 'a1' }, waiting(), 0);
  expect(waitsFor).toBeUndefined();
  expect(ids(sources).slice(2)).toEqual(['r1', 'origin']);
  expect(ids(sources).slice(0, 2).sort()).toEqual(['a2', 'a3']);
});

test('a manifest that elects nobody, or one who is no source, falls back to the same rendezvous order everywhere', () => {
  const choice = (own: string, fetcher: string | undefined) => {
    const peers = new SitePeers({ ownAppliance: own, sources: all, patienceMillis: 1 });
    return (
      peers.ask({ path: '/x', bytes: 1, ...(fetcher === undefined ? {} : { fetcher }) }, waiting(), 0).waitsFor ?? own
    );
  };
  const sites = ['a1', 'a2', 'a3'].flatMap((own) => [choice(own, undefined), choice(own, 'gone')]);
  expect(new Set(sites).size).toBe(1);
});

test('patience counts from the last body that the peer gave, and grows with the size', () => {
  const peers = peersOf();
  const wait = waiting();
  peers.ask(asset, wait, 1000);
  expect(peers.passesOver(asset, 'a2', wait, 20_999)).toBe(false);
  peers.gave('a2', 15_000);
  expect(peers.passesOver(asset, 'a2', wait, 34_999)).toBe(false);
  expect(peers.passesOver({ ...asset, bytes: 10_000_000 }, 'a2', wait, 36_999)).toBe(false);
  expect(peers.passesOver(asset, 'a2', wait, 35_000)).toBe(true);
  expect(peers.ask(asset, wait, 35_000).waitsFor).not.toBe('a2');
});

test('a peer that does not answer is not asked again at once, and counts as away since it first did not', () => {
  const peers = peersOf();
  peers.refused('a2', away, 0);
  expect(ids(peers.ask(asset, waiting(), 999).sources)).toEqual(['a3']);
  expect(ids(peers.ask(asset, waiting(), 1000).sources)).toEqual(['a2', 'a3']);
  peers.refused('a2', away, 19_000);
  const late = waiting();
  peers.ask(asset, late, 19_500);
  expect(peers.passesOver(asset, 'a2', late, 19_999)).toBe(false);
  expect(peers.passesOver(asset, 'a2', late, 20_000)).toBe(true);
});

test('an answer of any kind ends being away', () => {
  const peers = peersOf();
  peers.refused('a2', away, 0);
  peers.refused('a2', { why: 'absent' }, 19_000);
  const wait = waiting();
  peers.ask(asset, wait, 19_000);
  expect(peers.passesOver(asset, 'a2', wait, 30_000)).toBe(false);
});

test('when everybody was waited for in vain the own appliance goes', () => {
  const peers = peersOf();
  const wait = { since: 0, passedOver: new Set(['a1', 'a2', 'a3']) };
  expect(peers.ask(asset, wait, 0).waitsFor).toBeUndefined();
});
