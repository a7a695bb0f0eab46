"""I-01: messages as the providers' own libraries sign them are taken, and what is almost one is not."""
import hashlib
import base64
import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.parse

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from slack_sdk.signature import SignatureVerifier

from support import stack
from support.hooks_in import SOURCES

HERE = pathlib.Path(__file__).resolve().parent


class Signer:
    """node/sign.cjs, kept running."""

    def __init__(self):
        modules = os.environ.get("CMS365_NODE_MODULES", str(HERE / "node" / "node_modules"))
        self.run = subprocess.Popen([shutil.which("node"), str(HERE / "node" / "sign.cjs")], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True, env={**os.environ, "NODE_PATH": modules})

    def __call__(self, provider, **asked):
        self.run.stdin.write(json.dumps({"provider": provider, **asked}) + "\n")
        self.run.stdin.flush()
        line = self.run.stdout.readline()
        assert line, f"{provider}: the library gave up"
        return json.loads(line)

    def close(self):
        self.run.stdin.close()
        self.run.wait(10)
        self.run.stdout.close()


@pytest.fixture(scope="module")
def signed_by():
    if not shutil.which("node"):
        pytest.skip("node is not here")
    signer = Signer()
    yield signer
    signer.close()


def b64(raw):
    return base64.b64encode(raw).decode()


def spki(key):
    return b64(key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


ED, EC, RSA = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
ED_HEX = ED.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()


def digest(body):
    return "sha-256=:" + b64(hashlib.sha256(body.encode()).digest()) + ":"


# Each: sign(sdk, source, secret, body, at) -> (headers, query).

def _slack(sdk, s, secret, body, at):
    return {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": SignatureVerifier(secret).generate_signature(
        timestamp=str(at), body=body)}, ""


def _twilio(sdk, s, secret, body, at):
    query = "?bodySHA256=" + sdk("twilio-body", body=body)["bodySHA256"]
    return sdk("twilio-json", secret=secret, url=s["url"] + query), query


def _simple(provider):
    def sign(sdk, s, secret, body, at):
        return sdk(provider, secret=secret, body=body, url=s["url"], at=at, id="msg_" + hashlib.sha256(body.encode()).hexdigest()[:16]), ""
    return sign


def _discord(sdk, s, secret, body, at):
    headers = {"X-Signature-Timestamp": str(at), "X-Signature-Ed25519": ED.sign(f"{at}{body}".encode()).hex()}
    if secret == ED_HEX:
        assert sdk("discord?", key=ED_HEX, body=body, headers=headers)["right"], "discord-interactions takes it"
    else:
        headers["X-Signature-Ed25519"] = ed25519.Ed25519PrivateKey.generate().sign(f"{at}{body}".encode()).hex()
    return headers, ""


def _sendgrid(sdk, s, secret, body, at):
    key = EC if secret == spki(EC) else ec.generate_private_key(ec.SECP256R1())
    headers = {"X-Twilio-Email-Event-Webhook-Timestamp": str(at), "X-Twilio-Email-Event-Webhook-Signature": b64(
        key.sign(f"{at}{body}".encode(), ec.ECDSA(hashes.SHA256())))}
    assert sdk("sendgrid?", key=spki(key), body=body, headers=headers)["right"], "SendGrid's library takes it"
    return headers, ""


def _signature(algorithm, key=None):
    def sign(sdk, s, secret, body, at):
        headers = {"content-type": "application/json", "content-digest": digest(body)}
        own = pem(key) if key and secret == spki(key) else None
        if key and not own:
            other = {ed25519.Ed25519PrivateKey: ed25519.Ed25519PrivateKey.generate,
                     ec.EllipticCurvePrivateKey: lambda: ec.generate_private_key(ec.SECP256R1()),
                     rsa.RSAPrivateKey: lambda: rsa.generate_private_key(65537, 2048)}
            own = pem(next(make() for kind, make in other.items() if isinstance(key, kind)))
        signed = sdk("signature", algorithm=algorithm, key=own, secret=secret, method="POST", url=s["url"] + "?a=b%20c",
                     headers=headers, at=at, params=["created", "expires", "keyid", "alg"],
                     fields=["@method", "@target-uri", "@authority", "@path", "@query", "content-type", "content-digest"])
        return {k: v for k, v in signed.items()}, "?a=b%20c"
    return sign


