/**
 * What `service create` and `service update` make of their flags: a spec whose networks, secrets and
 * configs are still named, to be found later. Every problem names its flag.
 */
import { forFlag } from '../flag-map.ts';
import { ServiceSpec } from '../../../shared/wire/gen/specs.ts';
import { RestartPolicyRestartCondition } from '../../../shared/wire/gen/types.ts';
import { environmentFileOf } from '../syntax/container-settings.ts';
import { wordOf } from '../syntax/problem.ts';
import { withContainer, withRestart } from './edit.ts';
import { LISTS } from './lists.ts';
import { SETTINGS } from './settings.ts';

/** Flags as parsed: a switch is a boolean, a list flag has many values. */
export type RawFlags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

const textsOf = (value: RawFlags[string]): readonly string[] =>
  typeof value === 'object' ? value : [];

const textOf = (value: string | boolean | readonly string[]): string =>
  typeof value === 'object' ? value.join(',') : String(value);

function withSettings(spec: ServiceSpec, flags: RawFlags): ServiceSpec {
  let edited = spec;
  for (const [flag, { edit }] of Object.entries(SETTINGS)) {
    const value = flags[flag];
    if (value === undefined) continue;
    edited = forFlag(flag, () => edit(edited, textOf(value)));
  }
  return edited;
}

const MODES = {
  replicated: (): ServiceSpec['mode'] => ({ case: 'replicated', value: { replicas: 1n } }),
  global: (): ServiceSpec['mode'] => ({ case: 'global', value: {} }),
  'replicated-job': (): ServiceSpec['mode'] => ({
    case: 'replicatedJob',
    value: { maxConcurrent: 1n, totalCompletions: 1n },
  }),
  'global-job': (): ServiceSpec['mode'] => ({ case: 'globalJob', value: {} }),
} as const;

export const SERVICE_MODES = Object.keys(MODES);

/** A service of that mode with nothing in it; its restart condition is explicit. */
export function emptySpec(name: string, mode: string): ServiceSpec {
  const spec = ServiceSpec.create({
    annotations: { name },
    mode: wordOf(MODES, mode, 'a service mode')(),
    task: { runtime: { case: 'container', value: {} } },
  });
  const { ANY, ON_FAILURE } = RestartPolicyRestartCondition;
  return withRestart(spec, { condition: mode.endsWith('-job') ? ON_FAILURE : ANY });
}

/** `environmentFiles` are the contents of the files that `--env-file` names. */
export function createdSpec(
  flags: RawFlags,
  {
    name,
    image,
    args,
    environmentFiles,
  }: {
    readonly name: string;
    readonly image: string;
    readonly args: readonly string[];
    readonly environmentFiles: readonly string[];
  },
): ServiceSpec {
  let spec = forFlag('mode', () => emptySpec(name, textOf(flags['mode'] ?? 'replicated')));
  const files = forFlag('env-file', () =>
    environmentFiles.flatMap((text) => environmentFileOf(text, process.env)),
  );
  spec = withContainer(spec, { image, args });
  spec = LISTS['env']?.add(spec, files) ?? spec;
  for (const [flag, list] of Object.entries(LISTS)) {
    const texts = textsOf(flags[flag]);
    if (texts.length > 0) spec = forFlag(flag, () => list.add(spec, texts));
  }
  return withJobDefaults(withSettings(spec, flags), flags);
}

/** All tasks of a job run at once unless it says otherwise. */
function withJobDefaults(spec: ServiceSpec, flags: RawFlags): ServiceSpec {
  if (spec.mode?.case !== 'replicatedJob' || flags['max-concurrent'] !== undefined) return spec;
  const value = { ...spec.mode.value, maxConcurrent: spec.mode.value.totalCompletions };
  return { ...spec, mode: { case: 'replicatedJob', value } };
}

/** The stored spec with what the flags change; removals come before additions. */
export function updatedSpec(stored: ServiceSpec, flags: RawFlags): ServiceSpec {
  let spec = stored;
  for (const [flag, list] of Object.entries(LISTS)) {
    const gone = textsOf(flags[`${flag}-rm`]);
    if (gone.length > 0) spec = forFlag(`${flag}-rm`, () => list.remove(spec, gone));
    const added = textsOf(flags[`${flag}-add`]);
    if (added.length > 0) spec = forFlag(`${flag}-add`, () => list.add(spec, added));
  }
  return withSettings(spec, flags);
}
