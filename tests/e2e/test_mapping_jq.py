"""Mappings against the jq binary (I-03): the same program on the same sample gives the same results, or the same complaint."""
import json
import subprocess

import pytest

from support import stack

SOURCES = "/api/v2/webhook-sources"

SAMPLE = {
    "id": "evt_1", "type": "order.paid", "created": 1700000000, "live": True, "note": None, "empty": [], "none": {},
    "customer": {"name": "Zoë Krüger", "email": "zoe@example.org", "tags": ["vip", "de", "vip"], "age": 41, "address": {"zip": "04109"}},
    "lines": [{"sku": "A-1", "qty": 2, "price": 19.9}, {"sku": "B-2", "qty": 1, "price": 5}, {"sku": "A-1", "qty": 3, "price": 19.9}],
    "matrix": [[1, 2], [3, 4]], "text": "one, two,three\tfour\n", "html": "<a href=\"x\">&amp;'</a>", "big": 1e17, "small": 1e-7, "neg": -3.5,
    "date": "2023-11-14T22:13:20Z", "b64": "R3LDvMOfZQ==", "unicode": "\u00e9\U0001f600", "k-1": {"$x": 1},
}
# What belongs to files and to a command line (halt, input_line_number, modules) is not for mappings; test_webhooks_in.py has it.
PROGRAMS = r'''
.
.id
.customer.name
.customer["email"]
."k-1"."$x"
.["k-1"]
.missing
.missing.deeper
.lines[0]
.lines[-1].sku
.lines[1:]
.lines[:-1]
.lines[:1][0].qty
.text[0:3]
.text[-5:]
.lines[]
.lines[].sku
.lines[]?
.id[]?
.id.x?
.id.x
.lines.x
.[0]
.customer.tags[]
..|numbers
[..|strings]|length
[.lines[].qty]
{id, type}
{(.id): .type}
{id, who: .customer.name, first: .lines[0].sku}
{a: .lines[].sku}
{"a b": 1, "c": [.live, .note]}
{$__loc__}
{customer: {name: .customer.name}} * {customer: {x: 1}}
.lines[0] + {extra: true}
.customer.tags + ["new"]
.customer.tags - ["vip"]
.id + "-" + .type
.id * 3
.text / ", "
.created / 60
.created % 7
-(.created)
.neg * -2
1 / 3
1 / 0
[.[]|type]
[1,2,3] == [1,2,3]
{} < []
null < false and false < true and true < 0 and 0 < "a" and "a" < [] and [] < {}
.live and .note
.live or error("never")
.note // "fallback"
.missing // .note // empty // 7
(.note, false, 3) // 9
[.lines[] | select(.qty > 1)]
[.lines[] | select(.sku | startswith("A"))] | length
.lines | map(.qty * .price)
.lines | map(.qty) | add
[] | add
.lines | map({(.sku): .qty}) | add
if .live then "yes" else "no" end
if .note then 1 elif .empty then 2 else 3 end
[.lines[] | if .qty > 1 then .sku else empty end]
try error("boom") catch .
try (.id | tonumber) catch "no number"
error("told")
error({code: 7})
error(null)
.id | tonumber
[.lines[] | .price | floor, ceil, round]
[1.5, -1.5] | map(fabs)
[4, 9] | map(sqrt)
pow(2; 10)
[1, 10, 100] | map(log10)
infinite, -infinite | isinfinite
nan | isnan
[nan] | sort
.customer | keys
.customer | keys_unsorted
.customer | length
.id | length
.unicode | length
.unicode | utf8bytelength
.note | length
.neg | length
.customer | has("name"), has("nope")
.lines | has(0), has(9)
"vip" | IN("vip", "x")
.customer.tags | index("vip")
.text | index(","), rindex(","), indices(",")
.customer.tags | indices("vip")
.customer | to_entries
.customer | to_entries | from_entries == (. | from_entries)
[{"name": "a", "value": 1}, {"k": "b", "v": 2}, {"key": "c"}] | from_entries
.customer | with_entries(select(.value | type == "string"))
.customer | map_values(type)
.lines | map_values(.qty)
.lines | sort_by(.price, .sku)
.lines | group_by(.sku)
.lines | unique_by(.sku)
.lines | min_by(.qty), max_by(.qty)
.customer.tags | unique
.customer.tags | sort
[3, null, "a", {}, [], true, false, 1] | sort
.customer.tags | reverse
"abc" | explode | reverse | implode
.matrix | flatten
.matrix | flatten(0)
.matrix | transpose
[[1], [2, 3]] | transpose
.matrix | add
.matrix | map(add)
[.matrix | combinations]
[range(5)]
[range(2; 6)]
[range(0; 10; 3)]
[range(5; 0; -2)]
first(range(10; 20))
last(range(5))
nth(3; range(10))
[limit(2; .lines[].sku)]
[limit(0; 1, 2)]
first(empty)
1 | until(. >= 1024; . * 2)
1 | until(. > 100; . * 2)
[1 | while(. < 50; . * 3)]
[1 | limit(4; repeat(. * 2))]
[recurse | numbers] | length
[2 | recurse(if . < 100 then . * . else empty end)]
[.matrix | recurse] | length
reduce .lines[] as $l (0; . + $l.qty * $l.price)
reduce empty as $x (3; 4)
[foreach .lines[] as $l (0; . + $l.qty)]
[foreach range(5) as $i (null; $i; [$i, . * 2])]
.lines as [$a, {sku: $s}] | [$a.qty, $s]
.customer as {name: $n, tags: [$t]} | {$n, $t}
.lines[] as {$sku, $qty} | "\($sku): \($qty)"
. as {x: $a} | $a
[[1, 2], {a: 3}] | .[] as [$a] ?// {$a} | $a
def f(x): x * 2; f(.created)
def f($a; $b): $a + $b; f(1; 2)
def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 10 | fac
def g: def h: . + 1; h | h; 1 | g
[.lines[] | {sku, total: (.qty * .price)}] | sort_by(-.total) | .[0]
"\(.id) has \(.lines | length) lines"
"\(1 + 2)" | tonumber
@base64 "x\(.id)"
.id | @base64
.b64 | @base64d
"not base64" | @base64d
.html | @html
.id, .text | @uri
.customer.tags | @csv
[1, "a\"b", null, true] | @csv
[1, "a\tb", null] | @tsv
[1, "it's", null] | @sh
.customer | @sh
.customer | @json
.text | @text
.customer.tags | @html "<b>\(.)</b>"
.customer | tojson
.customer | tojson | fromjson
"{bad" | fromjson
[.big, .small, .neg, 1.0, 100000000000000000000] | tojson
.customer.age | tostring
.customer.tags | tostring
"1e3" | tonumber
.text | ascii_downcase, ascii_upcase
.text | split(", ")
.text | split(", *"; null)
.text | [splits(",\\s*")]
.customer.tags | join("-")
[1, null, true, "x"] | join(",")
.id | ltrimstr("evt_"), rtrimstr("_1")
.id | startswith("evt"), endswith("x")
.customer | startswith("x")
.text | test("TWO"; "i")
.text | match("(?<w>t[a-z]+)").captures[0].name
[.text | match("t"; "g").offset]
.customer.email | capture("(?<user>[^@]+)@(?<host>.+)")
[.text | scan("[a-z]+")]
[.text | scan("(t)(.)")]
.text | sub(","; ";")
.text | gsub("[ ,]"; "_")
.text | gsub("(?<a>[a-z])o"; "\(.a)0")
.customer.email | test("(")
.date | fromdate
.created | todate
.created | gmtime
.created | gmtime | mktime
.created | strftime("%A %d %B %Y")
.date | strptime("%Y-%m-%dT%H:%M:%SZ") | mktime
.date | strptime("%Y-%m-%dT%H:%M:%SZ")
"yesterday" | fromdate
paths | select(length == 1) | .[0]
[paths(type == "number")] | length
[leaf_paths] | length
[path(..)] | length
path(.lines[0].sku)
[path(.lines[] | select(.qty > 1))]
getpath(["customer", "address", "zip"])
getpath(["missing", "x"])
setpath(["a", "b"]; 1) | .a
delpaths([["lines"], ["matrix"]]) | keys
del(.lines, .matrix, .customer.tags[0]) | .customer.tags
del(.lines[0, 2]) | .lines
to_entries | map(.key)
.customer.name = "N" | .customer.name
.lines[].qty |= . + 1 | [.lines[].qty]
.customer.age += 1 | .customer.age
.lines[0].price -= 0.9 | .lines[0].price
.customer.age *= 2 | .customer.age
.created /= 10 | .created
.created %= 9 | .created
.note //= "n" | .note
.lines |= map(select(.qty > 1)) | .lines | length
(.lines[] | select(.sku == "B-2")).qty = 9 | [.lines[].qty]
.a.b.c = 1 | .a
.x[2] = 1 | .x
.id.x = 1
.lines["x"] = 1
any(.lines[]; .qty > 2)
all(.lines[]; .qty > 2)
[true, false] | any, all
[] | any, all
.customer.tags | contains(["vip"])
.customer | contains({name: "Zoë"})
"foobar" | contains("bar")
"bar" | inside("foobar")
[1, [2, [3]]] | flatten(1)
.matrix | tostream
fromstream(.matrix | tostream)
[.matrix | truncate_stream(1; tostream)]
[splits("x")]
[.[] | scalars] | length
[.[] | arrays, objects] | length
[.[] | iterables] | length
[.[] | booleans, nulls]
.lines | to_entries | map(.key)
.lines | INDEX(.sku) | keys
[1, 2, 2, 3] | group_by(.) | map(length)
label $out | foreach .lines[] as $l (0; . + 1; if . > 1 then $l.sku, break $out else empty end)
[label $f | range(10) | ., (select(. == 2) | break $f)]
isvalid(.id)
[.lines[] | .sku] | unique | length as $n | {$n}
walk(if type == "string" then ascii_upcase else . end) | .customer.name
[.[] | numbers] | (min, max)
[] | min, max
ascii
[65, 66] | implode
"x" | ascii_downcase | explode
splits
env | type
$ENV | type
getpath(["id", "x"])
.customer | error
tojson | length
ltrimstr(1) | .id
[.lines[] | (.qty, .price) |= . + 1 | .qty]
limit(3; .lines[], .matrix[])
builtins | length > 100
@json "v=\(.customer.tags)"
{} | .a += 1
null | [.[]?]
[1, 2] | .[1:] = [9, 8]
[1, 2, 3] | .[1:2] |= map(. * 10)
"abc" | .[1:2]
{"a": [1, {"b": 2}]} | [.. | .b?]
[.lines[] | tojson] | join(" ")
'''.strip().split("\n")


