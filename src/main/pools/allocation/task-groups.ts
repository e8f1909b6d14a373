/** Collects what there is to say about tasks, one message for all that are attached alike. */
import type { ToAllocator } from '../../../shared/lanes/allocation.ts';

type Shape = {
  readonly service: number;
  readonly networks: readonly number[];
  readonly wanted: readonly string[];
};

type Columns = { readonly tasks: number[]; readonly nodes: number[] };

export class TaskGroups {
  readonly #gone: number[] = [];
  readonly #placed: Columns = { tasks: [], nodes: [] };
  readonly #holds = new Map<
    string,
    Columns & { readonly networks: readonly number[]; readonly addresses: string[] }
  >();
  readonly #requests = new Map<string, Columns & { readonly shape: Shape }>();

  gone(task: number): void {
    this.#gone.push(task);
  }

  placed(task: number, node: number): void {
    this.#placed.tasks.push(task);
    this.#placed.nodes.push(node);
  }

  hold(
    networks: readonly number[],
    one: { readonly task: number; readonly node: number; readonly addresses: readonly string[] },
  ): void {
    const key = networks.join(' ');
    let group = this.#holds.get(key);
    if (group === undefined) {
      group = { networks, tasks: [], nodes: [], addresses: [] };
      this.#holds.set(key, group);
    }
    group.tasks.push(one.task);
    group.nodes.push(one.node);
    group.addresses.push(...one.addresses);
  }

  request(shape: Shape, task: number, node: number): void {
    const key = `${shape.service} ${shape.networks.join(' ')} ${shape.wanted.join(' ')}`;
    let group = this.#requests.get(key);
    if (group === undefined) {
      group = { shape, tasks: [], nodes: [] };
      this.#requests.set(key, group);
    }
    group.tasks.push(task);
    group.nodes.push(node);
  }

  /** What has been collected, in an order in which it can be said; starts afresh. */
  take(): ToAllocator[] {
    const messages: ToAllocator[] = [];
    for (const { networks, addresses, ...columns } of this.#holds.values()) {
      messages.push({ t: 'hold', networks, addresses, ...typed(columns) });
    }
    for (const { shape, ...columns } of this.#requests.values()) {
      messages.push({ t: 'request', ...shape, ...typed(columns) });
    }
    if (this.#placed.tasks.length > 0) messages.push({ t: 'placed', ...typed(this.#placed) });
    if (this.#gone.length > 0) messages.push({ t: 'gone', tasks: Int32Array.from(this.#gone) });
    this.#holds.clear();
    this.#requests.clear();
    this.#placed.tasks.length = 0;
    this.#placed.nodes.length = 0;
    this.#gone.length = 0;
    return messages;
  }
}

function typed({ tasks, nodes }: Columns): { tasks: Int32Array; nodes: Int32Array } {
  return { tasks: Int32Array.from(tasks), nodes: Int32Array.from(nodes) };
}
