"""People: invitations, passwords, lock-outs, second factors, sessions."""
import hashlib
import json
import os
import re

import pytest
import requests

from support import stack
from support.browser import Browser, Forms
from support.people import AUTH, PASSWORD, Door, accept, address, invite, new_person, signed, sql, totp, with_password
from support.session import SESSION, Signed

WEAK = ["short", "password1234", "Passwort2026!", "123456789012", "aaaaaaaaaaaa", "abcabcabcabc", "qwertyuiop12"]


@pytest.fixture(scope="module")
def admin():
    with stack.Client() as client:
        yield client


@pytest.fixture(scope="module")
def author(admin):
    return with_password(admin)


def entries(cms, **query):
    answer = cms.get("/api/v2/auth/audit", params={"per_page": 100, **{f"filter[{k}]": v for k, v in query.items()}})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


# --- passwords


def test_AU11_an_invitation_is_good_once_and_wants_a_real_password(cms):
    person = new_person(cms)
    access = cms.get(f"/api/v2/auth/users/{person['id']}").json()["data"]
    assert access["has_password"] is False and access["second_factor"] is False and access["locked_until"] is None
    url = invite(cms, person)
    for weak in WEAK + [person["username"] + "1234", person["email"]]:
        browser = accept(url, weak)
        assert browser.answer.status_code == 422 and 'role="alert"' in browser.answer.text, weak
    done = accept(url)
    assert done.answer.status_code == 200 and "Your password is set" in done.page.title
    again = Browser()
    again.go(url)
    assert again.answer.status_code == 400 and "used before" in again.answer.text
    assert cms.post(f"/api/v2/auth/users/{person['id']}/invite").status_code == 409
    assert signed(person).who["user"]["id"] == person["id"]
    assert {e["type"] for e in entries(cms, user=person["id"])} >= {"user.invited", "password.reset", "login.succeeded"}


def test_AU11_links_that_nobody_was_sent(cms):
    person = new_person(cms)
    url = invite(cms, person)
    token = url.split("token=")[1]
    secret, mac = token.split(".")
    for bad in ("", "x", secret, f"{secret}.{mac[::-1]}", f"{secret[::-1]}.{mac}"):
        answer = requests.get(stack.URL + "/oauth/password", params={"token": bad}, timeout=60)
        assert answer.status_code == 400
        answer = requests.post(stack.URL + "/api/v2/auth/password/reset", json={"token": bad or "-", "password": PASSWORD}, timeout=60)
        assert answer.status_code == 422, answer.text
    assert token not in sql("select t::text from auth.password_tokens t") and secret not in sql("select o::text from auth.outbox o")
    sql(f"update auth.password_tokens set expires_at = now() where user_id = {person['id']}")
    assert requests.get(url, timeout=60).status_code == 400, "over"


def test_AU11_a_person_changes_their_own_password(admin, author):
    here, there = signed(author), signed(author)
    change = {"old_password": PASSWORD, "new_password": "another morning with tea"}
    path = "/api/v2/auth/password"
    assert here.call("PUT", path, json={**change, "old_password": "wrong"}).status_code == 403
    weak = here.call("PUT", path, json={**change, "new_password": "password1234"})
    assert weak.status_code == 422 and weak.json()["errors"][0]["pointer"] == "/new_password"
    assert here.call("PUT", path, json={"new_password": "x" * 2000, "old_password": PASSWORD}).status_code == 422
    assert here.raw("PUT", path, json=change).status_code == 403, "no CSRF token"
    assert here.call("PUT", path, json=change).status_code == 204
    assert here.call("GET", SESSION).status_code == 200
    stack.wait_for(lambda: there.raw("GET", "/api/v2/auth/keys").status_code == 401, 30, "the other session to end")
    assert Door().attempt(author["username"], PASSWORD).status_code == 401
    assert here.call("PUT", path, json={"old_password": change["new_password"], "new_password": PASSWORD}).status_code == 204
    assert [e for e in entries(admin, user=author["id"], type="password.changed")]


