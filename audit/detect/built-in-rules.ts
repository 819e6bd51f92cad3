// Rules that are in force with every release and before the first: what nobody may forget to write. File name to text, as a
// release carries its own; a slash keeps the names apart.

/** Of the finding that stays open until somebody reviews it. */
export const breakGlassRuleId = 'edgeward-break-glass';

export const builtInRules: Readonly<Record<string, string>> = {
  'built-in/break-glass.yml': `title: Break-glass was opened
id: ${breakGlassRuleId}
description: People opened operations that no grant allows. Stays open until it is reviewed.
level: critical
logsource: {product: edgeward, service: authz}
detection:
  opened: {activity: break-glass}
  condition: opened
`,
};
