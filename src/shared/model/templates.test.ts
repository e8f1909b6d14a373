import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Config, Secret, Task } from '../wire/gen/objects.ts';
import { ContainerSpec } from '../wire/gen/specs.ts';
import { expandTemplate, TemplateError } from './template-text.ts';
import { expandContainerSpec, expandPayload, templateContext } from './templates.ts';

const task = Task.create({
  id: 'task1',
  serviceId: 'service1',
  nodeId: 'node1',
  slot: 3,
  serviceAnnotations: { name: 'web', labels: { tier: 'front', 'com.example.a': 'b' } },
});
const node = { hostname: 'host1', platform: { architecture: 'x86_64', os: 'linux' } };
const context = templateContext(task, node);
const expand = (text: string): string => expandTemplate(text, context);

test('fields, functions, pipelines, branches and trim marks are expanded', () => {
  for (const [text, want] of [
    ['plain }} text', 'plain }} text'],
    ['{{.Service.ID}} {{.Service.Name}} {{.Service.Labels.tier}}', 'service1 web front'],
    ['{{.Node.ID}}/{{.Node.Hostname}}/{{.Node.Platform.OS}}', 'node1/host1/linux'],
    ['{{ .Node.Platform.Architecture }}', 'x86_64'],
    ['{{.Task.ID}} {{.Task.Name}} {{.Task.Slot}}', 'task1 web.3.task1 3'],
    ['{{join "-" .Task.Slot "a b" `c`}}', '3-a b-c'],
    ['{{ index .Service.Labels "com.example.a" }}', 'b'],
    ['{{ .Task.Slot | join "," "1" "2" }}', '1,2,3'],
    ['{{ join "," (join "-" "a" "b") "c" }}', 'a-b,c'],
    ['a {{- /* nothing */ -}} b', 'ab'],
    ['a  {{- .Task.Slot -}}  b', 'a3b'],
    ['{{if eq .Task.Slot "3"}}three{{else}}other{{end}}', 'three'],
    ['{{if eq .Task.Slot "4"}}four{{else if ne .Node.ID ""}}node{{else}}other{{end}}', 'node'],
    ['{{if not (eq .Task.Slot "3")}}{{.Bad}}{{end}}!', '!'],
    ['{{"quoted }} \\" text"}}', 'quoted }} " text'],
    ['{{.Service.Labels}}', 'map[com.example.a:b tier:front]'],
  ] as const) {
    assert.equal(expand(text), want, text);
  }
});