def test_AU11_forgetting_tells_nobody_who_has_an_account(cms, author):
    told = set()
    for name in (author["username"], author["email"], stack.unique("nobody"), "nobody@example.org"):
        api = requests.post(AUTH + "/api/v2/auth/password/forgot", json={"username": name}, timeout=60,
                            headers={"X-Forwarded-For": address()})
        page = requests.Session()
        page.headers["X-Forwarded-For"] = address()
        form = Forms(page.get(AUTH + "/oauth/forgot", timeout=60).text).forms[0]
        sent = page.post(AUTH + "/oauth/forgot", data={**dict(form["fields"]), "username": name}, timeout=60)
        told.add((api.status_code, api.text, sent.status_code, sent.text))
    assert len(told) == 1 and next(iter(told))[0] == 204 and next(iter(told))[2] == 200
    stack.wait_for(lambda: sql(f"select count(*) from auth.password_tokens where user_id = {author['id']} and purpose = 'reset'") != "0",
                   30, "the link")
    assert entries(cms, user=author["id"], type="password.reset_requested")
    stack.wait_for(lambda: sql("select count(*) from auth.password_asks") == "0", 30, "nothing kept of who asked")


def mails_to(address):
    return [mail for _, mail in stack.kafka_messages("mail.commands") if address in json.dumps(mail)]


def test_AU11_whoever_changes_the_address_does_not_get_the_link(cms, key):
    """A key with users:write may change its owner's address; with the link that is mailed there it would be the whole account."""
    person = with_password(cms)
    thief = key(["users:write", "users:read"], user=person["id"])
    stack.wait_for(lambda: thief.get(f"/api/v2/users/{person['id']}").status_code == 200, 30, "the key to be known")
    elsewhere = f"{stack.unique('thief')}@example.net"
    assert thief.patch(f"/api/v2/users/{person['id']}", json={"email": elsewhere}).status_code == 200
    stack.wait_for(lambda: sql(f"select email from auth.people where user_id = {person['id']}") == elsewhere, 30, "auth to know the address")
    asked = requests.post(AUTH + "/api/v2/auth/password/forgot", json={"username": elsewhere}, timeout=60, headers={"X-Forwarded-For": address()})
    assert asked.status_code == 204
    told = stack.wait_for(lambda: {m["template"] for m in mails_to(person["email"])} >= {"email_changed", "password_reset"} and mails_to(person["email"]), 30,
                          "the mails to the address of before")
    assert all(m["to"] == person["email"] for m in told) and elsewhere not in json.dumps(told)
    assert mails_to(elsewhere) == []
    assert entries(cms, user=person["id"], type="user.email_changed")
    # A day later the new address is the person's.
    sql(f"update auth.people set email_changed_at = now() - interval '25 hours' where user_id = {person['id']}")
    requests.post(AUTH + "/api/v2/auth/password/forgot", json={"username": elsewhere}, timeout=60, headers={"X-Forwarded-For": address()})
    stack.wait_for(lambda: mails_to(elsewhere), 30, "the mail to the new address")


def test_AU11_mails_are_not_sent_without_end(author):
    name = stack.unique("somebody")
    codes = [requests.post(AUTH + "/api/v2/auth/password/forgot", json={"username": name}, timeout=60,
                           headers={"X-Forwarded-For": address()}) for _ in range(4)]
    assert [c.status_code for c in codes][:3] == [204] * 3 and codes[3].status_code == 429 and int(codes[3].headers["Retry-After"]) >= 1


def test_AU11_an_administrator_voids_a_password(cms):
    person = with_password(cms)
    session = signed(person)
    assert cms.post(f"/api/v2/auth/users/{person['id']}/reset-password").status_code == 204
    stack.wait_for(lambda: session.raw("GET", "/api/v2/auth/keys").status_code == 401, 30, "the session to end")
    assert Door().attempt(person["username"], PASSWORD).status_code == 401
    assert cms.get(f"/api/v2/auth/users/{person['id']}").json()["data"]["has_password"] is False
    kinds = {e["type"] for e in entries(cms, user=person["id"])}
    assert {"password.revoked", "password.reset_requested"} <= kinds


def test_AU11_a_suspended_person_is_out_at_once(cms):
    person = with_password(cms)
    session = signed(person)
    assert cms.patch(f"/api/v2/users/{person['id']}", json={"status": "suspended"}).status_code == 200
    stack.wait_for(lambda: session.raw("GET", "/api/v2/auth/keys").status_code == 401, 60, "the session to end")
    assert Door().attempt(person["username"], PASSWORD).status_code == 401
    assert cms.post(f"/api/v2/auth/users/{person['id']}/reset-password").status_code == 409
    change = [e for e in entries(cms, user=person["id"], type="user.changed")]
    assert change and change[0]["data"]["status"] == ["active", "suspended"]


