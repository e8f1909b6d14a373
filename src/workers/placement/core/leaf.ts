/**
 * A leaf of a pool: the nodes with the same values of all spread labels, in the node order.
 *
 * A search goes level by level: first the nodes on which the service has nothing, then those with one
 * task, and so on; what happens to a node moves it to a later level. A level is walked in one of two
 * ways. *Along the ladder*, which holds all nodes in order, passing over those of other levels: where
 * most nodes are of the level, or few are needed. Or *along a list* of the nodes of the level, sorted
 * when its turn comes. So a search costs about one step a task, however many tasks and nodes there are.
 */
import { grownFloat64, grownInt32, Int32List } from '../../../shared/kit/columns.ts';
import { Choice } from './choice.ts';
import { Ladder, newPlace } from './ladder.ts';

/** Who keeps note of where nodes are filed. */
export type Filing = {
  /** Whether the node is in a ladder. */
  readonly isEligible: (node: number) => boolean;
  /** Hears that a node has too little left for the tasks of the search. */
  readonly refuse: (node: number, leaf: Leaf) => void;
  /** Files a node again if it is not where it belongs by now; true if it moved. */
  readonly refile: (node: number, leaf: Leaf) => boolean;
};

/** What a leaf and its forks count: active tasks of the service on the nodes below. */
export type Counted = { count: number; readonly parent: Counted | undefined };

const NOBODY = -1;

/** So many nodes are counted in the time in which a walk passes over one. */
const COUNTED_WHILE_PASSING = 8;

