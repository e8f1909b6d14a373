/** Turns of the engine in its thread: what came over the lane goes in, what was decided goes out. */
import type { FromPlacement, ToPlacement } from '../../shared/lanes/placement.ts';
import { Placer, type Outcome } from './core/placer.ts';

/** Where answers go. */
export type Answers = { send(message: FromPlacement): boolean };

export class Turns {
  readonly #placer = new Placer();
  #wakeAtMs: number | undefined;

  /**
   * Takes what arrived, and decides if a batch is complete or the engine asked to be called by now.
   *
   * @returns when to be called again even if nothing arrives; undefined for never
   */
  handle(messages: readonly ToPlacement[], answers: Answers, nowMs: number): number | undefined {
    let turn: number | undefined;
    for (const message of messages) {
      if (message.t === 'turn') turn = message.turn;
      else this.#placer.apply(message);
    }
    const isDue = this.#wakeAtMs !== undefined && nowMs >= this.#wakeAtMs;
    if (turn === undefined && !isDue) return this.#wakeAtMs;
    const outcome = this.#placer.turn(nowMs);
    answer(outcome, answers);
    if (turn !== undefined) answers.send({ t: 'turned', turn });
    this.#wakeAtMs = outcome.hasMore ? nowMs : outcome.wakeAtMs;
    return this.#wakeAtMs;
  }
}

function answer({ tasks, nodes, claims, explanations }: Outcome, answers: Answers): void {
  if (tasks.length > 0) answers.send({ t: 'placed', tasks, nodes, claims });
  if (explanations.length > 0) answers.send({ t: 'waiting', explanations });
}
