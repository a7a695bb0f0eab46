"""Incoming webhooks, black box (I-01 … I-08): every provider's messages as it signs them, what is refused, what is done."""
import base64
import hashlib
import hmac
import http.server
import json
import threading
import time
import urllib.parse
import uuid
import zlib

import pytest
import standardwebhooks
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID
from datetime import datetime, timedelta, timezone
from joserfc import jwk, jwt

from support import stack
from support.hooks_in import MESSAGES, SOURCES, post_mapping, settled

def b64(raw):
    return base64.b64encode(raw).decode()


def mac(secret, text, algorithm="sha256"):
    return hmac.new(secret.encode() if isinstance(secret, str) else secret, text, algorithm)


# --- the providers: how each signs --------------------------------------------------------------------------------------
# sign(source, body, at) -> (headers, query): what the provider would send at the Unix time `at`.

ED = ed25519.Ed25519PrivateKey.generate()
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
ED_HEX = ED.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
EC_B64 = b64(EC.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.example.com")])
_now = datetime.now(timezone.utc)
CERT = (x509.CertificateBuilder().subject_name(_name).issuer_name(_name).public_key(RSA.public_key()).serial_number(7)
        .not_valid_before(_now - timedelta(days=1)).not_valid_after(_now + timedelta(days=1))
        .sign(RSA, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


class Outside:
    """Hosts what messages refer to: the certificate, and the objects of Mollie's API."""

    def __init__(self, port=0):
        self.asked, outer = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.path, self.headers.get("Authorization")))
                known = {"/cert.pem": CERT, "/confirm": b"<ok/>",
                         "/v2/payments/tr_known": b'{"resource":"payment","id":"tr_known","status":"paid"}'}
                body = known.get(self.path)
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args):
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def trusted():
    """What CMS365_HOOK_TRUSTED_URLS of the stack under test names (scripts/dev/test)."""
    outside = Outside(int(stack.SETTINGS["CMS365_PORT_BASE"]) + 97)
    yield outside
    outside.close()


def listed(header):
    return lambda s, body, at: ({header: f"t={at},v1=" + mac(s["secret"], f"{at}.".encode() + body).hexdigest()}, "")


def plain(header, form):
    return lambda s, body, at: ({header: form(mac(s["secret"], body).digest())}, "")


def slack(s, body, at):
    sig = mac(s["secret"], f"v0:{at}:".encode() + body).hexdigest()
    return {"X-Slack-Signature": "v0=" + sig, "X-Slack-Request-Timestamp": str(at)}, ""


def twilio(s, body, at):
    query = "?bodySHA256=" + hashlib.sha256(body).hexdigest()
    return {"X-Twilio-Signature": b64(mac(s["secret"], (s["url"] + query).encode(), "sha1").digest())}, query


def hubspot(s, body, at):
    ms = str(at * 1000)
    sig = mac(s["secret"], b"POST" + s["url"].encode() + body + ms.encode()).digest()
    return {"X-HubSpot-Signature-v3": b64(sig), "X-HubSpot-Request-Timestamp": ms}, ""


def discord(s, body, at):
    return {"X-Signature-Ed25519": ED.sign(str(at).encode() + body).hex(), "X-Signature-Timestamp": str(at)}, ""


def sendgrid(s, body, at):
    sig = EC.sign(str(at).encode() + body, ec.ECDSA(hashes.SHA256()))
    return {"X-Twilio-Email-Event-Webhook-Signature": b64(sig), "X-Twilio-Email-Event-Webhook-Timestamp": str(at)}, ""


def standard(s, body, at):
    hook = standardwebhooks.Webhook(s["secret"])
    msg = "msg_" + hashlib.sha256(body).hexdigest()[:20]
    when = datetime.fromtimestamp(at, timezone.utc)
    return {"webhook-id": msg, "webhook-timestamp": str(at), "webhook-signature": hook.sign(msg, when, body.decode())}, ""


def token(s, body, at):
    key = jwk.OctKey.import_key(s["secret"])
    claims = {"exp": at + 60, "iss": "them", "digest": hashlib.sha256(body).hexdigest()}
    return {"Authorization": "Bearer " + jwt.encode({"alg": "HS256"}, claims, key)}, ""


def shown(header, form="{}"):
    return lambda s, body, at: ({header: form.format(s["secret"])}, "")


def basic(s, body, at):
    return {"Authorization": "Basic " + b64(s["secret"].encode())}, ""


