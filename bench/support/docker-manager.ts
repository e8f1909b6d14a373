/** A real Docker swarm manager, drained, in a network namespace of its own, as a subject of benchmarks. */
import { request } from 'node:http';
import type { DockerEngine } from '../../test/support/dockerd.ts';
import type { Membership } from '../crowd/messages.ts';
import { ProcessStat } from './process-stat.ts';
import type { ServiceShape, Subject } from './subject.ts';

const PORT = 2377;
/** Of the API of Docker 20.10. */
const API = '/v1.41';

type Json = { readonly [key: string]: Json } | readonly Json[] | string | number | boolean | null;

type DockerService = {
  readonly ID: string;
  readonly Version: { readonly Index: number };
  readonly ServiceStatus?: { readonly RunningTasks: number; readonly DesiredTasks: number };
};

export class DockerManager implements Subject {
  readonly name = 'docker';
  readonly stat: ProcessStat;
  readonly address: string;
  readonly membership: Membership;
  readonly #engine: DockerEngine;

  private constructor(engine: DockerEngine, address: string, token: string) {
    this.#engine = engine;
    this.stat = new ProcessStat(engine.pid);
    this.address = address;
    this.membership = { by: 'token', token };
  }

  /** Makes a swarm of `engine`, whose tasks are for workers alone. */
  static async init(engine: DockerEngine, host: string): Promise<DockerManager> {
    const address = `${host}:${PORT}`;
    const call = caller(engine.socketPath);
    await call('POST', '/swarm/init', { ListenAddr: address, AdvertiseAddr: address });
    const { JoinTokens: tokens } = await call<{ readonly JoinTokens: { readonly Worker: string } }>(
      'GET',
      '/swarm',
    );
    const [node] = await call<readonly { ID: string; Version: { Index: number }; Spec: Json }[]>(
      'GET',
      '/nodes',
    );
    if (node === undefined) throw new Error('the swarm has no node');
    await call('POST', `/nodes/${node.ID}/update?version=${node.Version.Index}`, {
      Role: 'manager',
      Availability: 'drain',
    });
    return new DockerManager(engine, address, tokens.Worker);
  }

  async create(shape: ServiceShape): Promise<string> {
    const { ID: id } = await this.#call<{ readonly ID: string }>(
      'POST',
      '/services/create',
      specOf(shape),
    );
    return id;
  }

  async update(id: string, shape: ServiceShape): Promise<void> {
    const { Version: version } = await this.#call<DockerService>('GET', `/services/${id}`);
    const path = `/services/${id}/update?version=${version.Index}`;
    await this.#call('POST', path, specOf(shape));
  }

  async remove(id: string): Promise<void> {
    await this.#call('DELETE', `/services/${id}`);
  }

  async running(): Promise<number> {
    const services = await this.#call<readonly DockerService[]>('GET', '/services?status=true');
    return services.reduce(
      (sum, { ServiceStatus: status }) => sum + (status?.RunningTasks ?? 0),
      0,
    );
  }

  async stored(): Promise<number> {
    return (await this.#call<readonly Json[]>('GET', '/tasks')).length;
  }

  #call<T>(method: string, path: string, body?: Json): Promise<T> {
    return caller(this.#engine.socketPath)<T>(method, path, body);
  }
}

/** Calls the engine's API. The answer is as the API of this version promises it. */
const caller =
  (socketPath: string) =>
  <T>(method: string, path: string, body?: Json): Promise<T> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const call = request({ socketPath, method, path: API + path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('error', reject);
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const status = response.statusCode ?? 0;
          if (status >= 400) reject(new Error(`${method} ${path}: ${status} ${text}`));
          else resolve(text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text);
        });
      });
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });

function specOf({ name, replicas, version = 1 }: ServiceShape): Json {
  return {
    Name: name,
    Mode: { Replicated: { Replicas: replicas } },
    TaskTemplate: {
      ContainerSpec: {
        Image: 'busybox:latest',
        Command: ['sleep', '1000'],
        Env: [`VERSION=${version}`],
      },
      RestartPolicy: { Condition: 'any', Delay: 0 },
    },
    UpdateConfig: { Parallelism: 0, Delay: 0 },
  };
}
