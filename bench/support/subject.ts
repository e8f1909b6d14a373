/** A manager that is measured, whoever made it. */
import type { Membership } from '../crowd/messages.ts';
import type { ProcessStat } from './process-stat.ts';

export type ServiceShape = {
  readonly name: string;
  readonly replicas: number;
  /** Another value is another version of the service. */
  readonly version?: number;
};

export type Subject = {
  readonly name: string;
  readonly stat: ProcessStat;
  /** `host:port` for workers. */
  readonly address: string;
  readonly membership: Membership;
  /** Creates a service; resolves with its id when the manager has answered. */
  create(shape: ServiceShape): Promise<string>;
  update(id: string, shape: ServiceShape): Promise<void>;
  remove(id: string): Promise<void>;
  /** Tasks of all services that run, as the manager's own store has it. */
  running(): Promise<number>;
  /** Tasks in the store, whatever their state. */
  stored(): Promise<number>;
};
