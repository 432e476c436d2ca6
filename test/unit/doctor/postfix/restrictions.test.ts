import assert from "node:assert/strict";
import { test } from "node:test";
import {
  corrected,
  endOf,
  parseRestrictions,
  restrictionsText,
  withClasses,
} from "../../../../src/doctor/postfix/restrictions.ts";

const access = { name: "check_client_access", argument: "pgsql:/m" };

test("blanks and commas separate restrictions, and braces group their words", () => {
  assert.deepEqual(
    parseRestrictions(
      "permit_mynetworks,check_client_access pgsql:/m\n check_policy_service { unix:/p, timeout=2s } reject",
    ),
    [
      { name: "permit_mynetworks", argument: undefined },
      access,
      { name: "check_policy_service", argument: "{ unix:/p, timeout=2s }" },
      { name: "reject", argument: undefined },
    ],
  );
});

test("an empty list contains nothing and rejects no client", () => {
  assert.deepEqual(parseRestrictions(" "), []);
  assert.equal(endOf([]), 0);
});

test("a class is replaced by its list", () => {
  const list = withClasses(
    parseRestrictions("permit_mynetworks, ours, reject"),
    new Map([["ours", [access]]]),
  );
  assert.equal(restrictionsText(list), "permit_mynetworks, check_client_access pgsql:/m, reject");
});

const lists = [
  ["permit_mynetworks, defer_unauth_destination", "permit_mynetworks, X, defer_unauth_destination"],
  [
    "permit_mynetworks, check_client_access pgsql:/m, reject_unauth_destination",
    "permit_mynetworks, X, reject_unauth_destination",
  ],
  [
    "reject_unauth_destination, check_client_access pgsql:/m, permit",
    "X, reject_unauth_destination, permit",
  ],
  [
    "check_client_access pgsql:/m, permit_auth_destination, check_client_access cidr:/x, reject",
    "check_client_access cidr:/x, X, reject",
  ],
  ["", "X, defer_unauth_destination"],
] as const;
for (const [from, to] of lists) {
  test(`the lookup put right in "${from}"`, () => {
    const x = "permit_auth_destination, check_client_access pgsql:/m";
    assert.equal(restrictionsText(corrected(parseRestrictions(from), access)), to.replace("X", x));
  });
}
