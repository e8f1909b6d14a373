/**
 * A network in virtual time: what is sent may be late, lost, repeated and out of order, and any
 * direction between two ends may be cut.
 */
import type { World } from './world.ts';

export type Sending = {
  readonly from: string;
  readonly to: string;
  /** Called never, once or twice. */
  readonly deliver: () => void;
  /** What is big takes this much longer. */
  readonly extraMs?: number;
  /** Called once unless it arrives, perhaps at once. */
  readonly lost?: () => void;
};

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

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  /** Brings something from one end to the other, or not. */
  send({ from, to, deliver, lost, extraMs = 0 }: Sending): void {
    const world = this.#world;
    if (world.chance(this.lossPercent)) {
      lost?.();
      return;
    }
    const epoch = this.#epochOf(from);
    const copies = world.chance(this.repeatPercent) ? 2 : 1;
    for (let copy = 1; copy <= copies; copy += 1) {
      // Now and then something takes a long way round.
      const most = this.delayMsMax * (world.chance(3) ? 30 : 1);
      world.after(0.1 + world.upTo(most) + extraMs, () => {
        if (!this.isCut(from, to) && this.#epochOf(from) === epoch) deliver();
        else if (copies === 1) lost?.();
      });
    }
  }

  #epochOf(from: string): number {
    return this.#epochs.get(from) ?? 0;
  }
}