@pytest.mark.parametrize("method,path", [("GET", ""), ("POST", "/invite"), ("POST", "/reset-password"), ("POST", "/unlock"), ("DELETE", "/totp")])
def test_AU04_only_administrators_act_on_others(cms, key, author, method, path):
    own = key(["users:read", "users:write"], user=author["id"])
    answer = own.request(method, f"/api/v2/auth/users/{author['id']}{path}")
    assert answer.status_code == 403 and "insufficient_scope" in answer.headers["WWW-Authenticate"]
    assert cms.request(method, f"/api/v2/auth/users/999999999{path}").status_code == 404


def test_AU11_an_application_is_not_the_person(author, machine):
    from support.oauth import session_of, TOKEN, bearer
    token = session_of(machine()).fetch_token(TOKEN, grant_type="client_credentials", scope="posts:read")
    for method, path, body in (("PUT", "/password", {"old_password": "x", "new_password": "y"}), ("GET", "/totp", None),
                               ("POST", "/totp", {"password": "x"}), ("POST", "/totp/disable", {"password": "x", "code": "1"})):
        answer = requests.request(method, stack.URL + "/api/v2/auth" + path, json=body, headers=bearer(token), timeout=60)
        assert answer.status_code == 403, path


# --- lock-out


def plain(answer):
    """The page without what differs from one to the next: tokens, the name, the seconds."""
    return re.sub(r'value="[^"]*"|\d+ seconds', "", answer.text)


def test_AU11_wrong_passwords_lock_alike_whoever_is_meant(cms):
    person = with_password(cms)
    pages = []
    for name in (person["username"], stack.unique("nobody")):
        door = Door()
        wrong = [door.attempt(name, "wrong password") for _ in range(5)]
        assert {w.status_code for w in wrong} == {401}
        locked = door.attempt(name, PASSWORD)
        if locked.status_code != 429:  # the first lock lasts a second: it was over
            assert locked.status_code in (303, 401)
            for _ in range(6):
                locked = door.attempt(name, "wrong password")
                if locked.status_code == 429:
                    break
        assert locked.status_code == 429 and int(locked.headers["Retry-After"]) >= 1
        pages.append((plain(wrong[0]), plain(locked)))
    assert pages[0] == pages[1], "nothing tells who has an account"


def test_AU11_a_lock_holds_from_everywhere_until_it_is_taken_back(cms):
    person = with_password(cms)
    name = person["username"]
    Door().attempt(name, "wrong password")
    sql(f"update auth.login_tries set n = 9, locked_until = now() + interval '5 minutes' where key = "
        f"'name:' || encode(sha256(convert_to(lower('{name}'), 'UTF8')), 'hex')")
    assert Door().attempt(name, PASSWORD).status_code == 429
    assert Door().attempt(name.upper(), PASSWORD).status_code == 429
    assert cms.get(f"/api/v2/auth/users/{person['id']}").json()["data"]["locked_until"]
    assert cms.post(f"/api/v2/auth/users/{person['id']}/unlock").status_code == 204
    assert cms.get(f"/api/v2/auth/users/{person['id']}").json()["data"]["locked_until"] is None
    assert Door().attempt(name, PASSWORD).status_code == 303
    assert entries(cms, user=person["id"], type="login.unlocked")


def test_AU11_a_network_that_guesses_names_is_locked_as_a_whole(author):
    guesser = Door()
    guesser.attempt(stack.unique("x"), "wrong password")
    at = guesser.http.headers["X-Forwarded-For"]
    sql(f"update auth.login_tries set n = 29 where key = 'network:{at}'")
    guesser.attempt(stack.unique("x"), "wrong password")
    sql(f"update auth.login_tries set locked_until = now() + interval '5 minutes' where key = 'network:{at}'")
    assert guesser.attempt(author["username"], PASSWORD).status_code == 429
    assert Door().attempt(author["username"], PASSWORD).status_code == 303
    spoofed = requests.Session()
    page = spoofed.get(stack.URL + "/oauth/session/start", headers={"X-Forwarded-For": at}, timeout=60)
    assert page.status_code == 200, "the gateway believes nobody"


