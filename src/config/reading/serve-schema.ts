/** The section [serve]. */
import * as v from "valibot";
import { endpointName, type ServeConfig } from "../config.ts";
import { dracdAllow } from "./dracd-allow.ts";
import {
  endpoint,
  localEndpoints,
  rpcEndpoint,
  socketPath,
  udpEndpoint,
} from "./endpoint-schema.ts";
import { section, type SectionRules } from "./section.ts";
import { duration, network } from "./values.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 1440 * MINUTE;

const GROUP_SPELLING = "expected a group's name";
const LEVEL_SPELLING = 'expected "debug", "info", "warning" or "error"';

/** The keys of [serve]. */
export const serveEntries = {
  dict: v.optional(socketPath, "/run/popbsmtp/dict"),
  "dict-group": v.optional(
    v.pipe(v.string(GROUP_SPELLING), v.regex(/^\w[\w.-]*$/, GROUP_SPELLING)),
  ),
  imap: v.optional(socketPath, "/run/popbsmtp/imap"),
  pop3: v.optional(socketPath, "/run/popbsmtp/pop3"),
  policy: v.optional(localEndpoints, "/run/popbsmtp/policy"),
  socketmap: v.optional(localEndpoints, "/run/popbsmtp/socketmap"),
  metrics: v.optional(endpoint, false),
  drac: v.optional(rpcEndpoint, false),
  "drac-allow": v.optional(dracdAllow),
  "relay-ctrl-udp": v.optional(udpEndpoint, false),
  "relay-ctrl-allow": v.optional(
    v.array(network, 'expected a list of networks such as ["192.0.2.0/24"]'),
    [],
  ),
  // Dovecot gives up, and rejects the user, after 60 s
  deadline: v.optional(duration(0, 30 * SECOND), "200ms"),
  "purge-interval": v.optional(duration(MINUTE, 7 * DAY, { orNever: true }), "1h"),
  "log-level": v.optional(
    v.picklist(["debug", "info", "warning", "error"], LEVEL_SPELLING),
    "info",
  ),
};

/** The section; its output is {@link ServeConfig}. `rules` covers keys that belong elsewhere. */
export function serveSection(rules: SectionRules) {
  const entries = section(serveEntries, rules);
  return v.pipe(
    entries,
    v.transform((input): ServeConfig => ({
      dict: input.dict,
      dictGroup: input["dict-group"],
      imap: input.imap,
      pop3: input.pop3,
      policy: input.policy,
      socketmap: input.socketmap,
      metrics: input.metrics,
      drac: input.drac,
      dracAllow: input["drac-allow"],
      relayCtrlUdp: input["relay-ctrl-udp"],
      relayCtrlAllow: input["relay-ctrl-allow"],
      deadline: input.deadline,
      purgeInterval: input["purge-interval"],
      logLevel: input["log-level"],
    })),
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      for (const message of shared(dataset.value)) addIssue({ message });
    }),
  );
}

/**
 * Endpoints given for two keys. The protocols differ, and a request of imap looks like one of pop3.
 */
function* shared(serve: ServeConfig): Generator<string> {
  const { dict, imap, pop3, policy, socketmap, metrics, drac, relayCtrlUdp } = serve;
  const given = {
    dict,
    imap,
    pop3,
    policy,
    socketmap,
    metrics,
    drac,
    "relay-ctrl-udp": relayCtrlUdp,
  };
  const keys = new Map<string, string>();
  for (const [key, places] of Object.entries(given)) {
    for (const place of [places ?? []].flat()) {
      const text = endpointName(place);
      const other = keys.get(text);
      if (other === key) yield `${key} has ${text} twice`;
      else if (other !== undefined) yield `${other} and ${key} listen on the same ${text}`;
      keys.set(text, key);
    }
  }
}
