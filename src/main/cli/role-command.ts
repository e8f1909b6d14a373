/** `node promote` and `node demote`: ask for a role, then wait until the node has it or say what it waits for. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Node } from '../../shared/wire/gen/objects.ts';
import { NodeRole } from '../../shared/wire/gen/types.ts';
import { realEnv } from '../env.ts';
import { Code, hasCode, RpcError } from '../rpc/errors.ts';
import { ClientCommand } from './client-command.ts';
import { CommandError, ExitCode } from './command-error.ts';
import { type Cluster, type Control, withCluster } from './connection.ts';
import { judgeRoleChange, type RoleChange } from './core/role-change.ts';
import { findNode } from './lookup.ts';
import { waitFlags } from './service/flags.ts';
import { timeoutMsOf } from './wait.ts';

const POLL_MS = 200;
/** What happens within this time is not worth a line. */
const QUIET_MS = 1500;
const CALL = { timeoutMs: 5000 } as const;
/** A node's object changes for other reasons too: then the update is made anew. */
const UPDATES_MAX = 10;

type Wait = { readonly timeoutMs: number; readonly signal: AbortSignal };

export abstract class RoleCommand extends ClientCommand {
  static override strict = false;
  static override flags = {
    detach: waitFlags.detach,
    timeout: { ...waitFlags.timeout, default: '1m' },
  };

  protected abstract readonly role: NodeRole;

  async run(): Promise<void> {
    const { flags: own, baseFlags, args } = this.ctor;
    const { argv, flags } = await this.parse({ flags: own, baseFlags, args, strict: false });
    if (argv.length === 0) throw new CommandError('name at least one node', ExitCode.USAGE);
    const timeoutMs = timeoutMsOf(String(flags['timeout']));
    const interrupted = new AbortController();
    const onInterrupt = (): void => interrupted.abort();
    process.once('SIGINT', onInterrupt);
    try {
      const wait = { timeoutMs, signal: interrupted.signal };
      await withCluster(String(flags['socket']), (cluster) =>
        this.#changeAll(cluster, argv.map(String), flags['detach'] === true ? undefined : wait),
      );
    } catch (error) {
      if (!interrupted.signal.aborted) throw error;
      const text = 'the wait was interrupted; what was asked for goes on';
      throw new CommandError(text, ExitCode.INTERRUPTED);
    } finally {
      process.off('SIGINT', onInterrupt);
    }
  }

  get #word(): string {
    return this.role === NodeRole.MANAGER ? 'manager' : 'worker';
  }

  /** Each by itself, so that one failure spares the others; the node that answers comes last. */
  async #changeAll(
    { control, operations }: Cluster,
    references: readonly string[],
    wait: Wait | undefined,
  ): Promise<void> {
    const { manager } = await operations.Status({}, CALL);
    const failures: CommandError[] = [];
    const nodes = new Map<string, Node>();
    for (const reference of references) {
      try {
        nodes.set(reference, await findNode(control, reference));
      } catch (error) {
        failures.push(failureOf(error));
      }
    }
    const isOwn = ({ id }: Node): boolean => id === manager.nodeId;
    const inOrder = [...nodes].toSorted(([, a], [, b]) => Number(isOwn(a)) - Number(isOwn(b)));
    for (const [reference, node] of inOrder) {
      try {
        await this.#ask(control, reference, node.id);
        if (wait !== undefined) await this.#wait(control, { reference, node, wait }, isOwn(node));
        this.print(reference);
      } catch (error) {
        if (wait?.signal.aborted === true) throw error;
        failures.push(failureOf(error));
      }
    }
    const [first] = failures;
    if (first === undefined) return;
    throw new CommandError(
      failures.map(({ message }) => message).join('\nError: '),
      first.exitCode,
    );
  }

  /** @throws CommandError when the node has that role already; RpcError when the cluster refuses */
  async #ask(control: Control, reference: string, nodeId: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const { nodes } = await control.ListNodes({ filters: { idPrefixes: [nodeId] } }, CALL);
      const [node] = nodes;
      if (node === undefined) throw new CommandError(`node ${reference} not found`);
      if (node.spec.desiredRole === this.role) {
        if (judgeRoleChange(nodes, nodeId, this.role).state !== 'done') return;
        throw new CommandError(`Node ${reference} is already a ${this.#word}`);
      }
      const spec = { ...node.spec, desiredRole: this.role };
      try {
        await control.UpdateNode({ nodeId, nodeVersion: node.meta.version, spec }, CALL);
        return;
      } catch (error) {
        const isOld = error instanceof RpcError && error.message === 'update out of sequence';
        if (!isOld || attempt >= UPDATES_MAX) throw error;
      }
    }
  }

  async #wait(
    control: Control,
    { reference, node, wait }: { reference: string; node: Node; wait: Wait },
    isOwn: boolean,
  ): Promise<void> {
    const beganMs = realEnv.nowMs();
    let told = '';
    for (;;) {
      const change = await this.#look(control, node.id, isOwn);
      if (change.state === 'done') return;
      if (change.state === 'over') {
        throw new CommandError(`Node ${reference} does not become a ${this.#word}: ${change.why}`);
      }
      const waitedMs = realEnv.nowMs() - beganMs;
      if (wait.timeoutMs > 0 && waitedMs >= wait.timeoutMs) {
        throw new CommandError(
          `Node ${reference} is not a ${this.#word} yet: ${change.why}. It becomes one when it can`,
          ExitCode.TIMEOUT,
        );
      }
      if (waitedMs > QUIET_MS && change.why !== told) {
        told = change.why;
        this.terminal.err(`${reference}: ${told}\n`);
      }
      await sleep(POLL_MS, undefined, { signal: wait.signal });
    }
  }

  /** A manager that was demoted answers no more: that is how its own command learns of it. */
  async #look(control: Control, nodeId: string, isOwn: boolean): Promise<RoleChange> {
    try {
      const { nodes } = await control.ListNodes({}, CALL);
      return judgeRoleChange(nodes, nodeId, this.role);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const isWorkers = error.code === Code.FAILED_PRECONDITION;
      const isGone = hasCode(error, Code.UNAVAILABLE) && error.message.startsWith('cannot connect');
      const demoted = isOwn && this.role === NodeRole.WORKER;
      if (demoted && (isWorkers || isGone)) return { state: 'done' };
      // Leaders change meanwhile.
      return { state: 'waiting', why: `the manager does not answer (${error.goText})` };
    }
  }
}

/** @throws what is no failure of the node's */
function failureOf(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  if (error instanceof RpcError) return new CommandError(error.message);
  throw error;
}
