import { describe, test, type TestContext } from "node:test";

/** Whether everything is tested, however long it takes: `npm run test:soak`. */
export const SOAK = process.env["SOAK"] === "1";

/** A test for `npm run test:soak` alone. */
export function soakTest(name: string, work: (t: TestContext) => Promise<void>): void {
  if (SOAK) void test(name, work);
}

/** A suite for `npm run test:soak` alone. */
export function soakDescribe(name: string, work: () => void): void {
  if (SOAK) void describe(name, work);
}

/** Further cases, tested by `npm run test:soak` alone. */
export function inSoak<const T>(...cases: readonly T[]): readonly T[] {
  return SOAK ? cases : [];
}