# name -> (secret given, settings, sign, does it sign the body, has it a time)
SIGNING = {
    "stripe": ("whsec_stripe_test", {}, listed("Stripe-Signature"), True, True),
    "calendly": (None, {}, listed("Calendly-Webhook-Signature"), True, True),
    "github": (None, {}, plain("X-Hub-Signature-256", lambda d: "sha256=" + d.hex()), True, False),
    "meta": ("app-secret-1", {"verify_token": "my-verify-token"},
             plain("X-Hub-Signature-256", lambda d: "sha256=" + d.hex()), True, False),
    "shopify": ("shpss_secret", {}, plain("X-Shopify-Hmac-SHA256", b64), True, False),
    "calcom": (None, {}, plain("X-Cal-Signature-256", bytes.hex), True, False),
    "mollie": ("live_mollie_secret", {}, plain("X-Mollie-Signature", lambda d: "sha256=" + d.hex()), True, False),
    "slack": ("slack-signing-secret", {}, slack, True, True),
    "twilio": ("twilio-auth-token", {}, twilio, True, False),
    "hubspot": ("hubspot-app-secret", {}, hubspot, True, True),
    "discord": (ED_HEX, {}, discord, True, True),
    "sendgrid": (EC_B64, {}, sendgrid, True, True),
    "standard-webhooks": (None, {}, standard, True, True),
    "hmac": (None, {"header": "X-Sig", "algorithm": "sha512", "encoding": "base64", "prefix": "v1:",
                    "timestamp_header": "X-Time", "signed": "{method}:{timestamp}:{body}"},
             lambda s, body, at: ({"X-Time": str(at), "X-Sig": "v1:" + b64(
                 mac(s["secret"], f"POST:{at}:".encode() + body, "sha512").digest())}, ""), True, True),
    "jwt": (None, {"issuer": "them", "body_claim": "digest"}, token, True, True),
    "gitlab": (None, {}, shown("X-Gitlab-Token"), False, False),
    "telegram": (None, {}, shown("X-Telegram-Bot-Api-Secret-Token"), False, False),
    "brevo": (None, {}, shown("Authorization", "Bearer {}"), False, False),
    "postmark": (None, {}, basic, False, False),
    "basic": (None, {}, basic, False, False),
    "token": (None, {"header": "X-Token"}, shown("X-Token"), False, False),
}


def send(client, s, body, headers, query="", **more):
    return client.post(s["path"] + query, data=body, headers={"Content-Type": "application/json", **headers}, **more)


def sample():
    return json.dumps({"id": stack.unique("evt"), "type": "thing.done", "event": "x", "update_id": int(time.time() * 1e6),
                       "title": "Grüße"}).encode()


# --- verification -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("provider", SIGNING)
def test_I01_messages_are_verified_as_their_provider_signs(cms, anonymous, source, provider):
    secret, settings, sign, covers, timed = SIGNING[provider]
    s = source(provider, secret, settings=settings)
    body, at = sample(), int(time.time())
    headers, query = sign(s, body, at)

    assert send(anonymous, s, body, {}, query).status_code == 401, "nothing signed"
    wrong, wrong_query = sign({**s, "secret": stack.altered(s["secret"])}, body, at) \
        if provider not in ("discord", "sendgrid") else ({k: v[::-1] for k, v in headers.items()}, query)
    assert send(anonymous, s, body, wrong, wrong_query).status_code == 401, "another secret"
    if covers:
        assert send(anonymous, s, body.replace(b"done", b"d0ne"), headers, query).status_code == 401, "another body"
        assert send(anonymous, s, b"", headers, query).status_code == 401, "no body"
    if timed:
        for off in (-4000, 4000) if provider != "jwt" else (-4000,):
            old, old_query = sign(s, body, at + off)
            assert send(anonymous, s, body, old, old_query).status_code == 401, f"time off by {off} s"
    name = next(k for k in headers if "ignature" in k or "Hmac" in k or k in ("X-Sig", "Authorization", "X-Token", "X-Gitlab-Token",
                                                                 "X-Telegram-Bot-Api-Secret-Token"))
    assert send(anonymous, s, body, {**headers, name: ""}, query).status_code == 401, "an empty signature"
    refused = send(anonymous, s, body, {**headers, name: "x" * 9000}, query)
    assert refused.status_code == 401 and refused.json()["detail"] == "The message could not be verified."

    taken = send(anonymous, s, body, headers, query)
    assert taken.status_code == 202, taken.text
    again = send(anonymous, s, body, headers, query)
    assert again.status_code in (200, 202)
    if taken.text:
        data = settled(cms, taken.json()["id"])
        assert data["provider"] == provider and data["status"] == "ignored" and data["size_bytes"] == len(body)
        assert stack.wait_for(lambda: send(anonymous, s, body, headers, query).json() ==
                              {"status": "duplicate", "id": data["id"]}, 10, "a duplicate")


def test_I01_mailgun_signs_in_the_body_and_a_token_has_one_body(anonymous, source):
    s = source("mailgun", "mailgun-signing-key")

    def signed(at, secret=s["secret"], **more):
        token = stack.unique("token")
        sig = mac(secret, f"{at}{token}".encode()).hexdigest()
        return {"signature": {"timestamp": str(at), "token": token, "signature": sig},
                "event-data": {"id": stack.unique("ev"), "event": "delivered", **more}}

    now, good = int(time.time()), signed(int(time.time()))
    for bad in (signed(now - 9000), signed(now, secret="another-key"), {"event-data": {}},
                {**good, "signature": {**good["signature"], "token": "another"}}):
        assert send(anonymous, s, json.dumps(bad).encode(), {}).status_code == 401
    assert send(anonymous, s, json.dumps(good).encode(), {}).status_code == 202
    altered = {**good, "event-data": {"id": "another", "event": "failed"}}
    assert send(anonymous, s, json.dumps(altered).encode(), {}).status_code == 401, "the token was used"


