/** The values of `exclude`. */
import * as v from "valibot";
import type { Network } from "../../login/address.ts";
import { network } from "./values.ts";

/** Stands for the networks that Postfix trusts. */
export const POSTFIX = "postfix";

const SPELLING = `expected a list of networks such as ["192.0.2.0/24"], or "${POSTFIX}"`;

const postfix = v.literal(POSTFIX, SPELLING);
const onlyPostfix = v.pipe(
  postfix,
  v.transform((only): readonly (Network | typeof POSTFIX)[] => [only]),
);
const list = v.array(
  v.lazy((input) => (input === POSTFIX ? postfix : network)),
  SPELLING,
);

/** A list of networks, in which "postfix" stands for mynetworks; or "postfix" alone. */
export const networks = v.lazy((input) => (Array.isArray(input) ? list : onlyPostfix));
