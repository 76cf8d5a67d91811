/**
 * What many states at once mean: which site's clients go to the standby, and when the monitor should doubt itself.
 * Pure. One appliance's state is `health.ts`.
 *
 * Two rules (conventions §4):
 * - Over half of a site's edges down: the rest would be swamped, so the site fails over to the standby. Exactly half
 *   is not over half: of two edges one carries on.
 * - Over half of the fleet down: more likely this monitor is cut off than that everything died at once, so states
 *   freeze and an alarm is raised. Only silence counts for that. A refused or reset connection is an answer by the
 *   appliance's own host, which a monitor that is cut off can't get; such an appliance is dead, however many are. With
 *   the whole fleet refusing, each site fails over by the first rule. A fleet of one or two has no majority to lose.
 */
import type { ApplianceRole, HealthState } from './api.ts';

export interface FleetMember {
  readonly id: string;
  readonly site: string;
  readonly role: ApplianceRole;
  readonly state: HealthState;
  readonly why: string;
  /** Nothing but silence speaks against it (`isSilent`). */
  readonly silent: boolean;
  /** What was published of it last; `undefined` for a new one. */
  readonly published: HealthState | undefined;
}

export interface SiteVerdict {
  readonly state: 'open' | 'failed-over';
  readonly why: string;
}

export interface FleetVerdict {
  /** Why the states are frozen; `undefined` when they are not. */
  readonly frozen: string | undefined;
  /** What to publish for each member, in the order given. */
  readonly members: readonly { readonly id: string; readonly state: HealthState; readonly why: string }[];
  readonly sites: ReadonlyMap<string, SiteVerdict>;
}

const MAJORITY_FLEET = 3;

export function fleetVerdict(members: readonly FleetMember[], siteIds: readonly string[]): FleetVerdict {
  const counted = members.filter(isCounted);
  const silent = counted.filter((member) => member.state === 'unhealthy' && member.silent);
  const frozen =
    counted.length >= MAJORITY_FLEET && silent.length * 2 > counted.length
      ? `${silent.length} of ${counted.length} appliances went silent: the monitor itself is in doubt`
      : undefined;
  const shown = members.map((member) => {
    const kept = frozen !== undefined && member.state === 'unhealthy' && member.silent && wasServing(member);
    return kept
      ? { ...member, state: 'suspect' as const, why: `kept while frozen (${frozen}); ${member.why}` }
      : member;
  });
  const sites = new Map(siteIds.map((site) => [site, siteVerdict(shown.filter((member) => member.site === site))]));
  return { frozen, members: shown.map(({ id, state, why }) => ({ id, state, why })), sites };
}

function siteVerdict(members: readonly FleetMember[]): SiteVerdict {
  const edges = members.filter(({ role }) => role === 'edge').filter(isCounted);
  const down = edges.filter(({ state }) => state === 'unhealthy');
  if (edges.length === 0) return { state: 'open', why: 'no edge has reported yet' };
  if (down.length * 2 > edges.length)
    return {
      state: 'failed-over',
      why: `${down.length} of ${edges.length} edges down (limit half): clients go to the standby`,
    };
  return { state: 'open', why: `${edges.length - down.length} of ${edges.length} edges up` };
}

/** What an operator took out, and what nobody has seen yet, says nothing about faults. */
function isCounted({ state }: FleetMember): boolean {
  return state !== 'unknown' && state !== 'draining' && state !== 'maintenance';
}

function wasServing({ published }: FleetMember): boolean {
  return published === 'healthy' || published === 'suspect' || published === 'recovering';
}
