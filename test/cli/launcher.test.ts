// The command as it is installed generates no code from strings, and the shipped units start that command.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { programEnvironment, programFlags } from '../../bench/talk.ts';

const root = join(import.meta.dirname, '../..');

test('bin/edgeward runs without code generation from strings', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'ewl-'));
  try {
    const probe = join(scratch, 'probe.mjs');
    writeFileSync(
      probe,
      `for (const make of [() => eval('1'), () => new Function('return 1')]) {
        try { make(); console.log('generated'); } catch (error) { console.log(error.name); }
      }`,
    );
    const said = (command: string, args: string[]): string[] =>
      spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: `--import=file://${probe}` } })
        .stdout.split('\n')
        .slice(0, 2);
    assert.deepEqual(said(join(root, 'bin/edgeward'), ['--version']), ['EvalError', 'EvalError']);
    // The probe can tell: without the flag it finds what it looks for.
    assert.deepEqual(said(process.execPath, ['-e', '']), ['generated', 'generated']);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

/** What a program that the launcher starts is given, by a probe that ends it at once. */
function givenTo(scratch: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const probe = join(scratch, 'given.mjs');
  writeFileSync(
    probe,
    `console.log(JSON.stringify({ flags: process.execArgv, environment: process.env })); process.exit();`,
  );
  const { PATH } = process.env;
  const { stdout, stderr } = spawnSync(join(root, 'bin/edgeward'), args, {
    encoding: 'utf8',
    env: { PATH, NODE_OPTIONS: `--import=file://${probe}`, ...environment },
  });
  return { ...(JSON.parse(stdout) as { flags: string[]; environment: NodeJS.ProcessEnv }), stderr };
}

function inScratch(work: (scratch: string) => void): void {
  const scratch = mkdtempSync(join(tmpdir(), 'ewl-'));
  try {
    work(scratch);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

test('an edge and its stand-in start as the benches start them', () =>
  inScratch((scratch) => {
    const expected = programFlags.filter((flag) => flag !== '--expose-gc');
    for (const verb of ['run', 'standby']) {
      const { flags, environment } = givenTo(scratch, ['edge', verb]);
      assert.deepEqual(flags, expected);
      for (const [key, value] of Object.entries(programEnvironment)) assert.equal(environment[key], value);
    }
    // Nobody else needs to be small.
    const other = givenTo(scratch, ['control', 'run']);
    assert.deepEqual(other.flags, ['--disallow-code-generation-from-strings']);
    for (const key of Object.keys(programEnvironment)) assert.equal(other.environment[key], undefined);
  }));

test('compiled code is kept in a folder that only this user can write, or nowhere', () =>
  inScratch((scratch) => {
    const cacheOf = (path: string) => {
      const { environment, stderr } = givenTo(scratch, ['edge', 'run'], { NODE_COMPILE_CACHE: path });
      if (environment['NODE_COMPILE_CACHE'] === undefined) assert.match(stderr, /NODE_COMPILE_CACHE is not used/);
      else assert.equal(stderr, '');
      return environment['NODE_COMPILE_CACHE'];
    };
    const own = join(scratch, 'made/for it');
    assert.equal(cacheOf(own), own);
    assert.equal(statSync(own).mode & 0o777, 0o700);
    const shared = join(scratch, 'shared');
    mkdirSync(shared);
    for (const mode of [0o770, 0o707, 0o777, 0o1777]) {
      chmodSync(shared, mode);
      assert.equal(cacheOf(shared), undefined, mode.toString(8));
    }
    const link = join(scratch, 'link');
    symlinkSync(own, link);
    const file = join(scratch, 'file');
    writeFileSync(file, '');
    for (const path of [link, file, 'relative', join(scratch, 'file/below')])
      assert.equal(cacheOf(path), undefined, path);
  }));

for (const unit of ['edgeward-firewall.service', 'edgeward-edge.service', 'edgeward-control.service']) {
  test(`${unit} starts everything by it`, () => {
    const lines = readFileSync(join(root, 'examples/systemd', unit), 'utf8').split('\n');
    const starts = lines.filter((line) => /^Exec\w+=/.test(line));
    assert.ok(starts.length > 0);
    for (const line of starts) assert.match(line, /^Exec\w+=\/opt\/edgeward\/bin\/edgeward /);
  });
}
