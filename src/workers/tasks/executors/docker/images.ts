/** Images: used as the engine has them, else pulled, with the registry's own words when that fails. */
import type Docker from 'dockerode';
import type { ContainerSpec } from '../../../../shared/wire/gen/specs.ts';
import type { Cancellation } from '../cancellation.ts';
import { CancelledError } from '../errors.ts';
import type { ExecutorLog } from '../executor.ts';
import { call, callOptional } from './calls.ts';

/** How often a pull's progress is told. */
const PROGRESS_MS = 5_000;

/** A reference without its tag if it has a digest: that alone decides. */
export function imageReference(image: string): string {
  const [name = '', digest] = image.split('@');
  return digest === undefined ? image : `${repositoryAndTag(name)[0]}@${digest}`;
}

function repositoryAndTag(name: string): [repository: string, tag: string | undefined] {
  const colon = name.lastIndexOf(':');
  if (colon <= name.lastIndexOf('/')) return [name, undefined];
  return [name.slice(0, colon), name.slice(colon + 1)];
}

export class EngineImages {
  readonly #docker: Docker;
  readonly #policy: 'missing' | 'always';
  readonly #log: ExecutorLog;

  constructor(docker: Docker, policy: 'missing' | 'always', log: ExecutorLog) {
    this.#docker = docker;
    this.#policy = policy;
    this.#log = log;
  }

  /**
   * Sees to it that the engine has the image, as far as the policy asks.
   *
   * @returns why the pull failed, if it did: it matters only if the container cannot be made
   */
  async ensure(spec: ContainerSpec, cancellation: Cancellation): Promise<string | undefined> {
    const reference = imageReference(spec.image);
    const isId = reference.startsWith('sha256:');
    if (this.#policy === 'missing' || isId) {
      const image = this.#docker.getImage(reference);
      const found = await callOptional(async () => image.inspect(), cancellation);
      if (found !== undefined || isId) return undefined;
    }
    try {
      await this.#pull(reference, spec.pullOptions?.registryAuth ?? '', cancellation);
      return undefined;
    } catch (error) {
      if (error instanceof CancelledError) throw error;
      const text = error instanceof Error ? error.message : String(error);
      this.#log.warn({ image: spec.image, error: text }, 'an image could not be pulled');
      return text;
    }
  }

  async #pull(reference: string, auth: string, cancellation: Cancellation): Promise<void> {
    const [name = '', digest] = reference.split('@');
    const [repository, tag] = repositoryAndTag(name);
    const stream = await call(async () => {
      const options = {
        fromImage: repository,
        tag: digest ?? tag ?? 'latest',
        abortSignal: cancellation.signal,
        // The credentials go as the client gave them, whatever scheme they are of.
        ...(auth !== '' && { authconfig: { key: auth } }),
      };
      return this.#docker.createImage(options);
    }, cancellation);
    await call(() => this.#follow(reference, stream), cancellation);
  }

  /** Reads a pull's progress to its end. @throws what the registry or the engine said */
  async #follow(image: string, stream: NodeJS.ReadableStream): Promise<void> {
    let rest = '';
    let toldMs = performance.now();
    for await (const chunk of stream) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const { error, status, progress } = pullLine(line);
        if (error !== undefined) throw new Error(error);
        if (performance.now() - toldMs < PROGRESS_MS) continue;
        toldMs = performance.now();
        this.#log.info({ image, status, progress }, 'pulling an image');
      }
    }
  }
}

type PullLine = { readonly error?: string; readonly status?: string; readonly progress?: string };

function pullLine(line: string): PullLine {
  if (line.trim() === '') return {};
  const parsed: unknown = JSON.parse(line);
  return typeof parsed === 'object' && parsed !== null ? parsed : {};
}
