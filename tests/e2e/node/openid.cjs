// openid-client, the client that most Node applications use, runs all that we offer.  Like oauth.cjs it prints addresses that a
// person must visit, reads from stdin where they were sent back to, and says "done" at the end.
const { createInterface } = require("node:readline");
const oc = require("openid-client");

const conf = JSON.parse(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const posts = new URL(conf.issuer + "/api/v2/posts");

async function visit(url) {
  console.log(url.href);
  return new URL((await lines.next()).value);
}

const discover = (given, auth) =>
  oc.discovery(new URL(conf.issuer), given.client_id, given.client_secret, auth, { algorithm: "oauth2", execute: [oc.allowInsecureRequests] });

async function read(config, tokens, DPoP) {
  const answer = await oc.fetchProtectedResource(config, tokens.access_token, posts, "GET", null, new Headers(), { DPoP });
  if (answer.status !== 200) throw new Error(`posts answered ${answer.status}`);
}

async function forPerson(given, auth, { pushed, bound }) {
  const config = await discover(given, auth);
  const DPoP = bound ? oc.getDPoPHandle(config, await oc.randomDPoPKeyPair("ES256")) : undefined;
  const pkceCodeVerifier = oc.randomPKCECodeVerifier();
  const expectedState = oc.randomState();
  const params = {
    redirect_uri: conf.callback, scope: "posts:read", state: expectedState,
    code_challenge: await oc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256",
  };
  const url = pushed ? await oc.buildAuthorizationUrlWithPAR(config, params, { DPoP }) : oc.buildAuthorizationUrl(config, params);
  const first = await oc.authorizationCodeGrant(config, await visit(url), { pkceCodeVerifier, expectedState }, undefined, { DPoP });
  const tokens = await oc.refreshTokenGrant(config, first.refresh_token, undefined, { DPoP });
  if (tokens.token_type !== (bound ? "dpop" : "bearer")) throw new Error(`a ${tokens.token_type} token`);
  await read(config, tokens, DPoP);
  if (!given.client_secret) return;
  if (!(await oc.tokenIntrospection(config, tokens.access_token)).active) throw new Error("a new token is not active");
  await oc.tokenRevocation(config, tokens.refresh_token);
  for (let i = 0; (await oc.tokenIntrospection(config, tokens.access_token)).active; i++) {
    if (i > 500) throw new Error("a revoked token is active");
  }
}

async function forItself(given, auth) {
  const config = await discover(given, auth);
  await read(config, await oc.clientCredentialsGrant(config, { scope: "posts:read" }));
}

async function main() {
  await forPerson(conf.secret, oc.ClientSecretBasic(conf.secret.client_secret), { pushed: false, bound: false });
  await forPerson(conf.secret, oc.ClientSecretPost(conf.secret.client_secret), { pushed: true, bound: true });
  await forPerson(conf.public, oc.None(), { pushed: false, bound: true });
  await forItself(conf.machine, oc.ClientSecretBasic(conf.machine.client_secret));
  await forItself(conf.machine, oc.ClientSecretPost(conf.machine.client_secret));
  const key = await crypto.subtle.importKey("jwk", conf.key, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  await forItself(conf.keyed, oc.PrivateKeyJwt(key));
  console.log("done");
  process.exit(0);
}

main().catch((e) => {
  console.error(e, e.cause);
  process.exit(1);
});
