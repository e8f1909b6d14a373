/**
 * The manager of a node, for as long as the node is one: starts it when the node's certificate says so,
 * stops it when it no longer does or when the group has removed it, and then wipes what it kept
 * (behaviour rule 12.3).
 *
 * Events only mark; one loop acts. What the node's agent runs is touched by nothing of this.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Env } from '../../shared/kit/env.ts';
import type { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { Peer } from '../../shared/wire/gen/types.ts';
import { REMOTES, type Remotes } from '../agent/core/remotes.ts';
import type { SecurityContext } from '../ca/security-context.ts';
import { Mark } from '../kit/mark.ts';
import type { Log } from '../log.ts';
import { Manager, type ManagerOptions } from '../manager/manager.ts';
import { Role } from '../rpc/authorise.ts';
import type { ManagerFiles, OpenLog } from './manager-files.ts';
import { listenAsWorker } from './worker-socket.ts';

export type HostPort = { readonly host: string; readonly port: number };

/** How this node's manager runs, whenever it is one. */
export type ManagerSettings = {
  readonly listen: HostPort;
  readonly advertise: HostPort;
  readonly controlSocket: string;
  readonly tickMs: number;
  /** In ticks; those of the raft core when not given. */
  readonly raft?: { readonly heartbeatTicks: number; readonly electionTicks: number };
};

const PAUSES = {
  /** For a removed manager to hear that it is a worker now, before and after it is asked for anew. */
  roleChangeMs: 16_000,
  /** After the first failed start; twice as long after each further one, up to the cap. */
  restartBaseMs: 2000,
  restartCapMs: 60_000,
} as const;

export type ManagerPartOptions = {
  readonly security: SecurityContext;
  readonly files: ManagerFiles;
  readonly remotes: Remotes;
  /** The manager to join at when none is known: `host:port`. */
  readonly joinAddress: string | undefined;
  readonly settings: ManagerSettings;
  /** Of the node that founds a cluster. */
  readonly availability: NodeSpecAvailability;
  readonly env: Env;
  readonly log: Log;
  /** The node has to ask what it is now. */
  readonly renew: () => void;
  /** The manager runs, or runs no more. */
  readonly onChange: () => void;
  /** Somebody on this machine wants the node to leave the cluster, and may. */
  readonly onLeave: () => void;
  readonly onFatal: (error: unknown) => void;
};

/** A manager that was started, with what works on its log. */
type Running = { readonly manager: Manager; readonly stop: () => Promise<void> };

export class ManagerPart {
  readonly #options: ManagerPartOptions;
  readonly #stopping = new AbortController();
  readonly #mark = new Mark();
  #starting: Manager | undefined;
  #running: Running | undefined;
  /** The control socket while no manager has it. */
  #socket: AsyncDisposable | undefined;
  #removed = false;
  /** Aborted once the cluster wants the node as a manager, though its group has removed it. */
  #wantedAgain = new AbortController();
  #failures = 0;
  #supervising: Promise<void> | undefined;

  constructor(options: ManagerPartOptions) {
    this.#options = options;
  }

  /** The manager, while it runs. */
  get manager(): Manager | undefined {
    return this.#running?.manager;
  }

