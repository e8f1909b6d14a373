/**
 * A client: does one thing after the other, with whatever manager it believes to lead, and writes down
 * what it was answered.
 */
import type { Action, Content } from './cells.ts';
import type { Operation, Step } from './linearizability.ts';
import type { Reply, SimulatedManager } from './manager.ts';
import type { SimulatedNetwork } from './network.ts';
import type { World } from './world.ts';

const TIMEOUT_MS = 2_000;

export type ClientOptions = {
  readonly name: string;
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly managers: readonly SimulatedManager[];
  readonly keys: readonly string[];
  /** Longest time between an answer and the next request. */
  readonly thinkMsMax: number;
  readonly history: Operation[];
};

export class SimulatedClient {
  readonly #options: ClientOptions;
  /** What this client last knew a cell to hold. */
  readonly #known = new Map<string, Content | null>();
  #manager: SimulatedManager;
  #requests = 0;
  #stopped = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#manager = options.world.pick(options.managers);
    this.#think();
  }

  /** Asks for nothing more. */
  stop(): void {
    this.#stopped = true;
  }

  #think(): void {
    const { world, thinkMsMax } = this.#options;
    world.after(world.upTo(thinkMsMax), () => {
      if (!this.#stopped) this.#ask();
    });
  }

  #ask(): void {
    const { world, network, name, keys } = this.#options;
    this.#requests += 1;
    const request = this.#requests;
    const key = world.pick(keys);
    const action = this.#choose(key);
    const manager = this.#manager;
    const calledAt = world.eventCount;
    let answered = false;
    const settle = (reply: Reply): void => {
      if (answered) return;
      answered = true;
      world.note(`${name} ${request} ${action.kind} ${key}: ${print(reply)}`);
      this.#learn({ key, action, calledAt, reply });
      if (reply.kind !== 'done') this.#manager = world.pick(this.#options.managers);
      this.#think();
    };
    world.note(`${name} ${request} asks ${manager.name} to ${action.kind} ${key}`);
    // A transport that repeats a request gives it up: only its answer may come twice.
    let arrived = false;
    network.send(name, manager.name, () => {
      if (arrived) return;
      arrived = true;
      manager.serve(key, action, (reply) => {
        network.send(manager.name, name, () => settle(reply));
      });
    });
    world.after(TIMEOUT_MS, () => settle({ kind: 'lost' }));
  }

  #choose(key: string): Action {
    const { world, name } = this.#options;
    const known = this.#known.get(key);
    const value = `${name}.${this.#requests}`;
    if (known === undefined || world.chance(30)) return { kind: 'read' };
    if (known === null) return { kind: 'create', value };
    if (world.chance(15)) return { kind: 'remove' };
    return world.chance(40) ? { kind: 'set', value } : { kind: 'update', read: known, value };
  }

  #learn(told: { key: string; action: Action; calledAt: number; reply: Reply }): void {
    const { key, action, calledAt, reply } = told;
    const { name, world, history } = this.#options;
    if (reply.kind === 'done') this.#known.set(key, reply.content);
    else if (reply.kind === 'refused') this.#known.delete(key);
    // A refusal says only that nothing was done: it may rest on what never came to be.
    if (reply.kind === 'refused') return;
    const content = reply.kind === 'done' ? reply.content : null;
    const step = stepOf(action, content);
    const answeredAt = reply.kind === 'done' ? world.eventCount : Infinity;
    history.push({ key, client: name, step, calledAt, answeredAt });
  }
}

function stepOf(action: Action, content: Content | null): Step {
  const { kind } = action;
  if (kind === 'read') return { kind, found: content?.value ?? null };
  if (kind === 'update') return { kind, expected: action.read.value, value: action.value };
  return kind === 'remove' ? { kind } : { kind, value: action.value };
}

function print(reply: Reply): string {
  if (reply.kind === 'refused') return reply.code;
  if (reply.kind === 'lost') return 'no answer';
  return reply.content === null ? 'absent' : `${reply.content.value}@${reply.content.version}`;
}
