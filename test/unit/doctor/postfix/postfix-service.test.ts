import assert from "node:assert/strict";
import { test } from "node:test";
import {
  harmless,
  isDaemons,
  readService,
} from "../../../../src/doctor/postfix/postfix-service.ts";
import {
  parseRestrictions,
  restrictionsText,
} from "../../../../src/doctor/postfix/restrictions.ts";
import { config } from "../findings/subject.ts";

function read(text: string, usual?: ReadonlyMap<string, string>) {
  const [restriction] = parseRestrictions(text);
  assert.ok(restriction !== undefined);
  return readService(restriction, usual);
}

test("a policy service, with braces and blanks wherever Postfix takes them", () => {
  for (const argument of [
    "{ unix:private/popbsmtp, timeout=2s, default_action=DUNNO }",
    "{unix:private/popbsmtp,timeout=2s,default_action=DUNNO}",
    "{ unix:private/popbsmtp timeout=2s default_action=DUNNO }",
  ]) {
    const service = read(`check_policy_service ${argument}`);
    assert.equal(service?.server, "unix:private/popbsmtp");
    assert.deepEqual(Object.fromEntries(service.settings), {
      timeout: "2s",
      default_action: "DUNNO",
    });
    assert.equal(harmless(service), undefined);
  }
});

test("main.cf's settings for policy services apply unless a service overrides them", () => {
  const usual = new Map([
    ["default_action", "DUNNO"],
    ["timeout", "3s"],
  ]);
  const plain = read("check_policy_service unix:popbsmtp/policy", usual);
  assert.ok(plain !== undefined);
  assert.equal(harmless(plain), undefined);
  const other = read("check_policy_service { unix:popbsmtp/policy, default_action=451 }", usual);
  assert.equal(other?.settings.get("default_action"), "451");
});

test("a policy service that could harm mail gets harmless settings", () => {
  const service = read("check_policy_service { inet:127.0.0.1:10040, timeout=5s }");
  assert.ok(service !== undefined);
  const right = harmless(service);
  assert.equal(
    right && restrictionsText([right]),
    "check_policy_service { inet:127.0.0.1:10040, timeout=5s, default_action=DUNNO }",
  );
});

test("a socketmap, directly or through proxymap", () => {
  const service = read("check_client_access proxy:socketmap:unix:/run/popbsmtp/socketmap:relay");
  assert.equal(service?.server, "unix:/run/popbsmtp/socketmap");
  assert.equal(service.proxied, true);
  assert.equal(
    read("check_client_access socketmap:inet:[::1]:10041:x")?.server,
    "inet:[::1]:10041",
  );
  assert.equal(read("check_client_access pgsql:/etc/postfix/popbsmtp.cf"), undefined);
});

test("the daemon's services are recognised by name or endpoint", () => {
  const serve = { ...config.serve, policy: [{ host: "127.0.0.1", port: 10_040 }] };
  const isOurs = (text: string) => {
    const service = read(text);
    return service !== undefined && isDaemons(service, { ...config, serve });
  };
  assert.ok(isOurs("check_policy_service unix:private/popbsmtp"));
  assert.ok(isOurs("check_policy_service inet:localhost:10040"));
  assert.ok(!isOurs("check_policy_service inet:127.0.0.1:10023"));
  assert.ok(!isOurs("check_policy_service unix:private/policyd-spf"));
  assert.ok(!isOurs("check_policy_service nonsense"));
});
