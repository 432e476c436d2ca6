/** Whether logins can be written to the spool, and whether a drain empties it. */
import { existsSync, readdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Time } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import { placeOf, type Config } from "../../config/config.ts";
import type { Account } from "../../system/privileges.ts";
import { withOwnSpool, type StoreSpool } from "../../writers/store-spools.ts";
import { Spool } from "../../spool/spool.ts";
import { becoming, whyNotWritable } from "../findings/becoming.ts";
import { counted, ok, problem, warning, type Finding } from "../findings/finding.ts";
import { ownership } from "../findings/file-modes.ts";
import type { Subject } from "../findings/subject.ts";
import { groupName, popbsmtp, shellWord, span, userName } from "../findings/words.ts";

/** A login that waits longer than this has no drain, in milliseconds. */
const BACKLOG_MS = 60_000;

/** Below this, space is short: a login takes a block of 4 KiB and an inode. */
const LITTLE = { bytes: 64 * 1024 * 1024, inodes: 10_000 };

export function spoolFindings({ config, account, daemon, now }: Subject): readonly Finding[] {
  const { spool: path, user } = config;
  const stats = statSync(path, { throwIfNoEntry: false });
  const word = shellWord(path);
  if (stats === undefined || !stats.isDirectory()) {
    const group = account === undefined ? user : groupName(account.gid);
    const install = `install -d -o ${user} -g ${shellWord(group)} -m 0700 ${word}`;
    return stats === undefined
      ? [problem(`${path} does not exist: no login is recorded`, install)]
      : [
          problem(
            `${path} is not a directory: no login is recorded`,
            `mv ${word} ${shellWord(`${path}.old`)}`,
            install,
          ),
        ];
  }
  const findings = [directory(path, user, account), space(path)];
  if (account === undefined || stats.uid !== account.uid) return findings;
  // as the user, who controls the contents: root would follow their links
  const inside = becoming(user, account, () => contents(config, daemon, now));
  return [...findings, ...inside];
}

function contents(config: Config, daemon: number | undefined, now: Time): readonly Finding[] {
  const path = config.spool;
  try {
    const own = withOwnSpool(config).filter((each) => existsSync(each.path));
    return [
      ...waiting(config, daemon, now),
      ...setAside(path),
      ...own.flatMap((each) => [...waitingForOne(each, config, now), ...setAside(each.path)]),
    ];
  } catch (error) {
    const why = reasonOf(error);
    return [problem(`cannot be read: ${why}`, `ls -la ${shellWord(path)}`)];
  }
}

function directory(path: string, user: string, account: Account | undefined): Finding {
  const stats = statSync(path);
  const word = shellWord(path);
  if (account !== undefined && stats.uid !== account.uid) {
    return problem(
      `${path} belongs to ${userName(stats.uid)}: it cannot be drained as ${user}`,
      `chown -R ${user}: ${word}`,
    );
  }
  const writers = stats.mode & 0o022;
  if (writers !== 0 && (stats.mode & 0o1000) === 0) {
    return problem(
      `${path}: ${(writers & 0o002) === 0 ? `the group ${groupName(stats.gid)}` : "every user"} may delete logins in it`,
      `chmod 0700 ${word}`,
    );
  }
  const why =
    account === undefined ? undefined : becoming(user, account, () => whyNotWritable(path));
  if (why !== undefined) return unwritable(path, user, why);
  if ((stats.mode & 0o005) !== 0) {
    return warning(`${path}: every user may see who logs in, and from where`, `chmod 0700 ${word}`);
  }
  return ok(`${path}: ${ownership(stats)}`);
}

function unwritable(path: string, user: string, code: string): Finding {
  const text = `${path}: ${user} cannot write to it (${code})`;
  switch (code) {
    case "EACCES":
      return problem(
        text,
        `namei -l ${shellWord(path)}    # ${user} needs x on every directory, and rwx on the last`,
      );
    case "ENOSPC":
    case "EDQUOT":
      return problem(text, `df -h ${shellWord(path)}; df -i ${shellWord(path)}`);
    case "EROFS":
      return problem(text, `mount -o remount,rw "$(findmnt -n -o TARGET -T ${shellWord(path)})"`);
    default:
      return problem(text);
  }
}

