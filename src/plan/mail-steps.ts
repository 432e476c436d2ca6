/** The steps that change the mail server. */
import { existsSync, lstatSync } from "node:fs";
import { dirname } from "node:path";
import type { Endpoint } from "../config/config.ts";
import { shellWord } from "../doctor/findings/words.ts";
import { corrected, parseRestrictions, restrictionsText } from "../doctor/postfix/restrictions.ts";
import { ConfigError } from "../lib/errors.ts";
import { policyRestriction } from "../setup/print-postfix-daemon.ts";
import { kept, keeping, MEMORY, restoring, writing, type Step } from "./step.ts";
import type { DovecotSurvey, PostfixSurvey } from "./survey.ts";

/** To take a step back: a server that does not run reads its configuration when it starts. */
const RELOAD_DOVECOT = "doveadm reload || :";
const RELOAD_POSTFIX = "postfix reload || :";

/** main.cf's parameter for the list of a single service. */
const OWN_LIST = "popbsmtp_relay_restrictions";

/**
 * systemd holds the sockets and runs the daemon.
 *
 * @param program the word that runs popbsmtp
 * @param hasUnits whether a package has brought the units
 */
export function systemdStep(program: string, hasUnits: boolean): Step {
  const sockets = ["dict", "policy"] as const;
  const names = [...sockets.map((name) => `popbsmtp-${name}.socket`), "popbsmtp.service"];
  const all = names.join(" ");
  const home = "/etc/systemd/system";
  const print = [
    `${program} print systemd service > ${home}/popbsmtp.service`,
    ...sockets.map((name) => `${program} print systemd ${name} > ${home}/popbsmtp-${name}.socket`),
    "systemctl daemon-reload",
  ];
  const remove = [
    `rm -f ${names.map((name) => `${home}/${name}`).join(" ")}`,
    "systemctl daemon-reload",
  ];
  return {
    name: "40-systemd",
    title: `Have systemd run the daemon: ${all}`,
    lines: [...(hasUnits ? [] : print), `systemctl enable --now ${all}`].join("\n"),
    undo: [`systemctl disable --now ${all} || :`, ...(hasUnits ? [] : remove)].join("\n"),
    lasting: true,
  };
}

/** Dovecot's lines, in a file of their own. None if they are there already. */
export function dovecotSteps(
  { path, before }: DovecotSurvey,
  lines: readonly string[],
  policy: readonly Endpoint[],
): readonly Step[] {
  const text = `${lines.join("\n")}\n`;
  if (before === text) return [];
  if (before !== undefined) {
    throw new ConfigError([
      `setup: ${path} is there, and differs from what setup would write: move it away, or keep it and do the rest by hand (docs/postfix.md)`,
    ]);
  }
  const file = shellWord(path);
  return [
    {
      name: "50-dovecot",
      title: `Have Dovecot report each login: ${path}`,
      lines: `${writing(path, text, "0644")}
doveconf -n > /dev/null
doveconf -n | grep -q popbsmtp || { echo "dovecot.conf does not include $(dirname ${file})" >&2; exit 1; }
doveadm reload`,
      undo: [`rm -f ${file} ${shellWord(`${path}.new`)}`, RELOAD_DOVECOT, ...cleared(policy)].join(
        "\n",
      ),
      lasting: true,
      file: { path, text, before },
    },
  ];
}

/** Lines that remove the directories that the daemon makes for its sockets, once it has ended. */
function cleared(policy: readonly Endpoint[]): readonly string[] {
  const sockets = policy.flatMap((endpoint) => ("path" in endpoint ? [endpoint.path] : []));
  const made = ["/run/popbsmtp", ...sockets.map((path) => dirname(path))].filter(
    (directory) => !existsSync(directory),
  );
  if (made.length === 0) return [];
  return [
    ...sockets.map(
      (path) =>
        `tries=0; while [ -S ${shellWord(path)} ] && [ $tries -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done`,
    ),
    `rm -rf ${made.map(shellWord).join(" ")}`,
  ];
}

