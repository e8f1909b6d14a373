/** The flags of `service create` and `service update`, from the tables of settings and lists. */
import { Flags } from '@oclif/core';
import { LISTS } from './lists.ts';
import { SETTINGS } from './settings.ts';
import { SERVICE_MODES } from './spec-of-flags.ts';

const many = (description: string, char?: 'e' | 'p' | 'l') =>
  Flags.string({
    description,
    multiple: true,
    multipleNonGreedy: true,
    ...(char === undefined ? {} : { char }),
  });

const settingFlags = Object.fromEntries(
  Object.entries(SETTINGS).map(([name, { about, isSwitch, char }]) => {
    const common = { description: about, ...(char === undefined ? {} : { char }) };
    return [
      name,
      isSwitch === true ? Flags.boolean({ ...common, allowNo: true }) : Flags.string(common),
    ];
  }),
);

const createdLists = Object.fromEntries(
  Object.entries(LISTS).map(([name, { about, char }]) => [name, many(about, char)]),
);

const updatedLists = Object.fromEntries(
  Object.entries(LISTS).flatMap(([name, { about }]) => [
    [`${name}-add`, many(`add: ${about}`)],
    [`${name}-rm`, many(`remove: ${name}`)],
  ]),
);

export const waitFlags = {
  detach: Flags.boolean({ char: 'd', description: 'do not wait until it runs as asked' }),
  timeout: Flags.string({
    description: 'longest to wait; 0 for ever',
    default: '10m',
  }),
  quiet: Flags.boolean({ char: 'q', description: 'show no progress' }),
};

export const createFlags = {
  name: Flags.string({ description: "name; from the image's when not given" }),
  mode: Flags.string({ description: 'how its tasks are counted', options: SERVICE_MODES }),
  'env-file': many('file of environment variables'),
  ...createdLists,
  ...settingFlags,
};

export const updateFlags = {
  image: Flags.string({ description: 'image' }),
  args: Flags.string({ description: 'arguments of the command, as one text' }),
  force: Flags.boolean({ description: 'replace its tasks even if nothing changes' }),
  rollback: Flags.boolean({ description: 'go back to the spec before the last update' }),
  ...updatedLists,
  ...settingFlags,
};