def test_I01_twilio_signs_the_sorted_form(anonymous, source):
    s = source("twilio", "twilio-auth-token")
    form = {"To": "+18005551212", "From": "+14158675309", "Digits": "1234", "Body": "a b&c"}
    text = s["url"] + "".join(k + form[k] for k in sorted(form))
    headers = {"Content-Type": "application/x-www-form-urlencoded",
               "X-Twilio-Signature": b64(mac(s["secret"], text.encode(), "sha1").digest())}
    assert anonymous.post(s["path"], data=urllib.parse.urlencode({**form, "Digits": "9"}), headers=headers).status_code == 401
    taken = anonymous.post(s["path"], data=urllib.parse.urlencode(form), headers=headers)
    assert taken.status_code == 202 and not taken.text


def test_I01_google_and_microsoft_show_their_token(anonymous, source):
    g = source("google")
    headers = {"X-Goog-Channel-ID": "c1", "X-Goog-Message-Number": "2", "X-Goog-Resource-State": "exists"}
    assert anonymous.post(g["path"], headers=headers).status_code == 401
    assert anonymous.post(g["path"], headers={**headers, "X-Goog-Channel-Token": g["secret"]}).status_code == 202
    m = source("microsoft")
    note = {"value": [{"subscriptionId": "1", "clientState": m["secret"], "changeType": "updated"}]}
    forged = {"value": note["value"] + [{"subscriptionId": "2", "clientState": "x", "changeType": "updated"}]}
    assert send(anonymous, m, json.dumps(forged).encode(), {}).status_code == 401, "one of two is forged"
    assert send(anonymous, m, json.dumps({"value": []}).encode(), {}).status_code == 401
    assert send(anonymous, m, json.dumps(note).encode(), {}).status_code == 202


def test_I01_a_token_in_the_address(cms, anonymous, source):
    s = source("token")
    assert anonymous.post(s["path"], data=b"{}").status_code == 401
    assert anonymous.post(s["path"] + "/wrong", data=b"{}").status_code == 401
    assert anonymous.post(f"{s['path']}/{s['secret']}", data=b"{}").status_code == 202


def test_I01_certificates_come_from_the_providers_hosts_only(anonymous, source):
    """PayPal and SNS name their certificate in the message: any other host is refused unasked."""
    outside = Outside()
    p = source("paypal", settings={"webhook_id": "WH-1"})
    body, at = sample(), datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"t1|{at}|WH-1|{zlib.crc32(body)}".encode()
    headers = {"PayPal-Transmission-Id": "t1", "PayPal-Transmission-Time": at, "PayPal-Auth-Algo": "SHA256withRSA",
               "PayPal-Transmission-Sig": b64(RSA.sign(text, padding.PKCS1v15(), hashes.SHA256()))}
    for url in (outside.url + "/cert.pem", "https://api.paypal.com.example.org/c", "https://api.paypal.com@127.0.0.1/c",
                "http://api.paypal.com/c", "file:///etc/passwd"):
        assert send(anonymous, p, body, {**headers, "PayPal-Cert-Url": url}).status_code == 401, url
    s = source("ses", settings={"topic_arn": "arn:aws:sns:eu-central-1:1:t"})
    note = {"Type": "Notification", "MessageId": "m1", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Message": "{}",
            "Timestamp": at, "SignatureVersion": "2", "SigningCertURL": outside.url + "/cert.pem"}
    signed = "".join(f"{k}\n{note[k]}\n" for k in ("Message", "MessageId", "Timestamp", "TopicArn", "Type"))
    note["Signature"] = b64(RSA.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))
    assert send(anonymous, s, json.dumps(note).encode(), {}).status_code == 401
    for url in ("https://sns.evil.example/x.amazonaws.com/c.pem", "https://sns.eu.amazonaws.com.evil.example/c.pem"):
        assert send(anonymous, s, json.dumps({**note, "SigningCertURL": url}).encode(), {}).status_code == 401
    assert not outside.asked


# --- what a source is ---------------------------------------------------------------------------------------------------

def test_I07_nothing_is_verified_only_with_a_reason(cms, anonymous, source):
    answer = cms.post(SOURCES, json={"name": "n", "provider": "none"})
    assert answer.status_code == 422
    assert {e["pointer"] for e in answer.json()["errors"]} == {"/reason", "/verification"}
    answer = cms.post(SOURCES, json={"name": "n", "provider": "none", "reason": "r"})
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/verification"
    s = source("none", reason="Behind our own gateway.")
    assert s["verification"] == "none" and s["reason"] == "Behind our own gateway."
    assert cms.patch(f"{SOURCES}/{s['id']}", json={"verification": "provider"}).status_code == 422, "said once and for all"
    assert anonymous.post(s["path"], data=b"{}").status_code == 202
    assert cms.patch(f"{SOURCES}/{s['id']}", json={"reason": None}).status_code == 422


