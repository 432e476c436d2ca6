/**
 * What answers while the daemon cannot tell where to record a login: its configuration is wrong.
 *
 * Where Dovecot or systemd holds the listening sockets, connections wait in them for a daemon that ends at every start, and after a
 * minute Dovecot refuses the login. So somebody has to let them in.
 */
import type { Socket } from "node:net";
import type { Login } from "../../login/login.ts";
import { serveDict } from "../../sources/dovecot/dict.ts";
import { servePostLogin } from "../../sources/dovecot/post-login.ts";
import { isLogin, type Handler, type Role } from "./listeners.ts";
import type { Log } from "../log/log.ts";
import type { Clock } from "../../lib/clock.ts";

/** Lets everybody in, and records nothing. */
export function lettingIn(now: Clock, log: Log): Handler {
  return (socket: Socket, role: Role) => {
    // a policy service that hangs up is no opinion (default_action)
    if (!isLogin(role)) {
      socket.destroy();
      return;
    }
    const record = ({ address, user, service }: Login) => {
      log.info("login", { address, user, service, outcome: "lost" });
      return Promise.resolve(false);
    };
    const protocol = role === "dict" ? "dict" : "post-login";
    const onMalformed = (reason: string) => log.warning("malformed-request", { protocol, reason });
    if (role === "dict") serveDict(socket, { record, now, onMalformed });
    else servePostLogin(socket, { service: role, record, now, onMalformed });
  };
}
