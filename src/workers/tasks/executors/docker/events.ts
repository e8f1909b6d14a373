/**
 * One stream of the engine's events for all containers of this node, and who waits for a change of
 * which container. When the stream breaks, everybody is woken to look for himself; the next watch
 * opens another.
 */
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { call } from './calls.ts';
import { NODE_ID_LABEL } from './settings.ts';

/** A wait for the next change of a container; `stop` must be called. */
export type Watch = { readonly changed: Promise<void>; readonly stop: () => void };

export class EngineEvents {
  readonly #docker: Docker;
  readonly #nodeId: string;
  readonly #waiters = new Map<string, Set<() => void>>();
  #opening: Promise<void> | undefined;
  #stream: Readable | undefined;

  constructor(docker: Docker, nodeId: string) {
    this.#docker = docker;
    this.#nodeId = nodeId;
  }

  /** Changes of a container from now on: begin to watch, then look at it, then wait. */
  async watch(containerName: string): Promise<Watch> {
    this.#opening ??= this.#open();
    await this.#opening;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiters = this.#waiters.get(containerName) ?? new Set();
    this.#waiters.set(containerName, waiters.add(resolve));
    const stop = (): void => {
      waiters.delete(resolve);
      if (waiters.size === 0) this.#waiters.delete(containerName);
    };
    return { changed: promise, stop };
  }

  close(): void {
    this.#stream?.destroy();
  }

  async #open(): Promise<void> {
    try {
      const filters = JSON.stringify({
        type: ['container'],
        label: [`${NODE_ID_LABEL}=${this.#nodeId}`],
        event: ['start', 'die', 'health_status', 'destroy'],
      });
      const stream = await call(() => this.#docker.getEvents({ filters }));
      this.#stream = stream instanceof Readable ? stream : new Readable().wrap(stream);
      this.#read(this.#stream);
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  #read(stream: Readable): void {
    let rest = '';
    stream.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#wake(nameOf(line));
    });
    const broken = (): void => {
      if (this.#stream !== stream) return;
      this.#opening = undefined;
      this.#stream = undefined;
      for (const name of this.#waiters.keys()) this.#wake(name);
    };
    stream.once('error', broken);
    stream.once('close', broken);
  }

  #wake(containerName: string): void {
    for (const resolve of this.#waiters.get(containerName) ?? []) resolve();
  }
}

type EngineEvent = { readonly Actor?: { readonly Attributes?: { readonly name?: string } } };

function nameOf(line: string): string {
  if (line.trim() === '') return '';
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the engine's own format
  const event = JSON.parse(line) as EngineEvent;
  return event.Actor?.Attributes?.name ?? '';
}
