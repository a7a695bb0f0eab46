// A strict OAuth client (oauth4webapi) runs all that we offer.  Prints addresses that a person must visit, reads from
// stdin where they were sent back to, and says "done" at the end; any refusal of the library ends it with an error.
const { createInterface } = require("node:readline");
const oauth = require("oauth4webapi");

const conf = JSON.parse(process.argv[2]);
const http = { [oauth.allowInsecureRequests]: true };
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function visit(url) {
  console.log(url.href);
  return new URL((await lines.next()).value);
}

async function discover() {
  const issuer = new URL(conf.issuer);
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...http }));
}

async function forPerson(as, given, auth, pushed) {
  const client = { client_id: given.client_id };
  const keys = await oauth.generateKeyPair("ES256");
  const options = { DPoP: oauth.DPoP(client, keys), ...http };
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  let params = new URLSearchParams({
    response_type: "code", client_id: given.client_id, redirect_uri: conf.callback, scope: "posts:read", state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  });
  if (pushed) {
    const answer = await oauth.pushedAuthorizationRequest(as, client, auth, params, options);
    const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, answer);
    params = new URLSearchParams({ client_id: given.client_id, request_uri });
  }
  const url = new URL(as.authorization_endpoint);
  url.search = params.toString();
  const back = oauth.validateAuthResponse(as, client, await visit(url), state);
  let answer = await oauth.authorizationCodeGrantRequest(as, client, auth, back, conf.callback, verifier, options);
  const first = await oauth.processAuthorizationCodeResponse(as, client, answer);
  answer = await oauth.refreshTokenGrantRequest(as, client, auth, first.refresh_token, options);
  const token = await oauth.processRefreshTokenResponse(as, client, answer);
  const target = new URL(conf.issuer + "/api/v2/posts");
  const read = await oauth.protectedResourceRequest(token.access_token, "GET", target, new Headers(), null, options);
  if (read.status !== 200 || token.token_type !== "dpop") throw new Error(`${read.status} ${token.token_type}`);
  return { client, auth, token };
}

async function lookAndEnd(as, { client, auth, token }) {
  const look = async () =>
    oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, token.access_token, http));
  if (!(await look()).active) throw new Error("a new token is not active");
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token.access_token, http));
  for (let i = 0; (await look()).active; i++) {
    if (i > 500) throw new Error("a revoked token is active");
  }
}

async function forItself(as, given, auth) {
  const client = { client_id: given.client_id };
  const answer = await oauth.clientCredentialsGrantRequest(as, client, auth, { scope: "posts:read" }, http);
  const token = await oauth.processClientCredentialsResponse(as, client, answer);
  const target = conf.issuer + "/api/v2/posts";
  const request = new Request(target, { headers: { authorization: `Bearer ${token.access_token}` } });
  const claims = await oauth.validateJwtAccessToken(as, request, conf.issuer, http);
  if (claims.client_id !== given.client_id) throw new Error("another client's token");
}

(async () => {
  const as = await discover();
  await lookAndEnd(as, await forPerson(as, conf.secret, oauth.ClientSecretBasic(conf.secret.client_secret), true));
  await forPerson(as, conf.public, oauth.None(), false);
  await forItself(as, conf.machine, oauth.ClientSecretPost(conf.machine.client_secret));
  const alg = { name: "ECDSA", namedCurve: "P-256" };
  const key = await crypto.subtle.importKey("jwk", conf.key, alg, false, ["sign"]);
  await forItself(as, conf.keyed, oauth.PrivateKeyJwt(key));
  console.log("done");
  process.exit(0);
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
