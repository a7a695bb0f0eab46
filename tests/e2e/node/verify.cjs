// Verifies one delivery with the published verifiers; prints the name of each that accepted it.
const { readFileSync } = require("node:fs");
const sample = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const name of ["standardwebhooks", "svix"]) {
  const { Webhook } = require(name);
  new Webhook(sample.secret).verify(sample.body, sample.headers);
  let refused = false;
  try {
    new Webhook(sample.secret).verify(sample.body + " ", sample.headers);
  } catch {
    refused = true;
  }
  if (!refused) throw new Error(`${name} accepted a changed body`);
  console.log(name);
}
