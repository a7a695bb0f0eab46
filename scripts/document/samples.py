"""Code samples of each operation: curl, JavaScript, Python, PHP.  Each is a whole program that reads CMS365_URL and
CMS365_KEY from its environment, names the parts of the path at its top, prints the answer and fails if it is not 2xx."""
import json
import re

from . import example

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
FORMS = {  # what is posted as a form: RFC 6749, 7009, 7662, 9126
    "oauth_token": "grant_type=client_credentials&scope=posts%3Aread",
    "oauth_revoke": "token=TOKEN",
    "oauth_introspect": "token=TOKEN",
    "oauth_par": "response_type=code&redirect_uri=https%3A%2F%2Freader.example.com%2Fcallback&scope=posts%3Aread"
                 "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&state=STATE",
}
PATH_VALUES = {"id": "1", "rev": "1", "slug": "hello-world", "code": "not_found", "name": "v1", "source": "shop",
               "token": "TOKEN", "operation": "get_post", "language": "curl"}


class Call:
    """One request, as the samples and the Postman collection make it."""

    def __init__(self, method, path, op, schemas):
        self.id, self.method, self.path, self.op = op["operationId"], method.upper(), path, op
        self.params = [(n, PATH_VALUES.get(n, "1")) for n in re.findall(r"\{(\w+)\}", path)]
        self.public = not op.get("x-scope") and ({} in op.get("security", []) or not op.get("security"))
        self.form = FORMS.get(self.id)
        content = op.get("requestBody", {}).get("content", {})
        self.body = None
        if JSON in content:
            self.body = content[JSON].get("example")
            if self.body is None:
                self.body = example.of(content[JSON]["schema"], schemas)
        elif self.method == "POST" and path.startswith("/hooks/"):
            self.body = {"id": "1", "type": "order.paid"}

    @property
    def text(self):
        return self.form if self.form is not None else \
            None if self.body is None else json.dumps(self.body, ensure_ascii=False)

    @property
    def media(self):
        return FORM if self.form is not None else JSON if self.body is not None else None

    def address(self, put):
        return re.sub(r"\{(\w+)\}", lambda m: put(m.group(1)), self.path)


def is_sampled(path, op):
    """Pages are for browsers."""
    good = [r for s, r in op["responses"].items() if s < "300" and s != "default"]
    return good and not any("text/html" in r.get("content", {}) for r in good)


def single(text, escape):
    return "'" + text.replace("\\", "\\\\" if escape else "\\").replace("'", "\\'" if escape else "'\\''") + "'"


def curl(call):
    lines = ["%s=%s" % (n.upper(), v) for n, v in call.params]
    method = "" if call.method == ("GET" if call.text is None else "POST") else " -X " + call.method
    parts = ['curl -fsS%s "$CMS365_URL%s"' % (method, call.address(lambda n: "${%s}" % n.upper()))]
    if call.form is not None:
        parts.append('-u "$CMS365_CLIENT_ID:$CMS365_CLIENT_SECRET"')
    elif not call.public or call.method != "GET":
        parts.append('-H "Authorization: Bearer $CMS365_KEY"')
    if call.media == JSON:
        parts.append("-H 'Content-Type: application/json'")
    if call.text is not None:
        parts.append("-d " + single(call.text, False))
    return "\n".join(lines + [" \\\n  ".join(parts)]) + "\n"


def javascript(call):
    lines = ["const %s = %s;" % (n, json.dumps(v)) for n, v in call.params]
    headers = []
    if call.form is not None:
        headers.append("Authorization: `Basic ${btoa(`${process.env.CMS365_CLIENT_ID}:${process.env.CMS365_CLIENT_SECRET}`)}`")
    elif not call.public or call.method != "GET":
        headers.append("Authorization: `Bearer ${process.env.CMS365_KEY}`")
    if call.media:
        headers.append("'Content-Type': %s" % single(call.media, True))
    lines += ["const answer = await fetch(`${process.env.CMS365_URL}%s`, {" % call.address(lambda n: "${%s}" % n),
              "  method: %s," % single(call.method, True)]
    if headers:
        lines.append("  headers: { %s }," % ", ".join(headers))
    if call.form is not None:
        lines.append("  body: %s," % single(call.form, True))
    elif call.body is not None:
        lines.append("  body: JSON.stringify(%s)," % json.dumps(call.body, ensure_ascii=False))
    lines += ["});", "if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);",
              "console.log(await answer.text());"]
    return "\n".join(lines) + "\n"


