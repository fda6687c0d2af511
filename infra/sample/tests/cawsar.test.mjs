// The JavaScript half: the same messages, one test for each.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decode, encode } from "../cawsar.mjs";

const messages = JSON.parse(readFileSync(new URL("messages.json", import.meta.url), "utf8"));

for (const { name, plain, shift, secret } of messages) {
  test(name, () => {
    assert.equal(encode(plain, shift), secret);
    assert.equal(decode(secret, shift), plain);
  });
}

test("what was encoded can be decoded, whatever the shift", () => {
  const plain = "Quoth the raven: nevermore.";
  for (let shift = -60; shift <= 60; shift += 1) assert.equal(decode(encode(plain, shift), shift), plain);
});
