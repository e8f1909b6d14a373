/**
 * The allocator's main side: hears what is committed, tells the thread, and writes what it answers.
 *
 * A thread that dies is replaced by one that is told what the store holds, after all that its
 * predecessor had answered is committed: the store is where allocations live, the thread only keeps
 * count of them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Env } from '../../shared/kit/env.ts';
import type { FromAllocator, ToAllocator } from '../../shared/lanes/allocation.ts';
import type { Lane } from '../../shared/lanes/lane.ts';
import { BITE_MS } from '../kit/bites.ts';
import type { Log } from '../log.ts';
import { type Store, StoreError } from '../store/transaction.ts';
import { Feed } from './allocation/feed.ts';
import { AllocationWriter, type Write } from './allocation/writer.ts';
import { Engine } from './engine.ts';
import { workerEntry } from './entry.ts';

export type AllocatorPoolOptions = { readonly store: Store; readonly env: Env; readonly log: Log };

/** How full a network is: of the addresses it gives by itself, those in use. */
export type Usage = { readonly used: number; readonly total: number };

/** What the thread gets to finish when nothing that it answers is wanted any more. */
const STOP_DEADLINE_MS = 250;

type AllocatorLane = Lane<ToAllocator, FromAllocator>;

/** A thread, and what it has been told. */
type Tenant = {
  readonly lane: AllocatorLane;
  readonly feed: Feed;
  /** Whether it knows all that the store holds; before that it is asked nothing. */
  isIntroduced: boolean;
  turns: number;
};

export class AllocatorPool implements AsyncDisposable {
  /** The thread; public for its counters, and for tests that kill it. */
  readonly engine: Engine<ToAllocator, FromAllocator>;
  readonly #options: AllocatorPoolOptions;
  readonly #writer: AllocationWriter;
  #tenant: Tenant | undefined;
  #unwatch: (() => void) | undefined;
  /** The loop that tells the thread what happens, while there is something to tell. */
  #feeding: Promise<void> | undefined;
  #stopped = false;
  /** Those who asked how full the networks are. */
  #measuring: ((usage: ReadonlyMap<string, Usage>) => void)[] = [];

