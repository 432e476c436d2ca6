/** The wrapper in the chain of Debian's Courier, by the documentation's recipe. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startCourier } from "../support/courier.ts";
import { install } from "../support/installation.ts";
import { waitUntil } from "../support/wait-until.ts";

const SPOKEN = {
  imap: {
    login: (user: string, password: string) => [`LOGIN ${user} ${password}`],
    read: "SELECT INBOX",
  },
  pop3: {
    login: (user: string, password: string) => [`USER ${user}`, `PASS ${password}`],
    read: "STAT",
  },
};

for (const protocol of ["imap", "pop3"] as const) {
  test(`${protocol}: who has logged in is in the store, who has not is not, and mail is read as ever`, async () => {
    await using box = await install("sqlite");
    await using courier = await startCourier({
      user: box.user,
      link: `exec ${box.program} --config ${box.config} --service ${protocol} "$@"`,
    });
    const { user, password } = courier.login;
    const { login, read } = SPOKEN[protocol];
    using client = await courier[protocol]();
    const attempt = async (tried: string) => {
      for (const command of login(user, tried)) await client.command(command);
    };
    await assert.rejects(attempt(`not-${password}`), /Login failed/);
    await attempt(password);
    await client.command(read);
    await client.logout();
    // the first drain ever may take longer than the wrapper waits
    await waitUntil("the login to be in the store", async () => (await box.rows()).length > 0);
    const rows = (await box.rows()).map((row) => [row.address, row.user, row.service, row.logins]);
    assert.deepEqual(rows, [["127.0.0.1", user, protocol, 1]]);
  });
}