def test_I07_who_opens_a_way_in_is_in_the_audit_log(cms, source, key):
    user = cms.make("/api/v2/users", username=stack.unique("u"), email=stack.unique("m") + "@example.org", role="author")
    owner, reader = key(["webhooks:write"], user=user["id"]), key(["audit:read"], user=user["id"])
    made = owner.make(SOURCES, name="Open", provider="none", verification="none", reason="Behind our own gateway.")
    owner.patch(f"{SOURCES}/{made['id']}", json={"reason": "Still so."})
    owner.delete(f"{SOURCES}/{made['id']}")

    def entries():
        found = reader.get("/api/v2/auth/audit", params={"filter[subject]": f"webhook_source:{made['id']}", "sort": "id"}).json()["data"]
        return len(found) == 3 and found

    said = stack.wait_for(entries, 30, "three entries")
    assert [e["type"] for e in said] == [f"webhook.source.{what}" for what in ("created", "updated", "deleted")]
    assert said[0]["data"] == {"name": "Open", "path": made["path"], "provider": "none", "verification": "none", "reason": "Behind our own gateway."}
    assert said[1]["data"]["reason"] == "Still so." and said[1]["data"]["changed"] == ["reason"]
    assert all(e["user"] == {"id": user["id"]} and e["actor"] == f"user:{user['id']} key:{owner.key_id}" and e["request_id"] for e in said)


@pytest.mark.parametrize("body,pointer", [
    ({"name": "n", "provider": "nobody"}, "/provider"),
    ({"name": "n", "provider": "stripe"}, "/secret"),
    ({"name": "n", "provider": "github", "verification": "none"}, "/verification"),
    ({"name": "n", "provider": "github", "order_by": "id"}, "/order_by"),
    ({"name": "n", "provider": "github", "secret": "short"}, "/secret"),
    ({"name": "n", "provider": "standard-webhooks", "secret": "whsec_!!!!!!!!"}, "/secret"),
    ({"name": "n", "provider": "hmac"}, "/settings/header"),
    ({"name": "n", "provider": "hmac", "settings": {"header": "X", "signed": "{timestamp}"}}, "/settings/signed"),
    ({"name": "n", "provider": "paypal"}, "/settings/webhook_id"),
    ({"name": "n", "provider": "github", "allowed_networks": ["10.0.0.0/99"]}, "/allowed_networks/0"),
    ({"name": "n", "provider": "github", "retention_days": 31}, "/retention_days"),
    ({"name": "n", "provider": "github", "mapping": {"jq": ".", "fields": []}}, "/mapping"),
    ({"name": "n", "provider": "github", "mapping": {"actions": [{"do": "drop"}]}}, "/mapping/actions/0"),
    ({"name": "n", "provider": "github", "mapping": {"actions": [{"do": "upsert", "entity": "post", "key": "id"}]}},
     "/mapping/actions/0"),
    ({"name": "n", "provider": "github", "mapping": {"fields": [{"to": "a"}]}}, "/mapping/fields/0"),
    *[({"name": "n", "provider": "github", "mapping": {"actions": [{"do": "emit"}, action]}}, "/mapping/actions/1" + more)
      for action, more in (({"do": "mail", "to": "/to"}, ""), ({"do": "mail", "template": "t"}, ""),
                           ({"do": "mail", "template": "t", "to": "a@example.com"}, ""),
                           ({"do": "mail", "template": "t", "to": "/to", "entity": "post"}, "/entity"),
                           ({"do": "notify", "title": "=t"}, ""), ({"do": "notify", "role": "editor"}, ""),
                           ({"do": "notify", "role": "owner", "title": "=t"}, ""),
                           ({"do": "notify", "role": "editor", "user": "/u", "title": "=t"}, ""),
                           ({"do": "call"}, ""), ({"do": "call", "endpoint": "5"}, ""),
                           ({"do": "emit", "retry": {"max": 101}}, ""), ({"do": "emit", "retry": {"most": 1}}, "/most"),
                           ({"do": "emit", "when": {"at": "/a", "gt": []}}, ""),
                           ({"do": "emit", "when": {"at": "/a", "gt": 1, "lt": 2}}, ""),
                           ({"do": "emit", "when": [{"at": "a", "is": 1}]}, ""))],
])
def test_I07_what_is_not_a_source_is_refused(cms, body, pointer):
    before = cms.get(SOURCES).json()["meta"]["total"]
    answer = cms.post(SOURCES, json=body)
    assert answer.status_code == 422 and pointer in [e["pointer"] for e in answer.json()["errors"]], answer.text
    assert cms.get(SOURCES).json()["meta"]["total"] == before


def test_I07_secrets_are_shown_once_and_sources_are_their_owners(cms, anonymous, source, key):
    s = source("github")
    assert s["secret"] and "secret" not in cms.get(f"{SOURCES}/{s['id']}").json()["data"]
    user = cms.make("/api/v2/users", username=stack.unique("u"), email=stack.unique("m") + "@example.org", role="author")
    other = key(["webhooks:write"], user=user["id"])
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/mappings"), ("POST", "/rotate-secret"),
                         ("POST", "/dry-run"), ("POST", "/replay")):
        answer = other.request(method, f"{SOURCES}/{s['id']}{path}", json={} if method in ("PATCH", "POST") else None)
        assert answer.status_code == 404, (method, path, answer.text)
    assert anonymous.get(f"{SOURCES}/{s['id']}").status_code == 401


