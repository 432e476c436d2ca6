import assert from "node:assert/strict";
import { chownSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { SslConfig } from "../../src/config/config.ts";
import { openStore } from "../../src/writers/open-stores.ts";
import { serverAccount } from "../support/accounts.ts";
import type { DatabaseServer } from "../support/database-server.ts";
import { startMariadb } from "../support/mariadb.ts";
import { startPostgres } from "../support/postgres.ts";
import { runOk } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { LIFETIME, serverConfig } from "./subject.ts";

/** A certificate for the name "localhost" that vouches for itself; returns it. */
async function certificate(directory: string): Promise<string> {
  const [key, crt] = [join(directory, "server.key"), join(directory, "server.crt")];
  const kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1".split(" ");
  const name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  await runOk("openssl", [...kind, ...name, "-keyout", key, "-out", crt]);
  return readFileSync(crt, "utf8");
}

describe("TLS to pgsql", () => {
  let server: DatabaseServer;
  let ca: string;
  before(async () => {
    server = await startPostgres();
    const data = join(server.socket, "data");
    ca = await certificate(data);
    const owner = serverAccount("postgres");
    if (owner !== undefined) chownSync(join(data, "server.key"), owner.uid, owner.gid);
    await server.query("ALTER SYSTEM SET ssl = on");
    await server.query("SELECT pg_reload_conf()");
  });
  after(() => server[Symbol.asyncDispose]());

  const version = async (ssl: SslConfig, host: string) => {
    const config = { ...serverConfig("pgsql", server), hosts: [host], ssl };
    const store = openStore(config, { lifetime: LIFETIME });
    try {
      return await store.schemaVersion();
    } finally {
      await store.close();
    }
  };

  it("is made to whom the certificate authority vouches for", async () => {
    assert.equal(await version({ ca, rejectUnauthorized: true }, "localhost"), 0);
  });

  it("is refused to anybody else", async () => {
    await using directory = temporaryDirectory();
    const other = await certificate(directory.path);
    await assert.rejects(
      version({ ca: other, rejectUnauthorized: true }, "localhost"),
      /self-signed/,
    );
    await assert.rejects(
      version({ ca: undefined, rejectUnauthorized: true }, "localhost"),
      /self-signed/,
    );
  });

  it("is refused where the certificate is for another name", async () => {
    await assert.rejects(version({ ca, rejectUnauthorized: true }, "127.0.0.1"), /altnames/);
  });

  it("is made to anybody where the administrator said so", async () => {
    assert.equal(await version({ ca: undefined, rejectUnauthorized: false }, "127.0.0.1"), 0);
  });
});

describe("TLS to mysql", () => {
  it("is refused for an address, for which the driver would take another's certificate", async () => {
    await using server = await startMariadb();
    const ssl = { ca: undefined, rejectUnauthorized: true };
    const store = openStore({ ...serverConfig("mysql", server), ssl }, { lifetime: LIFETIME });
    await assert.rejects(store.schemaVersion(), /give the host's name, not its address/);
  });
});
