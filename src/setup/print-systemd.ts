import { dirname } from "node:path";
import {
  endpointName,
  type Config,
  type Endpoint,
  type ServeConfig,
  type StoreConfig,
} from "../config/config.ts";
import { DOVECOT_GROUP } from "../daemon/sockets/listeners.ts";
import { ConfigError } from "../lib/errors.ts";
import { plainWords } from "./plain-words.ts";

/**
 * The daemon's sockets. Each has a unit of its own, because a unit has one name and one mode for
 * all its sockets.
 */
export const SOCKETS = [
  "dict",
  "imap",
  "pop3",
  "policy",
  "socketmap",
  "metrics",
  "relay-ctrl",
] as const;

type SocketName = (typeof SOCKETS)[number];

/** All units, to be put into their files. */
export function unitLines(config: Config, program: readonly string[]): readonly string[] {
  const names = SOCKETS.filter((name) => endpoints(config.serve, name).length > 0);
  const units = names.map((name) => `popbsmtp-${name}.socket`).join(" ");
  return [
    "# Each of these units is a file. After writing them:",
    "#",
    "#   systemctl daemon-reload",
    `#   systemctl enable --now ${units} popbsmtp.service`,
    "",
    ...serviceUnit(config, program),
    ...names.flatMap((name) => ["", ...socketUnit(config.serve, name)]),
  ];
}

/**
 * The daemon's unit: systemd.service(5), systemd.exec(5). The daemon is never root, because systemd
 * opens its sockets.
 *
 * @param program the words that start popbsmtp
 */
export function serviceUnit(config: Config, program: readonly string[]): readonly string[] {
  const { serve, user } = config;
  const sockets = SOCKETS.filter((name) => endpoints(serve, name).length > 0);
  return [
    "# /etc/systemd/system/popbsmtp.service",
    "[Unit]",
    "Description=POP-before-SMTP relay authorizations",
    "After=network.target postgresql.service mariadb.service mysql.service",
    "# restart without limit: logins wait for the daemon",
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    "Type=notify",
    "# systemd-notify(1) sends the notifications",
    "NotifyAccess=all",
    `ExecStart=${plainWords([...program, "serve"])}`,
    "ExecReload=/bin/kill -HUP $MAINPID",
    `Sockets=${sockets.map((name) => `popbsmtp-${name}.socket`).join(" ")}`,
    "# must be able to read the configuration and its password files",
    `User=${user}`,
    "Restart=always",
    "# how long a login may wait after a crash and after a hang",
    "RestartSec=100ms",
    "WatchdogSec=5",
    "# writing a core dump would delay the restart, and it would contain passwords",
    "LimitCORE=0",
    "LimitNOFILE=65536",
    "UMask=0022",
    "",
    ...sandbox(config, program),
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ];
}

/** A unit for a timer, which purges where no daemon does: systemd.timer(5). */
export function purgeUnit(config: Config, program: readonly string[]): readonly string[] {
  return [
    "# /etc/systemd/system/popbsmtp-purge.service",
    "[Unit]",
    "Description=Delete expired POP-before-SMTP authorizations",
    "After=network.target postgresql.service mariadb.service mysql.service",
    "",
    "[Service]",
    "Type=oneshot",
    `ExecStart=${plainWords([...program, "purge"])}`,
    `User=${config.user}`,
    "LimitCORE=0",
    "UMask=0022",
    "",
    ...sandbox(config, program),
  ];
}

/** Sockets that exist before the daemon starts and while it restarts: systemd.socket(5). */
export function socketUnit(serve: ServeConfig, name: SocketName): readonly string[] {
  const places = endpoints(serve, name);
  if (places.length === 0) {
    const key = name === "relay-ctrl" ? "relay-ctrl-udp" : name;
    throw new ConfigError([`serve.${key}: the daemon has no socket for it`]);
  }
  const kind = name === "relay-ctrl" ? "ListenDatagram" : "ListenStream";
  return [
    `# /etc/systemd/system/popbsmtp-${name}.socket`,
    "[Unit]",
    `Description=POP-before-SMTP: ${name}`,
    "",
    "[Socket]",
    ...places.map((place) => `${kind}=${plainWords([endpointName(place)])}`),
    `FileDescriptorName=${name}`,
    "# start the daemon without limit, however often it exits",
    "TriggerLimitIntervalSec=0",
    "Service=popbsmtp.service",
    ...permissions(serve, name),
    "",
    "[Install]",
    "WantedBy=sockets.target",
  ];
}

/** The directories that a unit may write to, and what it may not do. */
function sandbox(config: Config, program: readonly string[]): readonly string[] {
  const { spool, stores } = config;
  const stored = stores.flatMap(directories);
  const writable = [spool, ...stored].map((path) => plainWords([path]));
  const paths = [writable[0], ...writable.slice(1).map((path) => `-${path}`)];
  return [
    "# The daemon needs its spool, the store and its sockets only. MemoryDenyWriteExecute=yes is missing because Node compiles",
    "# JavaScript into memory.",
    "ProtectSystem=strict",
    "# the first must exist; create the others before the start",
    `ReadWritePaths=${paths.join(" ")}`,
    ...hardening(homes([spool, ...stored, ...readable(config, program)])),
  ];
}

/** A process that connects to a socket for logins can authorize any address. */
function permissions({ dictGroup = DOVECOT_GROUP }: ServeConfig, name: SocketName) {
  switch (name) {
    case "dict":
      return [
        "# A process that connects here can authorize any address. Dovecot's imap and pop3 processes are in this group",
        "# (extra_groups); no other user should be.",
        `SocketGroup=${dictGroup}`,
        "SocketMode=0660",
      ];
    case "imap":
    case "pop3":
      return [
        "# for root only, as which Dovecot connects: a process that connects here can authorize any address",
        "SocketMode=0600",
      ];
    default:
      return ["SocketMode=0666"];
  }
}

function endpoints(serve: ServeConfig, name: SocketName): readonly Endpoint[] {
  return [(name === "relay-ctrl" ? serve.relayCtrlUdp : serve[name]) ?? []].flat();
}

/** The directories that the daemon writes to for a store. */
function directories(store: StoreConfig): readonly string[] {
  if (store.driver === "sqlite") return [dirname(store.path)];
  return store.driver === "relay-ctrl" ? [store.path] : [];
}

/** Files that the daemon reads, which may be in any directory. */
function readable({ path, stores, watch }: Config, program: readonly string[]): readonly string[] {
  const sockets = stores.flatMap((store) => ("hosts" in store ? store.hosts : []));
  const logs = watch.inDaemon ? watch.files : [];
  return [...program, ...sockets, ...logs, ...(path === undefined ? [] : [path])];
}

/**
 * Whether any of popbsmtp's files is in a home directory or in /tmp, which systemd otherwise hides
 * from services.
 */
function homes(paths: readonly string[]): { readonly home: boolean; readonly temporary: boolean } {
  return {
    home: paths.some((path) => /^\/(?:home|root|run\/user)\//.test(path)),
    temporary: paths.some((path) => /^\/(?:var\/)?tmp\//.test(path)),
  };
}

function hardening({ home, temporary }: ReturnType<typeof homes>): readonly string[] {
  return [
    `ProtectHome=${home ? "read-only" : "yes"}`,
    ...(temporary ? [] : ["PrivateTmp=yes"]),
    "PrivateDevices=yes",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectProc=invisible",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "SystemCallErrorNumber=EPERM",
  ];
}
