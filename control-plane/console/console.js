/** The console: the fleet as it is now, what happened, and a film that is played through it. */
import { Player } from '/console/player.js';

const REFRESH_MILLIS = 1000;
const EVENTS_SHOWN = 200;
const STRIP_SECONDS = 120;
const APPLIANCE_COLOURS = 4;

/** Word → how serious it is; a shape goes with every colour. */
const SERIOUSNESS = {
  healthy: ['good', '●'],
  recovering: ['warn', '◐'],
  suspect: ['warn', '▲'],
  unhealthy: ['bad', '✕'],
  unknown: ['rest', '○'],
  draining: ['rest', '↓'],
  maintenance: ['rest', '■'],
  open: ['good', '●'],
  'failed-over': ['bad', '✕'],
};

const $ = (id) => document.getElementById(id);
let appliances = [];
let sites = [];
let settings;
let player;
let failures = 0;
/** One entry a second: who served, newest last. */
const served = [];

start();

async function start() {
  settings = await json('/v1/console');
  window.nearcast = { ready: false };
  await refresh();
  listen();
  player = new Player({ video: $('video'), steering: settings.steering, idOf, onChange: showServed, report });
  window.nearcast = {
    ready: true,
    video: $('video'),
    player,
    get servedBy() {
      return player.status.servedBy;
    },
    get status() {
      return player.status;
    },
  };
  const films = await untilFilms();
  $('film').replaceChildren(...films.map((path) => element('option', { value: path }, path)));
  const client = new URLSearchParams(location.search).get('client') ?? '';
  $('client').value = client;
  $('choice').addEventListener('submit', (event) => {
    event.preventDefault();
    playChosen();
  });
  playChosen();
  setInterval(refresh, REFRESH_MILLIS);
  setInterval(showFigures, 1000);
}

/** The origin may still be starting. */
async function untilFilms() {
  while (settings.films.length === 0) {
    $('served-why').textContent = 'waiting for the catalogue';
    await new Promise((resolve) => setTimeout(resolve, 1000));
    settings = await json('/v1/console').catch(() => settings);
  }
  $('served-why').textContent = '';
  return settings.films;
}

function playChosen() {
  const path = $('film').value;
  if (path !== '') player.play(path, $('client').value.trim());
  showRanked();
}

async function refresh() {
  try {
    const [freshAppliances, freshSites, snapshot] = await Promise.all([
      json('/v1/appliances'),
      json('/v1/sites'),
      json('/v1/snapshot'),
    ]);
    appliances = freshAppliances;
    sites = freshSites;
    failures = 0;
    $('link').className = 'link';
    $('link').textContent = 'control plane';
    showFleet(snapshot);
    if (player !== undefined) await showRanked();
  } catch {
    failures++;
    $('link').className = 'link away';
    $('link').textContent = `control plane away (${failures} tries); clients go on without it`;
  }
}

function showFleet(snapshot) {
  const edges = appliances.filter(({ role }) => role === 'edge');
  const healthy = edges.filter(({ state }) => state === 'healthy').length;
  const over = sites.filter(({ state }) => state === 'failed-over');
  write(
    'summary',
    `${healthy} of ${edges.length} edges healthy, ${sites.length - over.length} of ${sites.length} sites open`,
  );
  write('snapshot', `snapshot ${snapshot.number}`);
  const alarms = [
    ...over.map(({ name, why }) => `${name}: ${why}`),
    ...(snapshot.frozen === null ? [] : [snapshot.frozen]),
  ];
  $('alarm').hidden = alarms.length === 0;
  write('alarm', alarms.join(' · '));
  const groups = sites.map((site) =>
    siteCard(
      site,
      appliances.filter((one) => one.site === site.id),
    ),
  );
  const others = appliances.filter((one) => !sites.some(({ id }) => id === one.site));
  if (others.length > 0)
    groups.push(siteCard({ id: 'region', name: 'Between sites and origin', prefixes: [] }, others));
  $('sites').replaceChildren(...groups);
}

function siteCard(site, members) {
  const head = element('div', { class: 'site-head' }, element('h3', {}, site.name));
  if (site.state !== undefined) head.append(stateText(site.state));
  if (site.prefixes.length > 0) {
    const more = site.prefixes.length > 3 ? ` and ${site.prefixes.length - 3} more` : '';
    head.append(element('span', { class: 'note' }, site.prefixes.slice(0, 3).join(', ') + more));
  }
  const columns = ['Appliance', 'State', 'Load', 'Filled'].map((name, i) =>
    element('th', { scope: 'col', class: i > 1 ? 'number' : '' }, name),
  );
  const rows = members.map((one) =>
    element(
      'tr',
      { class: player?.status.servedBy === one.id ? 'now' : '', 'data-appliance': one.id, 'data-state': one.state },
      element(
        'td',
        {},
        element('span', { class: 'id' }, one.id),
        element('span', { class: 'note' }, URL.parse(one.url)?.host ?? one.url),
      ),
      element(
        'td',
        {},
        stateText(one.state),
        element('span', { class: 'note' }, `${since(one.sinceMillis)} · ${one.why}`),
      ),
      element(
        'td',
        { class: 'number' },
        one.state === 'unhealthy' || one.state === 'unknown' ? '–' : `${Math.round(one.used * 100)} %`,
        ...(one.weight < 1 ? [element('span', { class: 'note' }, `takes ${one.weight * 100} %`)] : []),
      ),
      element('td', { class: 'number' }, filled(one.fill)),
    ),
  );
  const body =
    rows.length > 0 ? rows : [element('tr', {}, element('td', { colspan: '4' }, 'No appliance has reported yet'))];
  return element(
    'article',
    { class: 'card', 'aria-label': site.name },
    head,
    element('table', {}, element('thead', {}, element('tr', {}, ...columns)), element('tbody', {}, ...body)),
  );
}