def test_AU11_client_secrets_are_not_guessed_without_end(machine):
    from support.oauth import ask
    client = machine()
    at = {"X-Forwarded-For": address()}
    codes = [requests.post(AUTH + "/oauth/token", data={"grant_type": "client_credentials"}, headers=at, timeout=60,
                           auth=(client["client_id"], "wrong")) for _ in range(14)]
    assert codes[0].status_code == 401 and codes[0].json()["error"] == "invalid_client"
    blocked = [c for c in codes if c.status_code == 429]
    assert blocked and blocked[0].json()["error"] == "invalid_client" and int(blocked[0].headers["Retry-After"]) >= 1
    right = requests.post(AUTH + "/oauth/token", data={"grant_type": "client_credentials"}, headers=at, timeout=60,
                          auth=(client["client_id"], client["client_secret"]))
    assert right.status_code == 200, "who has the secret is not locked out by who has not"
    assert ask(client, grant_type="client_credentials").status_code == 200


def test_AU11_made_up_clients_leave_few_rows():
    before = int(sql("select count(*) from auth.login_tries"))
    there = address()
    for _ in range(150):
        answer = requests.post(AUTH + "/oauth/introspect", data={"token": "x"}, headers={"X-Forwarded-For": there}, timeout=60,
                               auth=(f"365c_{10**12 + int.from_bytes(os.urandom(4), 'big')}", "365s_x"))
        assert answer.status_code in (401, 429) and answer.json()["error"] == "invalid_client"
    assert int(sql("select count(*) from auth.login_tries")) <= before + 64


# --- second factor


@pytest.fixture
def guarded(cms):
    """A person with a second factor: (person, session, secret, recovery codes)."""
    person = with_password(cms)
    session = signed(person)
    assert session.call("POST", "/api/v2/auth/totp", json={"password": "wrong"}).status_code == 403
    begun = session.call("POST", "/api/v2/auth/totp", json={"password": PASSWORD})
    assert begun.status_code == 200, begun.text
    secret = begun.json()["data"]["secret"]
    assert secret in begun.json()["data"]["uri"] and begun.headers["Cache-Control"] == "no-store"
    assert session.call("GET", "/api/v2/auth/totp").json()["data"]["enabled"] is False
    assert session.call("POST", "/api/v2/auth/totp/confirm", json={"code": "000000"}).status_code == 403
    first = totp(secret)
    done = session.call("POST", "/api/v2/auth/totp/confirm", json={"code": first})
    assert done.status_code == 200, done.text
    codes = done.json()["data"]["recovery_codes"]
    assert len(set(codes)) == 10
    session.first_code = first
    return person, session, secret, codes


def second(person, password=PASSWORD):
    browser = Browser()
    browser.go(f"/oauth/session/start?return_to={SESSION}")
    browser.sign_in(person["username"], password)
    assert "Second step" in browser.page.title, browser.answer.text
    assert "cms365_login" not in browser.session.cookies
    return browser


def test_AU11_a_second_factor_is_asked_for_and_counts_once(cms, guarded):
    person, session, secret, codes = guarded
    info = session.call("GET", "/api/v2/auth/totp").json()["data"]
    assert info["enabled"] is True and info["recovery_codes_left"] == 10 and info["confirmed_at"]
    assert session.call("POST", "/api/v2/auth/totp", json={"password": PASSWORD}).status_code == 409
    browser = second(person)
    browser.submit("/oauth/login/second", code=session.first_code)
    assert browser.answer.status_code == 401 and 'role="alert"' in browser.answer.text, "that code was used to set it up"
    browser.submit("/oauth/login/second", code=totp(secret, 5))
    assert browser.answer.status_code == 401, "not of this time"
    code = totp(secret, 1)  # the clock of the app may be ahead
    browser.submit("/oauth/login/second", code=f" {code[:3]} {code[3:]} ")
    assert browser.answer.status_code == 200 and browser.answer.json()["data"]["user"]["id"] == person["id"]
    replay = second(person)
    replay.submit("/oauth/login/second", code=code)
    assert replay.answer.status_code == 401, "a code counts once"
    sealed = sql(f"select sealed from auth.totp where user_id = {person['id']}")
    assert secret not in sealed
    assert {"totp.enabled", "totp.refused"} <= {e["type"] for e in entries(cms, user=person["id"])}


