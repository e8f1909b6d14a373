/** Whether this member leads: elected by raft, and so far that it may also act as leader. */
import type { RawNode } from './core/raw-node.ts';

export class Leadership {
  readonly #changed: (leading: boolean) => void;
  #role: 'follower' | 'elected' | 'leading' | 'handing over' = 'follower';
  /** The index that must be applied before an elected node leads. */
  #leadsFrom = 0;

  /** `changed` is told when leading begins, and when it ends. */
  constructor(changed: (leading: boolean) => void) {
    this.#changed = changed;
  }

  /** Whether this member takes proposals. */
  get leading(): boolean {
    return this.#role === 'leading';
  }

  /** Whether this member is the leader of its term, also where it takes no proposals yet, or no more. */
  get isLeader(): boolean {
    return this.#role !== 'follower';
  }

  roleChanged(node: RawNode, leader: boolean): void {
    if (leader && this.#role === 'follower') this.#elected(node);
    else if (!leader) this.lose();
  }

  /**
   * The core drops proposals while another is to lead. For all that a leader runs that is a lost
   * leadership; one that was handed over in vain begins anew, behind whatever was proposed before.
   */
  followHandover(node: RawNode, applied: number): void {
    if (this.#role === 'follower') return;
    if (node.isHandingOver) {
      if (this.#role !== 'handing over') this.lose('handing over');
    } else if (this.#role === 'handing over' && node.isLeader) {
      this.#elected(node);
      this.maybeLead(applied);
    }
  }

  /** An elected node leads once it has applied all that it found in its log. */
  maybeLead(applied: number): void {
    if (this.#role !== 'elected' || applied < this.#leadsFrom) return;
    this.#role = 'leading';
    this.#changed(true);
  }

  lose(role: 'follower' | 'handing over' = 'follower'): void {
    const led = this.leading;
    this.#role = role;
    if (led) this.#changed(false);
  }

  #elected(node: RawNode): void {
    this.#role = 'elected';
    this.#leadsFrom = node.lastIndex;
  }
}
