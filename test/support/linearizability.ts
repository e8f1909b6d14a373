/**
 * Judges a history: is there one order of all operations, each at one moment between its call and
 * its answer, in which a single cell would have given these very answers? (Wing and Gong's search,
 * with Lowe's memory of what was tried.)
 */

/** What the cell holds: texts are written once each, so a text stands for one version too. */
export type State = string | null;

export type Step =
  | { readonly kind: 'create'; readonly value: string }
  | { readonly kind: 'update'; readonly expected: string; readonly value: string }
  | { readonly kind: 'set'; readonly value: string }
  | { readonly kind: 'remove' }
  | { readonly kind: 'read'; readonly found: State };

export type Operation = {
  readonly key: string;
  readonly client: string;
  readonly step: Step;
  readonly calledAt: number;
  /** Infinity when no answer came: it happened at any time since, or never. */
  readonly answeredAt: number;
};

/** The first cell whose operations fit no order; `null` when all do. */
export function findViolation(history: readonly Operation[]): readonly Operation[] | null {
  const byKey = Map.groupBy(history, ({ key }) => key);
  for (const operations of byKey.values()) {
    if (!isLinearizable(operations)) return operations;
  }
  return null;
}

/**
 * The last of the operations of one cell up to the moment from which no order explains them, in the
 * order of their calls.
 */
export function endOfViolation(operations: readonly Operation[]): readonly Operation[] {
  const moments = operations
    .map(({ answeredAt }) => answeredAt)
    .filter((at) => at !== Infinity)
    .toSorted((a, b) => a - b);
  let [low, high] = [0, moments.length - 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isLinearizable(upTo(operations, moments[middle] ?? 0))) low = middle + 1;
    else high = middle;
  }
  return upTo(operations, moments[low] ?? 0).slice(-SHOWN_MAX);
}

const SHOWN_MAX = 12;

/** What was known at a moment: who had no answer yet has none here. */
const upTo = (operations: readonly Operation[], at: number): readonly Operation[] =>
  operations
    .filter(({ calledAt }) => calledAt <= at)
    .map((one) => (one.answeredAt > at ? { ...one, answeredAt: Infinity } : one))
    .toSorted((a, b) => a.calledAt - b.calledAt);

export function isLinearizable(operations: readonly Operation[]): boolean {
  return new Search(withoutIdle(operations)).succeeds();
}

/** The state after `step` in `state`, or undefined when it could not have gone so. */
function after(state: State, step: Step): State | undefined {
  if (step.kind === 'read') return state === step.found ? state : undefined;
  if (step.kind === 'create') return state === null ? step.value : undefined;
  if (step.kind === 'update') return state === step.expected ? step.value : undefined;
  if (state === null) return undefined;
  return step.kind === 'set' ? step.value : null;
}

/** Leaves out what got no answer and changes nothing that anybody saw. */
function withoutIdle(operations: readonly Operation[]): readonly Operation[] {
  const seen = new Set<State>();
  for (const { step } of operations) {
    if (step.kind === 'read') seen.add(step.found);
    if (step.kind === 'update') seen.add(step.expected);
  }
  return operations.filter(({ step, answeredAt }) => {
    if (answeredAt !== Infinity) return true;
    if (step.kind === 'read') return false;
    const replaces = step.kind === 'update' || step.kind === 'set';
    return !replaces || seen.has(step.value);
  });
}

type Link = { previous: Link | null; next: Item | null };

/** A call or an answer, in a list by time from which calls are lifted with their answers. */
type Item = Link & {
  readonly at: number;
  readonly operation: Operation;
  /** Number of the operation. */
  readonly id: number;
  readonly isCall: boolean;
  answer: Item | null;
};

type Choice = { readonly item: Item; readonly state: State };

class Search {
  readonly #head: Link;
  readonly #chosen: Uint32Array;
  readonly #tried = new Set<string>();
  readonly #choices: Choice[] = [];
  #state: State = null;
  /** Answered operations that have no place yet. */
  #open: number;

  constructor(operations: readonly Operation[]) {
    this.#head = listOf(operations);
    this.#chosen = new Uint32Array(Math.ceil(operations.length / 32));
    this.#open = operations.filter(({ answeredAt }) => answeredAt !== Infinity).length;
  }

  succeeds(): boolean {
    let item = this.#head.next;
    while (this.#open > 0) {
      if (item?.isCall === true) item = this.#choose(item) ? this.#head.next : item.next;
      else {
        // An answer whose call has no place, or the end: the last choice was wrong.
        const wrong = this.#choices.pop();
        if (wrong === undefined) return false;
        this.#takeBack(wrong);
        item = wrong.item.next;
      }
    }
    return true;
  }

  /** Lets the operation happen now, if that is possible and new. */
  #choose(item: Item): boolean {
    const state = after(this.#state, item.operation.step);
    if (state === undefined) return false;
    this.#flip(item.id);
    const situation = `${this.#chosen.join()} ${state}`;
    if (this.#tried.has(situation)) {
      this.#flip(item.id);
      return false;
    }
    this.#tried.add(situation);
    this.#choices.push({ item, state: this.#state });
    this.#state = state;
    unlink(item);
    if (item.answer !== null) {
      unlink(item.answer);
      this.#open -= 1;
    }
    return true;
  }

  #takeBack({ item, state }: Choice): void {
    this.#flip(item.id);
    this.#state = state;
    if (item.answer !== null) {
      relink(item.answer);
      this.#open += 1;
    }
    relink(item);
  }

  #flip(id: number): void {
    const word = id >>> 5;
    this.#chosen[word] = (this.#chosen[word] ?? 0) ^ (1 << (id & 31));
  }
}

/** @returns the head in front of all calls and answers. */
function listOf(operations: readonly Operation[]): Link {
  const items = operations.flatMap((operation, id) => {
    const links = { operation, id, answer: null, previous: null, next: null };
    const call: Item = { ...links, at: operation.calledAt, isCall: true };
    if (operation.answeredAt === Infinity) return [call];
    call.answer = { ...links, at: operation.answeredAt, isCall: false };
    return [call, call.answer];
  });
  const head: Link = { previous: null, next: null };
  let last = head;
  for (const item of items.toSorted((a, b) => a.at - b.at)) {
    last.next = item;
    item.previous = last;
    last = item;
  }
  return head;
}

function unlink(item: Item): void {
  if (item.previous !== null) item.previous.next = item.next;
  if (item.next !== null) item.next.previous = item.previous;
}

/** Undoes the last `unlink` that is not undone. */
function relink(item: Item): void {
  if (item.previous !== null) item.previous.next = item;
  if (item.next !== null) item.next.previous = item;
}
