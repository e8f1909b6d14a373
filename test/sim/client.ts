/**
 * A client: does one thing after the other, with whatever manager it believes to lead, and writes down
 * what it was answered.
 */
import assert from 'node:assert/strict';
import { isLasting, type Action, type Content } from './cells.ts';
import type { Operation, Step } from '../support/linearizability.ts';
import type { Reply, SimulatedManager } from './manager.ts';
import type { SimulatedNetwork } from './network.ts';
import type { World } from './world.ts';

export type ClientOptions = {
  readonly name: string;
  readonly world: World;
  readonly network: SimulatedNetwork;
  /** Whom it may ask. */
  readonly managers: () => readonly SimulatedManager[];
  readonly keys: readonly string[];
  /** Longest time between an answer and the next request. */
  readonly thinkMsMax: number;
  /** For each request; then the client tries another manager. */
  readonly timeoutMs: number;
  /** How many of its reads are at the read index. */
  readonly indexReadPercent: number;
  readonly history: Operation[];
  /** By cell and version, the one text that any client was told. */
  readonly told: Map<string, string>;
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
    this.#manager = options.world.pick(options.managers());
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
    const { managers, timeoutMs } = this.#options;
    // Any manager may be read from, and one that led lately is the most tempting.
    const anywhere = action.kind === 'index-read' && world.chance(60);
    const manager = anywhere ? world.pick(managers()) : this.#manager;
    const calledAt = world.eventCount;
    let answered = false;
    const settle = (reply: Reply): void => {
      if (answered) return;
      answered = true;
      world.note(`${name} ${request} ${action.kind} ${key}: ${print(reply)}`);
      this.#learn({ key, action, calledAt, reply });
      if (reply.kind !== 'done' && action.kind !== 'index-read')
        this.#manager = world.pick(this.#options.managers());
      this.#think();
    };
    world.note(`${name} ${request} asks ${manager.name} to ${action.kind} ${key}`);
    // A transport that repeats a request gives it up: only its answer may come twice.
    let arrived = false;
    const deliver = (): void => {
      if (arrived) return;
      arrived = true;
      manager.serve(key, action, (reply) => {
        network.send({ from: manager.name, to: name, deliver: () => settle(reply) });
      });
    };
    network.send({ from: name, to: manager.name, deliver });
    world.after(timeoutMs, () => settle({ kind: 'lost' }));
  }

  #choose(key: string): Action {
    const { world, name, indexReadPercent } = this.#options;
    const known = this.#known.get(key);
    const value = `${name}.${this.#requests}`;
    if (known === undefined || world.chance(40)) {
      return { kind: world.chance(indexReadPercent) ? 'index-read' : 'read' };
    }
    if (known === null) return { kind: 'create', value };
    if (!isLasting(key) && world.chance(15)) return { kind: 'remove' };
    return world.chance(40) ? { kind: 'set', value } : { kind: 'update', read: known, value };
  }

  /**
   * Whoever updates what it has read relies on a version standing for one text only. That holds for the
   * life of an object: nobody makes one again under the id of another, but these clients do.
   */
  #know(key: string, content: Content | null): void {
    this.#known.set(key, content);
    if (content === null || !isLasting(key)) return;
    const { told } = this.#options;
    const version = `${key}@${content.version}`;
    const first = told.get(version) ?? content.value;
    assert.equal(content.value, first, `${version} is both ${first} and ${content.value}`);
    told.set(version, first);
  }

  #learn(told: { key: string; action: Action; calledAt: number; reply: Reply }): void {
    const { key, action, calledAt, reply } = told;
    const { name, world, history } = this.#options;
    if (reply.kind === 'done') this.#know(key, reply.content);
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
  if (kind === 'read' || kind === 'index-read')
    return { kind: 'read', found: content?.value ?? null };
  if (kind === 'update') return { kind, expected: action.read.value, value: action.value };
  return kind === 'remove' ? { kind } : { kind, value: action.value };
}

function print(reply: Reply): string {
  if (reply.kind === 'refused') return reply.code;
  if (reply.kind === 'lost') return 'no answer';
  return reply.content === null ? 'absent' : `${reply.content.value}@${reply.content.version}`;
}
