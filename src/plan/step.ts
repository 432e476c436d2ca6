import { shellWord } from "../doctor/findings/words.ts";

/** Where what setup has done is remembered. Only root may look. */
export const MEMORY = "/var/lib/popbsmtp-setup";

/** A part of a plan: lines of a POSIX shell, which run as root. */
export interface Step {
  /** Orders the steps, and names what takes this one back: "40-dovecot". */
  readonly name: string;
  /** What it does, for a person. */
  readonly title: string;
  readonly lines: string;
  /** Lines that take it back, also where it ended half-way. Default: there is nothing to take back. */
  readonly undo?: string;
  /**
   * Whether it changes the mail server, so that `popbsmtp setup --undo` takes it back. The others
   * are taken back only if setup fails. Default false.
   */
  readonly lasting?: boolean;
  /** The file that it writes, for a diff. */
  readonly file?: WrittenFile;
  /** Called after the lines. Throws if they have not had the effect that they should have. */
  readonly check?: () => Promise<void>;
}

export interface WrittenFile {
  readonly path: string;
  readonly text: string;
  /** Its present contents; undefined if it is not there. */
  readonly before: string | undefined;
}

/**
 * Lines that write a file: nobody sees half of it, nor has a moment in which it has another mode.
 *
 * @param mode "0640"
 */
export function writing(path: string, text: string, mode: string, group = "root"): string {
  const [file, part] = [shellWord(path), shellWord(`${path}.new`)];
  return `(umask 077; cat > ${part}) <<'END OF FILE'
${text.endsWith("\n") ? text : `${text}\n`}END OF FILE
chown root:${group} ${part}
chmod ${mode} ${part}
mv -f ${part} ${file}`;
}

/** Lines that keep a file as it is now, for {@link restoring}. */
export function keeping(path: string): string {
  return `cp -p ${shellWord(path)} ${kept(path)}`;
}

/** Lines that put back what {@link keeping} has kept. */
export function restoring(path: string): string {
  const [file, part] = [shellWord(path), shellWord(`${path}.new`)];
  // a full disk has kept the file from being changed, and has no room for a copy
  return `if [ -e ${kept(path)} ] && ! cmp -s ${kept(path)} ${file}; then cp -p ${kept(path)} ${part}; mv -f ${part} ${file}; fi`;
}

/** The copy of a file. */
export function kept(path: string): string {
  return shellWord(`${MEMORY}/${path.replaceAll("/", "_")}`);
}
