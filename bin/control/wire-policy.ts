// Published policy, and what the control plane itself runs of the release in force: rules, playbooks, the inventory.
import { builtInRules, createDetector, type Detector } from '../../audit/detect/index.ts';
import type { PublicJwk } from '../../identity/index.ts';
import type { Release } from '../../policy/bundle/index.ts';
import { createPublications, type Publications } from '../../policy/cloud/index.ts';
import { parsePlaybook, type Playbook } from '../../response/index.ts';
import type { Ground } from './ground.ts';

/** Rules and playbooks of the release in force; replaced as a whole. */
export interface ReleaseInForce {
  release: Release | undefined;
  detector: Detector;
  playbooks: readonly Playbook[];
}

export interface PolicyWiring {
  readonly publications: Publications;
  readonly inForce: ReleaseInForce;
  readonly inInventory: (deviceId: string) => Promise<boolean>;
  /** Reads the release in force; at start, and after each publication. */
  readonly takeRelease: () => Promise<void>;
}

export function wirePolicy(
  { db, trustDomain, clock, log, events }: Ground,
  publisherKeys: () => Promise<readonly PublicJwk[]>,
): PolicyWiring {
  const inForce: ReleaseInForce = { release: undefined, detector: createDetector(builtInRules), playbooks: [] };
  const publications = createPublications({
    db,
    trustDomain,
    clock,
    publisherKeys,
    checkRelease: (release) => void readRelease(release),
    onPublished: async (published) => {
      await takeRelease();
      await log.emit({
        kind: 'policy',
        activity: 'publish',
        data: {
          version: published.version,
          commit: published.commit,
          author: published.author,
          digest: published.digest,
          key: published.publisherKeyId,
        },
      });
      events.changed('policy');
    },
  });
  const takeRelease = async (): Promise<void> => {
    const current = await publications.release();
    if (current === undefined) return;
    Object.assign(inForce, readRelease(current.release), { release: current.release });
  };
  const inInventory = (deviceId: string): Promise<boolean> =>
    Promise.resolve(inForce.release?.devices.some((device) => device.id === deviceId) ?? false);
  return { publications, inForce, inInventory, takeRelease };
}

/** Compiles what the control plane runs of a release; throws with file and place when it cannot. */
function readRelease(release: Release): Pick<ReleaseInForce, 'detector' | 'playbooks'> {
  return {
    detector: createDetector({ ...builtInRules, ...release.detections }),
    playbooks: Object.entries(release.playbooks).map(([file, text]) => parsePlaybook(text, file)),
  };
}
