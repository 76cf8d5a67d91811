/** Ids of stored responses. Owns their uniqueness within an appliance; what is stored under them is its caller's. */

let versions = 0;
const ID_PREFIX = `${process.pid.toString(36)}.${Math.floor(performance.timeOrigin).toString(36)}.`;

/** An id no other stored response of this appliance has: the process, its start and a count. */
export function versionId(): string {
  versions += 1;
  return `${ID_PREFIX}${versions.toString(36)}`;
}
