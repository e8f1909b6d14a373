/** Prints one message: its interface and its static codec. */
import type { FieldSchema, MessageSchema, Schema } from './schema.ts';

/** Reader and writer method, wire type and TypeScript type of each scalar. */
const SCALARS: Readonly<
  Record<string, readonly [method: string, wire: number, type: string, zero: string]>
> = {
  double: ['double', 1, 'number', '0'],
  float: ['float', 5, 'number', '0'],
  int32: ['int32', 0, 'number', '0'],
  int64: ['int64', 0, 'number', '0'],
  uint32: ['uint32', 0, 'number', '0'],
  uint64: ['varint', 0, 'number', '0'],
  bool: ['bool', 0, 'boolean', 'false'],
  string: ['string', 2, 'string', "''"],
  bytes: ['bytes', 2, 'Uint8Array', 'EMPTY_BYTES'],
};
const WIDE = ['wide', 0, 'bigint', '0n'] as const;
const ENUM = ['int32', 0, '', '0'] as const;
const WRITE_METHODS: Readonly<Record<string, string>> = {
  int32: 'signed',
  int64: 'signed',
  uint32: 'varint',
};

function scalar(
  field: FieldSchema,
): readonly [method: string, wire: number, type: string, zero: string] {
  if (field.kind === 'enum') return [ENUM[0], 0, field.typeName, '0'];
  return field.wide ? WIDE : (SCALARS[field.valueType] ?? ['bytes', 2, 'never', '0']);
}

/** proto2 bytes are optional in earnest: an empty value is not an absent one. */
const optionalBytes = (m: MessageSchema, f: FieldSchema): boolean => m.proto2 && f.type === 'bytes';

function elementType(field: FieldSchema): string {
  return field.kind === 'message' ? field.typeName : scalar(field)[2];
}

function fieldType(message: MessageSchema, field: FieldSchema): string {
  if (field.label === 'repeated') return `readonly ${elementType(field)}[]`;
  if (field.label === 'map') return `Readonly<Record<string, ${elementType(field)}>>`;
  if (optionalBytes(message, field)) return 'Uint8Array | undefined';
  if (field.kind === 'message' && !field.always) return `${field.typeName} | undefined`;
  return elementType(field);
}

type Slot = {
  readonly key: string;
  readonly oneof: readonly FieldSchema[] | undefined;
  readonly field: FieldSchema;
};

/** The properties of a message: each plain field, and each oneof once. */
function slots(message: MessageSchema): Slot[] {
  const out: Slot[] = [];
  for (const field of message.fields) {
    if (field.oneofKey === undefined) out.push({ key: field.key, oneof: undefined, field });
    else if (!out.some((s) => s.key === field.oneofKey)) {
      const oneof = message.fields.filter((f) => f.oneofKey === field.oneofKey);
      out.push({ key: field.oneofKey, oneof, field });
    }
  }
  return out;
}

const oneofType = (fields: readonly FieldSchema[]): string =>
  [
    ...fields.map((f) => `{ readonly case: '${f.key}'; readonly value: ${elementType(f)} }`),
    'undefined',
  ].join(' | ');

function interfaceCode(message: MessageSchema): string {
  const rows = slots(message).map(
    (s) => `  readonly ${s.key}: ${s.oneof ? oneofType(s.oneof) : fieldType(message, s.field)};\n`,
  );
  return `export type ${message.name} = {\n${rows.join('')}};\n`;
}

function createValue(message: MessageSchema, slot: Slot): string {
  const { key, field } = slot;
  const of = `${field.typeName}.create`;
  if (slot.oneof) {
    const arms = slot.oneof.map((f) => {
      const value =
        f.kind === 'message' ? `${f.typeName}.create(init.${key}.value)` : `init.${key}.value`;
      return `init.${key}?.case === '${f.key}' ? { case: '${f.key}', value: ${value} } : `;
    });
    return `${arms.join('')}undefined`;
  }
  if (field.label === 'repeated') {
    return field.kind === 'message'
      ? `(init.${key} ?? []).map((v) => ${of}(v))`
      : `[...(init.${key} ?? [])]`;
  }
  if (field.label === 'map') return createMap(field);
  if (optionalBytes(message, field)) return `init.${key}`;
  if (field.kind === 'scalar' || field.kind === 'enum') return `init.${key} ?? ${scalar(field)[3]}`;
  return field.always
    ? `${of}(init.${key})`
    : `init.${key} === undefined ? undefined : ${of}(init.${key})`;
}

