/** The daemon's policy service or socketmap, as Postfix asks it. */
import { isAbsolute, join } from "node:path";
import { endpointName, type Config, type Endpoint } from "../../config/config.ts";
import { findAccount, isRoot } from "../../system/privileges.ts";
import { ok, problem, type Finding } from "../findings/finding.ts";
import type { Postfix } from "./postconf.ts";
import {
  endIt,
  NO_ANSWER,
  POLICY,
  question,
  SOCKETMAP,
  type Client,
} from "../findings/question.ts";
import type { Restriction } from "./restrictions.ts";
import type { Subject } from "../findings/subject.ts";
import { popbsmtp } from "../findings/words.ts";

/** A service, as a restriction names it. */
export interface AskedService {
  readonly protocol: "policy" | "socketmap";
  /** The restriction's argument. */
  readonly text: string;
  /** Its endpoint: "unix:private/popbsmtp-policy", "inet:127.0.0.1:10040". */
  readonly server: string;
  /** Whether proxymap(8) asks it, instead of smtpd(8). */
  readonly proxied: boolean;
  /** The settings of a policy service: timeout, default_action. */
  readonly settings: ReadonlyMap<string, string>;
}

/**
 * undefined if the restriction does not name a service.
 *
 * @param usual the defaults of all policy services
 */
export function readService(
  { name, argument = "" }: Restriction,
  usual: AskedService["settings"] = new Map(),
): AskedService | undefined {
  if (name === "check_policy_service") {
    const inBraces = argument.startsWith("{");
    const [server = "", ...words] = argument.split(/[\s,{}]+/).filter((word) => word !== "");
    const settings = new Map([...usual, ...(inBraces ? words.map(setting) : [])]);
    return { protocol: "policy", text: argument, server, proxied: false, settings };
  }
  // the last word is the name of the map
  const [, proxy, server] = /^(proxy:)?socketmap:((?:unix|inet):.+):[^:]+$/.exec(argument) ?? [];
  if (server === undefined) return undefined;
  return {
    protocol: "socketmap",
    text: argument,
    server,
    proxied: proxy !== undefined,
    settings: new Map(),
  };
}

function setting(word: string): readonly [string, string] {
  const [name = "", ...value] = word.split("=");
  return [name.trim(), value.join("=").trim()];
}

/**
 * Whether the service is popbsmtp's, by its name or because the daemon is configured to listen
 * there.
 */
export function isDaemons(service: AskedService, { serve }: Config): boolean {
  if (service.server.includes("popbsmtp")) return true;
  const asked = placeOf(service, { queue: "/", chrooted: false });
  return asked !== undefined && serve[service.protocol].some((place) => same(place, asked));
}

function same(one: Endpoint, other: Endpoint): boolean {
  return endpointName(one) === endpointName(other);
}

/** smtpd's view of the file system: relative paths begin in the queue directory. */
interface View {
  readonly queue: string;
  readonly chrooted: boolean;
}

/** The endpoint that smtpd connects to; undefined if the spelling names none. */
function placeOf({ server }: AskedService, { queue, chrooted }: View): Endpoint | undefined {
  const [, path] = /^unix:(.+)$/.exec(server) ?? [];
  if (path !== undefined) {
    return { path: isAbsolute(path) && !chrooted ? path : join(queue, path) };
  }
  const [, v6, name = v6, port] = /^inet:(?:\[([^\]]+)\]|([^:]*)):(\d+)$/.exec(server) ?? [];
  if (port === undefined) return undefined;
  const host = name === undefined || name === "" || name === "localhost" ? "127.0.0.1" : name;
  return { host, port: Number(port) };
}

/**
 * The restriction with the settings that keep a failed daemon from harming mail; undefined if it
 * has them. Postfix 3.0 introduced the braces and these words (postconf(5),
 * smtpd_relay_restrictions).
 */
export function harmless(service: AskedService): Restriction | undefined {
  if (service.protocol !== "policy") return undefined;
  if (isHarmless(service) && service.settings.has("timeout")) return undefined;
  const settings = new Map([["timeout", "2s"], ...service.settings, ["default_action", "DUNNO"]]);
  const words = Array.from(settings, ([name, value]) => `${name}=${value}`);
  return { name: "check_policy_service", argument: `{ ${[service.server, ...words].join(", ")} }` };
}

/** Whether the service answers Postfix's user, correctly. */
export async function serviceFindings(
  service: AskedService,
  subject: Subject,
  { owner, queue, chrooted }: Pick<Postfix, "owner"> & View,
): Promise<Finding> {
  const view = { queue, chrooted: chrooted && !service.proxied };
  const place = placeOf(service, view);
  if (place === undefined)
    return problem(`${service.server}: expected unix:PATH or inet:HOST:PORT`);
  const account = isRoot() ? findAccount(owner) : undefined;
  const as: Client | undefined = account && { user: owner, account };
  const { question: text, yes, no } = service.protocol === "policy" ? POLICY : SOCKETMAP;
  const asked = await question(place, text, as);
  const where = endpointName(place);
  if ("why" in asked) {
    const trouble = `nothing answers ${owner} at ${where} (${asked.why}): ${consequence(service)}`;
    return asked.why === NO_ANSWER
      ? problem(trouble, ...endIt(subject.daemon))
      : problem(trouble, ...remedy(service, place, view.chrooted, subject));
  }
  if (asked.answer === no) return ok(`the daemon's ${service.protocol} gives the right answer`);
  if (asked.answer === yes) {
    const all = `${where} permits 192.0.2.0, which never logged in: any client may relay`;
    return problem(all, `${popbsmtp(subject.config)} check 192.0.2.0`);
  }
  if (service.protocol === "socketmap" && /^\d+:TEMP /.test(asked.answer)) {
    const away = `${where} cannot ask the store: clients that may not relay get a 451`;
    return { ...problem(away, `${popbsmtp(subject.config)} check 192.0.2.0`), outage: "symptom" };
  }
  const strange = `the program that answers at ${where} is not the ${service.protocol} of popbsmtp serve: ${consequence(service)}`;
  return problem(strange, ...remedy(service, place, view.chrooted, subject));
}

/** The consequence of a missing answer. */
function consequence(service: AskedService): string {
  return isHarmless(service) ? "no client may relay" : "clients that may not relay get a 451";
}

/** Whether a failing service has no opinion. A failing map causes an error instead. */
function isHarmless({ protocol, settings }: AskedService): boolean {
  return protocol === "policy" && settings.get("default_action") === "DUNNO";
}

function remedy(
  { protocol }: AskedService,
  place: Endpoint,
  chrooted: boolean,
  { config, daemon }: Subject,
): readonly string[] {
  const listens = `${popbsmtp(config)} serve --check    # says where popbsmtp serve listens`;
  const isConfigured = config.serve[protocol].some((own) => same(own, place));
  if (!isConfigured) {
    const why =
      chrooted && "path" in place ? "    # smtpd is chrooted: no other path is it to it" : "";
    return [`[serve]${why}`, `${protocol} = "${endpointName(place)}"`, listens];
  }
  return daemon === undefined
    ? [
        "systemctl start popbsmtp    # or, where Dovecot starts popbsmtp serve: doveadm reload; systemctl start dovecot if that is stopped",
      ]
    : [listens];
}
