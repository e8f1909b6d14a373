/**
 * When a node asks for a certificate of another role (behaviour rules 4.6 and 11.1): whenever its
 * manager tells it another role than before, be it the wanted or the observed one. The wanted role is
 * worth an attempt as soon as it is told; only once the observed one has followed does the attempt
 * give that role.
 */
import type { NodeRole } from '../../../shared/wire/gen/types.ts';

export type ToldRoles = {
  readonly desired: NodeRole;
  readonly observed: NodeRole;
};

export class RoleWatch {
  #told: ToldRoles | undefined;
  /** The role that was asked for last. */
  #asked: NodeRole | undefined;

  /**
   * Takes in what a session message says. @returns the role to ask for now, if any: also the one that
   * the node has, when another one was asked for and is not wanted any more.
   */
  hear(told: ToldRoles, certified: NodeRole): NodeRole | undefined {
    const before = this.#told;
    this.#told = told;
    const { desired, observed } = told;
    if (before?.desired === desired && before.observed === observed) return undefined;
    if (desired === certified && (this.#asked ?? certified) === certified) return undefined;
    this.#asked = desired;
    return desired;
  }
}