async function showRanked() {
  const path = $('film').value;
  if (path === '') return;
  const client = $('client').value.trim();
  const query = new URLSearchParams({ path, ...(client === '' ? {} : { client }) });
  const answer = await json(`/v1/steer?${query}`);
  $('ranked').replaceChildren(
    ...answer.targets.map(({ id, why }) =>
      element(
        'li',
        {},
        element('span', { class: 'id' }, id),
        element('span', { class: 'why' }, ` ${why.replace(/^standby[:,] /, '')}`),
      ),
    ),
    ...answer.rejected.map(({ id, why }) =>
      element(
        'li',
        { class: 'rejected' },
        element('span', { class: 'id' }, id),
        element('span', { class: 'why' }, ` ${why}`),
      ),
    ),
  );
}

function showServed({ servedBy, cache, level }) {
  const one = appliances.find(({ id }) => id === servedBy);
  const site = sites.find(({ id }) => id === one?.site);
  write('served', servedBy ?? 'nobody yet');
  const where =
    site === undefined
      ? servedBy === settings.standby.id
        ? 'the standby CDN, outside every ISP'
        : ''
      : `inside ${site.name}`;
  write(
    'served-why',
    [
      where,
      cache
        ?.split(';')
        .slice(1)
        .map((part) => part.trim())
        .filter((part) => !part.startsWith('ttl'))
        .join(', '),
    ]
      .filter(Boolean)
      .join(' · '),
  );
  write('figure-level', level ?? '–');
}

function showFigures() {
  const { servedBy, bufferSeconds, switches, longestStopMillis } = player.status;
  write('figure-buffer', `${bufferSeconds.toFixed(0)} s`);
  write('figure-switches', String(switches));
  write('figure-stop', longestStopMillis === 0 ? 'none' : `${(longestStopMillis / 1000).toFixed(1)} s`);
  served.push(servedBy);
  if (served.length > STRIP_SECONDS) served.shift();
  const runs = [];
  for (const id of served) {
    const last = runs.at(-1);
    if (last !== undefined && last.id === id) last.seconds++;
    else runs.push({ id, seconds: 1 });
  }
  $('strip').replaceChildren(
    ...runs.map(({ id, seconds }) => {
      const span = element('span', { class: colourOf(id), title: `${id ?? 'nobody'} for ${seconds} s` }, id ?? '');
      span.style.width = `calc(${(seconds / STRIP_SECONDS) * 100}% - 2px)`;
      return span;
    }),
  );
  $('strip').setAttribute(
    'aria-label',
    `Who served: ${runs.map(({ id, seconds }) => `${id ?? 'nobody'} ${seconds} s`).join(', ')}`,
  );
}

function colourOf(id) {
  if (id === undefined) return 'none';
  const index = appliances.findIndex((one) => one.id === id);
  return index < 0 ? 'standby' : `appliance-${index % APPLIANCE_COLOURS}`;
}

function listen() {
  const events = new EventSource('/v1/events?limit=50');
  events.onmessage = ({ data }) => {
    const { at, kind, text } = JSON.parse(data);
    const time = element('time', { datetime: at }, new Date(at).toLocaleTimeString([], { hour12: false }));
    const line = element(
      'li',
      { class: kind === 'alarm' ? 'alarm-event' : '' },
      time,
      element('span', { class: 'kind' }, kind),
      element('span', { class: 'text' }, text),
    );
    $('events').prepend(line);
    while ($('events').children.length > EVENTS_SHOWN) $('events').lastElementChild.remove();
    if (kind === 'appliance' || kind === 'site') refresh();
  };
}

/** The target whose base URL has this origin. */
function idOf(origin) {
  if (URL.parse(settings.standby.url)?.origin === origin) return settings.standby.id;
  return appliances.find(({ url }) => URL.parse(url)?.origin === origin)?.id;
}

function report(beacon) {
  fetch('/v1/beacon', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(beacon),
    keepalive: true,
  }).catch(() => {}); // a hint; playing goes on without it
}

function stateText(state) {
  const [kind, shape] = SERIOUSNESS[state] ?? ['rest', '○'];
  return element('span', { class: `state ${kind}` }, element('span', { 'aria-hidden': 'true' }, `${shape} `), state);
}

function filled({ manifestVersion, state, assetsDone, assetsPlanned }) {
  if (manifestVersion === 0) return '–';
  return state === 'done' ? `all ${assetsPlanned}` : `${assetsDone} of ${assetsPlanned}`;
}

function since(millis) {
  const seconds = Math.max(0, Math.round((Date.now() - millis) / 1000));
  if (seconds < 60) return `for ${seconds} s`;
  if (seconds < 3600) return `for ${Math.floor(seconds / 60)} min`;
  return `since ${new Date(millis).toLocaleString([], { hour12: false })}`;
}

/** Only when it differs, so that a screen reader does not say the same again. */
function write(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

async function json(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(3000) });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== '') node.setAttribute(key, value);
  node.append(...children);
  return node;
}
