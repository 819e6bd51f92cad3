// The proxies that ask an edge for decisions, played from outside: Envoy by a gRPC client on the edge's unix socket, nginx
// by curl.
import { readFileSync } from 'node:fs';
import {
  Authorization,
  CheckRequestSchema,
  type CheckResponse,
} from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { createGrpcClient } from '../../runtime/grpc.ts';
import { create } from '@bufbuild/protobuf';
import { leafPem } from '../support/leaf-pem.ts';
import { must } from '../support/netns-process.ts';

export interface Question {
  readonly interface: string;
  readonly path: string;
  readonly method?: string;
  /** File with the certificate chain of who asks; nobody without it. */
  readonly chain?: string;
  /** Headers that the client itself sent along. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly allow: boolean;
  readonly status: number;
  readonly subject: string;
  readonly rule: string;
}

/** As both proxies send it. */
const leafOf = (chain: string): string => encodeURIComponent(leafPem(readFileSync(chain, 'utf8')));

export interface Envoy extends Disposable {
  /** One Check of ext_authz. */
  check(question: Question): Promise<Answer>;
}

/** A connection to the unix socket of an edge. */
export function connectEnvoy(socket: string): Envoy {
  const client = createGrpcClient(Authorization, `unix:${socket}`, 'insecure');
  return {
    async check(question) {
      const certificate = question.chain === undefined ? '' : leafOf(question.chain);
      const request = create(CheckRequestSchema, {
        attributes: {
          source: { certificate },
          request: {
            http: {
              method: question.method ?? 'GET',
              host: 'edge.example',
              path: question.path,
              headers: { ...question.headers },
            },
          },
          contextExtensions: { 'edgeward-interface': question.interface },
        },
      });
      return answerOf(await client.check(request, { timeoutMs: 5_000 }));
    },
    [Symbol.dispose]: () => client.close(),
  };
}

function answerOf({ status, httpResponse }: CheckResponse): Answer {
  const allow = (status?.code ?? 0) === 0;
  const known = httpResponse.case === 'okResponse' || httpResponse.case === 'deniedResponse';
  const headers = new Map((known ? httpResponse.value.headers : []).map(({ header }) => [header?.key, header?.value]));
  const denied = httpResponse.case === 'deniedResponse' ? (httpResponse.value.status?.code ?? 0) : 0;
  return {
    allow,
    status: allow ? 200 : denied,
    subject: headers.get('x-edgeward-subject') ?? 'absent',
    rule: headers.get('x-edgeward-rule') ?? 'absent',
  };
}

/** One Check on a connection of its own. */
export async function checkByEnvoy(socket: string, question: Question): Promise<Answer> {
  using envoy = connectEnvoy(socket);
  return await envoy.check(question);
}

/** One subrequest of nginx's auth_request over the unix socket. */
export async function askByCurl(socket: string, question: Question): Promise<Answer> {
  const headers = {
    'X-Edgeward-Interface': question.interface,
    'X-Original-Method': question.method ?? 'GET',
    'X-Original-URI': question.path,
    ...(question.chain === undefined ? {} : { 'X-Client-Verify': 'SUCCESS', 'X-Client-Cert': leafOf(question.chain) }),
    ...question.headers,
  };
  const options = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const stdout = await must([
    'curl',
    '-s',
    '--max-time',
    '5',
    '-D',
    '-',
    '--unix-socket',
    socket,
    ...options,
    'http://edge/',
  ]);
  const status = Number(stdout.split(' ')[1]);
  const header = (name: string): string => new RegExp(`^${name}: ?(.*?)\\r?$`, 'im').exec(stdout)?.[1] ?? 'absent';
  return { allow: status === 200, status, subject: header('x-edgeward-subject'), rule: header('x-edgeward-rule') };
}
