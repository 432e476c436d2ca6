import type { Connection as Link, RowDataPacket } from "mysql2/promise";
import type { ServerStoreConfig } from "../../config/config.ts";
import type { Caveat } from "../store.ts";
import { alterColumn, looseUsers } from "../table/table-caveats.ts";

/** Times that each session sees in its own zone, and collations that ignore something. */
export async function mysqlCaveats(
  link: Link,
  config: ServerStoreConfig,
): Promise<readonly Caveat[]> {
  const { lastSeen, user } = config.columns;
  const [rows] = await link.execute<
    (RowDataPacket & { name: string; type: string; collation: string | null })[]
  >(
    "SELECT column_name AS name, data_type AS type, collation_name AS collation " +
      "FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?",
    [config.table],
  );
  return rows.flatMap(({ name, type, collation }) => {
    if (name === lastSeen && type === "timestamp") {
      return {
        text:
          `${config.table}.${name} is a timestamp, which every session sees in its own time zone: Postfix's query, ` +
          "which compares with UTC_TIMESTAMP(), is wrong unless the server's time zone is UTC",
        remedy: `SET time_zone = '+00:00'; ${alterColumn(config, "MODIFY", name)} datetime NOT NULL`,
      };
    }
    const isLoose = collation !== null && !/_nopad_bin$|_0900_bin$/.test(collation);
    return name === user && isLoose
      ? looseUsers(config, name, `${alterColumn(config, "MODIFY", name)} varbinary(255) NOT NULL`)
      : [];
  });
}
