import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timestampOf } from '../../../shared/model/time.ts';
import { Service, Task } from '../../../shared/wire/gen/objects.ts';
import { EndpointSpecResolutionMode } from '../../../shared/wire/gen/specs.ts';
import { PortConfigPublishMode, TaskState } from '../../../shared/wire/gen/types.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { taskTemplate } from './task-template.ts';

const { VIP } = EndpointSpecResolutionMode;
const { HOST, INGRESS } = PortConfigPublishMode;

function taskOf(service: Init<Service>): Task {
  const template = taskTemplate(
    Service.create({ id: 'web', ...service }),
    undefined,
    TaskState.RUNNING,
    timestampOf(1000),
  );
  return Task.create(template);
}

const facts = ({ status, endpoint }: Task): unknown => [status.state, status.message, endpoint];
const pending = (task: Task): boolean => task.status.state === TaskState.PENDING;

test('[ORC17] a task that wants nothing of the allocator begins as PENDING', () => {
  assert.deepEqual(facts(taskOf({})), [TaskState.PENDING, 'pending task scheduling', undefined]);
  const docker = taskOf({ spec: { endpoint: { mode: VIP } } });
  assert.ok(pending(docker));
  assert.deepEqual(docker.endpoint?.spec?.mode, VIP);
  assert.deepEqual(docker.endpoint.ports, []);
});

test('[ORC17] its endpoint has the host ports of the spec', () => {
  const port = { targetPort: 80, publishedPort: 8080, publishMode: HOST };
  const task = taskOf({ spec: { endpoint: { ports: [port] } } });
  assert.ok(pending(task));
  assert.deepEqual(
    task.endpoint?.ports.map((one) => one.publishedPort),
    [8080],
  );
});

test('[ORC17] a task begins as NEW when it, its service or what its service still holds is the allocator’s', () => {
  const network = { target: 'net' };
  const published = { targetPort: 80, publishedPort: 8080, publishMode: INGRESS };
  const wanting: readonly Init<Service>[] = [
    { spec: { task: { networks: [network] } } },
    { spec: { networks: [network] } },
    { spec: { endpoint: { ports: [published] } } },
    { endpoint: { ports: [published] } },
    { endpoint: { virtualIps: [{ networkId: 'net', addr: '10.0.0.2/24' }] } },
  ];
  for (const service of wanting) {
    const task = taskOf(service);
    const { endpoint } = service.spec ?? {};
    assert.deepEqual([task.status.state, task.status.message], [TaskState.NEW, 'created']);
    assert.equal(task.endpoint?.ports.length ?? 0, 0);
    assert.equal(task.endpoint?.spec?.ports.length, endpoint?.ports?.length);
  }
});
