/**
 * Writes what the allocator gave into the store, in the order in which it was given.
 *
 * The order matters: an address that one object gives up may be the next one's in the same turn. So
 * there is one batch at a time, and what comes meanwhile goes with the next. Each write reads the
 * object as it is at that moment and changes only what the allocator owns; one that no longer applies
 * (the object is gone, the task has moved on) is dropped, since its own change was or will be heard of.
 */
import { deepEqual } from '../../../shared/kit/deep-equal.ts';
import type { Env } from '../../../shared/kit/env.ts';
import {
  endpointOf,
  networkRefs,
  PENDING_MESSAGE,
  type Vip,
} from '../../../shared/model/allocation.ts';
import { timestampOf } from '../../../shared/model/time.ts';
import type { NetworkGrant } from '../../../shared/lanes/allocation.ts';
import type { NetworkAttachment } from '../../../shared/wire/gen/objects.ts';
import type { ServiceSpec } from '../../../shared/wire/gen/specs.ts';
import { TaskState, TaskStatus } from '../../../shared/wire/gen/types.ts';
import type { Store, Transaction } from '../../store/transaction.ts';
import type { TaskRow } from '../../store/view.ts';
import { asNodeLocal, attachmentTo, withGrant } from './facts.ts';

/** The next ones are made when these are committed; a batch spreads over as many turns as it takes. */
const WRITES_PER_BATCH = 2000;

type AddressIn = { readonly networkId: string; readonly addresses: readonly string[] };

export type Write =
  | { readonly op: 'network'; readonly id: string; readonly grant: NetworkGrant }
  /** A network of each node's own. */
  | { readonly op: 'localNetwork'; readonly id: string }
  | {
      readonly op: 'service';
      readonly id: string;
      /** The spec that this answers. */
      readonly spec: ServiceSpec;
      readonly vips: readonly Vip[];
      readonly published: readonly number[];
    }
  | { readonly op: 'node'; readonly id: string; readonly attachments: readonly AddressIn[] }
  /** The task has all it wants: these addresses, or none. */
  | { readonly op: 'task'; readonly id: string; readonly addresses: readonly AddressIn[] }
  /** The task waits, and why. */
  | { readonly op: 'waits'; readonly id: string; readonly text: string }
  /** The task was never placed and is no longer wanted. */
  | { readonly op: 'unwanted'; readonly id: string };

export type AllocationWriterOptions = {
  readonly store: Store;
  readonly env: Env;
  /** A write could not be made; the others go on. */
  readonly onRefused: (write: Write, error: unknown) => void;
  /** A batch was not committed: what the allocator gave is not what the store holds. */
  readonly onLost: (error: unknown) => void;
};

export class AllocationWriter {
  readonly #options: AllocationWriterOptions;
  #queue: Write[] = [];
  #running: Promise<void> | undefined;

  constructor(options: AllocationWriterOptions) {
    this.#options = options;
  }

  add(write: Write): void {
    this.#queue.push(write);
    this.#running ??= this.#run();
  }

  /** Forgets what has not been begun. */
  clear(): void {
    this.#queue = [];
  }

  /** Resolves when everything added so far is committed, or lost. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    const { store, onRefused, onLost } = this.#options;
    // What is added in one turn goes together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const writes = this.#queue.splice(0, WRITES_PER_BATCH);
      try {
        await store.batch(writes, (tx, write) => this.#apply(tx, write), onRefused);
      } catch (error) {
        this.#queue = [];
        onLost(error);
      }
    }
    this.#running = undefined;
  }

  #apply(tx: Transaction, write: Write): void {
    switch (write.op) {
      case 'network': {
        const network = tx.networks.get(write.id);
        if (network !== undefined) tx.networks.update(withGrant(network, write.grant));
        return;
      }
      case 'localNetwork': {
        const network = tx.networks.get(write.id);
        if (network?.driverState === undefined && network !== undefined) {
          tx.networks.update(asNodeLocal(network));
        }
        return;
      }
      case 'service': {
        const service = tx.services.get(write.id);
        const endpoint = endpointOf(write.spec, write);
        if (service === undefined || deepEqual(service.endpoint, endpoint)) return;
        tx.services.update({ ...service, endpoint });
        return;
      }
      case 'node': {
        const node = tx.nodes.get(write.id);
        const attachments = attachmentsTo(tx, write.attachments);
        if (node === undefined || sameAddresses(node.attachments, attachments)) return;
        tx.nodes.update({ ...node, attachments });
        return;
      }
      case 'task':
        return this.#allocate(tx, write);
      case 'waits': {
        const row = newTask(tx, write.id);
        if (row !== undefined && row.err !== write.text) {
          tx.tasks.patch(write.id, { err: write.text });
        }
        return;
      }
      case 'unwanted': {
        const row = newTask(tx, write.id);
        if (row === undefined || row.desiredState < TaskState.SHUTDOWN) return;
        tx.tasks.patch(write.id, { state: TaskState.SHUTDOWN, err: '' });
        return;
      }
    }
  }

  #allocate(tx: Transaction, write: Extract<Write, { op: 'task' }>): void {
    const row = newTask(tx, write.id);
    if (row === undefined || row.desiredState >= TaskState.SHUTDOWN) return;
    const service = tx.services.get(row.serviceId);
    const networks = attachmentsOf(tx, write.addresses, networkRefs(row.shared().spec, service));
    const status = TaskStatus.create({
      timestamp: timestampOf(this.#options.env.nowMs()),
      state: TaskState.PENDING,
      message: PENDING_MESSAGE,
    });
    const endpoint = service?.endpoint;
    tx.tasks.patch(write.id, {
      status,
      // Most tasks have no networks: what says nothing new is not written.
      ...(networks.length > 0 || row.attached ? { networks } : {}),
      ...(endpoint === undefined ? {} : { endpoint }),
    });
  }
}

/** The attachments of a task that was given these addresses and whose spec, or service, names these networks. */
function attachmentsOf(
  tx: Transaction,
  addresses: readonly AddressIn[],
  refs: ReturnType<typeof networkRefs>,
): readonly NetworkAttachment[] {
  if (addresses.length === 0 && refs.length === 0) return [];
  const given = new Map(addresses.map((one) => [one.networkId, one.addresses]));
  // What is not in its spec is the ingress network, and comes first.
  const extra = [...given.keys()].filter((id) => !refs.some((ref) => ref.target === id));
  const networks: NetworkAttachment[] = [];
  for (const networkId of new Set([...extra, ...refs.map((ref) => ref.target)])) {
    const network = tx.networks.get(networkId);
    if (network === undefined) continue;
    const ref = refs.find(({ target }) => target === networkId);
    networks.push(attachmentTo(network, given.get(networkId) ?? [], ref));
  }
  return networks;
}

/** The task, if it is still for the allocator to move. */
function newTask(tx: Transaction, id: string): TaskRow | undefined {
  const row = tx.tasks.get(id);
  return row?.state === TaskState.NEW ? row : undefined;
}

function attachmentsTo(tx: Transaction, list: readonly AddressIn[]): NetworkAttachment[] {
  return list.flatMap(({ networkId, addresses }) => {
    const network = tx.networks.get(networkId);
    return network === undefined ? [] : [attachmentTo(network, addresses)];
  });
}

/** Whether both say the same, the networks' own contents aside. */
function sameAddresses(a: readonly NetworkAttachment[], b: readonly NetworkAttachment[]): boolean {
  return deepEqual(a.map(plainly), b.map(plainly));
}

function plainly({ network, addresses }: NetworkAttachment): unknown {
  return [network?.id, addresses];
}