@pytest.fixture(name="dry_run")
def _dry_run(cms):
    made = cms.post(SOURCES, json={"name": "jq", "slug": stack.unique("jq"), "provider": "none", "verification": "none",
                                      "reason": "test"}).json()["data"]
    yield f"{SOURCES}/{made['id']}/dry-run"
    cms.delete(f"{SOURCES}/{made['id']}")


def jq(program, sample):
    """(results, complaint) of the binary: what it printed, and the first line of what it says was wrong."""
    run = subprocess.run(["jq", "-c", program], input=json.dumps(sample), capture_output=True, text=True, timeout=20, check=False)
    results = [json.loads(line) for line in run.stdout.splitlines()] if run.returncode == 0 else None
    return results, run.stderr.strip().split("\n")[0]


def test_I03_there_are_two_hundred_programs():
    assert len(PROGRAMS) == len(set(PROGRAMS)) >= 200


@pytest.mark.parametrize("part", range(10))
def test_I03_mappings_agree_with_the_jq_binary(cms, dry_run, part):
    unlike = []
    for program in PROGRAMS[part::10]:
        want, complaint = jq(program, SAMPLE)
        answer = cms.post(dry_run, json={"body": SAMPLE, "mapping": {"jq": program}})
        assert answer.status_code == 200, (program, answer.text)
        got = answer.json()["data"]
        if want is not None and (got["results"] != want or got["error"]):
            unlike.append((program, want, got))
        said = complaint.split(": ", 2)[-1] if complaint.startswith("jq: error (") else complaint.removeprefix("jq: error: ")
        if want is None and (not got["error"] or said[:40] not in got["error"]):
            unlike.append((program, complaint, got["error"]))
    assert not unlike, "\n".join(map(repr, unlike))