# name -> (provider, secret, settings, sign, has it a time)
CASES = {
    "stripe": ("stripe", "whsec_stripe_test", {}, _simple("stripe"), True),
    "octokit": ("github", "It's a Secret to Everybody", {}, _simple("github"), False),
    "twilio": ("twilio", "twilio-auth-token", {}, _twilio, False),
    "slack_sdk": ("slack", "slack-signing-secret", {}, _slack, True),
    "svix": ("standard-webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", {}, _simple("svix"), True),
    "standardwebhooks": ("standard-webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", {}, _simple("standard-webhooks"), True),
    "hubspot": ("hubspot", "hubspot-app-secret", {}, _simple("hubspot"), True),
    "discord-interactions": ("discord", ED_HEX, {}, _discord, True),
    "sendgrid": ("sendgrid", spki(EC), {}, _sendgrid, True),
    "rfc9421-hmac": ("http-signature", "a-shared-secret", {"algorithm": "hmac-sha256", "keyid": "their-key"},
                     _signature("hmac-sha256"), True),
    "rfc9421-ed25519": ("http-signature", spki(ED), {"algorithm": "ed25519", "components": ["@method", "@target-uri"]},
                        _signature("ed25519", ED), True),
    "rfc9421-ecdsa": ("http-signature", spki(EC), {"algorithm": "ecdsa-p256-sha256"}, _signature("ecdsa-p256-sha256", EC), True),
    "rfc9421-rsa-pss": ("http-signature", spki(RSA), {"algorithm": "rsa-pss-sha512"}, _signature("rsa-pss-sha512", RSA), True),
    "rfc9421-rsa": ("http-signature", spki(RSA), {"algorithm": "rsa-v1_5-sha256"}, _signature("rsa-v1_5-sha256", RSA), True),
}


def send(client, s, body, headers, query):
    return client.post(s["path"] + query, data=body.encode(), headers={"Content-Type": "application/json", **headers})


@pytest.mark.parametrize("name", CASES)
def test_I01_what_the_providers_libraries_sign_is_taken(cms, anonymous, source, signed_by, name):
    provider, secret, settings, sign, timed = CASES[name]
    s = source(provider, secret, settings=settings)
    body, at = json.dumps({"id": stack.unique("evt"), "type": "thing.done", "text": "Grüße"}, ensure_ascii=False), int(time.time())
    headers, query = sign(signed_by, s, secret, body, at)

    def status(text=body, given=headers):
        return send(anonymous, s, text, given, query).status_code

    assert status(text=body.replace("done", "d0ne")) == 401, "an altered byte"
    assert status(text=body + " ") == 401, "a byte more"
    wrong = "whsec_" + b64(b"x" * 24) if secret.startswith("whsec_Mf") else "another" + secret[:20]
    assert status(given=sign(signed_by, s, wrong, body, at)[0]) == 401, "another secret"
    if timed:
        assert status(given=sign(signed_by, s, secret, body, at - 4000)[0]) == 401, "an old one"
        assert status(given=sign(signed_by, s, secret, body, at + 4000)[0]) == 401, "one of the future"
    for header in headers:
        if header.lower() not in ("content-type", "svix-id", "webhook-id"):
            assert status(given={k: v for k, v in headers.items() if k != header}) == 401, f"without {header}"
    taken = send(anonymous, s, body, headers, query)
    assert taken.status_code == 202, taken.text

    def replayed():
        again = send(anonymous, s, body, headers, query)
        assert again.status_code in (200, 202)
        return again.status_code == 200

    stack.wait_for(replayed, 20, "the same message to be known")


