import assert from "node:assert/strict";
import { it } from "node:test";
import { display, paragraph } from "../../../scripts/manual/mdoc.ts";

it("each sentence begins on a line of its own", () => {
  assert.deepEqual(paragraph("One. Two? (Three.) popbsmtp runs."), [
    "One.",
    "Two?",
    "(Three.)",
    "popbsmtp runs.",
  ]);
});

it("what is written so in a file is marked, and punctuation around it is not", () => {
  assert.deepEqual(paragraph("Set `user`, (`a b`) and `x`s."), [
    "Set",
    ".Ql user ,",
    '.Ql ( "a b" )',
    "and",
    ".Ql x Ns s.",
  ]);
});

it("options, paths and manual pages are found by themselves", () => {
  assert.deepEqual(paragraph("See postconf(1), --no-wait and /etc/popbsmtp/popbsmtp.toml."), [
    "See",
    ".Xr postconf 1 ,",
    ".Fl \\-no\\-wait",
    "and",
    ".Pa /etc/popbsmtp/popbsmtp.toml .",
  ]);
});

it("nothing in a text is taken for a request, an escape or a macro", () => {
  assert.deepEqual(paragraph(".so a\\b"), ["\\&.so a\\eb"]);
  assert.deepEqual(paragraph("`Nm`"), [".Ql \\&Nm"]);
  assert.deepEqual(paragraph('`a = "-\\d"`'), ['.Ql "a = ""\\-\\ed"""']);
  assert.equal(display('a = "b"'), '.Dl "a = ""b"""');
});
