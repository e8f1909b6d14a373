/** The tasks that fill the store: of a hundred services, on a thousand nodes. */
import type { NewTask, TaskPatch } from '../../src/main/store/transaction.ts';
import { Task } from '../../src/shared/wire/gen/objects.ts';
import { RestartPolicyRestartCondition, TaskState } from '../../src/shared/wire/gen/types.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';
import { chunks, newId } from './opened.ts';

export const NODES = 1000;
export const SERVICES = 100;

function templateOf(service: number): Init<Task> {
  const annotations = { name: `service-${service}`, labels: { team: 'storage', tier: 'web' } };
  return {
    serviceId: `service${String(service).padStart(18, '0')}`,
    serviceAnnotations: annotations,
    specVersion: { index: 7 },
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.NEW, message: 'created' },
    spec: {
      runtime: {
        case: 'container',
        value: {
          image: 'registry.example.org/team/application:1.2.3@sha256:0123456789abcdef',
          args: ['--listen', ':8080', '--verbose'],
          env: ['A=1', 'LOG_LEVEL=info', 'REGION=north', `SERVICE=${service}`],
          labels: { tier: 'web' },
        },
      },
      restart: { condition: RestartPolicyRestartCondition.ANY, delay: { seconds: 5 } },
      placement: { constraints: ['node.labels.zone==a'] },
    },
  };
}

export const firstServiceId = templateOf(0).serviceId ?? '';

export const nodeIds = Array.from({ length: NODES }, newId);

/** Transactions that create the tasks, by service. */
export function* creations(ids: readonly string[]) {
  const perService = Math.ceil(ids.length / SERVICES);
  for (let n = 0; n < SERVICES; n += 1) {
    const template = templateOf(n);
    let slot = 0;
    for (const chunk of chunks(ids.slice(n * perService, (n + 1) * perService))) {
      const rows = chunk.map((id): NewTask => {
        slot += 1;
        return { id, slot, nodeId: '', name: `service-${n}.${slot}.${id}` };
      });
      yield { template, rows };
    }
  }
}

export function running(containerId: string): TaskPatch {
  const now = { seconds: 1_700_000_000, nanos: 123_456_789 };
  const { status } = Task.create({
    status: {
      state: TaskState.RUNNING,
      message: 'started',
      timestamp: now,
      appliedBy: nodeIds[0] ?? '',
      appliedAt: now,
      runtimeStatus: { case: 'container', value: { containerId, pid: 4711 } },
    },
  });
  return { status };
}
