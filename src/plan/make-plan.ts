import { realpathSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Endpoint } from "../config/config.ts";
import { DOVECOT_GROUP } from "../daemon/sockets/listeners.ts";
import { POLICY, question } from "../doctor/findings/question.ts";
import { shellWord } from "../doctor/findings/words.ts";
import { ConfigError, EX, PopbsmtpError } from "../lib/errors.ts";
import { dovecotDictLines, dovecotDictSocketLines } from "../setup/print-dovecot-dict.ts";
import type { SetupAnswers } from "./setup-answers.ts";
import { daemonStep, dovecotSteps, postfixSteps, systemdStep } from "./mail-steps.ts";
import type { Step } from "./step.ts";
import { accountSteps, configSteps, databaseSteps, storeSection } from "./store-steps.ts";
import type { Survey } from "./survey.ts";

/**
 * An address that belongs to no host (RFC 5737), and which is not the one that doctor asks about: the
 * daemon may remember it for five seconds.
 */
const TRIAL = "192.0.2.255";

/**
 * Everything that is still to be done, in order; empty if popbsmtp is set up.
 *
 * @throws ConfigError if something has to be decided by hand
 */
export async function makePlan(found: Survey, answers: SetupAnswers): Promise<readonly Step[]> {
  const path = realpathSync(process.argv[1] ?? "");
  const program = shellWord(path);
  const { config, dovecot, postfix } = found;
  const serve = config?.serve ?? newServe(found, answers);
  const group = config?.serve.dictGroup ?? DOVECOT_GROUP;
  const form = { release: dovecot.release, group };
  const isSystemd = answers.daemon === "systemd";
  const lines = isSystemd
    ? dovecotDictSocketLines(serve.dict, form)
    : dovecotDictLines([path], config?.user ?? "popbsmtp", form);
  const mail = [
    ...dovecotSteps(dovecot, lines, serve.policy),
    ...postfixSteps(postfix, serve.policy, answers.service),
  ];
  const own = config === undefined ? await ownSteps(found, answers, program) : [];
  if (own.length === 0 && mail.length === 0) return [];
  const steps = [
    ...own,
    { name: "35-check", title: "Check the configuration", lines: `${program} serve --check` },
    ...(isSystemd && dovecot.before === undefined ? [systemdStep(program, found.hasUnits)] : []),
    ...mail,
    daemonStep(serve.policy),
    ...proof(program, serve.policy),
  ];
  return steps.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

interface NewServe {
  readonly policy: readonly Endpoint[];
  readonly dict: Endpoint | undefined;
}

function newServe({ postfix }: Survey, { daemon }: SetupAnswers): NewServe {
  return {
    policy: [{ path: `${postfix.queue}/popbsmtp/policy` }],
    dict: daemon === "systemd" ? { path: "/run/popbsmtp/dict" } : undefined,
  };
}

async function ownSteps(
  found: Survey,
  answers: SetupAnswers,
  program: string,
): Promise<readonly Step[]> {
  const { store, database, daemon } = answers;
  if (!found.stores.includes(store)) {
    const who = store === "pgsql" ? "runuser -u postgres -- psql" : "mariadb (or mysql) as root";
    throw new ConfigError([
      `--store: ${store}: no server on this host that ${who} could administer; for one elsewhere, see docs/${store === "pgsql" ? "postgresql" : "mysql"}.md`,
    ]);
  }
  const text = [
    "# written by popbsmtp setup; popbsmtp.toml(5) has all keys",
    'lifetime = "30m"',
    "",
    storeSection(store, database),
    "[serve]",
    `policy = "${found.postfix.queue}/popbsmtp/policy"`,
    // the daemon is not root there, and could not make these sockets itself
    ...(daemon === "systemd" ? ["imap = false", "pop3 = false", "socketmap = false"] : []),
    "",
  ].join("\n");
  return [
    ...accountSteps(),
    ...configSteps(text, found.configText),
    ...(await databaseSteps(store, database, program)),
  ];
}

/** An authorization, by hand: Postfix's question is answered by it, and no longer without it. */
function proof(program: string, policy: readonly Endpoint[]): readonly Step[] {
  const expect = (answer: string, what: string) => async () => {
    const [endpoint] = policy;
    if (endpoint === undefined) return;
    const end = performance.now() + 10_000;
    for (;;) {
      const said = await question(endpoint, POLICY.question.replace("192.0.2.0", TRIAL));
      if ("answer" in said && said.answer === answer) return;
      if (performance.now() < end) {
        await sleep(100);
        continue;
      }
      const got = "answer" in said ? JSON.stringify(said.answer) : said.why;
      throw new PopbsmtpError(`the daemon's policy service: ${what}: ${got}`, EX.TEMPFAIL);
    }
  };
  return [
    {
      name: "80-proof",
      title: `Authorize ${TRIAL}, an address that no host has, and ask as Postfix does`,
      lines: `${program} allow ${TRIAL} --user setup\n${program} check ${TRIAL}`,
      undo: `${program} revoke ${TRIAL} || :`,
      check: expect(POLICY.yes, "does not let an authorized address relay"),
    },
    {
      name: "81-proof",
      title: "Take that back, and ask again",
      lines: `${program} revoke ${TRIAL}`,
      check: expect(POLICY.no, "lets a revoked address relay"),
    },
    {
      name: "90-doctor",
      title: "Have popbsmtp doctor check everything",
      lines: `${program} doctor || { sleep 2; ${program} doctor; }`,
    },
  ];
}
