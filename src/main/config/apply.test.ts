import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Control, withCluster } from '../cli/connection.ts';
import { openControlSocket } from '../cli/testing/control-socket.ts';
import { Application, type Applied } from './apply.ts';
import { readClusterFile } from './cluster-file.ts';

const around = { readFile: () => Buffer.from(''), environment: {} };

const FILE = `
name: demo
networks:
  front: { subnet: 10.5.0.0/24, labels: { a: b } }
secrets:
  key: { content: one }
configs:
  site: { content: "<h1>hello</h1>" }
services:
  web:
    image: nginx
    replicas: 2
    networks: [front]
    secrets: [key]
    configs: [{ source: site, target: /site.html }]
    ports: ["8080:80"]
    environment: { LEVEL: debug }
    restart: { condition: on-failure, delay: 1s }
    healthcheck: { test: [CMD, "true"], interval: 2s }
    resources: { limits: { cpus: 0.5, memory: 64m } }
  worker: { image: busybox, mode: global }
`;

async function apply(control: Control, text: string): Promise<Applied> {
  return new Application(control, readClusterFile(text, 'demo.yaml', around)).run();
}

const summary = ({ changes }: Applied): readonly string[] =>
  changes
    .filter(({ action }) => action !== 'unchanged')
    .map(({ action, kind, name }) => `${action} ${kind} ${name}`);

test('the same file applied again changes nothing; a difference changes that and no more', async () => {
  await using socket = await openControlSocket();
  await withCluster(socket.path, async ({ control }) => {
    assert.deepEqual(summary(await apply(control, FILE)), [
      'created network front',
      'created secret key',
      'created config site',
      'created service web',
      'created service worker',
    ]);
    const before = (await control.ListServices({})).services;
    assert.deepEqual(summary(await apply(control, FILE)), []);
    assert.deepEqual((await control.ListServices({})).services, before);
    assert.deepEqual(summary(await apply(control, FILE.replace('replicas: 2', 'replicas: 3'))), [
      'updated service web',
    ]);
  });
});

test('what vanished from the file is removed, and what is not of the file is left alone', async () => {
  await using socket = await openControlSocket();
  await withCluster(socket.path, async ({ control }) => {
    const other = { annotations: { name: 'other' }, data: Buffer.from('x') };
    await control.CreateConfig({ spec: other });
    await apply(control, FILE);
    assert.deepEqual(summary(await apply(control, 'name: demo\n')), [
      'removed service web',
      'removed service worker',
      'removed secret key',
      'removed config site',
      'removed network front',
    ]);
    const { configs } = await control.ListConfigs({});
    assert.deepEqual(
      configs.map(({ spec }) => spec.annotations.name),
      ['other'],
    );
  });
});

test('a secret or config with other content becomes a new version, and its services follow', async () => {
  await using socket = await openControlSocket();
  await withCluster(socket.path, async ({ control }) => {
    await apply(control, FILE);
    const changed = FILE.replace('content: one', 'content: two');
    const steps = summary(await apply(control, changed));
    assert.deepEqual(steps, ['created secret key', 'updated service web', 'removed secret key']);
    const { secrets } = await control.ListSecrets({});
    assert.match(secrets[0]?.spec.annotations.name ?? '', /^key-[0-9a-f]{8}$/);
    assert.deepEqual(summary(await apply(control, changed)), []);
  });
});

test('objects of others that have the name are refused, and so is a network that differs', async () => {
  await using socket = await openControlSocket();
  await withCluster(socket.path, async ({ control }) => {
    await apply(control, FILE);
    await assert.rejects(
      apply(control, FILE.replace('10.5.0.0', '10.6.0.0')),
      /network front differs from the file, and a network cannot be changed/,
    );
    await assert.rejects(
      apply(control, FILE.replace('name: demo', 'name: other')),
      /network front exists and is not of this file/,
    );
  });
});