def test_I06_two_secrets_live_while_rotating(cms, anonymous, source):
    s = source("github")
    sign = SIGNING["github"][2]

    def status(secret):
        body = sample()
        return send(anonymous, s, body, sign({"secret": secret}, body, 0)[0]).status_code

    rotated = cms.post(f"{SOURCES}/{s['id']}/rotate-secret", json={"overlap_seconds": 3600}).json()["data"]
    assert rotated["secret"] != s["secret"] and rotated["previous_until"]
    assert status(s["secret"]) == 202 and status(rotated["secret"]) == 202
    last = cms.post(f"{SOURCES}/{s['id']}/rotate-secret", json={"overlap_seconds": 0}).json()["data"]
    assert status(last["secret"]) == 202 and status(rotated["secret"]) == 401 and status(s["secret"]) == 401


def test_I01_limits_networks_and_unknown_sources(cms, anonymous, source):
    s = source("none", reason="test", allowed_networks=["192.0.2.0/24"])
    assert anonymous.post(s["path"], data=b"{}").status_code == 401
    assert cms.patch(f"{SOURCES}/{s['id']}", json={"allowed_networks": ["127.0.0.0/8"], "rate_limit": 3}).status_code == 200
    answers = [anonymous.post(s["path"], data=json.dumps({"n": i}).encode()) for i in range(8)]
    assert [a.status_code for a in answers[:3]] == [202] * 3
    late = [a for a in answers if a.status_code == 429]
    assert late and 1 <= int(late[0].headers["Retry-After"]) <= 60
    unknown = anonymous.post("/hooks/there-is-none", data=b"{}")
    assert unknown.status_code == 404 and "webhook" not in unknown.json()["detail"].lower()
    t = source("none", reason="test")
    assert anonymous.post(t["path"], data=b"x" * (2 * 1024 * 1024 + 1)).status_code == 413
    assert anonymous.post(t["path"], data=b"x" * (2 * 1024 * 1024)).status_code == 202
    assert anonymous.get(t["path"]).status_code == 405


# --- handshakes ---------------------------------------------------------------------------------------------------------

def test_I08_handshakes_are_answered(anonymous, source):
    meta = source("meta", "app-secret-1", settings={"verify_token": "tok-tok-tok"})
    ask = {"hub.mode": "subscribe", "hub.verify_token": "tok-tok-tok", "hub.challenge": "1158201444"}
    answer = anonymous.get(meta["path"], params=ask)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert anonymous.get(meta["path"], params={**ask, "hub.verify_token": "x"}).status_code == 401

    microsoft = source("microsoft")
    answer = anonymous.post(microsoft["path"], params={"validationToken": "Validation: <b>1</b>"})
    assert (answer.status_code, answer.text) == (200, "Validation: <b>1</b>")
    assert answer.headers["Content-Type"].startswith("text/plain")

    s = source("slack", "slack-signing-secret")
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aB"}).encode()
    assert send(anonymous, s, body, {}).status_code == 401, "a challenge is verified too"
    answer = send(anonymous, s, body, slack(s, body, int(time.time()))[0])
    assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZbrw1aB"})

    d = source("discord", ED_HEX)
    answer = send(anonymous, d, b'{"type":1}', discord(d, b'{"type":1}', int(time.time()))[0])
    assert (answer.status_code, answer.json()) == (200, {"type": 1})

    g = source("google")
    sync = {"X-Goog-Channel-ID": "c", "X-Goog-Message-Number": "1", "X-Goog-Resource-State": "sync",
            "X-Goog-Channel-Token": g["secret"]}
    assert anonymous.post(g["path"], headers=sync).status_code == 200

    m = source("meta", "app-secret-1", settings={"verify_token": "tok-tok-tok"})
    assert anonymous.post(m["path"], params=ask, data=b"{}").status_code == 401, "a challenge is asked for by GET"


def test_I08_cloudevents_senders_are_told_whether_they_may(anonymous, source):
    g = source("google", rate_limit=600)
    answer = anonymous.options(g["path"], headers={"WebHook-Request-Origin": "events.example.com", "WebHook-Request-Rate": "120"})
    assert answer.status_code == 204 and answer.headers["WebHook-Allowed-Origin"] == "events.example.com"
    assert answer.headers["WebHook-Allowed-Rate"] == "600" and "POST" in answer.headers["Allow"]
    s = source("none", reason="test", settings={"allowed_origins": ["events.example.com"]})
    asked = {"WebHook-Request-Origin": "events.example.com", "WebHook-Request-Rate": "120"}
    assert anonymous.options(s["path"], headers=asked).headers["WebHook-Allowed-Rate"] == "*"
    refused = anonymous.options(s["path"], headers={**asked, "WebHook-Request-Origin": "evil.example"})
    assert refused.status_code == 204 and "WebHook-Allowed-Origin" not in refused.headers
    assert "WebHook-Allowed-Origin" not in anonymous.options(s["path"]).headers
    assert anonymous.options("/hooks/there-is-none", headers=asked).status_code == 404


