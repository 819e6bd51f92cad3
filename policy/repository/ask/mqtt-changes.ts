// Small mistakes in operations of MQTT and TLS: what `policy test --mutate` makes of them.
import type { SliceOperation } from '../../bundle/slice.ts';

type Of<P extends SliceOperation['protocol']> = Extract<SliceOperation, { protocol: P }>;
/** In words, and the operation after it. */
type Change = readonly [what: string, changed: SliceOperation];

export function mqttChanges(operation: Of<'mqtt'>): Change[] {
  const { actions, topics, clientIds, maxQos, maxPayloadBytes, json, maxKeepAliveSeconds, shares } = operation;
  const { maxQos: _, ...anyQuality } = operation;
  const { maxPayloadBytes: __, ...anySize } = operation;
  const { maxKeepAliveSeconds: ___, ...anyKeepAlive } = operation;
  const writes = actions.includes('publish');
  const some = (when: boolean, ...change: Change): Change[] => (when ? [change] : []);
  return [
    ...topics.flatMap((topic, index) =>
      widerTopics(topic).map((wider): Change => [
        `${topic} is ${wider}`,
        { ...operation, topics: topics.map((other, at) => (at === index ? wider : other)) },
      ]),
    ),
    ...some(topics.length > 0 && !writes, 'also publish', { ...operation, actions: [...actions, 'publish'] }),
    ...some(writes && !operation.retain, 'may be retained', { ...operation, retain: true }),
    ...some((writes || actions.includes('connect')) && !operation.will, 'may be a will', { ...operation, will: true }),
    ...some(clientIds !== undefined, 'also client ids of one more letter', {
      ...operation,
      clientIds: [...(clientIds ?? []), '{device}x'],
    }),
    ...some(actions.includes('subscribe'), 'also shared', { ...operation, shares: [...shares, 'mutant'] }),
    ...some(maxQos !== undefined, 'any quality', anyQuality),
    ...some(maxPayloadBytes !== undefined, 'any size', anySize),
    ...some(maxKeepAliveSeconds !== undefined, 'any keep-alive', anyKeepAlive),
    ...Object.entries(json ?? {}).flatMap(([pointer, [low, high]]) => [
      ...some(true, `${pointer} may be anything`, withoutRange(operation, pointer)),
      ...some(true, `${pointer} from ${low - 1}`, withRange(operation, pointer, [low - 1, high])),
      ...some(true, `${pointer} to ${high + 1}`, withRange(operation, pointer, [low, high + 1])),
    ]),
  ];
}

/** Everybody's instead of the subject's own, one level more, everything below the level above. */
function widerTopics(topic: string): string[] {
  const levels = topic.split('/');
  const last = levels.at(-1);
  const above = levels.slice(0, last === '#' ? -2 : -1);
  const everybody = levels.map((level) => (level.includes('{device}') ? '+' : level)).join('/');
  return [
    ...(everybody === topic ? [] : [everybody]),
    ...(last === '#' || last === '+' ? [] : [[...above, '+'].join('/')]),
    ...(topic === '#' ? [] : [[...above, '#'].join('/')]),
  ].filter((wider, index, all) => wider !== topic && all.indexOf(wider) === index);
}

function withRange(operation: Of<'mqtt'>, pointer: string, range: [number, number]): SliceOperation {
  return { ...operation, json: { ...operation.json, [pointer]: range } };
}

function withoutRange(operation: Of<'mqtt'>, pointer: string): SliceOperation {
  const { json, ...rest } = operation;
  const left = Object.entries(json ?? {}).filter(([other]) => other !== pointer);
  return left.length === 0 ? rest : { ...rest, json: Object.fromEntries(left) };
}

export function tlsChanges(operation: Of<'tls'>): Change[] {
  return operation.names.flatMap((name, index): Change[] => {
    const labels = name.split('.');
    if (name.startsWith('*') || labels.length < 3) return [];
    const wider = ['*', ...labels.slice(1)].join('.');
    return [
      [
        `${name} is ${wider}`,
        { ...operation, names: operation.names.map((other, at) => (at === index ? wider : other)) },
      ],
    ];
  });
}
