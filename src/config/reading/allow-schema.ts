/** The section [allow]. */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import type { AllowConfig } from "../../guards/admission.ts";
import { UserList } from "../../guards/user-list.ts";
import { section, type SectionRules } from "./section.ts";
import { absolutePath, line, network, whyUnreadable } from "./values.ts";

const USERS = 'a list of users such as ["scanner@example.org", "*@devices.example.org"]';

const users = v.pipe(
  v.array(line(USERS), `expected ${USERS}`),
  v.minLength(1, `expected ${USERS}; with none, no login would count`),
);

/** One user or pattern a line; blank lines and those that begin with # are ignored. */
const usersFile = v.pipe(
  absolutePath,
  v.rawTransform(({ dataset: { value }, addIssue, NEVER }): readonly string[] => {
    let text: string;
    try {
      text = readFileSync(value, "utf8");
    } catch (error) {
      addIssue({ message: `${value}: ${whyUnreadable(error)}` });
      return NEVER;
    }
    const entries = text
      .split("\n")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "" && !entry.startsWith("#"));
    if (entries.length > 0) return entries;
    addIssue({ message: `${value}: lists no user, so no login would count` });
    return NEVER;
  }),
);

const SERVICES = 'a list of services such as ["imap", "pop3"]';

/** The keys of [allow]. */
export const allowEntries = {
  users: v.optional(users),
  "users-file": v.optional(usersFile),
  networks: v.optional(
    v.pipe(
      v.array(network, 'expected a list of networks such as ["192.0.2.0/24"]'),
      v.minLength(1, "expected one network at least; with none, no login would count"),
    ),
  ),
  services: v.optional(
    v.pipe(
      v.array(line(SERVICES), `expected ${SERVICES}`),
      v.minLength(1, `expected ${SERVICES}; with none, no login would count`),
    ),
  ),
};

/** The section; its output is {@link AllowConfig}. `rules` covers keys that belong elsewhere. */
export function allowSection(rules: SectionRules) {
  return v.pipe(
    section(allowEntries, rules),
    v.transform((input): AllowConfig => {
      const listed = [input.users, input["users-file"]].filter((list) => list !== undefined);
      return {
        users: listed.length === 0 ? undefined : new UserList(listed.flat()),
        networks: input.networks,
        services: input.services,
      };
    }),
  );
}