def test_I08_x_asks_by_a_crc_token(anonymous, source):
    s = source("x", "consumer-secret")
    answer = anonymous.get(s["path"], params={"crc_token": "abc", "nonce": "1"})
    assert (answer.status_code, answer.json()) == (200, {
        "response_token": "sha256=" + b64(mac("consumer-secret", b"abc").digest())})
    assert anonymous.get(s["path"]).status_code == 401
    assert anonymous.get(s["path"], params={"crc_token": "x" * 1025}).status_code == 401
    body = json.dumps({"id": stack.unique("e")}).encode()
    good = {"x-twitter-webhooks-signature": "sha256=" + b64(mac("consumer-secret", body).digest())}
    assert send(anonymous, s, body + b" ", good).status_code == 401 and send(anonymous, s, body, good).status_code == 202


def sns(kind, **more):
    topic = "arn:aws:sns:eu-central-1:1:t"
    note = {"Type": kind, "MessageId": stack.unique("m"), "TopicArn": topic, "Message": "{}", "SignatureVersion": "2",
            "Timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z"), **more}
    names = ("Message", "MessageId", "Timestamp", "TopicArn", "Type") if kind == "Notification" else (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    text = "".join(f"{k}\n{note[k]}\n" for k in names)
    note["Signature"] = b64(RSA.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))
    return note


def test_I08_an_sns_subscription_is_confirmed_where_sns_says_and_nowhere_else(anonymous, source, trusted):
    s = source("ses", settings={"topic_arn": "arn:aws:sns:eu-central-1:1:t"})
    cert = {"SigningCertURL": trusted.url + "/cert.pem"}

    def status(note):
        return send(anonymous, s, json.dumps(note).encode(), {}).status_code

    asking = sns("SubscriptionConfirmation", Token="t" * 40, SubscribeURL=trusted.url + "/confirm", **cert)
    assert status({**asking, "Token": "another"}) == 401 and "/confirm" not in [p for p, _ in trusted.asked]
    assert status(asking) == 200 and [p for p, _ in trusted.asked].count("/confirm") == 1
    elsewhere = Outside()
    assert status(sns("SubscriptionConfirmation", Token="t", SubscribeURL=elsewhere.url + "/confirm", **cert)) == 401
    assert status(sns("SubscriptionConfirmation", Token="t", SubscribeURL="https://sns.eu.amazonaws.com.evil.example/", **cert)) == 401
    assert not elsewhere.asked, "only hosts of Amazon's are asked"
    elsewhere.close()
    assert status(sns("SubscriptionConfirmation", Token="t", SubscribeURL=trusted.url + "/gone", **cert)) == 401
    note = sns("Notification", **cert)
    assert status({**note, "Message": "x"}) == 401 and status({**note, "TopicArn": "arn:aws:sns:eu-central-1:1:u"}) == 401
    assert status(note) == 202
    assert status(sns("UnsubscribeConfirmation", Token="t", SubscribeURL=trusted.url + "/confirm", **cert)) == 200
    assert [p for p, _ in trusted.asked].count("/confirm") == 1, "nobody subscribes again by being told goodbye"


def test_I01_paypal_certificates_are_fetched_from_paypal(anonymous, source, trusted):
    p = source("paypal", settings={"webhook_id": "WH-1"})
    body = sample()
    at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def headers(webhook="WH-1", when=at):
        text = f"t1|{when}|{webhook}|{zlib.crc32(body)}".encode()
        return {"PayPal-Transmission-Id": "t1", "PayPal-Transmission-Time": when, "PayPal-Auth-Algo": "SHA256withRSA",
                "PayPal-Cert-Url": trusted.url + "/cert.pem",
                "PayPal-Transmission-Sig": b64(RSA.sign(text, padding.PKCS1v15(), hashes.SHA256()))}

    assert send(anonymous, p, body, headers("WH-2")).status_code == 401, "it is for another webhook"
    assert send(anonymous, p, body, headers(when="2020-01-01T00:00:00Z")).status_code == 401, "it is old"
    assert send(anonymous, p, body + b" ", headers()).status_code == 401, "another body"
    for name in headers():
        assert send(anonymous, p, body, {k: v for k, v in headers().items() if k != name}).status_code == 401, name
    assert send(anonymous, p, body, headers()).status_code == 202


def test_I01_mollie_says_itself_what_the_id_is_of(cms, anonymous, source, trusted):
    m = source("mollie", "live_api_key_1", settings={"api_url": trusted.url})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert anonymous.post(m["path"], data="id=tr_unknown", headers=form).status_code == 401
    assert anonymous.post(m["path"], data="id=../../x", headers=form).status_code == 401
    taken = anonymous.post(m["path"], data="id=tr_known", headers=form)
    assert taken.status_code == 202
    assert ("/v2/payments/tr_known", "Bearer live_api_key_1") in trusted.asked
    settled(cms, taken.json()["id"])
    assert json.loads(cms.get(f"{MESSAGES}/{taken.json()['id']}/content").json()["data"]["body"])["status"] == "paid"


