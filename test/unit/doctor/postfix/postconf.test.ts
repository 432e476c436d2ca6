import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMaster, parseOverrides } from "../../../../src/doctor/postfix/postconf.ts";

test("the smtpd services of master.cf, chrooted or not, are found", () => {
  const master = `smtp       inet  n       -       y       -       -       smtpd
submission inet  n       -       n       -       -       smtpd -o syslog_name=postfix/submission
pickup     unix  n       -       y       60      1       pickup
127.0.0.1:10025 inet n    -       -       -       -       smtpd -o {smtpd_relay_restrictions=permit_mynetworks, reject}
smtpd      pass  -       -       y       -       -       smtpd
`;
  assert.deepEqual(parseMaster(master), [
    { service: "smtp/inet", chrooted: true },
    { service: "submission/inet", chrooted: false },
    { service: "127.0.0.1:10025/inet", chrooted: false },
    { service: "smtpd/pass", chrooted: true },
  ]);
});

test("the settings of each service are separate", () => {
  const settings = parseOverrides(`submission/inet/smtpd_sasl_auth_enable = yes
submission/inet/smtpd_relay_restrictions = permit_sasl_authenticated, reject
[::1]:10025/inet/smtpd_recipient_restrictions =
`);
  assert.deepEqual(
    Array.from(settings, ([service, own]) => [service, Object.fromEntries(own)]),
    [
      [
        "submission/inet",
        {
          smtpd_sasl_auth_enable: "yes",
          smtpd_relay_restrictions: "permit_sasl_authenticated, reject",
        },
      ],
      ["[::1]:10025/inet", { smtpd_recipient_restrictions: "" }],
    ],
  );
});
