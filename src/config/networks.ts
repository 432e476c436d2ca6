/** What `exclude` may say. */
import * as v from "valibot";
import { parseNetwork, type Network } from "../address.ts";
import { quote } from "./values.ts";

/** Stands for the networks that Postfix trusts. */
export const POSTFIX = "postfix";

const SPELLING = `expected a list of networks such as ["192.0.2.0/24"], or "${POSTFIX}"`;

type NetworkOrPostfix = Network | typeof POSTFIX;

const network = v.pipe(
  v.string(SPELLING),
  v.rawTransform(({ dataset: { value }, addIssue, NEVER }): NetworkOrPostfix => {
    const parsed = value === POSTFIX ? value : parseNetwork(value);
    if (parsed !== undefined) return parsed;
    addIssue({
      message: `${quote(value)} is no network; expected an address and a prefix length, such as "192.0.2.0/24" or "2001:db8::/32"`,
    });
    return NEVER;
  }),
);

const onlyPostfix = v.pipe(
  v.literal(POSTFIX, SPELLING),
  v.transform((only): readonly NetworkOrPostfix[] => [only]),
);
const list = v.array(network, SPELLING);

/** A list of networks, in which "postfix" stands for mynetworks; or that alone. */
export const networks = v.lazy((input) => (Array.isArray(input) ? list : onlyPostfix));
