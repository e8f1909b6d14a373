/** Why a manager does not leave just like that, and what to do instead. */
export type Standing = {
  /** What users call this node. */
  readonly name: string;
  /** Members of the group, this one included. */
  readonly members: number;
  /** Whether the others keep their quorum. */
  readonly allowed: boolean;
  /** Who is not reached, as `: managers not reached: …`; empty for nobody. */
  readonly missing: string;
};

export function leaveRefusal({ name, members, allowed, missing }: Standing): string {
  if (members <= 1) {
    return (
      'this node is the last manager: when it leaves, the cluster ends, with all that it knows. ' +
      'Use --force if that is meant'
    );
  }
  if (allowed) {
    return `this node is a manager: demote it first with "skein node demote ${name}", or use --force, which does so`;
  }
  return (
    `this node is a manager, and without it the other ${members - 1} would lose their quorum${missing}. ` +
    'Start those first; with --force it leaves all the same, and the cluster decides nothing until it is ' +
    'recovered with --force-new-cluster'
  );
}