def test_AU11_recovery_codes_open_once(cms, guarded):
    person, session, secret, codes = guarded
    browser = second(person)
    browser.submit("/oauth/login/second", code=codes[0].upper().replace("-", " "))
    assert browser.answer.status_code == 200 and browser.answer.json()["data"]["user"]["id"] == person["id"]
    again = second(person)
    again.submit("/oauth/login/second", code=codes[0])
    assert again.answer.status_code == 401
    assert session.call("GET", "/api/v2/auth/totp").json()["data"]["recovery_codes_left"] == 9
    assert codes[1].replace("-", "") not in sql(f"select string_agg(hash, ' ') from auth.recovery_codes where user_id = {person['id']}")
    # Of a code nothing is kept that a dump would let one try; those of before there was a MAC still open.
    digest = hashlib.sha256(codes[1].replace("-", "").encode()).hexdigest()
    assert sql(f"select count(*) from auth.recovery_codes where hash = '{digest}'") == "0"
    sql(f"insert into auth.recovery_codes (user_id, hash) values ({person['id']}, '{hashlib.sha256(b'abcdefghjk').hexdigest()}')")
    older = second(person)
    older.submit("/oauth/login/second", code="abcde-fghjk")
    assert older.answer.status_code == 200, older.answer.text
    fresh = session.call("POST", "/api/v2/auth/totp/recovery-codes", json={"code": codes[2]})
    assert fresh.status_code == 200 and not set(fresh.json()["data"]["recovery_codes"]) & set(codes)
    assert session.call("POST", "/api/v2/auth/totp/disable", json={"password": PASSWORD, "code": codes[3]}).status_code == 403
    off = session.call("POST", "/api/v2/auth/totp/disable", json={"password": PASSWORD, "code": fresh.json()["data"]["recovery_codes"][0]})
    assert off.status_code == 204
    assert Door().attempt(person["username"], PASSWORD).status_code == 303
    assert entries(cms, user=person["id"], type="totp.disabled") and entries(cms, user=person["id"], type="totp.recovery_used")


def test_AU11_codes_are_not_guessed_without_end(guarded):
    person, session, secret, codes = guarded
    browser = second(person)
    for _ in range(12):
        browser.submit("/oauth/login/second", code="000000")
        if browser.answer.status_code == 429:
            break
    assert browser.answer.status_code == 429 and int(browser.answer.headers["Retry-After"]) >= 1


def test_AU11_an_administrator_takes_a_lost_factor_away(cms, guarded):
    person, *_ = guarded
    assert cms.delete(f"/api/v2/auth/users/{person['id']}/totp").status_code == 204
    assert Door().attempt(person["username"], PASSWORD).status_code == 303


def test_AU11_a_role_that_needs_a_second_factor_sets_it_up_when_signing_in(cms):
    if "editor" not in stack.SETTINGS.get("CMS365_TOTP_ROLES", "editor"):
        pytest.skip("the stack asks no role for a second factor")
    person = with_password(cms, role="editor")
    browser = Browser()
    browser.go(f"/oauth/session/start?return_to={SESSION}")
    browser.sign_in(person["username"], PASSWORD)
    if "Set up a second step" not in browser.page.title:
        pytest.skip("the stack was started without CMS365_TOTP_ROLES=editor")
    secret = re.search(r'id="secret">([A-Z2-7]+)<', browser.answer.text).group(1)
    browser.submit("/oauth/login/enrol", code="000000")
    assert browser.answer.status_code == 401 and secret in browser.answer.text, "the same key again"
    assert "cms365_login" not in browser.session.cookies
    browser.submit("/oauth/login/enrol", code=totp(secret))
    assert browser.answer.status_code == 200 and "Recovery codes" in browser.page.title
    codes = re.findall(r"<li><code>([^<]+)</code>", browser.answer.text)
    assert len(codes) == 10
    go_on = re.search(r'href="(/oauth/authorize[^"]+)"', browser.answer.text).group(1).replace("&amp;", "&")
    browser.go(go_on)
    assert browser.answer.json()["data"]["user"]["id"] == person["id"]
    later = second(person)
    later.submit("/oauth/login/second", code=codes[0])
    assert later.answer.status_code == 200


