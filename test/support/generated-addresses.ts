import { generator, pick, type Random } from "./random.ts";

/** Texts that are addresses, or nearly: the same ones in every run. */
export function generateAddresses(count: number): readonly string[] {
  const random = generator(4711);
  const makers = [ipv4, ipv6, mapped, withZone, damaged, damaged];
  return Array.from({ length: count }, (_, index) => {
    const make = makers[index % makers.length] ?? ipv4;
    return make(random);
  });
}

function ipv4(random: Random): string {
  return Array.from({ length: 4 }, () => pick(random, [random(256), random(10), 0, 255])).join(".");
}

/** Any spelling of RFC 4291, section 2.2. */
function ipv6(random: Random): string {
  const groups = Array.from({ length: 8 }, () =>
    pick(random, [0, 0, 1, random(65536), random(256)]),
  );
  let text = groups.map((group) => spell(random, group)).join(":");
  if (random(4) === 0) text = `${text.split(":").slice(0, 6).join(":")}:${ipv4(random)}`;
  if (random(2) === 0) text = text.replace(/(?:^|:)0+(?::0+)*(?::|$)/, "::");
  if (random(8) === 0) text = `::${spell(random, random(65536))}:${spell(random, random(65536))}`;
  return text;
}

function spell(random: Random, group: number): string {
  const digits = group.toString(16).padStart(random(5), "0");
  return random(2) === 0 ? digits.toUpperCase() : digits;
}

function mapped(random: Random): string {
  const prefix = pick(random, [
    "::ffff:",
    "::FFFF:",
    "::fFfF:",
    "0:0:0:0:0:ffff:",
    "::0:ffff:",
    "::",
  ]);
  const groups = `${spell(random, random(65536))}:${spell(random, random(65536))}`;
  return prefix + (random(2) === 0 ? ipv4(random) : groups);
}

function withZone(random: Random): string {
  return `${pick(random, [ipv6, ipv6, mapped, ipv4])(random)}%${pick(random, ["eth0", "1", "", "a%b"])}`;
}

/** An address with a character added, removed, changed or moved. */
function damaged(random: Random): string {
  const text = pick(random, [ipv4, ipv6, mapped])(random);
  const at = random(text.length);
  const character = pick(random, [
    ":",
    ".",
    "0",
    "g",
    " ",
    "\n",
    "/",
    "-",
    "x",
    "é",
    "٣",
    "%",
    "*",
    "[",
  ]);
  const [before, after] = [text.slice(0, at), text.slice(at)];
  return pick(random, [
    before + character + after,
    before + after.slice(1),
    before + character + after.slice(1),
    before + text[at] + after,
    after + before,
    `${text}${character}`,
    `${character}${text}`,
    text.replace(/\d/, "0$&"),
    text.replace(":", "::"),
    text.replace(".", ".0x"),
    `${text}/32`,
  ]);
}
