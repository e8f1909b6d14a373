/** Mounts: `type=volume,source=data,target=/data,readonly`, and the short `data:/data:ro` of files. */
import {
  Mount,
  MountBindOptionsPropagation,
  MountConsistency,
  MountType,
} from '../../../shared/wire/gen/types.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { pairOf, readFields } from './fields.ts';
import { booleanOf, SyntaxProblem, wordOf } from './problem.ts';
import { bytesOf } from './quantities.ts';

export const MOUNT_TYPES = {
  bind: MountType.BIND,
  volume: MountType.VOLUME,
  tmpfs: MountType.TMPFS,
  npipe: MountType.NPIPE,
  cluster: MountType.CLUSTER,
} as const;
const PROPAGATIONS = {
  rprivate: MountBindOptionsPropagation.RPRIVATE,
  private: MountBindOptionsPropagation.PRIVATE,
  rshared: MountBindOptionsPropagation.RSHARED,
  shared: MountBindOptionsPropagation.SHARED,
  rslave: MountBindOptionsPropagation.RSLAVE,
  slave: MountBindOptionsPropagation.SLAVE,
} as const;
const CONSISTENCIES = {
  default: MountConsistency.DEFAULT,
  consistent: MountConsistency.CONSISTENT,
  cached: MountConsistency.CACHED,
  delegated: MountConsistency.DELEGATED,
} as const;
const EXAMPLE = 'type=volume,source=data,target=/data';

type Draft = {
  -readonly [K in keyof Init<Mount>]: Init<Mount>[K];
};

/** A mount of fields. */
export function mountOf(text: string): Mount {
  const mount: Draft = { type: MountType.VOLUME };
  const set = (change: Init<Mount>): void => void Object.assign(mount, change);
  const volume = (change: Init<NonNullable<Mount['volumeOptions']>>): void =>
    set({ volumeOptions: { ...mount.volumeOptions, ...change } });
  const driver = (change: Init<NonNullable<Mount['volumeOptions']>>['driverConfig']): void =>
    volume({ driverConfig: { ...mount.volumeOptions?.driverConfig, ...change } });
  const source = (value: string): void => set({ source: value });
  const target = (value: string): void => set({ target: value });
  const readonly = (value: string): void => set({ readonly: booleanOf(value) });
  const bind = (change: Init<NonNullable<Mount['bindOptions']>>): void =>
    set({ bindOptions: { ...mount.bindOptions, ...change } });
  const readers = {
    type: (value: string) => set({ type: wordOf(MOUNT_TYPES, value, 'a mount type') }),
    source,
    src: source,
    target,
    dst: target,
    destination: target,
    readonly,
    ro: readonly,
    consistency: (value: string) =>
      set({ consistency: wordOf(CONSISTENCIES, value, 'a consistency') }),
    'bind-propagation': (value: string) =>
      bind({ propagation: wordOf(PROPAGATIONS, value, 'a propagation') }),
    'bind-nonrecursive': (value: string) => bind({ nonrecursive: booleanOf(value) }),
    'bind-create-src': (value: string) => bind({ createmountpoint: booleanOf(value) }),
    'volume-nocopy': (value: string) => volume({ nocopy: booleanOf(value) }),
    'volume-subpath': (value: string) => volume({ subpath: value }),
    'volume-label': (value: string) => {
      const [key, label] = pairOf(value);
      volume({ labels: { ...mount.volumeOptions?.labels, [key]: label } });
    },
    'volume-driver': (value: string) => driver({ name: value }),
    'volume-opt': (value: string) => {
      const [key, option] = pairOf(value);
      const options = mount.volumeOptions?.driverConfig?.options;
      driver({ options: { ...options, [key]: option } });
    },
    'tmpfs-size': (value: string) =>
      set({ tmpfsOptions: { ...mount.tmpfsOptions, sizeBytes: bytesOf(value) } }),
    'tmpfs-mode': (value: string) => {
      if (!/^[0-7]{1,5}$/.test(value)) {
        throw new SyntaxProblem(`"${value}" is not a file mode; write e.g. 1777`);
      }
      set({ tmpfsOptions: { ...mount.tmpfsOptions, mode: Number.parseInt(value, 8) } });
    },
  };
  const bare = ['readonly', 'ro', 'volume-nocopy', 'bind-nonrecursive', 'bind-create-src'];
  readFields(text, readers, { bare, example: EXAMPLE });
  return checked(Mount.create(mount), text);
}

/** `SOURCE:TARGET[:ro]` or a target alone; a source that is a path is bound, another is a volume. */
export function shortMountOf(text: string): Mount {
  if (text.includes('=')) return mountOf(text);
  const parts = text.split(':');
  const [source = '', target = '', options = ''] = parts.length === 1 ? ['', text] : parts;
  if (parts.length > 3 || !['', 'ro', 'rw'].includes(options)) {
    throw new SyntaxProblem(`"${text}" is not a mount; write e.g. data:/data or ./web:/web:ro`);
  }
  const type = /^[./~]/.test(source) ? MountType.BIND : MountType.VOLUME;
  return checked(Mount.create({ type, source, target, readonly: options === 'ro' }), text);
}

function checked(mount: Mount, text: string): Mount {
  const wrong = (what: string): SyntaxProblem =>
    new SyntaxProblem(`"${text}" ${what}, e.g. ${EXAMPLE}`);
  if (mount.target === '') throw wrong('has no target');
  if (mount.type === MountType.BIND && mount.source === '') throw wrong('binds no source');
  if (mount.type === MountType.TMPFS && mount.source !== '')
    throw wrong('is a tmpfs with a source');
  return mount;
}
