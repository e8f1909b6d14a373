/**
 * A leaf of a pool: the nodes with the same values of all spread labels, in the node order.
 *
 * Nodes on which the service has nothing come from the ladder. Those on which it has something, and
 * those that got something in this search, stand in lists by how many it is; a list is sorted when
 * its turn comes and then walked once, for what happens to a node moves it to a later list. So the
 * whole search costs about one step a task, however many tasks and nodes there are.
 */
import { Choice } from './choice.ts';
import { Ladder, type Place } from './ladder.ts';

/** Who keeps note of where nodes are filed. */
export type Filing = {
  /** Hears that a node has too little left for the tasks of the search. */
  readonly refuse: (node: number, leaf: Leaf) => void;
  /** Files a node again if it is not where it belongs by now; true if it moved. */
  readonly refile: (node: number, leaf: Leaf) => boolean;
};

/** What a leaf and its forks count: active tasks of the service on the nodes below. */
export type Counted = { count: number; readonly parent: Counted | undefined };

const NOBODY = -1;

export class Leaf {
  readonly parent: Counted | undefined;
  /** Which leaf of its pool it is. */
  readonly index: number;
  readonly ladder = new Ladder();
  count = 0;
  readonly #filing: Filing;
  #choice: Choice | undefined;
  readonly #place: Place = { rung: 0, room: 0, from: 0 };
  #plainLeft = false;
  /** Nodes by number of replicas, to be walked in turn. */
  #lists: (number[] | undefined)[] = [];
  /** The list being walked: its number of replicas, its nodes' ranks in order, and how far. */
  #replicas = -1;
  #ranks = new Float64Array(0);
  #walked = 0;
  /** Tainted nodes, which come after all others, fewest failures first. */
  #tainted: number[] = [];
  #candidate = NOBODY;
  /** The node that got the last task, until it is put on its list. */
  #placed = NOBODY;

  constructor(filing: Filing, parent: Counted | undefined, index: number) {
    this.#filing = filing;
    this.parent = parent;
    this.index = index;
  }

  /** Starts a search here, with no marked node yet. */
  begin(choice: Choice): void {
    this.#choice = choice;
    this.count = 0;
    this.ladder.start(this.#place);
    this.#plainLeft = true;
    this.#lists.length = 0;
    this.#replicas = -1;
    this.#ranks = EMPTY;
    this.#walked = 0;
    this.#tainted.length = 0;
    this.#candidate = NOBODY;
    this.#placed = NOBODY;
  }

  /** Adds an eligible node on which the service has a task, or which is tainted. */
  addMarked(node: number, choice: Choice): void {
    if (choice.taint(node) > 0) this.#tainted.push(node);
    else this.#list(node, choice);
  }

  /** The best node that may be given a task, or -1. */
  peek(): number {
    if (this.#candidate !== NOBODY) return this.#candidate;
    const choice = this.#choice;
    if (choice === undefined) return NOBODY;
    if (this.#placed !== NOBODY) this.#list(this.#placed, choice);
    this.#placed = NOBODY;
    if (this.#plainLeft) this.#candidate = this.#nextPlain(choice);
    if (this.#candidate !== NOBODY) return this.#candidate;
    this.#plainLeft = false;
    this.#candidate = this.#nextListed(choice);
    return this.#candidate;
  }

  /** Goes on after the node last peeked was given a task. */
  advance(): void {
    this.#placed = this.#candidate;
    this.#candidate = NOBODY;
    this.count++;
  }

  #list(node: number, choice: Choice): void {
    const replicas = choice.replicas(node);
    const list = this.#lists[replicas];
    if (list === undefined) this.#lists[replicas] = [node];
    else list.push(node);
  }

  #nextPlain(choice: Choice): number {
    const { rooms } = choice.profile;
    for (;;) {
      const node = this.ladder.next(this.#place, rooms);
      if (node === NOBODY) return NOBODY;
      if (this.#filing.refile(node, this)) continue;
      if (!choice.isPlain(node)) continue;
      if (choice.allows(node)) return node;
      choice.profile.wasted++;
      this.#filing.refuse(node, this);
    }
  }

  #nextListed(choice: Choice): number {
    for (;;) {
      while (this.#walked < this.#ranks.length) {
        const node = Choice.nodeOf(this.#ranks[this.#walked++] ?? 0);
        if (choice.allows(node)) return node;
      }
      if (!this.#nextList(choice) && !this.#nextTainted(choice)) return NOBODY;
    }
  }

  /** Sorts the list with the next higher number of replicas; false if there is none. */
  #nextList(choice: Choice): boolean {
    for (let replicas = this.#replicas + 1; replicas < this.#lists.length; replicas++) {
      const list = this.#lists[replicas];
      if (list === undefined) continue;
      this.#lists[replicas] = undefined;
      this.#replicas = replicas;
      this.#ranks = sortedRanks(list, choice);
      this.#walked = 0;
      return true;
    }
    return false;
  }

  /** Makes lists of the tainted nodes with the fewest failures; false if no tainted node is left. */
  #nextTainted(choice: Choice): boolean {
    if (this.#tainted.length === 0) return false;
    const failures = Math.min(...this.#tainted.map((node) => choice.taint(node)));
    const next = this.#tainted.filter((node) => choice.taint(node) === failures);
    this.#tainted = this.#tainted.filter((node) => choice.taint(node) !== failures);
    this.#lists.length = 0;
    this.#replicas = -1;
    for (const node of next) this.#list(node, choice);
    return true;
  }
}

const EMPTY = new Float64Array(0);

function sortedRanks(list: readonly number[], choice: Choice): Float64Array<ArrayBuffer> {
  const ranks = new Float64Array(list.length);
  let isSorted = true;
  let before = -1;
  for (let i = 0; i < list.length; i++) {
    const rank = choice.rank(list[i] ?? 0);
    ranks[i] = rank;
    if (rank < before) isSorted = false;
    before = rank;
  }
  return isSorted ? ranks : ranks.toSorted();
}
