import { describe, expect, it } from 'vitest';
import type { SteeringAnswer } from './api.ts';
import { isMultivariant, steeredPlaylist, steeringManifest } from './content-steering.ts';

const target = (id: string, url: string) => ({
  kind: id === 'standby' ? ('standby' as const) : ('appliance' as const),
  id,
  site: undefined,
  url,
  why: '',
});

function answer(...urls: readonly (readonly [string, string])[]): SteeringAnswer {
  return {
    snapshot: 1,
    path: '/f',
    client: { address: '', site: undefined, prefix: undefined },
    targets: urls.map(([id, url]) => target(id, url)),
    rejected: [],
    ttlSeconds: 300,
  };
}

describe('a steering manifest', () => {
  const ranked = answer(
    ['a1', 'https://a1.example.org'],
    ['a2', 'https://a2.example.org:8443'],
    ['standby', 'https://standby.example.org'],
  );

  it('lists all pathways in order of rank, with when and where to ask again', () => {
    const manifest = steeringManifest({
      answer: ranked,
      known: ['a1', 'a2'],
      reloadUri: '/v1/content-steering?path=%2Ff',
      ttlSeconds: 10,
    });
    expect(manifest).toEqual({
      VERSION: 1,
      TTL: 10,
      'RELOAD-URI': '/v1/content-steering?path=%2Ff',
      'PATHWAY-PRIORITY': ['a1', 'a2', 'standby'],
    });
  });

  it('clones what the playlist lacks by its host, and nothing that differs in more than the host', () => {
    const manifest = steeringManifest({ answer: ranked, known: [], reloadUri: '', ttlSeconds: 10 });
    expect(manifest['PATHWAY-CLONES']).toEqual([
      { 'BASE-ID': 'standby', ID: 'a1', 'URI-REPLACEMENT': { HOST: 'a1.example.org' } },
    ]);
  });
});

describe('a steered playlist', () => {
  const playlist = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    '#EXT-X-CONTENT-STEERING:SERVER-URI="https://other.example.org/"',
    '#EXT-X-SESSION-DATA:DATA-ID="t",URI="data.json"',
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="en",URI="audio/index.m3u8"',
    '#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO="aac",CLOSED-CAPTIONS=NONE',
    '360p/index.m3u8?q=1',
    '#EXT-X-STREAM-INF:BANDWIDTH=500,STABLE-VARIANT-ID="low"',
    '/other/240p.m3u8',
    '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=10,URI="iframes.m3u8"',
    '',
  ].join('\r\n');
  const steered = steeredPlaylist({
    playlist,
    target: '/film/master.m3u8?token=x',
    pathways: [
      { id: 'a1', url: 'http://127.0.0.1:1' },
      { id: 'standby', url: 'https://standby.example.org' },
    ],
    serverUri: '/v1/content-steering?path=x',
  });
  const lines = steered.split('\n');

  it('has every variant once for each pathway, under absolute URIs', () => {
    expect(lines.filter((line) => line.startsWith('http'))).toEqual([
      'http://127.0.0.1:1/film/360p/index.m3u8?q=1',
      'http://127.0.0.1:1/other/240p.m3u8',
      'https://standby.example.org/film/360p/index.m3u8?q=1',
      'https://standby.example.org/other/240p.m3u8',
    ]);
    expect(
      lines.filter((line) => line.includes('PATHWAY-ID="standby"') && line.startsWith('#EXT-X-STREAM-INF')),
    ).toHaveLength(2);
  });

  it('says once where to ask, and begins with the best', () => {
    expect(lines.filter((line) => line.startsWith('#EXT-X-CONTENT-STEERING'))).toEqual([
      '#EXT-X-CONTENT-STEERING:SERVER-URI="/v1/content-steering?path=x",PATHWAY-ID="a1"',
    ]);
  });

  it('gives each pathway its own rendition groups', () => {
    expect(steered).toContain('GROUP-ID="aac_a1",NAME="en",URI="http://127.0.0.1:1/film/audio/index.m3u8"');
    expect(steered).toContain('AUDIO="aac_standby",CLOSED-CAPTIONS=NONE');
  });

  it('names the same variant alike in every pathway and keeps names that are there', () => {
    expect(steered.match(/STABLE-VARIANT-ID="v1"/g)).toHaveLength(2);
    expect(steered.match(/STABLE-VARIANT-ID="low"/g)).toHaveLength(2);
  });

  it('keeps the rest, with absolute URIs', () => {
    expect(steered).toContain('#EXT-X-VERSION:7');
    expect(steered).toContain('URI="http://127.0.0.1:1/film/data.json"');
    expect(steered).toContain('URI="https://standby.example.org/film/iframes.m3u8"');
  });

  it('is only made of a playlist of variants', () => {
    expect(isMultivariant(playlist)).toBe(true);
    expect(isMultivariant('#EXTM3U\n#EXTINF:4,\nseg.m4s\n')).toBe(false);
    expect(isMultivariant('<html>#EXT-X-STREAM-INF:')).toBe(false);
  });
});
