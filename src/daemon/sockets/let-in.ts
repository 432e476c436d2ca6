/**
 * Answers logins while the configuration is invalid, so that the daemon does not know where to
 * record them.
 *
 * If Dovecot or systemd holds the listening sockets, connections wait in them while the daemon
 * exits at every start, and after a minute Dovecot rejects the login. So the daemon lets every user
 * in.
 */
import type { Socket } from "node:net";
import type { Login } from "../../login/login.ts";
import { serveDict } from "../../sources/dovecot/dict.ts";
import { servePostLogin } from "../../sources/dovecot/post-login.ts";
import type { Handler } from "./listeners.ts";
import { isLogin, type Role } from "./roles.ts";
import type { Log } from "../log/log.ts";
import type { Clock } from "../../lib/clock.ts";

/** Lets every user in, and records nothing. */
export function lettingIn(now: Clock, log: Log): Handler {
  return (socket: Socket, role: Role) => {
    // Postfix treats a policy service that disconnects as default_action
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