test('what is not there is an error, never an empty text', () => {
  for (const [text, message] of [
    ['{{.Bad}}', /can't evaluate field Bad/],
    ['{{.Service.Bad}}', /can't evaluate field Bad in \.Service\.Bad/],
    ['{{.Service.Labels.none}}', /map has no entry for key "none"/],
    ['{{.Service.Labels.constructor}}', /map has no entry for key "constructor"/],
    ['{{.Task.Slot.Deep}}', /can't evaluate field Deep/],
    ['{{constructor "a"}}', /function "constructor" not defined/],
    ['{{secret "a"}}', /function "secret" not defined/],
    ['{{.Task}}', /is no text/],
    ['{{.Task.ID', /unclosed action/],
    ['{{}}', /missing value/],
    ['{{range .Service.Labels}}{{end}}', /range.*not supported/],
    ['{{if .Task.ID}}', /without \{\{end\}\}/],
    ['{{end}}', /unexpected \{\{end\}\}/],
    ['{{.Task.ID "a"}}', /can't give argument/],
    ['{{$x := 1}}', /unexpected "\$x := 1"/],
    ['{{join "a" (print "b"}}', /unclosed left paren/],
  ] as const) {
    assert.throws(
      () => expand(text),
      (error) => error instanceof TemplateError && message.test(error.message),
      text,
    );
  }
});

test('any text either expands or is refused as a template', () => {
  const piece = fc.constantFrom(
    '{{',
    '}}',
    '-',
    '.Task',
    '.ID',
    '"',
    '`',
    '|',
    '(',
    ')',
    'join ',
    ' ',
    'if',
    'end',
    'x',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      try {
        assert.equal(typeof expand(pieces.join('')), 'string');
      } catch (error) {
        assert.ok(error instanceof TemplateError, String(error));
      }
    }),
  );
});

test('slot 0 stands for the node', () => {
  const global = templateContext(Task.create({ ...task, slot: 0 }), node);
  assert.equal(expandTemplate('{{.Task.Slot}} {{.Task.Name}}', global), 'node1 web.node1.task1');
});

test('a spec is expanded where templates may stand, and nowhere else', () => {
  const spec = ContainerSpec.create({
    hostname: '{{.Task.Slot}}.{{.Service.Name}}',
    env: ['SLOT={{.Task.Slot}}', '{{.Task.ID}}=x', 'BARE'],
    args: ['{{.Task.ID}}'],
    mounts: [
      {
        source: 'vol-{{.Task.Slot}}',
        target: '/data/{{.Node.ID}}',
        volumeOptions: {
          labels: { '{{.Task.ID}}': '{{.Task.ID}}' },
          driverConfig: { name: '{{.Task.ID}}', options: { size: '{{.Task.Slot}}g' } },
        },
      },
    ],
  });
  const expanded = expandContainerSpec(spec, context);
  assert.equal(expanded.hostname, '3.web');
  assert.deepEqual(expanded.env, ['SLOT=3', '{{.Task.ID}}=x', 'BARE']);
  assert.deepEqual(expanded.args, ['{{.Task.ID}}']);
  const mount = expanded.mounts[0];
  assert.deepEqual([mount?.source, mount?.target], ['vol-3', '/data/node1']);
  assert.deepEqual(mount?.volumeOptions?.labels, { '{{.Task.ID}}': 'task1' });
  assert.deepEqual(mount?.volumeOptions?.driverConfig, {
    name: '{{.Task.ID}}',
    options: { size: '3g' },
  });
});

test('errors say which part of the spec failed', () => {
  for (const [init, message] of [
    [{ env: ['A={{.Bad}}'] }, /^TemplateError: expanding env failed: template: /],
    [{ mounts: [{ source: '{{.Bad}}' }] }, /^TemplateError: expanding mounts failed: template: /],
    [{ hostname: '{{.Bad}}' }, /^TemplateError: expanding hostname failed: template: /],
  ] as const) {
    assert.throws(() => expandContainerSpec(ContainerSpec.create(init), context), message);
  }
});

test('a payload may draw in the task’s own secrets, configs and environment', () => {
  const sources = {
    context,
    spec: ContainerSpec.create({
      env: ['MODE=fast'],
      secrets: [{ secretId: 's', target: { case: 'file', value: { name: 'pass' } } }],
      configs: [{ configId: 'c', target: { case: 'file', value: { name: '/conf' } } }],
    }),
    secret: () => Secret.create({ spec: { data: Buffer.from('hush') } }),
    config: () => Config.create({ spec: { data: Buffer.from('open') } }),
  };
  const golang = { name: 'golang', options: {} };
  const payload = (text: string, templating = golang) =>
    expandPayload('secret x', { data: Buffer.from(text), templating }, sources);
  const full = payload('{{secret "pass"}} {{config "/conf"}} {{env "MODE"}}{{env "NONE"}}!');
  assert.equal(Buffer.from(full.data).toString(), 'hush open fast!');
  assert.equal(full.sensitive, true);
  assert.equal(payload('{{config "/conf"}}').sensitive, false);
  assert.throws(
    () => payload('{{secret "no"}}'),
    /^TemplateError: failed to expand templated secret x: secret target no not found$/,
  );
  assert.throws(() => payload('{{config "no"}}'), /config target no not found/);
  assert.throws(() => payload('x', { name: 'other', options: {} }), /unrecognized template type/);
  const raw = Buffer.from('{{.Bad}}');
  assert.equal(expandPayload('x', { data: raw, templating: undefined }, sources).data, raw);
});