/** Waits for the daemon, which Dovecot or systemd starts. */
export function daemonStep(policy: readonly Endpoint[]): Step {
  const [socket] = policy.flatMap((endpoint) => ("path" in endpoint ? [endpoint.path] : []));
  return {
    name: "60-daemon",
    title: "Wait for the daemon",
    lines:
      socket === undefined
        ? "sleep 2"
        : `tries=0
until [ -S ${shellWord(socket)} ]; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { echo "the daemon has not made its socket ${socket} within 20 seconds: see Dovecot's log, or journalctl -u popbsmtp" >&2; exit 1; }
  sleep 0.2
done`,
  };
}

/**
 * Has Postfix ask the daemon. None if it does.
 *
 * @param service the service of master.cf whose clients may relay, as "submission/inet"; undefined:
 * all that have no setting of their own
 */
export function postfixSteps(
  { main, services, directory }: PostfixSurvey,
  policy: readonly Endpoint[],
  service: string | undefined,
): readonly Step[] {
  const asks = policyRestriction({ policy });
  const [restriction] = parseRestrictions(asks ?? "");
  if (restriction === undefined) {
    throw new ConfigError([
      'serve.policy: is false: Postfix needs it; set it, for instance to "/var/spool/postfix/popbsmtp/policy"',
    ]);
  }
  const smtpd = service === undefined ? main : services.get(service);
  if (smtpd === undefined) {
    const known = [...services.keys()].join(", ");
    throw new ConfigError([
      `--service: master.cf has no smtpd named ${String(service)}; it has ${known}`,
    ]);
  }
  const { list, value, isSet } = smtpd;
  const old = parseRestrictions(value);
  if (old.some(({ argument }) => argument === restriction.argument)) return [];
  const unknown = old.find(({ name }) => name.startsWith("$"));
  if (old.length === 0 || unknown !== undefined) {
    throw new ConfigError([
      `setup: Postfix's ${list} is ${value === "" ? "empty" : `${value}, which setup cannot change`}: set it by hand, see docs/postfix.md; popbsmtp print postfix policy has an example`,
    ]);
  }
  const text = restrictionsText(corrected(old, restriction));
  const inMain = service === undefined ? list : OWN_LIST;
  const mainFile = `${directory}/main.cf`;
  const files = service === undefined ? [mainFile] : [mainFile, `${directory}/master.cf`];
  const set = [
    `postconf -e ${shellWord(`${inMain} = ${text}`)}`,
    // postconf takes no blanks in a parameter of master.cf
    ...(service === undefined
      ? []
      : [`postconf -P ${shellWord(`${service}/${list}=$${OWN_LIST}`)}`]),
  ];
  const link = files.find((file) => lstatSync(file).isSymbolicLink());
  if (link !== undefined) {
    throw new ConfigError([
      `setup: ${link} is a symbolic link, which postconf would replace by a file: set ${list} by hand, see docs/postfix.md`,
    ]);
  }
  const after = (file: string) => `${kept(file)}.after`;
  const same = files.map((file) => `cmp -s ${shellWord(file)} ${after(file)}`).join(" && ");
  const changed = `${list} or other lines of ${files.join(" and ")} have been changed since: take out "${asks ?? ""}" by hand, then rm ${MEMORY}/undo/70-postfix`;
  const other =
    service === undefined
      ? `elif [ "$(postconf -h ${list})" = ${shellWord(text)} ]; then
  ${isSet ? `postconf -e ${shellWord(`${list} = ${value}`)}` : `postconf -X ${list}`}
`
      : "";
  const whose = service === undefined ? "" : ` at ${service}`;
  return [
    {
      name: "70-postfix",
      title: `Have Postfix ask the daemon${whose}: ${list}`,
      lines: [
        ...files.map(keeping),
        ...set,
        ...files.map((file) => `cp -p ${shellWord(file)} ${after(file)}`),
        "postfix reload",
      ].join("\n"),
      undo: `if [ ! -e ${after(files.at(-1) ?? mainFile)} ] || { ${same}; }; then
  ${files.map(restoring).join("\n  ")}
${other}else
  echo ${shellWord(changed)} >&2
  exit 1
fi
${RELOAD_POSTFIX}`,
      lasting: true,
      file: { path: `${list}${whose}`, text: lineByLine(text), before: lineByLine(value) },
    },
  ];
}

/** A list of restrictions, one a line, for a diff. */
function lineByLine(value: string): string {
  return parseRestrictions(value)
    .map((each) => `${restrictionsText([each])}\n`)
    .join("");
}