def python(call):
    lines = ["import os", "", "import requests", ""] + ["%s = %r" % (n, v) for n, v in call.params]
    args = ['"%s"' % call.method, 'os.environ["CMS365_URL"] + %s"%s"' % ("f" if call.params else "", call.address(lambda n: "{%s}" % n))]
    if call.form is not None:
        args.append('auth=(os.environ["CMS365_CLIENT_ID"], os.environ["CMS365_CLIENT_SECRET"])')
        args.append("headers={\"Content-Type\": %r}" % FORM)
        args.append("data=%r" % call.form)
    elif not call.public or call.method != "GET":
        args.append('headers={"Authorization": "Bearer " + os.environ["CMS365_KEY"]}')
    if call.form is None and call.body is not None:
        args.append("json=%r" % (call.body,))
    lines += ["answer = requests.request(", *["    %s," % a for a in args], "    timeout=30,", ")", "answer.raise_for_status()",
              "print(answer.text)"]
    return "\n".join(lines) + "\n"


def php_value(v):
    if isinstance(v, dict):
        return "[%s]" % ", ".join("%s => %s" % (single(k, True), php_value(x)) for k, x in v.items()) if v else "new stdClass()"
    if isinstance(v, list):
        return "[%s]" % ", ".join(map(php_value, v))
    return single(v, True) if isinstance(v, str) else json.dumps(v)


def php(call):
    lines = ["<?php"] + ["$%s = %s;" % (n, single(v, True)) for n, v in call.params]
    url = "getenv('CMS365_URL') . \"%s\"" % call.address(lambda n: "{$%s}" % n)
    headers, options = [], ["CURLOPT_RETURNTRANSFER => true", "CURLOPT_CUSTOMREQUEST => %s" % single(call.method, True)]
    if call.form is not None:
        options.append("CURLOPT_USERPWD => getenv('CMS365_CLIENT_ID') . ':' . getenv('CMS365_CLIENT_SECRET')")
        options.append("CURLOPT_POSTFIELDS => %s" % single(call.form, True))
    elif not call.public or call.method != "GET":
        headers.append("'Authorization: Bearer ' . getenv('CMS365_KEY')")
    if call.form is None and call.body is not None:
        headers.append("'Content-Type: application/json'")
        options.append("CURLOPT_POSTFIELDS => json_encode(%s)" % php_value(call.body))
    if headers:
        options.append("CURLOPT_HTTPHEADER => [%s]" % ", ".join(headers))
    lines += ["$curl = curl_init(%s);" % url, "curl_setopt_array($curl, [", *["    %s," % o for o in options], "]);",
              "$answer = curl_exec($curl);", "$status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);",
              "if ($answer === false || $status < 200 || $status > 299) {",
              "    fwrite(STDERR, \"$status $answer\\n\");", "    exit(1);", "}", "echo $answer, \"\\n\";"]
    return "\n".join(lines) + "\n"


LANGUAGES = [("curl", "Shell", curl), ("javascript", "JavaScript", javascript), ("python", "Python", python), ("php", "PHP", php)]


def add(doc):
    """Sets the examples of request bodies and x-codeSamples."""
    schemas = doc["components"]["schemas"]
    for path, item in doc["paths"].items():
        for method, op in item.items():
            content = op.get("requestBody", {}).get("content", {})
            for media in (JSON, "application/merge-patch+json"):
                if media in content:
                    value = example.KEPT.get(op["operationId"]) or \
                        BODIES.get(op["operationId"].split("_")[0], example.of)(content[media]["schema"], schemas)
                    if value is not None:
                        content[media]["example"] = value
            if is_sampled(path, op):
                call = Call(method, path, op, schemas)
                op["x-codeSamples"] = [{"lang": lang, "label": label, "source": make(call)} for label, lang, make in LANGUAGES]


def bulk(schema, schemas):
    name = example.name_of(schema["oneOf"][0]["items"]["properties"]["data"]["anyOf"][1])
    return [{"op": "create", "data": example.KEPT.get(name, {})}]


BODIES = {"bulk": bulk}