  get #role(): Role {
    return this.#options.security.identity.role;
  }

  /** Runs the manager with what was opened. Rejects, with everything undone, when it cannot run. */
  async start(opened: OpenLog): Promise<void> {
    const { security, files, remotes, settings, availability, env, log } = this.#options;
    const { log: raftLog, joins, founded } = opened;
    this.#removed = false;
    const rotation = files.rotation(raftLog, log);
    const manager = await Manager.open({
      ...settings,
      security,
      raftLog,
      founds: founded && { root: founded, availability },
      joins: joins ? await this.#joining() : undefined,
      rotateDataKey: () => rotation.rotate(),
      env,
      log,
      onRemoved: () => this.#onRemoved(),
      onLeave: this.#options.onLeave,
      onFatal: this.#options.onFatal,
    });
    this.#starting = manager;
    // A promotion may be taken back while the others do not let this one in.
    const unwatch = security.watch(({ role }) => role === Role.WORKER && void manager.stop());
    try {
      const raftId = raftLog.member()?.raftId;
      if (raftId !== undefined) await files.markFounded(raftId);
      if (this.#role === Role.WORKER) throw new Error('this node is no manager any more');
      this.#stopping.signal.throwIfAborted();
      await this.#closeSocket();
      await manager.start();
    } catch (error) {
      await manager.stop();
      throw error;
    } finally {
      unwatch();
      this.#starting = undefined;
    }
    this.#running = {
      manager,
      stop: async () => {
        await rotation.stop();
        await manager.stop();
      },
    };
    void rotation.resume();
    remotes.observe(Peer.create({ nodeId: this.#nodeId, addr: manager.address }), REMOTES.success);
    this.#options.onChange();
  }

  /** From now on the manager comes and goes with the role of this node. */
  supervise(): void {
    const unwatch = this.#options.security.watch(() => this.#mark.set());
    this.#supervising ??= this.#supervise().finally(unwatch);
    this.#mark.set();
  }

  /** The cluster says what this node is to be. */
  hear(desired: Role): void {
    if (this.#removed && desired === Role.MANAGER) this.#wantedAgain.abort();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('this node stops'));
    await this.#starting?.stop();
    await this.#supervising;
    await this.#running?.stop();
    await this.#closeSocket();
  }

  /** Without it the node can do all but leave on request. */
  async #openSocket(): Promise<void> {
    const { settings, security, log, onLeave } = this.#options;
    const path = settings.controlSocket;
    try {
      this.#socket ??= await listenAsWorker({ path, security, log, onLeave });
    } catch (error) {
      log.info({ error, path }, 'this worker has no control socket');
    }
  }

  async #closeSocket(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    await socket?.[Symbol.asyncDispose]();
  }

  get #nodeId(): string {
    return this.#options.security.identity.nodeId;
  }

  async #joining(): Promise<ManagerOptions['joins']> {
    const { remotes, env, joinAddress, files } = this.#options;
    const held = await files.raftIdsHeld();
    const others = (): readonly string[] =>
      remotes.peers().flatMap(({ nodeId, addr }) => (nodeId === this.#nodeId ? [] : [addr]));
    return {
      addresses: () => {
        const known = new Set(others());
        if (joinAddress !== undefined) known.add(joinAddress);
        return [...known];
      },
      address: () => {
        const known = remotes.select(() => env.randBelow(1_000_000) / 1_000_000, this.#nodeId);
        const address = known?.addr ?? joinAddress;
        if (address === undefined) throw new Error('no remote hosts provided');
        return address;
      },
      failed: (address) => remotes.observeIfKnown(address, REMOTES.failure),
      hasHeld: (raftId) => held.has(raftId),
      joined: (raftId) => files.markFounded(raftId),
    };
  }

  #onRemoved(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.#wantedAgain = new AbortController();
    this.#options.log.warn({}, 'this manager was removed from the group');
    this.#mark.set();
  }

  /** Never rejects. */
  async #supervise(): Promise<void> {
    const { log, onFatal } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#mark.next(signal);
        await this.#act();
      } catch (error) {
        if (signal.aborted) return;
        log.error({ error }, 'the manager of this node could not be stopped in order');
        onFatal(error);
        return;
      }
    }
  }

  async #act(): Promise<void> {
    const isManager = this.#role === Role.MANAGER;
    if (this.#running === undefined) {
      if (isManager) await this.#tryStart();
      else await this.#options.files.settle(this.#role);
      if (this.#running === undefined) await this.#openSocket();
    } else if (this.#removed || !isManager) await this.#end(this.#running);
  }

  /** Starts the manager, or sees to another attempt later. */
  async #tryStart(): Promise<void> {
    const { files, log } = this.#options;
    try {
      await files.settle(this.#role);
      const opened = await files.open();
      if (opened === undefined) throw new Error('the raft log belongs to no manager');
      await this.start(opened);
      this.#failures = 0;
      log.info({ node: this.#nodeId }, 'this node is a manager now');
      // Whatever happened meanwhile.
      this.#mark.set();
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      if (this.#role === Role.WORKER) {
        this.#mark.set();
        return;
      }
      const pauseMs = PAUSES.restartBaseMs * 2 ** Math.min(this.#failures, 10);
      this.#failures += 1;
      log.error(
        { error },
        'this node should be a manager and could not start as one; trying again',
      );
      this.#markLater(Math.min(pauseMs, PAUSES.restartCapMs));
    }
  }

  /** The node is no manager any more, or no member of the group. */
  async #end(running: Running): Promise<void> {
    const { remotes, files, onChange, log } = this.#options;
    const removed = this.#removed;
    this.#running = undefined;
    remotes.forget(this.#nodeId);
    onChange();
    await running.stop();
    await files.wipe(this.#role);
    if (this.#role === Role.MANAGER && removed) await this.#untilWorker();
    if (this.#role === Role.WORKER) log.info({ node: this.#nodeId }, 'this node is a worker now');
    this.#mark.set();
  }

  /**
   * The group has removed this manager, so the node is meant to be a worker: to start the manager again
   * would only join the group anew. Unless that is what is wanted by now: the cluster says so, or it
   * shows in time.
   */
  async #untilWorker(): Promise<void> {
    const { renew, log } = this.#options;
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      renew();
      await this.#roleIs(Role.WORKER, PAUSES.roleChangeMs);
      if (this.#role === Role.WORKER || this.#stopping.signal.aborted) return;
      if (this.#wantedAgain.signal.aborted) return;
    }
    log.warn({}, 'this node was removed as a manager and is not made a worker: it joins again');
  }

  /** Resolves when the node has this role, at the latest after `timeoutMs`. */
  async #roleIs(wanted: Role, timeoutMs: number): Promise<void> {
    const { security } = this.#options;
    const over = new AbortController();
    const unwatch = security.watch(({ role }) => role === wanted && over.abort());
    const signal = AbortSignal.any([over.signal, this.#wantedAgain.signal, this.#stopping.signal]);
    if (this.#role !== wanted) {
      await sleep(timeoutMs, undefined, { signal }).catch(() => undefined);
    }
    unwatch();
  }

  #markLater(afterMs: number): void {
    const { signal } = this.#stopping;
    const marked = sleep(afterMs, undefined, { signal }).then(() => this.#mark.set());
    marked.catch(() => undefined); // this node stops
  }
}
