// A throw-away git repository with the sample policy, for tests.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { sampleFiles } from './sample-tree.ts';

export interface SampleGit extends Disposable {
  readonly directory: string;
  /** A directory of its own for what the code under test creates; removed with the repository. */
  readonly temporary: string;
  git(...args: string[]): string;
  write(path: string, text: string): void;
  commit(message: string): string;
}

/** With one commit of the sample, or empty. `folder` puts the policy below the root of the repository. */
export function sampleGit(files: Readonly<Record<string, string>> = sampleFiles, folder = ''): SampleGit {
  const root = mkdtempSync(join(tmpdir(), 'edgeward-test-git-'));
  const directory = join(root, 'repository');
  const temporary = join(root, 'temporary');
  mkdirSync(directory);
  mkdirSync(temporary);
  const identity = ['-c', 'user.name=Ada Example', '-c', 'user.email=ada@plant.example', '-c', 'commit.gpgSign=false'];
  const environment = { PATH: process.env['PATH'], HOME: root, GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C' };
  const sample: SampleGit = {
    directory,
    temporary,
    git: (...args) =>
      execFileSync('git', [...identity, ...args], { cwd: directory, env: environment, encoding: 'utf8' }).trim(),
    write(path, text) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), text);
    },
    commit(message) {
      sample.git('add', '--all');
      sample.git('commit', '--quiet', '--allow-empty', '--message', message);
      return sample.git('rev-parse', 'HEAD');
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
  sample.git('init', '--quiet', '--initial-branch=main');
  for (const [path, text] of Object.entries(files)) sample.write(folder === '' ? path : `${folder}/${path}`, text);
  sample.commit('Add the policy of the cell');
  return sample;
}