@pytest.mark.parametrize("name", ["stripe", "octokit", "slack_sdk", "svix", "hubspot", "rfc9421-hmac"])
def test_I06_two_secrets_are_right_while_they_rotate(cms, anonymous, source, signed_by, name):
    provider, old, settings, sign, _ = CASES[name]
    s = source(provider, old, settings=settings)
    new = "whsec_" + b64(os.urandom(24)) if old.startswith("whsec_Mf") else old + "-new"

    def status(secret):
        body = json.dumps({"id": stack.unique("evt")})
        headers, query = sign(signed_by, s, secret, body, int(time.time()))
        return send(anonymous, s, body, headers, query).status_code

    assert status(new) == 401
    assert cms.post(f"{SOURCES}/{s['id']}/rotate-secret", json={"secret": new, "overlap_seconds": 600}).status_code == 200
    assert (status(old), status(new)) == (202, 202)
    assert cms.post(f"{SOURCES}/{s['id']}/rotate-secret", json={"secret": new, "overlap_seconds": 0}).status_code == 200
    assert (status(old), status(new)) == (401, 202)


def test_I01_twilio_signs_forms_as_its_library_does(anonymous, source, signed_by):
    s = source("twilio", "twilio-auth-token")
    form = {"To": "+18005551212", "Body": "Größe & Co", "MediaUrl": "https://example.com/?a=b"}
    headers = {"Content-Type": "application/x-www-form-urlencoded",
               **signed_by("twilio", secret="twilio-auth-token", url=s["url"], form=form)}
    assert anonymous.post(s["path"], data=urllib.parse.urlencode({**form, "Body": "x"}), headers=headers).status_code == 401
    assert anonymous.post(s["path"], data=urllib.parse.urlencode(form), headers=headers).status_code == 202


def test_I01_http_signatures_must_cover_the_body_and_be_of_the_named_key(cms, anonymous, source, signed_by):
    s = source("http-signature", "a-shared-secret", settings={
        "algorithm": "hmac-sha256", "keyid": "their-key", "components": ["@method"]})
    body, at = json.dumps({"id": stack.unique("evt")}), int(time.time())

    def signed(fields, **more):
        asked = {"secret": "a-shared-secret", "algorithm": "hmac-sha256", "method": "POST", "url": s["url"], "at": at,
                 "headers": {"content-digest": digest(body)}, "params": ["created", "keyid", "alg"], "fields": fields, **more}
        return signed_by("signature", **asked)

    good = signed(["@method", "content-digest"])
    for why, headers in {
        "the body is not covered": signed(["@method", "@target-uri"]),
        "what the settings name is not covered": signed(["content-digest"]),
        "no time": signed(["@method", "content-digest"], params=["keyid"]),
        "another key's name": signed(["@method", "content-digest"], params=["created", "alg"]),
        "another method": signed(["@method", "content-digest"], method="PUT"),
        "another algorithm": signed(["@method", "content-digest"], algorithm="ed25519", key=pem(ED)),
        "another label": {**good, "Signature": good["Signature"].replace("sig1=", "sig2=")},
        "two of one label": {**good, "Signature-Input": good["Signature-Input"] + ", " + good["Signature-Input"]},
        "another digest": {**good, "content-digest": digest(body + " ")},
        "no digest that is known": {**good, "content-digest": "md5=:AAAA:"},
        "nonsense": {**good, "Signature-Input": 'sig1=("@method" "content-digest'},
    }.items():
        assert send(anonymous, s, body, headers, "").status_code == 401, why
    both = {**good, "Signature-Input": 'proxy=("@method");created=1;keyid="p", ' + good["Signature-Input"],
            "Signature": "proxy=:AAAA:, " + good["Signature"]}
    assert send(anonymous, s, body, both, "").status_code == 202, "one of several signatures is right"
    for settings, pointer in (({}, "/settings/algorithm"), ({"algorithm": "none"}, "/settings/algorithm"),
                              ({"algorithm": "ed25519", "components": "x"}, "/settings/components")):
        answer = cms.post(SOURCES, json={"name": "n", "provider": "http-signature", "secret": "x" * 44, "settings": settings})
        assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == pointer