  constructor(options: AllocatorPoolOptions) {
    this.#options = options;
    const { store, env, log } = options;
    this.#writer = new AllocationWriter({
      store,
      env,
      onRefused: (write, error) => log.error({ write, error }, 'an allocation was not written'),
      onLost: (error) => this.#onLost(error),
    });
    this.engine = new Engine<ToAllocator, FromAllocator>({
      name: 'allocator',
      entry: workerEntry('allocator'),
      threads: 1,
      log,
      onStart: (lane) => this.#introduce(lane),
      onMessages: (messages) => this.#onMessages(messages),
    });
  }

  /** Starts the thread and begins to allocate; for the leader. */
  async start(): Promise<void> {
    this.#unwatch = this.#options.store.watch((commit) => {
      const feed = this.#tenant?.feed;
      if (feed === undefined) return;
      for (const change of commit.changes) feed.mark(change);
      this.#wake();
    });
    await this.engine.start();
  }

  /** Ends the thread; what it had answered is written if this manager still may. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch?.();
    this.#tenant = undefined;
    await this.engine.stop(STOP_DEADLINE_MS);
    await this.#feeding;
    this.#tellUsage(new Map());
    await this.#writer.idle();
  }

  /** How full each network is, by id; without the networks that have nothing to give yet. */
  usage(): Promise<ReadonlyMap<string, Usage>> {
    const { promise, resolve } = Promise.withResolvers<ReadonlyMap<string, Usage>>();
    this.#measuring.push(resolve);
    if (this.#tenant?.isIntroduced === true) this.#turn(this.#tenant);
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #introduce(lane: AllocatorLane): void {
    const feed = new Feed({
      send: (message) => void lane.send(message),
      write: (write) => this.#writer.add(write),
    });
    this.#tenant = undefined;
    void this.#settle({ lane, feed, isIntroduced: false, turns: 0 });
  }

  /** Begins to tell the new thread, once what the last one answered is in the store. */
  async #settle(tenant: Tenant): Promise<void> {
    await this.#writer.idle();
    if (this.#stopped || tenant.lane.dropped) return;
    this.#tenant = tenant;
    this.#options.store.view((view) => tenant.feed.introduce(view));
    this.#wake();
  }

  #wake(): void {
    this.#feeding ??= this.#feed().finally(() => {
      this.#feeding = undefined;
    });
  }

  async #feed(): Promise<void> {
    let tenant = this.#tenant;
    while (tenant !== undefined && (tenant.feed.isDirty || !tenant.isIntroduced)) {
      await nextTurn();
      await tenant.lane.ready();
      if (tenant === this.#tenant) this.#bite(tenant);
      tenant = this.#tenant;
    }
  }

  /** Tells the thread as much as fits into a short turn. */
  #bite(tenant: Tenant): void {
    const { feed } = tenant;
    const untilMs = performance.now() + BITE_MS;
    const goOn = (): boolean => performance.now() < untilMs;
    const hasSaid = this.#options.store.view((view) => feed.run(view, goOn));
    const wasIntroduced = tenant.isIntroduced;
    if (!feed.isDirty) tenant.isIntroduced = true;
    if (!tenant.isIntroduced || (wasIntroduced && !hasSaid)) return;
    this.#turn(tenant);
    if (feed.isWornOut) this.#replaceThread('its numbers ran out');
  }

  #turn(tenant: Tenant): void {
    tenant.turns += 1;
    if (this.#measuring.length > 0) tenant.lane.send({ t: 'measure' });
    tenant.lane.send({ t: 'turn', turn: tenant.turns });
  }

  #tellUsage(usage: ReadonlyMap<string, Usage>): void {
    for (const resolve of this.#measuring.splice(0)) resolve(usage);
  }

  #onMessages(messages: readonly FromAllocator[]): void {
    const feed = this.#tenant?.feed;
    if (feed === undefined) return;
    for (const message of messages) this.#onMessage(message, feed);
  }

  #onMessage(message: FromAllocator, feed: Feed): void {
    const networkId = (handle: number): string => feed.networks.idOf(handle) ?? '';
    switch (message.t) {
      case 'network': {
        const id = feed.networks.idOf(message.network);
        if (id !== undefined) this.#writer.add({ op: 'network', id, grant: message.grant });
        return;
      }
      case 'service': {
        const id = feed.services.idOf(message.service);
        const known = feed.services.get(id ?? '');
        if (id === undefined || known?.revision !== message.revision) return;
        const { published } = message;
        const vips = message.vips.map(({ network, address }) => ({
          networkId: networkId(network),
          addr: address,
        }));
        this.#writer.add({ op: 'service', id, spec: known.spec, vips, published });
        return;
      }
      case 'node': {
        const id = feed.nodes.idOf(message.node);
        const attachments = message.attachments.map(({ network, address }) => ({
          networkId: networkId(network),
          addresses: [address],
        }));
        if (id !== undefined) this.#writer.add({ op: 'node', id, attachments });
        return;
      }
      case 'tasks':
        for (const write of taskWrites(message, feed)) this.#writer.add(write);
        return;
      case 'waiting':
        return this.#onWaiting(message, feed);
      case 'notice':
        this.#options.log.warn({}, message.text);
        return;
      case 'usage':
        return this.#tellUsage(
          new Map(
            message.networks
              .filter(({ total }) => total > 0)
              .map(({ network, used, total }) => [networkId(network), { used, total }]),
          ),
        );
      case 'turned':
        return;
    }
  }

  #onWaiting(message: Extract<FromAllocator, { t: 'waiting' }>, feed: Feed): void {
    const { text } = message;
    for (const handle of message.tasks) {
      const id = feed.tasks.idOf(handle);
      if (id !== undefined) this.#writer.add({ op: 'waits', id, text });
    }
    const others = {
      networks: message.networks.map((handle) => feed.networks.idOf(handle)),
      services: message.services.map((handle) => feed.services.idOf(handle)),
      nodes: message.nodes.map((handle) => feed.nodes.idOf(handle)),
    };
    const count = Object.values(others).flat().length;
    if (count > 0) this.#options.log.warn(others, `not allocated yet: ${text}`);
  }

  #onLost(error: unknown): void {
    if (this.#stopped) return;
    this.#options.log.warn({ error }, 'allocations were not committed');
    // Whoever leads next starts from what is committed.
    if (error instanceof StoreError && isLeadershipError(error)) return;
    this.#replaceThread('its answers were not committed');
  }

  #replaceThread(reason: string): void {
    this.#options.log.warn({ reason }, 'the allocator starts anew');
    this.#tenant = undefined;
    void this.engine.kill(0);
  }
}

function isLeadershipError(error: StoreError): boolean {
  return error.code === 'NOT_LEADER' || error.code === 'LEADERSHIP_LOST';
}

/** One write for each task of an answer; a task that is over by now needs none. */
function taskWrites(message: Extract<FromAllocator, { t: 'tasks' }>, feed: Feed): Write[] {
  const ids = message.networks.map((handle) => feed.networks.idOf(handle) ?? '');
  const writes: Write[] = [];
  for (const [i, handle] of message.tasks.entries()) {
    const id = feed.tasks.idOf(handle);
    if (id === undefined) continue;
    const addresses = ids.map((networkId, j) => {
      const text = message.addresses[i * ids.length + j] ?? '';
      return { networkId, addresses: text === '' ? [] : text.split(',') };
    });
    writes.push({ op: 'task', id, addresses });
  }
  return writes;
}
