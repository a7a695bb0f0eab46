// Signs messages with the providers' own libraries: one JSON object a line in, the headers of it a line out.
//   {"provider":"stripe","secret":"…","body":"…","url":"…","at":1700000000}
const { join } = require("node:path");
const { createInterface } = require("node:readline");
const { pathToFileURL } = require("node:url");

// import() does not look along NODE_PATH.
const module_only = (name) => {
  const dir = join(process.env.NODE_PATH, name);
  return import(pathToFileURL(join(dir, require(join(dir, "package.json")).exports["."].node.import)));
};

const SIGN = {
  stripe({ secret, body, at }) {
    const Stripe = require("stripe");
    const text = new Stripe("sk_test_x").webhooks.generateTestHeaderString({ payload: body, secret, timestamp: at });
    return { "Stripe-Signature": text };
  },
  async github({ secret, body }) {
    const { sign } = await module_only("@octokit/webhooks-methods");
    return { "X-Hub-Signature-256": await sign(secret, body) };
  },
  twilio({ secret, url, form }) {
    const { getExpectedTwilioSignature } = require("twilio/lib/webhooks/webhooks");
    return { "X-Twilio-Signature": getExpectedTwilioSignature(secret, url, form) };
  },
  "twilio-json"({ secret, url }) {
    const { getExpectedTwilioSignature } = require("twilio/lib/webhooks/webhooks");
    return { "X-Twilio-Signature": getExpectedTwilioSignature(secret, url, {}) };
  },
  "twilio-body"({ body }) {
    const { getExpectedBodyHash } = require("twilio/lib/webhooks/webhooks");
    return { bodySHA256: getExpectedBodyHash(body) };
  },
  svix({ secret, body, at, id }) {
    const { Webhook } = require("svix");
    const signature = new Webhook(secret).sign(id, new Date(at * 1000), body);
    return { "svix-id": id, "svix-timestamp": String(at), "svix-signature": signature };
  },
  "standard-webhooks"({ secret, body, at, id }) {
    const { Webhook } = require("standardwebhooks");
    const signature = new Webhook(secret).sign(id, new Date(at * 1000), body);
    return { "webhook-id": id, "webhook-timestamp": String(at), "webhook-signature": signature };
  },
  hubspot({ secret, body, url, at }) {
    const { Signature } = require("@hubspot/api-client");
    const timestamp = at * 1000;
    const signature = Signature.getSignature("POST", "v3", { clientSecret: secret, requestBody: body, url, timestamp });
    return { "X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": String(timestamp) };
  },
  // Their libraries only verify: what the test signed must be right to them too.
  async "discord?"({ key, body, headers }) {
    const { verifyKey } = require("discord-interactions");
    return { right: await verifyKey(body, headers["X-Signature-Ed25519"], headers["X-Signature-Timestamp"], key) };
  },
  "sendgrid?"({ key, body, headers }) {
    const { EventWebhook, EventWebhookHeader } = require("@sendgrid/eventwebhook");
    const hook = new EventWebhook();
    const of = (name) => headers[Object.keys(headers).find((k) => k.toLowerCase() === name.toLowerCase())];
    return { right: hook.verifySignature(hook.convertPublicKeyToECDSA(key), Buffer.from(body),
      of(EventWebhookHeader.SIGNATURE()), of(EventWebhookHeader.TIMESTAMP())) };
  },
  async signature({ algorithm, key, secret, method, url, headers, fields, params, at }) {
    const { httpbis, createSigner } = require("http-message-signatures");
    const signer = createSigner(key ?? Buffer.from(secret), algorithm, "their-key");
    const signed = await httpbis.signMessage({ key: signer, name: "sig1", fields, params,
      paramValues: { created: new Date(at * 1000), expires: new Date((at + 300) * 1000) } }, { method, url, headers });
    return signed.headers;
  },
};

(async () => {
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    const made = await SIGN[asked.provider](asked);
    process.stdout.write(JSON.stringify(made) + "\n");
  }
})().catch((e) => {
  process.stderr.write(String(e?.stack ?? e) + "\n");
  process.exit(1);
});
