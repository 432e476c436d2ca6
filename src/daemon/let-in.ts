/**
 * What answers while the daemon cannot tell where to record a login: its configuration is wrong.
 *
 * Where Dovecot or systemd holds the listening sockets, connections wait in them for a daemon that ends at every start, and after a
 * minute Dovecot refuses the login. So somebody has to let them in.
 */
import type { Socket } from "node:net";
import { servePostLogin } from "../sources/dovecot/post-login.ts";
import { isLogin, type Handler, type Role } from "./listeners.ts";
import type { Log } from "./log.ts";

/** Lets everybody in, and records nothing. */
export function lettingIn(now: () => number, log: Log): Handler {
  return (socket: Socket, role: Role) => {
    // a policy service that hangs up is no opinion (default_action)
    if (!isLogin(role)) {
      socket.destroy();
      return;
    }
    servePostLogin(socket, {
      service: role,
      record: ({ address, user, service }) => {
        log.info("login", { address, user, service, outcome: "lost" });
        return Promise.resolve();
      },
      now,
      onMalformed: (reason) => log.warning("malformed-request", { protocol: "post-login", reason }),
    });
  };
}
