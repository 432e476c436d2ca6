import { randomUUID } from "node:crypto";
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { openStore } from "../../src/writers/open-stores.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { storeContract } from "./store-contract.ts";
import { LIFETIME, type ContractSubject } from "./subject.ts";

let directory: TemporaryDirectory;
before(() => {
  directory = temporaryDirectory();
});
after(() => directory[Symbol.asyncDispose]());

function subject(): ContractSubject {
  const path = join(directory.path, randomUUID(), "allow");
  return {
    open: () => openStore({ driver: "relay-ctrl", path }, { lifetime: LIFETIME }),
    shift: (address, seconds) => {
      const time = Date.now() / 1000 + seconds;
      utimesSync(join(path, address), time, time);
      return Promise.resolve();
    },
  };
}

describe("relay-ctrl", () => {
  storeContract(() => Promise.resolve(subject()), { full: false, lastUser: true, grain: 1 });
});
