/** Published ports: `8080:80/tcp`, `80`, ranges, or `published=8080,target=80,mode=host`. */
import {
  PortConfig,
  PortConfigProtocol,
  PortConfigPublishMode,
} from '../../../shared/wire/gen/types.ts';
import { readFields } from './fields.ts';
import { integerOf, notA, SyntaxProblem, wordOf } from './problem.ts';

export const PROTOCOLS = {
  tcp: PortConfigProtocol.TCP,
  udp: PortConfigProtocol.UDP,
  sctp: PortConfigProtocol.SCTP,
} as const;
export const PUBLISH_MODES = {
  ingress: PortConfigPublishMode.INGRESS,
  host: PortConfigPublishMode.HOST,
} as const;
const EXAMPLE = '8080:80, 53:53/udp or published=8080,target=80,mode=host';
const PORT_MAX = 65_535;

type Range = { readonly first: number; readonly count: number };

function rangeOf(text: string, whole: string): Range {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first < 1 || last < first || last > PORT_MAX) {
    throw notA(whole, 'a published port', EXAMPLE);
  }
  return { first, count: last - first + 1 };
}

/** The ports that the text publishes; one of a range each. */
export function portsOf(text: string): readonly PortConfig[] {
  return text.includes('=') ? [longPort(text)] : shortPorts(text);
}

function shortPorts(text: string): readonly PortConfig[] {
  const [numbers = '', word] = text.split('/', 2);
  const protocol = wordOf(PROTOCOLS, (word ?? 'tcp').toLowerCase(), 'a protocol');
  const parts = numbers.split(':');
  if (parts.length > 2) {
    throw new SyntaxProblem(
      `"${text}": a port of a service is published on every address of a node; leave the host address out`,
    );
  }
  const target = rangeOf(parts.at(-1) ?? '', text);
  const published = parts.length === 1 ? undefined : rangeOf(parts[0] ?? '', text);
  if (published !== undefined && published.count !== target.count) {
    throw new SyntaxProblem(`"${text}": both ranges must be of one size, e.g. 8000-8002:80-82`);
  }
  return Array.from({ length: target.count }, (_, at) =>
    PortConfig.create({
      protocol,
      targetPort: target.first + at,
      publishedPort: published === undefined ? 0 : published.first + at,
    }),
  );
}

function longPort(text: string): PortConfig {
  let port = PortConfig.create();
  const published = (value: string): void =>
    void (port = { ...port, publishedPort: integerOf(value, 0, PORT_MAX) });
  const target = (value: string): void =>
    void (port = { ...port, targetPort: integerOf(value, 1, PORT_MAX) });
  readFields(
    text,
    {
      published,
      target,
      protocol: (value) =>
        void (port = { ...port, protocol: wordOf(PROTOCOLS, value.toLowerCase(), 'a protocol') }),
      mode: (value) =>
        void (port = { ...port, publishMode: wordOf(PUBLISH_MODES, value, 'a publish mode') }),
      name: (value) => void (port = { ...port, name: value }),
    },
    { example: EXAMPLE },
  );
  if (port.targetPort === 0)
    throw new SyntaxProblem(`"${text}" has no target; write e.g. ${EXAMPLE}`);
  return port;
}

/** A port for people: `*:8080->80/tcp`, with `(host)` where only the task's own node has it. */
export function portText(port: PortConfig): string {
  const protocol = Object.keys(PROTOCOLS)[port.protocol] ?? 'tcp';
  const host = port.publishMode === PortConfigPublishMode.HOST ? ' (host)' : '';
  const published = port.publishedPort === 0 ? '' : `*:${port.publishedPort}->`;
  return `${published}${port.targetPort}/${protocol}${host}`;
}
