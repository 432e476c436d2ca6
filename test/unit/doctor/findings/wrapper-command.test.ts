import assert from "node:assert/strict";
import { test } from "node:test";
import { commandLine, findWrapper } from "../../../../src/doctor/findings/wrapper-command.ts";

test("a wrapper is found in a chain, with its options and what follows", () => {
  const words =
    "/bin/rawlog /opt/popbsmtp --config=/c --no-wait --service imap --export X /bin/next -x";
  const wrapper = findWrapper(words.split(" "));
  assert.deepEqual(wrapper, {
    program: "/opt/popbsmtp",
    options: new Map([
      ["--config", "/c"],
      ["--no-wait", undefined],
      ["--service", "imap"],
      ["--export", "X"],
    ]),
    chain: ["/bin/next", "-x"],
  });
  assert.equal(
    commandLine(wrapper),
    "/opt/popbsmtp --config /c --no-wait --service imap --export X /bin/next -x",
  );
});

test("-- ends the options", () => {
  assert.deepEqual(findWrapper(["popbsmtp", "--", "--odd"])?.chain, ["--odd"]);
});

test("an option that lacks its value has none", () => {
  assert.deepEqual(
    findWrapper(["popbsmtp", "--config"])?.options,
    new Map([["--config", undefined]]),
  );
});

test("another program is not a wrapper", () => {
  assert.equal(findWrapper(["/usr/bin/popbsmtp-old", "/usr/lib/dovecot/imap"]), undefined);
  assert.equal(findWrapper([]), undefined);
});