@pytest.mark.parametrize("page", ["/oauth/forgot", "/oauth/password?token=x", "/oauth/session/start"])
def test_AU05_pages_work_without_script_and_cannot_be_framed(page):
    answer = requests.get(stack.URL + page, timeout=60)
    csp = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in csp and "frame-ancestors 'none'" in csp and "script" not in csp
    assert answer.headers["X-Frame-Options"] == "DENY" and answer.headers["Referrer-Policy"] == "same-origin"
    assert "<script" not in answer.text and '<html lang="en">' in answer.text
    for field in re.findall(r'<input type="(?:text|password)" id="([^"]+)"', answer.text):
        assert f'<label for="{field}">' in answer.text


@pytest.mark.parametrize("action", ["/oauth/forgot", "/oauth/password", "/oauth/login", "/oauth/login/second", "/oauth/login/enrol"])
def test_AU05_forms_of_other_sites_are_refused(action):
    data = {"username": "admin", "password": PASSWORD, "token": "x", "code": "1", "ticket": "x", "request": "x"}
    assert requests.post(stack.URL + action, data=data, timeout=60).status_code == 403
    browser = Browser()
    browser.go("/oauth/forgot")
    token = dict(browser.page.forms[0]["fields"])["csrf"]
    if action != "/oauth/forgot":
        assert browser.session.post(stack.URL + action, data={**data, "csrf": token}, timeout=60).status_code == 403, "another form's token"
    evil = browser.session.post(stack.URL + action, data={**data, "csrf": token}, headers={"Origin": "https://evil.example"}, timeout=60)
    assert evil.status_code == 403


# --- sessions


def test_AU12_sessions_are_listed_and_ended_by_their_owner(cms, author):
    here, there = signed(author), signed(author)
    rows = here.call("GET", "/api/v2/auth/sessions?per_page=100").json()["data"]
    assert all(r["user"]["id"] == author["id"] for r in rows)
    mine = {r["id"]: r for r in rows if r["id"] in (here.who["id"], there.who["id"])}
    assert mine[here.who["id"]]["current"] is True and mine[there.who["id"]]["current"] is False
    bare = here.call("GET", "/api/v2/auth/sessions?per_page=100&envelope=false&fields=id").json()
    assert {"id": here.who["id"], "current": True} in bare and {"id": there.who["id"], "current": False} in bare
    one = mine[there.who["id"]]
    assert one["address"] == "127.0.0.1" and one["agent"].startswith("python-requests") and one["last_seen_at"] and one["expires_at"]
    admin = Signed()
    assert here.call("DELETE", f"/api/v2/auth/sessions/{admin.who['id']}").status_code == 404
    assert here.call("GET", f"/api/v2/auth/sessions/{admin.who['id']}").status_code == 404
    assert cms.get(f"/api/v2/auth/sessions/{one['id']}").json()["data"]["current"] is False, "administrators see all"
    assert here.call("DELETE", f"/api/v2/auth/sessions/{one['id']}").status_code == 204
    for path in ("/api/v2/auth/keys", "/api/v2/webhooks/endpoints"):
        stack.wait_for(lambda: there.raw("GET", path).status_code == 401, 30, "the session to end")
    assert here.call("GET", f"/api/v2/auth/sessions/{one['id']}").json()["data"]["revoked_at"]
    third = signed(author)
    ended = here.call("POST", "/api/v2/auth/sessions/end-others")
    assert ended.status_code == 200 and ended.json()["data"]["ended"] >= 1
    stack.wait_for(lambda: third.raw("GET", "/api/v2/auth/keys").status_code == 401, 30, "the session to end")
    assert here.call("GET", SESSION).status_code == 200
    assert entries(cms, user=author["id"], type="session.ended")


def test_AU12_a_session_that_idles_ends(author):
    session = signed(author)
    sql(f"update auth.sessions set last_seen_at = now() - interval '1 day' where id = {session.who['id']}")
    other = requests.Session()
    other.cookies["cms365_login"] = session.browser.session.cookies["cms365_login"]
    page = other.get(stack.URL + "/oauth/session/start", timeout=60)
    assert "Sign in" in page.text, "the login has idled out"


from support.oauth import machine, register  # noqa: E402, F401
