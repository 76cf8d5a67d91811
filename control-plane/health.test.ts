import { describe, expect, it } from 'vitest';
import { isSilent, stateOf, step, weightOf } from './health.ts';
import {
  FORGET_MILLIS,
  type Health,
  HOLD_MILLIS,
  newHealth,
  type ProbeFailure,
  RAMP_MILLIS,
  type Signal,
  type Transition,
} from './health-record.ts';

/** One appliance and its time; heartbeats go on by themselves as long as it beats. */
class Subject {
  now = 1_000_000;
  health: Health = newHealth(this.now);
  beats = true;
  boot = 'boot-1';
  answers = { total: 0, errors: 0 };
  ownDraining = false;
  readonly transitions: Transition[] = [];

  get state() {
    return stateOf(this.health);
  }

  signal(signal: Signal): this {
    const { health, transition } = step(this.health, signal, this.now);
    this.health = health;
    if (transition !== undefined) this.transitions.push(transition);
    return this;
  }

  good(probe: 'light' | 'deep' = 'light'): this {
    return this.signal({ kind: 'probe', probe, result: { ok: true } });
  }

  bad(why: ProbeFailure, probe: 'light' | 'deep' = 'light'): this {
    return this.signal({ kind: 'probe', probe, result: { ok: false, why, detail: `detail of ${why}` } });
  }

  beat(): this {
    return this.signal({ kind: 'heartbeat', boot: this.boot, draining: this.ownDraining, answers: this.answers });
  }

  /** Time goes on with a heartbeat a second (while it beats) and ticks. */
  wait(millis: number): this {
    for (let left = millis; left > 0; left -= 500) {
      this.now += Math.min(500, left);
      if (this.beats && this.now % 1000 === 0) this.beat();
      this.signal({ kind: 'tick' });
    }
    return this;
  }

  well(): this {
    return this.beat().good();
  }

  /** Three good probes a second apart. */
  risen(): this {
    for (let i = 0; i < 3; i++) this.wait(1000).good();
    return this;
  }
}

describe('an appliance', () => {
  it('is unknown until both a probe and a heartbeat were good', () => {
    const one = new Subject().beat();
    expect(one.state).toBe('unknown');
    expect(one.good().state).toBe('healthy');
  });

  it('that serves but does not reach us is suspect after three good probes, not unknown for ever', () => {
    const one = new Subject().good().good();
    expect(one.state).toBe('unknown');
    expect(one.good().state).toBe('suspect');
  });

  it('is suspect after one failed probe and unhealthy after the second', () => {
    const one = new Subject().well().bad('timeout');
    expect(one.state).toBe('suspect');
    expect(one.wait(1000).bad('timeout').state).toBe('unhealthy');
    expect(one.transitions.at(-1)).toMatchObject({
      from: 'suspect',
      to: 'unhealthy',
      because: 'timeout',
      window: '001',
    });
  });

  it('is healthy again when the second look is good', () => {
    expect(new Subject().well().bad('timeout').wait(1000).good().state).toBe('healthy');
  });

  it.each(['refused', 'reset'] as const)(
    'is out at once when a probe is %s and its heartbeat connection is gone',
    (why) => {
      const one = new Subject().well().signal({ kind: 'connection-lost' }).bad(why);
      expect(one.state).toBe('unhealthy');
    },
  );

  it('is out at once when a probe is refused and three heartbeats are missing', () => {
    const one = new Subject().well();
    one.beats = false;
    expect(one.wait(4000).state).toBe('suspect');
    expect(one.bad('refused').state).toBe('unhealthy');
  });

  it('needs a second look when only the probe speaks against it', () => {
    expect(new Subject().well().bad('refused').state).toBe('suspect');
  });

  it('without heartbeats but with good probes stays in service as suspect', () => {
    const one = new Subject().well();
    one.beats = false;
    one.wait(3000).good();
    expect(one.state).toBe('healthy');
    one.wait(1000).good().wait(60_000).good();
    expect(one.state).toBe('suspect');
    expect(one.transitions.at(-1)!.because).toBe('heartbeats-missed');
    one.beats = true;
    expect(one.wait(1000).state).toBe('healthy');
  });

  it('whose probes fail every other time is taken out', () => {
    const one = new Subject().well();
    for (let i = 0; i < 4; i++) one.wait(1000).bad('timeout').wait(1000).good();
    expect(one.transitions.some(({ because }) => because === 'flapping-probes')).toBe(true);
    expect(one.state).toBe('unhealthy');
  });

  it('that gives wrong bytes twice is taken out although it answers', () => {
    const one = new Subject().well().bad('wrong-digest', 'deep').good();
    expect(one.state).toBe('suspect');
    expect(one.wait(1000).bad('wrong-digest', 'deep').state).toBe('unhealthy');
  });

  it('that gave wrong bytes does not come back on light probes alone', () => {
    const one = new Subject().well().bad('wrong-digest', 'deep').bad('wrong-digest', 'deep');
    one.wait(HOLD_MILLIS).risen();
    expect(one.state).toBe('unhealthy');
    expect(one.good('deep').state).toBe('recovering');
  });

  it('whose last five answers were 5xx is suspect, and out once a deep probe says the same', () => {
    const one = new Subject().well();
    one.answers = { total: 4, errors: 4 };
    expect(one.beat().state).toBe('healthy');
    one.answers = { total: 1, errors: 1 };
    expect(one.beat().state).toBe('suspect');
    expect(one.bad('status', 'deep').state).toBe('unhealthy');
    expect(one.transitions.at(-1)).toMatchObject({
      because: 'errors-in-a-row',
      why: expect.stringContaining('detail of status'),
    });
  });

  it('whose answers were 5xx while its deep probes are good stays in service, and is healthy when they end', () => {
    const one = new Subject().well();
    one.answers = { total: 50, errors: 50 };
    one.beat().good('deep').wait(5000);
    expect(one.state).toBe('suspect');
    one.answers = { total: 0, errors: 0 };
    one.wait(5000).good('deep').good().wait(6000);
    expect(one.state).toBe('healthy');
  });

  it('is suspect at 10 % of at least 100 answers in 10 s, and not at fewer', () => {
    const few = new Subject().well();
    few.answers = { total: 99, errors: 30 };
    expect(few.beat().state).toBe('healthy');
    const late = new Subject().well();
    late.answers = { total: 99, errors: 30 };
    late.beat();
    late.answers = { total: 0, errors: 0 };
    late.wait(10_000);
    late.answers = { total: 99, errors: 9 };
    expect(late.beat().state).toBe('healthy');
    const one = new Subject().well();
    one.answers = { total: 100, errors: 10 };
    expect(one.beat().state).toBe('suspect');
    expect(one.bad('status', 'deep').transitions.at(-1)!.because).toBe('error-share');
  });
});