function createMap(field: FieldSchema): string {
  if (field.kind !== 'message') return `{ ...init.${field.key} }`;
  const entries = `Object.entries(init.${field.key} ?? {})`;
  return `Object.fromEntries(${entries}.map(([k, v]) => [k, ${field.typeName}.create(v)]))`;
}

function createCode(message: MessageSchema): string {
  const rows = slots(message).map((s) => `    ${s.key}: ${createValue(message, s)},\n`);
  const init = rows.length === 0 ? '_init' : 'init';
  return `  create(${init}: Init<${message.name}> = {}): ${message.name} {\n    return {\n${rows.join('')}    };\n  },\n`;
}

const writeMethod = (field: FieldSchema): string => {
  const method = scalar(field)[0];
  return field.kind === 'enum' ? 'signed' : (WRITE_METHODS[method] ?? method);
};

/** Statements that write one value, last byte first. */
function writeOne(field: FieldSchema, value: string): string {
  if (field.kind === 'message') {
    const tag = field.number * 8 + 2;
    return `mark = w.length; ${field.typeName}.write(w, ${value}); w.close(mark); w.varint(${tag});`;
  }
  return `w.${writeMethod(field)}(${value}); w.varint(${field.number * 8 + scalar(field)[1]});`;
}

function writeMap(field: FieldSchema): string {
  const value = { ...field, number: 2 };
  const inner =
    field.kind === 'message'
      ? writeOne(value, 'v').replaceAll('mark', 'inner').replace('inner =', 'const inner =')
      : writeOne(value, 'v');
  return `for (const [k, v] of Object.entries(m.${field.key})) { const entry = w.length; ${inner} w.string(k); w.varint(10); w.close(entry); w.varint(${field.number * 8 + 2}); }`;
}

function writeField(message: MessageSchema, field: FieldSchema): string {
  const m = `m.${field.key}`;
  if (field.oneofKey !== undefined) {
    return `if (m.${field.oneofKey}?.case === '${field.key}') { ${writeOne(field, `m.${field.oneofKey}.value`)} }`;
  }
  if (field.label === 'map') return writeMap(field);
  if (field.label === 'repeated') {
    return `for (let i = ${m}.length - 1; i >= 0; i -= 1) { ${writeOne(field, `${m}[i]!`)} }`;
  }
  if (field.always) return writeOne(field, m);
  if (field.kind === 'message' || optionalBytes(message, field)) {
    return `if (${m} !== undefined) { ${writeOne(field, m)} }`;
  }
  const [, , type, zero] = scalar(field);
  const present = type === 'Uint8Array' ? `${m}.length > 0` : `${m} !== ${zero}`;
  return `if (${present}) { ${writeOne(field, m)} }`;
}

function writeCode(message: MessageSchema): string {
  const fields = message.fields.toSorted((a, b) => b.number - a.number);
  const body = fields.map((f) => `    ${writeField(message, f)}\n`).join('');
  const mark = body.includes('mark =') ? '    let mark = 0;\n' : '';
  const args = fields.length === 0 ? '_w: Writer, _m' : 'w: Writer, m';
  return `  write(${args}: ${message.name}): void {\n${mark}${body}  },\n`;
}

function readOne(field: FieldSchema): string {
  if (field.kind === 'message') return `${field.typeName}.read(r, (inner = r.nested(end)))`;
  const cast = field.kind === 'enum' ? ` as ${field.typeName}` : '';
  return `r.${scalar(field)[0]}()${cast}`;
}

