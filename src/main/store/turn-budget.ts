/** How much all batches of a store together may write in one turn of the event loop. */

/** Items that are run, or changes where an item makes several. */
const PER_TURN = 450;

export class TurnBudget {
  readonly #nextTurn: () => Promise<void>;
  #left = PER_TURN;
  #renewal: Promise<void> | undefined;

  /** `nextTurn` resolves in a later turn of the event loop. */
  constructor(nextTurn: () => Promise<void>) {
    this.#nextTurn = nextTurn;
  }

  get isSpent(): boolean {
    return this.#left <= 0;
  }

  spend(amount: number): void {
    this.#left -= amount;
    this.#renewal ??= this.#renew();
  }

  async #renew(): Promise<void> {
    await this.#nextTurn();
    this.#left = PER_TURN;
    this.#renewal = undefined;
  }

  /** Resolves in a turn that has some left. Who came first goes on first, until it is done. */
  async more(): Promise<void> {
    while (this.isSpent) await this.#renewal;
  }
}
