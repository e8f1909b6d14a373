/** One record of a task's output as the wire carries it (SPEC.md, rule LGS6). */
import { LogMessage, LogStream } from '../../shared/wire/gen/logbroker.ts';
import type { LogRecord } from './executors/executor.ts';

const LINE_END = 0x0a;

/**
 * The record with its line end: a Docker manager writes the data of engines out as it comes, and so
 * would run the lines of ours together.
 */
export function logMessage(context: LogMessage['context'], record: LogRecord): LogMessage {
  const data = new Uint8Array(record.data.length + 1);
  data.set(record.data);
  data[record.data.length] = LINE_END;
  return LogMessage.create({
    context,
    timestamp: record.timestamp,
    stream: record.stream === 'stdout' ? LogStream.LOG_STREAM_STDOUT : LogStream.LOG_STREAM_STDERR,
    data,
  });
}
