/** Where a task finds a secret, a config or a network: `NAME`, `source=NAME,target=FILE,mode=0400`. */
import {
  ConfigReference,
  type FileTarget,
  NetworkAttachmentConfig,
  SecretReference,
} from '../../../shared/wire/gen/types.ts';
import { pairOf, readFields } from './fields.ts';
import { SyntaxProblem } from './problem.ts';

type Reference = { readonly source: string; readonly file: FileTarget };

/** Everybody in the container may read it. */
const DEFAULT_MODE = 0o444;

/** An octal file mode. */
export function modeOf(text: string): number {
  if (!/^0?o?[0-7]{1,4}$/.test(text)) {
    throw new SyntaxProblem(`"${text}" is not a file mode; write e.g. 0440`);
  }
  return Number.parseInt(text.replace('o', ''), 8);
}

function referenceOf(
  text: string,
  kind: 'secret' | 'config',
  target: (name: string) => string,
): Reference {
  if (!text.includes('=')) {
    const [source = '', name] = text.split(':', 2);
    if (source === '') throw new SyntaxProblem(`"${text}" names no ${kind}`);
    return { source, file: fileOf(name ?? target(source)) };
  }
  let source = '';
  let file: Partial<FileTarget> = {};
  const readSource = (value: string): void => void (source = value);
  const readTarget = (value: string): void => void (file = { ...file, name: value });
  readFields(
    text,
    {
      source: readSource,
      src: readSource,
      target: readTarget,
      uid: (value) => void (file = { ...file, uid: value }),
      gid: (value) => void (file = { ...file, gid: value }),
      mode: (value) => void (file = { ...file, mode: modeOf(value) }),
    },
    { example: `source=my-${kind},target=/run/my-${kind},mode=0400` },
  );
  if (source === '') throw new SyntaxProblem(`"${text}" has no source: which ${kind} is it?`);
  return { source, file: { ...fileOf(target(source)), ...file } };
}

const fileOf = (name: string): FileTarget => ({ name, uid: '0', gid: '0', mode: DEFAULT_MODE });

/** A secret by name, its id still to be found; it stands below `/run/secrets` unless its target is a path. */
export function secretReferenceOf(text: string): SecretReference {
  const { source, file } = referenceOf(text, 'secret', (name) => name);
  return SecretReference.create({ secretName: source, target: { case: 'file', value: file } });
}

/** A config by name, its id still to be found; it stands at the root unless its target says otherwise. */
export function configReferenceOf(text: string): ConfigReference {
  const { source, file } = referenceOf(text, 'config', (name) => `/${name}`);
  return ConfigReference.create({ configName: source, target: { case: 'file', value: file } });
}

/** A network by name or id, `name=front,alias=web,driver-opt=k=v` or the name alone. */
export function networkReferenceOf(text: string): NetworkAttachmentConfig {
  if (!text.includes('=')) {
    if (text === '') throw new SyntaxProblem('the name of a network is empty');
    return NetworkAttachmentConfig.create({ target: text });
  }
  let target = '';
  const aliases: string[] = [];
  const options: Record<string, string> = {};
  readFields(
    text,
    {
      name: (value) => void (target = value),
      alias: (value) => void aliases.push(value),
      'driver-opt': (value) => {
        const [key, option] = pairOf(value);
        options[key] = option;
      },
    },
    { example: 'name=front,alias=web' },
  );
  if (target === '') throw new SyntaxProblem(`"${text}" names no network; write e.g. name=front`);
  return NetworkAttachmentConfig.create({ target, aliases, driverAttachmentOpts: options });
}