# --- mapping and actions ------------------------------------------------------------------------------------------------

def test_I02_duplicates_act_once(cms, anonymous, source):
    s = source("none", reason="test", dedupe="/id", mapping={
        "fields": [{"to": "title", "from": "/title"}, {"to": "status", "from": "=draft"}],
        "actions": [{"do": "create", "entity": "post"}]})
    title = stack.unique("once")
    body = json.dumps({"id": "evt-1", "title": title}).encode()
    threads, codes = [], []
    for _ in range(8):
        threads.append(threading.Thread(target=lambda: codes.append(
            stack.Client(key=None).post(s["path"], data=body).status_code)))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(codes) <= {200, 202} and 202 in codes
    found = stack.wait_for(lambda: cms.get(MESSAGES, params={"filter[source]": s["id"], "filter[status]": "done"}).json()["data"],
                           30, "the message")
    assert len(found) == 1
    assert cms.get(MESSAGES, params={"filter[source]": s["id"]}).json()["meta"]["total"] == 1
    assert cms.get("/api/v2/posts", params={"filter[title]": title}).json()["meta"]["total"] == 1


def test_I04_actions_follow_one_another_by_the_owners_rights(cms, anonymous, source, key):
    slug = stack.unique("act")
    mapping = {"jq": '{company: {name: .n, slug: .s}, post: {title: .n, slug: .s, status: "draft"}}', "actions": [
        {"do": "upsert", "entity": "company", "key": "slug", "data": "/company"},
        {"do": "upsert", "entity": "post", "key": "slug", "data": "/post"},
        {"do": "publish", "entity": "post", "key": "slug", "data": "/post"}]}
    s = source("none", reason="test", mapping=mapping)
    sent = anonymous.post(s["path"], json={"n": "Name", "s": slug})
    assert settled(cms, sent.json()["id"])["status"] == "done"
    assert cms.get(f"/api/v2/posts/slug:{slug}").json()["data"]["status"] == "published"
    assert cms.get(f"/api/v2/companies/slug:{slug}").status_code == 200
    actions = cms.get(f"{MESSAGES}/{sent.json()['id']}/content").json()["data"]["actions"]
    assert [a["status"] for a in actions] == ["done"] * 3

    user = cms.make("/api/v2/users", username=stack.unique("u"), email=stack.unique("m") + "@example.org", role="author")
    author = key(["webhooks:write", "posts:write"], user=user["id"])
    made = author.make(SOURCES, name="mine", provider="none", verification="none", reason="test", mapping=mapping)
    sent = anonymous.post(made["path"], json={"n": "Other", "s": stack.unique("no")})
    data = stack.wait_for(lambda: (m := author.get(f"{MESSAGES}/{sent.json()['id']}").json().get("data", {})).get("status")
                          == "dead" and m, 30, "the refusal")
    assert "companies:write" in data["error"], "an author may not make companies"
    author.delete(f"{SOURCES}/{made['id']}")


def test_I04_the_dead_do_not_block_and_can_be_replayed(cms, anonymous, source):
    s = source("none", reason="test", dedupe="/slug", mapping=post_mapping())
    slug = stack.unique("dead")
    bad = anonymous.post(s["path"], json={"slug": slug, "title": ""}).json()["id"]
    good = anonymous.post(s["path"], json={"slug": slug + "-b", "title": "T"}).json()["id"]
    assert settled(cms, good)["status"] == "done"
    data = settled(cms, bad)
    assert data["status"] == "dead" and "title" in data["error"].lower()
    fixed = post_mapping(set={"title": "Untitled"})
    assert cms.patch(f"{SOURCES}/{s['id']}", json={"mapping": fixed}).status_code == 200
    counted = cms.post(f"{SOURCES}/{s['id']}/replay", json={"status": "dead", "dry_run": True})
    assert (counted.status_code, counted.json()["data"]["matched"]) == (202, 1)
    assert cms.post(f"{MESSAGES}/{bad}/replay").status_code == 202
    assert settled(cms, bad, "done")["mapping_version"] == 2
    assert cms.get(f"/api/v2/posts/slug:{slug}").json()["data"]["title"] == "Untitled"
    assert cms.post(f"{SOURCES}/{s['id']}/replay", json={"status": "dead"}).json()["data"]["matched"] == 0


def test_I05_what_is_not_there_yet_is_waited_for(cms, anonymous, source):
    slug = stack.unique("late")
    s = source("none", reason="test", mapping={"fields": [{"to": "slug", "from": "/slug"}, {"to": "title", "from": "/title"}],
                                               "actions": [{"do": "update", "entity": "post", "key": "slug"}]})
    sent = anonymous.post(s["path"], json={"slug": slug, "title": "After"}).json()["id"]
    waiting = settled(cms, sent, "failed")
    assert waiting["next_attempt_at"] and "There is no post" in waiting["error"]
    cms.make("/api/v2/posts", title="Before", slug=slug, status="draft")
    assert settled(cms, sent, "done")
    assert cms.get(f"/api/v2/posts/slug:{slug}").json()["data"]["title"] == "After"


