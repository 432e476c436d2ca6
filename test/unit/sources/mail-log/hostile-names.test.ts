import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cutUser } from "../../../../src/login/login.ts";
import { decodeText } from "../../../../src/spool/entry.ts";
import { Formats } from "../../../../src/mail-formats/formats.ts";
import { Fragments } from "../../../../src/mail-formats/fragments.ts";
import { parseLine } from "../../../../src/sources/mail-log/line.ts";
import { SOAK } from "../../../support/soak.ts";
import { hostileNames, sanitized, throughSyslog } from "./hostile-names.ts";

const RIP = "192.0.2.10";
const CONTEXT = { formats: Formats.named("auto"), now: Date.parse("2026-03-03T10:00:05Z") };
const SYSLOG = "2026-03-03T10:00:01Z mail ";
const ELEMENTS = `>, method=PLAIN, rip=${RIP}, lip=198.51.100.5, mpid=4711, TLS, session=<a+/=>`;

interface Printed {
  /** What stands before and after the name. */
  readonly around: readonly [string, string];
  readonly name: (name: Buffer) => Buffer;
}

/** As Dovecot has printed logins over the years. */
const DOVECOT: Readonly<Record<string, Printed>> = {
  "0.99, syslog": { around: [`${SYSLOG}imap-login: Login: `, ` [${RIP}]`], name: throughSyslog },
  "1.0 alpha, syslog": {
    around: [`${SYSLOG}imap-login: Login: user=<`, `>, method=PLAIN, rip=${RIP}`],
    name: throughSyslog,
  },
  "1.0, its own log": {
    around: [
      "dovecot: 2026-03-03 10:00:01 Info: imap-login: Login: user=<",
      `>, method=PLAIN, rip=${RIP}, lip=198.51.100.5`,
    ],
    name: sanitized,
  },
  "2.3, syslog": {
    around: [`${SYSLOG}dovecot: imap-login: Login: user=<`, ELEMENTS],
    name: sanitized,
  },
  "2.3, its own log": {
    around: ["2026-03-03 10:00:01 imap-login: Info: Login: user=<", ELEMENTS],
    name: sanitized,
  },
  "2.4, syslog": {
    around: [`${SYSLOG}dovecot: imap-login: Logged in: user=<`, ELEMENTS],
    name: sanitized,
  },
};

/** The name where there is no login, or no longer. */
const NO_LOGINS: Readonly<Record<string, Printed>> = {
  "a session's end in Dovecot 2.2's own log": {
    around: ["2026-03-03 10:00:01 imap(", "): Info: Disconnected: Logged out in=12 out=345"],
    name: sanitized,
  },
  "a session's end in Dovecot 2.3's own log": {
    around: ["2026-03-03 10:00:01 imap(", ")<1><a>: Info: Disconnected: Logged out in=12 out=345"],
    name: sanitized,
  },
  "a session's end in Dovecot 1's own log": {
    around: ["dovecot: 2026-03-03 10:00:01 Info: IMAP(", "): Disconnected: Logged out"],
    name: sanitized,
  },
  "a session's end in syslog": {
    around: [`${SYSLOG}dovecot: imap(`, ")<1><a>: Disconnected: Logged out in=12 out=345"],
    name: sanitized,
  },
  "Dovecot's failed login": {
    around: [
      `${SYSLOG}dovecot: imap-login: Aborted login (auth failed, 1 attempts in 2 secs): user=<`,
      ELEMENTS,
    ],
    name: sanitized,
  },
  "Dovecot's login without an address, from a Unix socket": {
    around: [
      `${SYSLOG}dovecot: imap-login: Login: user=<`,
      ">, method=PLAIN, mpid=4711, secured, session=<a>",
    ],
    name: sanitized,
  },
  "Dovecot's user database": {
    around: ["2026-03-03 10:00:01 auth: Info: passwd-file(", `,${RIP}): unknown user`],
    name: sanitized,
  },
  "Courier's failed login": {
    around: [`${SYSLOG}imapd: LOGIN FAILED, user=`, `, ip=[${RIP}], port=[51234]`],
    name: throughSyslog,
  },
  "Courier's logout": {
    around: [`${SYSLOG}pop3d: LOGOUT, user=`, `, ip=[${RIP}], port=[51234], top=0, retr=0`],
    name: throughSyslog,
  },
  "Cyrus' failed login": {
    around: [`${SYSLOG}cyrus/imap[3]: badlogin: h [${RIP}] plaintext `, " SASL(-13): failure"],
    name: throughSyslog,
  },
  "UW's failed login": {
    around: [`${SYSLOG}imapd[9]: Login failed user=`, ` auth=x host=h [${RIP}]`],
    name: throughSyslog,
  },
  "qpopper's failed login": {
    around: [`${SYSLOG}popper[7]: [AUTH] Failed attempted login to `, ` from host (h) ${RIP}`],
    name: throughSyslog,
  },
};

const OTHERS: Readonly<Record<string, Printed>> = {
  Courier: {
    around: [`${SYSLOG}imapd: LOGIN, user=`, `, ip=[${RIP}], port=[51234], protocol=IMAP`],
    name: throughSyslog,
  },
  Cyrus: {
    around: [`${SYSLOG}cyrus/imap[3]: login: h [${RIP}] `, " plaintext User logged in"],
    name: throughSyslog,
  },
  UW: { around: [`${SYSLOG}imapd[9]: Login user=`, ` host=h [${RIP}]`], name: throughSyslog },
  qpopper: {
    around: [`${SYSLOG}popper[7]: (v4) POP login by user "`, `" at (h) ${RIP} [pop_log.c:244]`],
    name: throughSyslog,
  },
};

function parse({ around: [before, after], name: print }: Printed, name: Buffer) {
  const line = Buffer.concat([Buffer.from(before), print(name), Buffer.from(after)]);
  return parseLine(line, { ...CONTEXT, fragments: new Fragments() });
}

const NAMES = hostileNames(SOAK ? 10_000 : 1_000);

describe("names that imitate the rest of a line", () => {
  for (const [where, printed] of Object.entries({ ...DOVECOT, ...OTHERS })) {
    it(`authorize only the client's address: ${where}`, () => {
      let logins = 0;
      for (const name of NAMES) {
        const result = parse(printed, name);
        if (result.kind !== "login") continue;
        logins += 1;
        const { address, user } = result.login;
        assert.equal(address, RIP, name.toString("latin1"));
        assert.equal(user, cutUser(decodeText(printed.name(name))));
      }
      // most of them do have mail to read
      assert.ok(logins > NAMES.length / 4, String(logins));
    });
  }

  for (const [where, printed] of Object.entries(NO_LOGINS)) {
    it(`authorize no address: ${where}`, () => {
      for (const name of NAMES) {
        assert.notEqual(parse(printed, name).kind, "login", name.toString("latin1"));
      }
    });
  }
});

describe("a name as Dovecot prints it", () => {
  for (const [name, printed] of [
    ["bob", "bob"],
    ["tab\tand\nline\u0001", "tab?and?line?"],
    ["caf\u00e9", "caf\u00e9"],
    ["x".repeat(80), "x".repeat(80)],
    ["x".repeat(81), `${"x".repeat(77)}...`],
    ["\u00e9".repeat(50), `${"\u00e9".repeat(38)}...`],
  ] as const) {
    it(`${JSON.stringify(name)} is ${printed}`, () => {
      assert.equal(sanitized(Buffer.from(name)).toString(), printed);
    });
  }
});
