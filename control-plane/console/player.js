/**
 * The player: hls.js with content steering, tuned to move to the next target at once instead of trying again, and
 * started anew through steering when nothing else helps. Says who serves and how long playback stood still.
 */
import Hls from '/console/hls.js';

/** No retry at the same target: the next one is known already (a client with a ranked list is there in under 1 s). */
const NO_RETRY = { maxNumRetry: 0, retryDelayMs: 0, maxRetryDelayMs: 0 };
const ONCE = {
  default: { maxTimeToFirstByteMs: 2500, maxLoadTimeMs: 8000, timeoutRetry: NO_RETRY, errorRetry: NO_RETRY },
};
const RESTART_MILLIS = [0, 250, 500, 1000, 2000];
const STALL_RESTART_MILLIS = 4000;
const SAMPLE_MILLIS = 100;

export class Player {
  #video;
  #steering;
  #path = '';
  #client = '';
  #hls;
  #restarts = 0;
  #restartTimer;
  #moved = { position: -1, at: performance.now() };
  #onChange;
  #idOf;
  #report;

  /** What the page and the tests read. */
  status = {
    servedBy: undefined,
    host: undefined,
    cache: undefined,
    switches: 0,
    restarts: 0,
    errors: [],
    longestStopMillis: 0,
    level: undefined,
    bufferSeconds: 0,
  };

  /** `idOf` names the target of a URL's origin; `report` tells the control plane of errors. */
  constructor({ video, steering, idOf, onChange, report }) {
    this.#video = video;
    this.#steering = steering;
    this.#idOf = idOf;
    this.#onChange = onChange;
    this.#report = report;
    setInterval(() => this.#sample(), SAMPLE_MILLIS);
  }

  get hls() {
    return this.#hls;
  }

  play(path, client) {
    this.#path = path;
    this.#client = client;
    this.#restarts = 0;
    this.#begin(0);
  }

  #begin(position) {
    clearTimeout(this.#restartTimer);
    this.#hls?.destroy();
    this.#hls = undefined;
    const video = this.#video;
    const query = this.#client === '' ? '' : `?client=${encodeURIComponent(this.#client)}`;
    if (!this.#path.endsWith('.m3u8') || !Hls.isSupported()) {
      video.src = this.#path.endsWith('.m3u8')
        ? `${this.#steering}/v1/play${this.#path}${query}`
        : this.#steering + this.#path;
      return;
    }
    const hls = new Hls({
      startPosition: position > 0 ? position : -1,
      maxBufferLength: 12,
      maxMaxBufferLength: 20,
      backBufferLength: 30,
      fragLoadPolicy: ONCE,
      playlistLoadPolicy: ONCE,
      manifestLoadPolicy: ONCE,
    });
    this.#hls = hls;
    hls.on(Hls.Events.FRAG_LOADED, (_, data) => this.#loaded(data));
    hls.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => this.#levelled(hls.levels[level]));
    hls.on(Hls.Events.ERROR, (_, data) => this.#failed(data));
    hls.loadSource(`${this.#steering}/v1/play${this.#path}${query}`);
    hls.attachMedia(video);
    video.play().catch(() => {}); // without a gesture the browser may want one; the controls are there
  }

  #loaded({ networkDetails, frag }) {
    const url = new URL(networkDetails?.responseURL || frag.url);
    const status = networkDetails?.getResponseHeader?.('cache-status') ?? undefined;
    const before = this.status.servedBy;
    this.status.host = url.host;
    this.status.servedBy = this.#idOf(url.origin) ?? url.host;
    // The last member is the cache nearest to us (RFC 9211 §2).
    this.status.cache = status?.split(',').at(-1)?.trim();
    if (before !== undefined && before !== this.status.servedBy) {
      this.status.switches++;
      this.#report({ kind: 'switch', text: `from ${before} to ${this.status.servedBy}` });
    }
    this.#restarts = 0;
    this.#onChange(this.status);
  }

  #levelled(level) {
    if (level === undefined) return;
    this.status.level = `${level.height}p`;
    this.#onChange(this.status);
  }

  #failed(data) {
    const url = data.frag?.url ?? data.context?.url ?? data.url;
    const origin = url === undefined ? undefined : URL.parse(url)?.origin;
    const appliance = origin === undefined ? undefined : this.#idOf(origin);
    this.status.errors.push({ at: Date.now(), details: data.details, fatal: data.fatal, appliance });
    if (this.status.errors.length > 100) this.status.errors.shift();
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR) this.#report({ kind: 'error', appliance, text: data.details });
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.#restarts === 0) {
      this.#restarts++;
      this.#hls.recoverMediaError();
    } else this.#restart();
  }

  /** Asks steering again and goes on where it stood. */
  #restart() {
    const wait = RESTART_MILLIS[Math.min(this.#restarts++, RESTART_MILLIS.length - 1)];
    this.status.restarts++;
    clearTimeout(this.#restartTimer);
    this.#restartTimer = setTimeout(() => this.#begin(this.#video.currentTime), wait);
  }

  #sample() {
    const video = this.#video;
    const now = performance.now();
    const { position, at } = this.#moved;
    const ranges = video.buffered;
    const end = [...Array(ranges.length).keys()]
      .map((i) => [ranges.start(i), ranges.end(i)])
      .find(([from, to]) => from <= video.currentTime + 0.2 && to >= video.currentTime);
    this.status.bufferSeconds = end === undefined ? 0 : Math.max(0, end[1] - video.currentTime);
    const waiting = !video.paused && !video.ended && !video.seeking && video.currentTime === position;
    if (!waiting) {
      this.#moved = { position: video.currentTime, at: now };
      return;
    }
    if (video.currentTime === 0) return; // not begun yet
    const stood = now - at;
    if (stood > this.status.longestStopMillis && stood > 250) this.status.longestStopMillis = Math.round(stood);
    if (stood > STALL_RESTART_MILLIS) {
      this.#moved = { position, at: now };
      if (this.#hls !== undefined) this.#restart();
    }
  }
}