def test_I06_a_paused_source_holds_its_messages_in_order(cms, anonymous, source):
    slug = stack.unique("held")
    s = source("none", reason="test", mapping=post_mapping())
    assert cms.patch(f"{SOURCES}/{s['id']}", json={"status": "paused"}).status_code == 200
    ids = [anonymous.post(s["path"], json={"slug": slug, "title": f"T{i}"}).json()["id"] for i in range(20)]
    for i in ids:
        assert settled(cms, i, "held")
    assert cms.get(f"/api/v2/posts/slug:{slug}").status_code == 404
    assert cms.patch(f"{SOURCES}/{s['id']}", json={"status": "active"}).status_code == 200
    for i in ids:
        assert settled(cms, i)["status"] == "done"
    assert cms.get(f"/api/v2/posts/slug:{slug}").json()["data"]["title"] == "T19"


def test_I01_what_a_killed_replica_had_claimed_is_worked_on_when_its_time_is_over(cms, source):
    """Nobody tells of it: it has to be found."""
    s, message = source("github", mapping={"actions": [{"do": "emit", "when": {"at": "/id", "is": "never"}}]}), str(uuid.uuid4())
    stack.psql(f"""insert into webhooks_in.messages (id, source_id, user_id, provider, dedupe_key, status, attempts, next_attempt_at, method, content_type,
        address, size_bytes, query, headers, body, body_base64, retention_days, created_at) values ('{message}', {s['id']}, 1, 'github', 'claimed',
        'working', 1, now() - interval '1 s', 'POST', '', '', 2, '', '{{}}', '{{}}', false, 7, now())""")
    done = f"select status || ' ' || attempts from webhooks_in.messages where id = '{message}'"
    stack.wait_for(lambda: stack.psql(done) == "ignored 2", 30, "it to be worked on", every=0.2)


def test_I06_a_source_that_holds_very_much_is_resumed_and_removed(cms, source):
    s, many = source("github", mapping={"actions": [{"do": "emit", "when": {"at": "/id", "is": "never"}}]}), 12000
    assert cms.patch(f"{SOURCES}/{s['id']}", json={"status": "paused"}).status_code == 200
    stack.psql(f"""insert into webhooks_in.messages (id, source_id, user_id, provider, dedupe_key, status, method, content_type, address, size_bytes, query,
        headers, body, body_base64, retention_days, created_at) select gen_random_uuid(), {s['id']}, 1, 'github', n::text, 'held', 'POST', '', '', 2, '',
        '{{}}', '{{}}', false, 7, now() from generate_series(1, {many}) n""")

    def count(states):
        return int(stack.psql(f"select count(*) from webhooks_in.messages where source_id = {s['id']} and status in ({states})"))

    assert cms.patch(f"{SOURCES}/{s['id']}", json={"status": "active"}).status_code == 200
    assert count("'held'") == 0
    stack.wait_for(lambda: count("'ignored'") > 100, 60, "them to be worked on", every=0.2)
    assert cms.patch(f"{SOURCES}/{s['id']}", json={"status": "paused"}).status_code == 200
    assert count("'accepted'") == 0 and count("'held', 'ignored', 'working'") == many
    assert cms.delete(f"{SOURCES}/{s['id']}").status_code == 204
    assert count("'held', 'accepted'") == 0


def test_I04_emit_tells_outgoing_webhooks(cms, anonymous, source, receiver, endpoint):
    got = receiver()
    endpoint(got.url, ["webhook.message.mapped"])
    s = source("none", reason="test", mapping={"jq": "{order: .id}", "actions": [{"do": "emit"}]})
    sent = anonymous.post(s["path"], json={"id": stack.unique("o")}).json()["id"]
    assert settled(cms, sent)["status"] == "done"
    told = stack.wait_for(lambda: [e for e in got.events() if e["data"]["id"] == sent], 30, "the event")
    assert told[0]["type"] == "webhook.message.mapped" and "order" in told[0]["data"]["data"]


def test_I01_the_log_has_no_credentials(cms, anonymous, source):
    s = source("gitlab")
    canary = stack.unique("canary")
    sent = anonymous.post(s["path"] + f"?access_token={canary}&a=b", data=b"\xff\x00bin", headers={
        "X-Gitlab-Token": s["secret"], "Cookie": canary, "Authorization": "Bearer " + canary})
    assert sent.status_code == 202
    settled(cms, sent.json()["id"])
    text = cms.get(f"{MESSAGES}/{sent.json()['id']}/content").text
    assert canary not in text and s["secret"] not in text
    data = json.loads(text)["data"]
    assert data["query"] == "access_token=***&a=b" and data["headers"]["cookie"] == "***"
    assert (data["body_encoding"], base64.b64decode(data["body"])) == ("base64", b"\xff\x00bin")
