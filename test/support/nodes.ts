/** Nodes of one cluster in one process, for tests of what becomes of them. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.ts';
import type { Node as NodeObject } from '../../src/shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../src/shared/wire/gen/specs.ts';
import { NodeRole, NodeStatusState } from '../../src/shared/wire/gen/types.ts';
import { KeyFiles } from '../../src/main/ca/key-files.ts';
import { realEnv } from '../../src/main/env.ts';
import { silentLog } from '../../src/main/log.ts';
import { Channel, type ServiceClient } from '../../src/main/rpc/client.ts';
import { Node, type NodeOptions } from '../../src/main/node/node.ts';

export const PATIENCE_MS = 30_000;
export const CALL = { timeoutMs: 5000 } as const;
const { MANAGER } = NodeRole;

/** Nodes of one cluster, by host name; each with its own state directory. */
export class Nodes {
  readonly nodes = new Map<string, Node>();
  /** Nodes that were told to leave, and when they are done. */
  readonly left = new Map<string, Promise<void>>();
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  stateDir(name: string): string {
    return join(this.#directory, name);
  }

  socket(name: string): string {
    return join(this.#directory, `${name}.sock`);
  }

  async start(name: string, joins?: NodeOptions['join'], port = 0): Promise<Node> {
    const listen = { host: '127.0.0.1', port };
    const node = await Node.start({
      stateDir: this.stateDir(name),
      hostname: name,
      join: joins,
      availability: NodeSpecAvailability.ACTIVE,
      executor: { kind: 'simulated', seed: 1 },
      taskThreads: 1,
      manager: {
        listen,
        advertise: listen,
        controlSocket: this.socket(name),
        tickMs: 50,
      },
      env: realEnv,
      log: silentLog,
      onFatal: (error) => assert.fail(String(error)),
      onLeave: () => this.left.set(name, this.#forget(name)),
    });
    this.nodes.set(name, node);
    return node;
  }

  async #forget(name: string): Promise<void> {
    const node = this.nodes.get(name);
    await node?.forget();
    this.nodes.delete(name);
  }

  async stop(name: string): Promise<void> {
    const node = this.nodes.get(name);
    this.nodes.delete(name);
    await node?.stop();
  }

  /** Any manager that runs. */
  async ask<T>(use: (control: ServiceClient<'Control'>) => Promise<T>): Promise<T> {
    const name = [...this.nodes].find(([, node]) => node.manager !== undefined)?.[0];
    if (name === undefined) throw new Error('no manager runs');
    using channel = new Channel({ to: 'socket', path: this.socket(name) });
    return await use(channel.service('Control'));
  }

  async joinWith(token: 'manager' | 'worker', at: Node): Promise<NodeOptions['join']> {
    const { clusters } = await this.ask((control) => control.ListClusters({}, CALL));
    const tokens = clusters[0]?.rootCa.joinTokens;
    return { address: at.manager?.address ?? '', token: tokens?.[token] ?? '' };
  }

  async object(name: string): Promise<NodeObject> {
    const { nodes } = await this.ask((control) => control.ListNodes({}, CALL));
    return nodes.find(({ description }) => description?.hostname === name) ?? assert.fail(name);
  }

  async want(name: string, desiredRole: NodeRole): Promise<void> {
    await until(`${name} may change its role`, PATIENCE_MS, async () => {
      const { id, meta, spec } = await this.object(name);
      const request = { nodeId: id, nodeVersion: meta.version, spec: { ...spec, desiredRole } };
      return this.ask((control) => control.UpdateNode(request, CALL));
    });
  }

  /** The cluster and the node itself both say so. */
  async becomes(name: string, role: NodeRole): Promise<NodeObject> {
    let seen: unknown;
    const said = (): string =>
      JSON.stringify(seen, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v));
    return until(`${name} has role ${role}`, PATIENCE_MS, async () => {
      const node = await this.object(name);
      const isMember = node.managerStatus !== undefined;
      const runs = this.nodes.get(name)?.manager !== undefined;
      const { spec, role: observed, status, managerStatus, certificate } = node;
      const issuance = { role: certificate.role, state: certificate.status.state };
      seen = { desired: spec.desiredRole, observed, status, managerStatus, issuance, runs };
      const all = [node.role === MANAGER, isMember, runs];
      return node.status.state === NodeStatusState.READY &&
        all.every((b) => b === (role === MANAGER))
        ? node
        : undefined;
    }).catch((error: unknown) => {
      throw new Error(`it is ${said()}`, { cause: error });
    });
  }

  /** Nothing of a manager is left on the node's disk. */
  async keepsNothing(name: string): Promise<void> {
    const keys = new KeyFiles(join(this.stateDir(name), 'certificates'));
    await until(`${name} has wiped its log`, PATIENCE_MS, async () => {
      const headers = (await keys.load())?.headers;
      const stays = existsSync(join(this.stateDir(name), 'raft'));
      // The ids that it has ever had as a member are no use but to know them again.
      return Object.keys(headers ?? { none: '' }).join() === 'skein-raft-ids' && !stays;
    });
  }
}
