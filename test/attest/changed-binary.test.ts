// The whole way on real files: a binary is changed on the edge, the verifier says which one.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { appendFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createAttestation, PROGRAM, referenceValuesOf } from '../../attest/cloud/index.ts';
import { createCollector, measureAside } from '../../attest/edge/index.ts';
import { type AttestationResult, isStale } from '../../attest/index.ts';
import { generateKey } from '../../identity/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeward-attest-'));
});
after(() => rm(folder, { recursive: true }));

test('a changed binary, a changed enforcer and a removed binary are found, and repaired ones are affirmed again', async () => {
  const clock = new FakeClock();
  const keys = generateKey();
  const program = join(folder, 'enforcer');
  const binary = join(folder, 'plc-runtime');
  await mkdir(program);
  await writeFile(join(program, 'main.js'), 'decide()');
  await cp('/bin/sh', binary, { dereference: true });

  const measure = async () => await measureAside({ program: [program], executables: [binary] });
  const accepted = await measure();
  const release = {
    '*': { [PROGRAM]: [accepted.program] },
    'plc-1': Object.fromEntries(Object.entries(accepted.executables).map(([path, digest]) => [path, [digest]])),
  };
  const results: AttestationResult[] = [];
  const attestation = createAttestation({
    clock,
    random: randomBytes,
    referenceValues: (device) => Promise.resolve(referenceValuesOf(release, device)),
    deviceKey: () => Promise.resolve(keys.publicKey),
    onResult: (_, result) => Promise.resolve(void results.push(result)),
    emit: () => Promise.resolve(),
  });
  const collect = createCollector(
    {
      clock,
      measure,
      deviceKey: () => keys.privateKey,
      activeBundle: () => createHash('sha256').update('manifest').digest('hex'),
    },
    {
      deviceId: 'plc-1',
      version: '0.1.0',
      platform: { os: 'linux', kernel: 'test' },
    },
  );
  const round = async (): Promise<string> => {
    const { nonce } = attestation.challenge('plc-1', 'stream 1');
    const result = await attestation.submit('plc-1', nonce, await collect(nonce), 'stream 1');
    return [result.status, ...result.findings.map(({ subject, problem }) => `${subject} ${problem}`)].join(', ');
  };

  assert.equal(await round(), 'affirming');
  await appendFile(binary, '\0');
  assert.equal(await round(), `contraindicated, ${binary} changed`);
  await rm(binary);
  assert.equal(await round(), `contraindicated, ${binary} missing`);
  await cp('/bin/sh', binary, { dereference: true });
  assert.equal(await round(), 'affirming');
  await writeFile(join(program, 'main.js'), 'allow()');
  assert.equal(await round(), `contraindicated, ${PROGRAM} changed`);
  await writeFile(join(program, 'main.js'), 'decide()');
  assert.equal(await round(), 'affirming');

  const last = results.at(-1) ?? assert.fail();
  assert.equal(isStale(last, clock.now(), 900_000), false);
  await clock.advance(900_001);
  assert.equal(isStale(last, clock.now(), 900_000), true, 'silence is no affirmation');
});
