import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { requireRoot } from "./accounts.ts";
import { run, runOk, type RunResult } from "./run.ts";
import { startServerProcess, type ServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";
import { waitUntil } from "./wait-until.ts";

/** Its address besides those of loopback. */
export const MACHINE_ADDRESS = "198.51.100.1";

/** DRAC's. */
const PROGRAM = "900101";

/** The words that run a command in a {@link RpcMachine}. */
export type Enter = readonly string[];

/** An rpcgen DRAC server: drac/server.c. Its registration is removed at dispose. */
export interface Dracd extends AsyncDisposable {
  /** The addresses that were reported, each time. */
  told(): readonly string[];
  signal(name: NodeJS.Signals): void;
  /** Leaves the registration in place, as after a crash. */
  kill(): Promise<void>;
}

/**
 * A separate network with loopback and an rpcbind. Its files are this host's, except for /run. Unix
 * sockets, except rpcbind's, can be reached from both sides.
 */
export interface RpcMachine extends AsyncDisposable {
  readonly enter: Enter;
  startRpcbind(): Promise<void>;
  stopRpcbind(): Promise<void>;
  /** DRAC's registrations: "version transport port". */
  registered(): Promise<readonly string[]>;
  /**
   * Reports addresses to the server on a host, over `transport`: drac/client.c, which prints the
   * statuses.
   *
   * @param host default 127.0.0.1
   */
  tell(
    transport: "udp" | "tcp",
    addresses: readonly string[],
    host?: string,
  ): Promise<RunResult & { readonly statuses: readonly string[] }>;
  /** Starts a server of this many versions that answers every call with `status`. */
  startDracd(options: { readonly versions: 1 | 2; readonly status: number }): Promise<Dracd>;
}

export async function startRpcMachine(): Promise<RpcMachine> {
  requireRoot("a network of its own");
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ mode: 0o755 }));
  const programs = await compile(path);
  const logFile = join(path, "log");
  const holder = await startServerProcess(
    "unshare",
    ["--net", "--mount", "sh", "-c", SET_UP],
    // it reports that itself
    { logFile, cwd: path, ready: () => readFileSync(logFile, "utf8").includes("ready") },
  );
  stack.defer(() => holder.kill());
  const enter = ["nsenter", `--target=${holder.pid}`, "--net", "--mount"];
  const [nsenter = "", ...rest] = enter;
  const inside = (...words: readonly string[]) => [...rest, ...words];
  let rpcbind: ServerProcess | undefined;
  const machine = {
    enter,
    startRpcbind: async () => {
      rpcbind = await startServerProcess(nsenter, inside("rpcbind", "-f"), {
        logFile,
        cwd: path,
        ready: async () => (await run(nsenter, inside("rpcinfo", "-p"))).status === 0,
      });
    },
    stopRpcbind: async () => {
      await rpcbind?.kill();
      rpcbind = undefined;
    },
    registered: async () => {
      const lines = (await runOk(nsenter, inside("rpcinfo", "-p"))).split("\n");
      return lines
        .map((line) => line.trim().split(/\s+/))
        .filter(([program]) => program === PROGRAM)
        .map(([, version, transport, port]) => `${version} ${transport} ${port}`);
    },
    tell: async (transport: "udp" | "tcp", addresses: readonly string[], host = "127.0.0.1") => {
      const result = await run(nsenter, inside(programs.client, host, transport, ...addresses));
      return { ...result, statuses: result.stdout.toString().trim().split("\n") };
    },
    startDracd: ({ versions, status }: { readonly versions: 1 | 2; readonly status: number }) =>
      startDracd(nsenter, inside(programs.server, `${versions}`, `${status}`), async () => {
        for (const version of ["1", "2"])
          await run(nsenter, inside("rpcinfo", "-d", PROGRAM, version));
      }),
  };
  stack.defer(() => machine.stopRpcbind());
  await machine.startRpcbind();
  const resources = stack.move();
  return { ...machine, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

const SET_UP = [
  "ip link set lo up",
  `ip address add ${MACHINE_ADDRESS}/32 dev lo`,
  "mount -t tmpfs tmpfs /run",
  "echo ready",
  "exec sleep infinity",
].join(" && ");

async function compile(directory: string): Promise<{ client: string; server: string }> {
  const build = join(directory, "build");
  mkdirSync(build);
  for (const name of ["drac.x", "client.c", "server.c"]) {
    copyFileSync(join(import.meta.dirname, "drac", name), join(build, name));
  }
  const options = { cwd: build };
  // drac.h, drac_clnt.c, drac_svc.c, drac_xdr.c
  await runOk("rpcgen", ["-C", "drac.x"], options);
  // the same as drac_svc.c, without its main()
  await runOk("rpcgen", ["-C", "-m", "-o", "drac_dispatch.c", "drac.x"], options);
  const gcc = (name: string, generated: string) =>
    runOk(
      "gcc",
      ["-I/usr/include/tirpc", "-o", name, `${name}.c`, generated, "drac_xdr.c", "-ltirpc"],
      options,
    );
  await gcc("client", "drac_clnt.c");
  await gcc("server", "drac_dispatch.c");
  return { client: join(build, "client"), server: join(build, "server") };
}

async function startDracd(
  command: string,
  args: readonly string[],
  takeOff: () => Promise<void>,
): Promise<Dracd> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  const exited = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  await waitUntil("dracd to be ready", () => text.startsWith("ready\n"));
  return {
    told: () => text.split("\n").slice(1, -1),
    signal: (name) => void child.kill(name),
    kill,
    [Symbol.asyncDispose]: async () => {
      await kill();
      await takeOff();
    },
  };
}
