/**
 * A network in virtual time: what is sent may be late, lost, repeated and out of order, and any
 * direction between two ends may be cut.
 */
import type { World } from './world.ts';

export class SimulatedNetwork {
  readonly #world: World;
  /** Cut directions, as `from>to`. */
  readonly #cuts = new Set<string>();
  /** By sender: grows when all that it sent is lost. */
  readonly #epochs = new Map<string, number>();
  lossPercent = 0;
  repeatPercent = 0;
  delayMsMax = 2;

  constructor(world: World) {
    this.#world = world;
  }

  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  /** Ends every cut; what was lost stays lost. */
  mend(): void {
    this.#cuts.clear();
  }

  /** What `from` has sent and is still on its way is lost. */
  loseFrom(from: string): void {
    this.#epochs.set(from, this.#epochOf(from) + 1);
  }

  /** Brings something from one end to the other: `deliver` is called never, once or twice. */
  send(from: string, to: string, deliver: () => void): void {
    const world = this.#world;
    if (world.chance(this.lossPercent)) return;
    const epoch = this.#epochOf(from);
    const copies = world.chance(this.repeatPercent) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      // Now and then something takes a long way round.
      const most = this.delayMsMax * (world.chance(3) ? 30 : 1);
      world.after(0.1 + world.upTo(most), () => {
        if (!this.#cuts.has(`${from}>${to}`) && this.#epochOf(from) === epoch) deliver();
      });
    }
  }

  #epochOf(from: string): number {
    return this.#epochs.get(from) ?? 0;
  }
}