export class Leaf {
  readonly parent: Counted | undefined;
  /** Which leaf of its pool it is. */
  readonly index: number;
  readonly ladder = new Ladder();
  /** How many nodes are in the ladder; its filer counts them. */
  filed = 0;
  count = 0;
  /** How good the node is that was last peeked, in the terms of the choice. */
  grade = 0;
  rank = 0;
  readonly #filing: Filing;
  #choice: Choice | undefined;
  readonly #place = newPlace();
  /** The number of replicas of the nodes that are walked now. */
  #level = 0;
  #isOnLadder = false;
  /** How many nodes of the level the walk along the ladder may still come to: at most, until it is counted. */
  #unseen = 0;
  #isCounted = false;
  /** How many nodes of the level were given a task. */
  #given = 0;
  /** How many nodes of other levels the walk came to before. */
  #passed = 0;
  /** Whether nodes of later levels are on the lists; else they are found along the ladder. */
  #isListing = false;
  readonly #lists = new NodeLists();
  /** The list being walked: its nodes in order, their ranks, and how far. */
  #nodes = new Int32Array(0);
  #ranks = new Float64Array(0);
  #listed = 0;
  #walked = 0;
  /** Tainted nodes, which come after all others, fewest failures first. */
  readonly #tainted = new Int32List();
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
    this.#level = 0;
    this.#isOnLadder = true;
    this.#unseen = this.filed;
    this.#isCounted = this.parent !== undefined;
    this.#passed = 0;
    this.#given = 0;
    // Levels are counted for the whole pool: a leaf that is only part of it keeps lists of its own.
    this.#isListing = this.parent !== undefined;
    this.#lists.clear();
    this.#listed = 0;
    this.#walked = 0;
    this.#tainted.clear();
    this.#candidate = NOBODY;
    this.#placed = NOBODY;
  }

  /**
   * Adds an eligible node on which the service has a task, or which is tainted. The only leaf of a pool is
   * told of none where none is tainted: mostly its walk is over before their number matters.
   */
  addMarked(node: number, choice: Choice): void {
    this.#unseen--;
    if (choice.taint(node) > 0) this.#tainted.push(node);
    else if (this.#isListing) this.#lists.add(node, choice.replicas(node), choice.links);
  }

  /** The best node that may be given a task, or -1. */
  peek(): number {
    if (this.#candidate !== NOBODY) return this.#candidate;
    const choice = this.#choice;
    if (choice === undefined) return NOBODY;
    if (this.#placed !== NOBODY && this.#isListing) {
      this.#lists.add(this.#placed, choice.replicas(this.#placed), choice.links);
    }
    this.#placed = NOBODY;
    let node = NOBODY;
    do {
      node = this.#isOnLadder ? this.#nextOnLadder(choice) : this.#nextOnList(choice);
    } while (node === NOBODY && this.#nextLevel(choice));
    this.#candidate = node;
    if (node === NOBODY) return node;
    // Only forks compare branches.
    if (this.parent === undefined) return node;
    this.grade = choice.grade(node);
    this.rank = choice.rank(node);
    return node;
  }

  /** Goes on after the node last peeked was given a task. */
  advance(): void {
    this.#placed = this.#candidate;
    this.#candidate = NOBODY;
    this.count++;
    this.#given++;
  }

  #nextOnLadder(choice: Choice): number {
    const { profile } = choice;
    const level = this.#level;
    if (level >= profile.replicasMax) return NOBODY;
    while (this.#unseen > 0) {
      const node = this.ladder.next(this.#place, profile.rooms);
      if (node === NOBODY) return NOBODY;
      if (this.#filing.refile(node, this)) continue;
      if (choice.replicas(node) !== level || choice.taint(node) !== 0) {
        if (!this.#isCounted) this.#pass(choice);
        continue;
      }
      this.#unseen--;
      if (choice.allows(node, profile)) return node;
      profile.wasted++;
      this.#filing.refuse(node, this);
    }
    return NOBODY;
  }

  /** The walk came to a node that has tasks of the service. */
  #pass(choice: Choice): void {
    this.#passed++;
    if (this.#passed * COUNTED_WHILE_PASSING > choice.markedCount) this.#count(choice);
  }

  /** Finds out how many nodes of the first level there are. */
  #count(choice: Choice): void {
    if (this.#isCounted) return;
    this.#isCounted = true;
    const counted = choice.countLevels(this.#filing);
    if (!choice.hasTaint) this.#unseen -= counted;
  }

  #nextOnList(choice: Choice): number {
    const { profile } = choice;
    while (this.#walked < this.#listed) {
      const node = this.#nodes[this.#walked++] ?? NOBODY;
      if (choice.allows(node, profile)) return node;
    }
    return NOBODY;
  }

  /** Goes to the next level that has nodes; false if there is none. */
  #nextLevel(choice: Choice): boolean {
    if (!this.#isListing) {
      this.#count(choice);
      choice.countLevel(this.#level + 1, this.#given);
      this.#given = 0;
      const level = choice.nextLevel(this.#level + 1);
      if (level < 0) return this.#nextTainted(choice);
      if (choice.isDense) {
        this.#level = level;
        this.#unseen = choice.levelNodes;
        this.ladder.start(this.#place);
        return true;
      }
      this.#makeLists(choice);
    }
    return this.#nextList(choice, this.#level + 1) || this.#nextTainted(choice);
  }

  /** From here on the levels are lists. */
  #makeLists(choice: Choice): void {
    this.#isListing = true;
    const { marked, links } = choice;
    // The service's oldest node stands last: lists made from there are mostly in order.
    for (let i = choice.markedCount - 1; i >= 0; i--) {
      const node = marked[i] ?? 0;
      if (choice.taint(node) > 0 || !this.#filing.isEligible(node)) continue;
      this.#lists.add(node, choice.replicas(node), links);
    }
  }

  /** Sorts the next list that is not below a level; false if there is none. */
  #nextList(choice: Choice, from: number): boolean {
    const level = this.#lists.next(from);
    if (level < 0) return false;
    let length = 0;
    let isSorted = true;
    let before = -1;
    const { links } = choice;
    for (let node = this.#lists.take(level); node >= 0; node = links[node] ?? NOBODY) {
      const rank = choice.rank(node);
      if (length >= this.#ranks.length) this.#grow(length);
      this.#ranks[length] = rank;
      this.#nodes[length++] = node;
      if (rank < before) isSorted = false;
      before = rank;
    }
    if (!isSorted) this.#sort(length);
    this.#level = level;
    this.#isOnLadder = false;
    this.#listed = length;
    this.#walked = 0;
    return true;
  }

  #sort(length: number): void {
    this.#ranks.subarray(0, length).sort();
    for (let i = 0; i < length; i++) this.#nodes[i] = Choice.nodeOf(this.#ranks[i] ?? 0);
  }

  #grow(length: number): void {
    this.#ranks = grownFloat64(this.#ranks, length);
    this.#nodes = grownInt32(this.#nodes, length);
  }

  /** Goes to the tainted nodes with the fewest failures; false if no tainted node is left. */
  #nextTainted(choice: Choice): boolean {
    if (this.#tainted.length === 0) return false;
    const tainted = [...this.#tainted.copy()];
    const failures = tainted.reduce((least, node) => Math.min(least, choice.taint(node)), Infinity);
    this.#tainted.clear();
    this.#lists.clear();
    this.#isListing = true;
    for (const node of tainted) {
      if (choice.taint(node) > failures) this.#tainted.push(node);
      else this.#lists.add(node, choice.replicas(node), choice.links);
    }
    return this.#nextList(choice, 0);
  }
}

/** Lists of nodes by number of replicas, each in the order of adding; a node is on one at most. */
class NodeLists {
  /** First and last node of each list, one too high; 0 for none. */
  #ends = new Int32Array(16);
  /** Above every number of replicas with a list. */
  #size = 0;

  clear(): void {
    if (this.#size > 0) this.#ends.fill(0, 0, 2 * this.#size);
    this.#size = 0;
  }

  add(node: number, replicas: number, links: Int32Array): void {
    const at = 2 * replicas;
    if (at + 1 >= this.#ends.length) this.#ends = grownInt32(this.#ends, at + 1);
    const ends = this.#ends;
    const last = (ends[at + 1] ?? 0) - 1;
    if (last < 0) ends[at] = node + 1;
    else links[last] = node;
    ends[at + 1] = node + 1;
    links[node] = NOBODY;
    if (replicas >= this.#size) this.#size = replicas + 1;
  }

  /** The least number of replicas with a list that is not below `from`, or -1. */
  next(from: number): number {
    for (let replicas = from; replicas < this.#size; replicas++) {
      if (this.#ends[2 * replicas] !== 0) return replicas;
    }
    return NOBODY;
  }

  /** Empties a list. @returns its first node; the links lead to the others */
  take(replicas: number): number {
    const first = (this.#ends[2 * replicas] ?? 0) - 1;
    this.#ends[2 * replicas] = 0;
    this.#ends[2 * replicas + 1] = 0;
    return first;
  }
}