describe('coming back', () => {
  const fallen = (one: Subject) => one.bad('timeout').bad('timeout');

  it('needs three good probes, heartbeats and the end of the hold-down, then ramps up in a minute', () => {
    const one = fallen(new Subject().well());
    one.wait(HOLD_MILLIS - 3500).risen();
    expect(one.state).toBe('unhealthy');
    one.wait(500);
    expect(one.state).toBe('recovering');
    expect(weightOf(one.health, one.now)).toBe(0.1);
    one.wait(RAMP_MILLIS / 2);
    expect(weightOf(one.health, one.now)).toBe(0.5);
    one.wait(RAMP_MILLIS / 2);
    expect(one.state).toBe('healthy');
    expect(weightOf(one.health, one.now)).toBe(1);
  });

  it('takes three good probes after a restart: a new boot ends the hold-down of a first outage', () => {
    const one = fallen(new Subject().well());
    one.beats = false;
    one.wait(5000);
    one.boot = 'boot-2';
    one.beats = true;
    one.beat().risen();
    expect(one.state).toBe('recovering');
  });

  it('does not end the hold-down of a second outage by restarting: a crash loop is flapping', () => {
    const one = fallen(new Subject().well());
    one.boot = 'boot-2';
    one.beat().risen();
    fallen(one);
    one.boot = 'boot-3';
    one.beat().risen();
    expect(one.state).toBe('unhealthy');
    one.wait(2 * HOLD_MILLIS).good();
    expect(one.state).toBe('recovering');
  });

  it('holds longer at each outage, up to 300 s, and forgets after 10 min', () => {
    const one = new Subject().well();
    const holds: number[] = [];
    for (let i = 0; i < 12; i++) {
      fallen(one);
      holds.push(one.health.holdUntil - one.now);
      one.wait(300_000).risen();
    }
    expect(holds.slice(0, 3)).toEqual([30_000, 60_000, 90_000]);
    expect(holds.at(-1)).toBe(300_000);
    one.wait(FORGET_MILLIS);
    fallen(one);
    expect(one.health.holdUntil - one.now).toBe(30_000);
  });

  it('falls again while it recovers, with a longer hold-down', () => {
    const one = fallen(new Subject().well()).wait(HOLD_MILLIS).risen();
    expect(one.state).toBe('recovering');
    fallen(one);
    expect(one.state).toBe('unhealthy');
    expect(one.health.holdUntil - one.now).toBe(60_000);
  });

  it('is quick for one that was only stopped: it said that it was going', () => {
    const one = new Subject().well();
    one.ownDraining = true;
    expect(one.beat().state).toBe('draining');
    one.beats = false;
    one.wait(4000).bad('refused');
    expect(one.state).toBe('unhealthy');
    one.ownDraining = false;
    one.boot = 'boot-2';
    expect(one.beat().good().state).toBe('healthy');
  });

  it('is quick for one that was never seen well', () => {
    const one = new Subject().bad('refused');
    expect(one.state).toBe('unhealthy');
    expect(one.well().state).toBe('healthy');
  });
});

describe('an order', () => {
  it('lies over the machine, which goes on underneath', () => {
    const one = new Subject().well().signal({ kind: 'order', order: 'draining' });
    expect(one.state).toBe('draining');
    one.bad('timeout').bad('timeout');
    expect(one.state).toBe('draining');
    expect(one.signal({ kind: 'order', order: 'none' }).state).toBe('unhealthy');
  });

  it('is told with its own reason', () => {
    const one = new Subject().well().signal({ kind: 'order', order: 'maintenance' });
    expect(one.transitions.at(-1)).toMatchObject({ to: 'maintenance', because: 'order' });
    one.signal({ kind: 'order', order: 'none' });
    expect(one.transitions.at(-1)).toMatchObject({ to: 'healthy', because: 'order-lifted' });
  });
});

describe('silence', () => {
  it('is a time-out without heartbeats, and not a refusal', () => {
    const one = new Subject().well();
    one.beats = false;
    one.wait(4000).bad('timeout').bad('timeout');
    expect(isSilent(one.health, one.now)).toBe(true);
    expect(isSilent(one.bad('refused').health, one.now)).toBe(false);
  });

  it('is not a time-out of one that still sends heartbeats', () => {
    const one = new Subject().well().bad('timeout').bad('timeout');
    expect(isSilent(one.health, one.now)).toBe(false);
  });
});
