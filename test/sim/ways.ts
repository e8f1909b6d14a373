/**
 * One life's ways to the other managers, as the transport keeps them: messages leave towards the
 * address at which the receiver is known, what fails is reported, and what becomes of a snapshot too.
 */
import type { RaftMember } from '../../src/shared/wire/gen/raft.ts';
import { Message, MessageType } from '../../src/shared/wire/gen/raftpb.ts';
import type { RaftDriver } from '../../src/main/raft/driver.ts';
import type { Group, SimulatedManager } from './manager.ts';

const TIMEOUT_MS = 2_000;

/** What the receiver's service says of a message. */
export type Receipt = 'taken' | 'sender-was-removed';

export type WaysOptions = {
  readonly group: Group;
  readonly from: SimulatedManager;
  readonly driver: () => RaftDriver;
  readonly known: () => readonly RaftMember[];
  /** Runs something when the event loop gets to it, unless this life has ended. */
  readonly whenAwake: (run: () => void) => void;
  /** Others say that this member was removed. */
  readonly onRemoved: () => void;
};

export class Ways {
  readonly #options: WaysOptions;
  /** Members whose last message arrived. */
  readonly #active = new Set<bigint>();
  /** Members about to be reported. */
  readonly #failing = new Set<bigint>();

  constructor(options: WaysOptions) {
    this.#options = options;
  }

  isActive(raftId: bigint): boolean {
    return this.#active.has(raftId);
  }

  send(messages: readonly Message[]): void {
    const { known, driver } = this.#options;
    const members = known();
    for (const message of messages) {
      const peer = members.find(({ raftId }) => raftId === message.to);
      if (peer === undefined) driver().reportUnreachable(message.to);
      else this.#carry(message, peer);
    }
  }

  /** Whether a member says that it takes part. */
  async isHealthy(raftId: bigint): Promise<boolean> {
    const peer = this.#options.known().find((member) => member.raftId === raftId);
    if (peer === undefined) return false;
    return (await this.call(peer.addr, (to, reply) => to.answer(reply), TIMEOUT_MS)) === true;
  }

  /** Asks the manager at an address something. @returns undefined when no answer comes in time. */
  call<T>(
    address: string,
    ask: (to: SimulatedManager, reply: (answer: T) => void) => void,
    timeoutMs: number,
  ): Promise<T | undefined> {
    const { group, from, whenAwake } = this.#options;
    const { network, world } = group;
    const { promise, resolve } = Promise.withResolvers<T | undefined>();
    const end = (answer: T | undefined): void => whenAwake(() => resolve(answer));
    const timer = world.after(timeoutMs, () => end(undefined));
    const to = group.at(address);
    if (to === undefined) return promise;
    // A transport that repeats a request gives it up.
    let asked = false;
    const deliver = (): void => {
      if (asked) return;
      asked = true;
      ask(to, (answer) => {
        const back = (): void => {
          timer.cancel();
          end(answer);
        };
        network.send({ from: to.name, to: from.name, deliver: back });
      });
    };
    network.send({ from: from.name, to: to.name, deliver });
    return promise;
  }

  #carry(message: Message, peer: RaftMember): void {
    const { group, from } = this.#options;
    const to = group.at(peer.addr);
    const outcome = this.#outcomeOf(message);
    if (to === undefined) return outcome.failed();
    // As the wire would have it: nothing is shared.
    const bytes = Message.encode(message);
    const isSnapshot = message.type === MessageType.MsgSnap;
    const deliver = (): void => {
      if (!group.passes(from)) return;
      if (!to.up) return outcome.failed();
      group.world.note(`${to.name} hears ${from.name}: ${printMessage(message)}`, bytes);
      if (isSnapshot) group.onSnapshot(to);
      to.receive(Message.decode(bytes), from, (receipt) => outcome.receipt(receipt, to));
    };
    const extraMs = isSnapshot ? group.world.upTo(group.snapshotMsMax) : 0;
    group.network.send({ from: from.name, to: to.name, deliver, extraMs, lost: outcome.failed });
  }

  #outcomeOf(message: Message): {
    readonly failed: () => void;
    readonly receipt: (receipt: Receipt, by: SimulatedManager) => void;
  } {
    const { group, from, onRemoved, whenAwake } = this.#options;
    const { network, world } = group;
    const report = this.#snapshotReport(message);
    return {
      failed: () => {
        this.#failed(message.to);
        world.after(world.upTo(TIMEOUT_MS), () => report(false));
      },
      receipt: (receipt, by) => {
        if (network.isCut(by.name, from.name)) return this.#failed(message.to);
        if (receipt === 'taken') this.#active.add(message.to);
        const deliver = (): void => {
          if (receipt === 'taken') report(true);
          else whenAwake(onRemoved);
        };
        const matters = receipt !== 'taken' || message.type === MessageType.MsgSnap;
        if (matters) network.send({ from: by.name, to: from.name, deliver });
      },
    };
  }

  /** Tells the driver once what became of a snapshot: also that nobody knows. */
  #snapshotReport(message: Message): (arrived: boolean) => void {
    const { group, driver, whenAwake } = this.#options;
    if (message.type !== MessageType.MsgSnap) return () => undefined;
    let reported = false;
    const report = (arrived: boolean): void => {
      if (reported) return;
      reported = true;
      group.world.note(
        `snapshot for ${message.to}: ${arrived ? 'arrived' : 'not known to arrive'}`,
      );
      whenAwake(() => driver().reportSnapshot(message.to, arrived));
    };
    group.world.after(TIMEOUT_MS + group.snapshotMsMax, () => report(false));
    return report;
  }

  #failed(raftId: bigint): void {
    const { group, driver, whenAwake } = this.#options;
    this.#active.delete(raftId);
    if (this.#failing.has(raftId)) return;
    this.#failing.add(raftId);
    group.world.after(group.world.upTo(200), () =>
      whenAwake(() => {
        this.#failing.delete(raftId);
        driver().reportUnreachable(raftId);
      }),
    );
  }
}

const MESSAGE_NAMES = new Map<number, string>(
  Object.entries(MessageType).map(([name, type]) => [type, name]),
);

function printMessage({ type, term, logTerm, index, entries, commit, reject }: Message): string {
  const numbers = `term ${term}, ${entries.length} behind ${logTerm}/${index}, commit ${commit}`;
  return `${MESSAGE_NAMES.get(type)} ${numbers}${reject ? ', rejected' : ''}`;
}
