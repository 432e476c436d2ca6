/** What `exclude` may say. */
import * as v from "valibot";
import type { Network } from "../address.ts";
import { network } from "./values.ts";

/** Stands for the networks that Postfix trusts. */
export const POSTFIX = "postfix";

const SPELLING = `expected a list of networks such as ["192.0.2.0/24"], or "${POSTFIX}"`;

type NetworkOrPostfix = Network | typeof POSTFIX;

const networkOrPostfix = v.lazy((input) => (input === POSTFIX ? v.literal(POSTFIX) : network));

const onlyPostfix = v.pipe(
  v.literal(POSTFIX, SPELLING),
  v.transform((only): readonly NetworkOrPostfix[] => [only]),
);
const list = v.array(networkOrPostfix, SPELLING);

/** A list of networks, in which "postfix" stands for mynetworks; or that alone. */
export const networks = v.lazy((input) => (Array.isArray(input) ? list : onlyPostfix));