function space(path: string): Finding {
  const { bavail, bsize, ffree, files } = statfsSync(path);
  const free = bavail * bsize;
  const text = `${String(Math.floor(free / 1024 / 1024))} MiB${files === 0 ? "" : ` and ${String(ffree)} inodes`} free on its file system`;
  const little = free < LITTLE.bytes || (files > 0 && ffree < LITTLE.inodes);
  if (!little) return ok(text);
  const none = free === 0 || (files > 0 && ffree === 0);
  const look = `df -h ${shellWord(path)}; df -i ${shellWord(path)}`;
  return none ? problem(`${text}: no login is recorded`, look) : warning(`only ${text}`, look);
}

function waiting(config: Config, daemon: number | undefined, now: Time): readonly Finding[] {
  const spool = new Spool(config.spool);
  const { entries } = spool.scan();
  const pid = daemon ?? spool.drain.atWork();
  const worker = daemon === undefined ? "a drain" : "popbsmtp serve";
  const away = spool.drain.away();
  const age = now - (entries[0]?.time ?? now);
  const logins = `${counted(entries.length, "login")} waiting`;
  const drain = `${popbsmtp(config)} drain`;
  const drains =
    pid === undefined
      ? "no drain at work: the next login starts one"
      : `${worker} is at work (process ${String(pid)})`;
  if (entries.length > 0 && away !== undefined) {
    const text = `${logins}, the oldest for ${span(age)}: ${away}`;
    // the fault is the store's, which reports it
    const back = `${text}; they are written once the store is back`;
    const advice = pid === undefined ? [`${drain}    # then: no drain is at work`] : [];
    return [{ ...problem(back, ...advice), outage: "symptom" }];
  }
  if (age > BACKLOG_MS) {
    const text =
      pid === undefined
        ? `${logins}, the oldest for ${span(age)}, and no drain is at work: wrappers cannot start one`
        : `${logins}, the oldest for ${span(age)}: ${worker}, at work (process ${String(pid)}), is stuck or slow`;
    return [
      problem(
        text,
        ...(pid === undefined ? [] : [`kill ${String(pid)}`]),
        `${drain}    # says why`,
      ),
    ];
  }
  const left =
    away === undefined
      ? []
      : [
          warning(
            `the last drain could not write to the store: ${away}`,
            `${drain}    # if the store is back: clears this state`,
          ),
        ];
  return [ok(`${logins}; ${drains}`), ...left];
}

/** Logins that wait for one of several stores, while the others have them. */
function waitingForOne({ store, path }: StoreSpool, config: Config, now: Time): readonly Finding[] {
  const spool = new Spool(path);
  const { entries } = spool.scan();
  const [oldest] = entries;
  if (oldest === undefined) return [];
  const age = now - oldest.time;
  const away = spool.drain.away();
  const text = `${counted(entries.length, "login")} waiting for ${placeOf(store)} only, the oldest for ${span(age)}`;
  if (away === undefined && age <= BACKLOG_MS) return [ok(text)];
  if (away !== undefined) {
    return [
      { ...problem(`${text}: ${away}; they are written once it is back`), outage: "symptom" },
    ];
  }
  return [
    problem(`${text}: its drain is stuck or slow`, `${popbsmtp(config)} drain    # says why`),
  ];
}

function setAside(path: string): readonly Finding[] {
  const bad = join(path, "bad");
  if (!existsSync(bad)) return [];
  const names = readdirSync(bad).filter((name) => !name.endsWith(".why"));
  if (names.length === 0) return [];
  const reasons = new Set(names.map((name) => whyOf(join(bad, name))));
  const few = [...reasons].slice(0, 3).join("; ");
  return [
    warning(
      `${counted(names.length, "file")} set aside in ${bad}: ${few}${reasons.size > 3 ? "; ..." : ""}`,
      `rm -r ${shellWord(bad)}    # once you have looked at them`,
    ),
  ];
}

function whyOf(file: string): string {
  try {
    return readFileSync(`${file}.why`, "utf8").trim();
  } catch {
    return "no reason was recorded";
  }
}