function readCase(field: FieldSchema): string {
  const leave = field.kind === 'message' ? ' r.leave(inner);' : '';
  const wire = field.kind === 'message' ? 2 : scalar(field)[1];
  const tag = field.number * 8 + wire;
  const variable = `_${field.oneofKey ?? field.key}`;
  if (field.label === 'map') return readMapCase(field);
  if (field.oneofKey !== undefined) {
    return `case ${tag}: ${variable} = { case: '${field.key}', value: ${readOne(field)} };${leave} break;`;
  }
  if (field.label !== 'repeated')
    return `case ${tag}: ${variable} = ${readOne(field)};${leave} break;`;
  const one = `case ${tag}: ${variable}.push(${readOne(field)});${leave} break;`;
  if (wire === 2) return one;
  return `${one}\n        case ${field.number * 8 + 2}: inner = r.nested(end); while (r.position < inner) ${variable}.push(${readOne(field)}); r.leave(inner); break;`;
}

function readMapCase(field: FieldSchema): string {
  const value = { ...field, label: 'optional', oneofKey: undefined };
  const wire = field.kind === 'message' ? 2 : scalar(field)[1];
  const zero = field.kind === 'message' ? `${field.typeName}.create()` : scalar(field)[3];
  const read =
    field.kind === 'message'
      ? `{ const e = r.nested(inner); v = ${field.typeName}.read(r, e); r.leave(e); }`
      : `v = ${readOne(value)};`;
  return `case ${field.number * 8 + 2}: {
          inner = r.nested(end);
          let k = ''; let v: ${elementType(field)} = ${zero};
          while (r.position < inner) {
            const t = r.tag();
            if (t === 10) k = r.string();
            else if (t === ${16 + wire}) ${read}
            else r.skip(t, ENTRY);
          }
          r.leave(inner);
          setEntry(_${field.key}, k, v);
          break;
        }`;
}

function readVariable(message: MessageSchema, slot: Slot): string {
  const { key, field } = slot;
  if (slot.oneof) return `let _${key}: ${message.name}['${key}'];`;
  if (field.label === 'repeated') return `const _${key}: ${elementType(field)}[] = [];`;
  if (field.label === 'map') return `const _${key}: Record<string, ${elementType(field)}> = {};`;
  if (field.kind === 'message') return `let _${key}: ${field.typeName} | undefined;`;
  if (optionalBytes(message, field)) return `let _${key}: Uint8Array | undefined;`;
  return `let _${key}: ${elementType(field)} = ${scalar(field)[3]};`;
}

function readCode(message: MessageSchema): string {
  const all = slots(message);
  const cases = message.fields.map((f) => `        ${readCase(f)}\n`).join('');
  const result = all.map((s) => {
    const missing = !s.oneof && s.field.always && s.field.kind === 'message';
    return `      ${s.key}: _${s.key}${missing ? ` ?? ${s.field.typeName}.create()` : ''},\n`;
  });
  const inner = /inner/.test(cases) ? '    let inner = 0;\n' : '';
  const variables = all.map((s) => `    ${readVariable(message, s)}\n`).join('');
  const loop = `    while (r.position < end) {
      const tag = r.tag();
      switch (tag) {
${cases}        default: r.skip(tag, ${known(message)});
      }
    }\n`;
  return `  read(r: Reader, end: number): ${message.name} {\n${inner}${variables}${loop}    return {\n${result.join('')}    };\n  },\n`;
}

const known = (message: MessageSchema): string => `KNOWN_${message.name}`;

/** The whole TypeScript text of one message. */
export function messageCode(_schema: Schema, message: MessageSchema): string {
  const { name, fullName } = message;
  const numbers = message.fields.map((f) => f.number).join(', ');
  const knownSet = `const ${known(message)}: ReadonlySet<number> = new Set([${numbers}]);\n`;
  const read = readCode(message);
  return `${interfaceCode(message)}
${knownSet}export const ${name}: Codec<${name}> = {
  name: '${fullName}',
${createCode(message)}  encode: (message) => encodeWith(${name}.write, message),
  decode: (bytes) => decodeWith('${fullName}', ${name}.read, bytes),
${writeCode(message)}${read}};
`;
}
