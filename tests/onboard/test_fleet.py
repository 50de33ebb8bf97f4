"""The fleet file: rows, and every bad row by line number."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl import pki
from iotctl.errors import BadInput, Usage
from iotctl.onboard import fleet, observe, row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ran

_READING = row.Reading("thing", observe.policy_name, pki.check_csr)
_HEAD = "thing_name,thing_type,thing_groups,billing_group,policy,attr:site,shadow:a.b\n"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., fleet.Fleet]:
    """Read a fleet file of this content."""

    def read(content: str | bytes, **changes: Any) -> fleet.Fleet:
        path = tmp_path / "fleet.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        reading = row.Reading(_READING.policy, _READING.policy_name, _READING.check_csr, **changes)
        return fleet.read(str(path), reading)

    return read


def _lines(error: BadInput) -> list[tuple[int, str]]:
    """Each bad line's number and reason."""
    told = [line.message.split(": ", 1) for line in error.lines]
    return [(int(where.rpartition(":")[2]), reason) for where, reason in told]


def test_a_row_is_what_its_cells_say(read: Callable[..., fleet.Fleet]) -> None:
    """Trimmed, groups sorted and once each, empty cells left out, values of the shadow as JSON where they are."""
    found = read(
        "thing_name,thing_type,thing_groups,billing_group,policy,attr:site,attr:none,shadow:a.b,shadow:a.c,shadow:d\n"
        ' pump-7 , press,b; a;;b,bill,core,oslo,,1.5,"{""x"": [true]}", v 1 \n'
    )
    assert [
        {
            "thingName": "pump-7",
            "thingType": "press",
            "thingGroups": ["a", "b"],
            "billingGroup": "bill",
            "policyName": "core",
            "attributes": {"site": "oslo"},
            "shadow": '{"state":{"desired":{"a":{"b":1.5,"c":{"x":[true]}},"d":" v 1 "}}}',
            "line": 2,
        }
    ] == list(found)
    assert ({"press": 1}, {"a": 1, "b": 1}, {"bill": 1}, {"core": 1}, 1) == (
        found.thing_types,
        found.thing_groups,
        found.billing_groups,
        found.policies,
        found.shadows,
    )


def test_a_row_may_be_a_name_alone(read: Callable[..., fleet.Fleet]) -> None:
    """Everything but the name has a default."""
    (row,) = read("thing_name\na\n")
    assert (None, [], None, "iotctl-thing", {}, None) == tuple(
        row[key] for key in ("thingType", "thingGroups", "billingGroup", "policyName", "attributes", "shadow")
    )


_PLAIN = "thing_name,attr:a\nx,1\ny,2\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_PLAIN.encode("utf-8-sig"), id="byte order mark"),
        pytest.param(_PLAIN.replace("\n", "\r\n").encode(), id="CRLF"),
        pytest.param(_PLAIN.replace("\n", "\r").encode(), id="CR"),
        pytest.param(_PLAIN.removesuffix("\n").encode(), id="no last line end"),
        pytest.param(b"attr:a,thing_name\n1,x\n2,y\n", id="column order"),
        pytest.param(b'"thing_name", attr:a \n"x"," 1 "\n\n , \ny,2\n\n', id="quotes, spaces, blank lines"),
        pytest.param(b"thing_name,attr:a,,\nx,1,,\ny,2,,\n", id="Excel's empty columns"),
        pytest.param(b"thing_name,attr:a\nx,1\nx,1\ny,2\n", id="a line twice"),
        pytest.param(gzip.compress(_PLAIN.encode("utf-8-sig")), id="gzip"),
    ],
)
def test_the_same_rows_are_the_same_run(read: Callable[..., fleet.Fleet], content: bytes) -> None:
    """What editors and spreadsheets do to a file changes neither the rows nor the digest that the run id is made of."""
    plain, other = read(_PLAIN), read(content)
    assert [row["thingName"] for row in plain] == [row["thingName"] for row in other]
    assert plain.digest == other.digest


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "the thing name is empty"),
        ("x" * 129, "more than 128"),
        ("../../etc/passwd", "has '.'"),
        ("C:\\x", "has '\\\\'"),
        ("a/b", "has '/'"),
        ("\U0001f600", "has '\U0001f600'"),
        ("é", "has 'é'"),
        ('"ok\n"', "control character"),
        ("a\x00b", "control character"),
        ("a\x1b[31m", "control character"),
        ("a\x9b", "control character"),
        ("a,b", "3 cells where the header has 2"),
    ],
)
def test_hostile_names_are_refused(read: Callable[..., fleet.Fleet], line: str, reason: str) -> None:
    """Before any path or URL is made of them; the reason is safe to print."""
    with pytest.raises(BadInput) as caught:
        read(f"thing_name,policy\ngood,p\n{line},p\n")
    ((number, told),) = _lines(caught.value)
    assert 3 == number
    assert reason in told
    assert told.isprintable()


@pytest.mark.parametrize("name", ["-rf", "CON", "a:b", "_", "x" * 128])
def test_odd_names_that_aws_allows_are_accepted(read: Callable[..., fleet.Fleet], name: str) -> None:
    """It is the bundle's directory that makes them safe."""
    assert [name] == [row["thingName"] for row in read(f"thing_name\n{name}\n")]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("x,t t,,,,,", "thing type name 't t' has ' '"),
        ("x,,g h,,,,", "thing group name 'g h'"),
        ("x,," + ";".join(f"g{n}" for n in range(11)) + ",,,,", "11 thing groups, more than 10"),
        ("x,,,b b,,,", "billing group name"),
        ("x,,,,p/q,,", "policy name 'p/q'"),
        ("x,,,,,o s,", "attribute value 'o s' has ' '"),
        ("x,,,,,ø,", "attribute value 'ø'"),
        (f"x,,,,,{'y' * 801},", "801 characters"),
        (f"x,,,,,,{'y' * 8200}", "larger than 8192 bytes"),
        ("x,,,,", "5 cells where the header has 7"),
        ("x,,,,,,,z", "8 cells where the header has 7"),
        ("../x,t t,,,,o s,", "thing type name 't t'"),
    ],
)
def test_a_bad_cell_is_told(read: Callable[..., fleet.Fleet], cells: str, reason: str) -> None:
    """With the line and what is allowed; several faults of one line in one sentence."""
    with pytest.raises(BadInput) as caught:
        read(f"{_HEAD}ok,,,,,,\n{cells}\n")
    ((number, told),) = _lines(caught.value)
    assert (3, True) == (number, reason in told)


def test_every_bad_line_is_told_at_once(read: Callable[..., fleet.Fleet]) -> None:
    """With its number, counted as an editor counts, quoted line ends included."""
    content = 'thing_name,shadow:note\na,"two\tx"\n\nb b,1\nc,"line one\nline two"\nd/d,1\ne,1\n'
    with pytest.raises(BadInput, match="4 bad lines; nothing was called, nothing was written") as caught:
        read(content)
    assert [2, 4, 5, 7] == [number for number, _ in _lines(caught.value)]


@pytest.mark.parametrize(
    ("attributes", "thing_type", "good"), [(2, "", True), (3, "", False), (49, "t", True), (50, "t", False)]
)
def test_attributes_are_counted_with_the_claim(
    read: Callable[..., fleet.Fleet], attributes: int, thing_type: str, good: bool
) -> None:
    """Three without a thing type, fifty with one; one of them is iotctl's own."""
    head = ",".join(f"attr:a{number}" for number in range(attributes))
    content = f"thing_name,thing_type,{head}\nx,{thing_type},{','.join('1' * attributes)}\n"
    if good:
        assert 1 == len(read(content))
    else:
        with pytest.raises(BadInput, match="1 bad line"):
            read(content)


def test_a_thing_that_stands_twice(read: Callable[..., fleet.Fleet]) -> None:
    """Alike it counts once, with a warning; with other values both lines are named."""
    found = read("thing_name,attr:a\nx,1\nX,1\nx,1\n")
    assert (2, ["line 4 repeats line 2 (x); it counts once", "X and x differ only in case"]) == (
        len(found),
        found.warnings,
    )
    with pytest.raises(BadInput) as caught:
        read("thing_name,attr:a\nx,1\ny,1\nx,2\n")
    assert [(4, "x stands on line 2 too, with other values")] == _lines(caught.value)


@pytest.mark.parametrize(
    ("head", "reason", "hint"),
    [
        ("", "is empty", "thing_name,…"),
        ("attr:a,attr:b", "has no column thing_name", "--map attr:a=thing_name"),
        ("serial,attr:a", "has no column thing_name", "--map serial=thing_name"),
        ("thing-name", "has no column thing_name", "--map thing-name=thing_name"),
        ("thing_name,colour", "unknown column 'colour'", "attr:NAME"),
        ("thing_name,attr:a,attr:a", "'attr:a' stands twice", ""),
        ("thing_name,thing_name", "'thing_name' stands twice", ""),
        ("thing_name,attr:a b", "attribute name 'a b' has ' '", ""),
        ("thing_name,attr:a=b", "has '='", ""),
        ("thing_name,attr:", "attribute name is empty", ""),
        ("thing_name,attr:iotctl-cert", "is iotctl's own", ""),
        ("thing_name,shadow:", "unknown column 'shadow:'", ""),
        ("thing_name,shadow:a..b", "unknown column", ""),
        ("thing_name,shadow:a,shadow:a.b", "shadow:a holds shadow:a.b", ""),
        ("thing_name,shadow:a,shadow:a-b,shadow:a.b", "shadow:a holds shadow:a.b", ""),
        ("thing_name,shadow:a\x07", "control character", ""),
        ("thing_name;attr:a", "';' between its cells", "--delimiter ';'"),
        ("thing_name\tattr:a", "'TAB' between its cells", "--delimiter 'TAB'"),
    ],
)
def test_a_header_that_cannot_be_used(read: Callable[..., fleet.Fleet], head: str, reason: str, hint: str) -> None:
    """Named, with the nearest known word or the option to add."""
    with pytest.raises(Usage) as caught:
        read(f"{head}\nx,1,1\n" if head else "")
    assert reason in caught.value.message
    assert hint in caught.value.hint


def test_a_damaged_gzip_file_is_told(read: Callable[..., fleet.Fleet]) -> None:
    """Cut short, or another file with the same first bytes."""
    for content in (gzip.compress(_PLAIN.encode())[:-9], b"\x1f\x8b" + b"x" * 50):
        with pytest.raises(Usage, match="is damaged"):
            read(content)


def test_a_limit_takes_the_first_rows_and_judges_all(read: Callable[..., fleet.Fleet]) -> None:
    """The counts are of those that are taken; a bad line or a second one of a name is told wherever it stands."""
    content = "thing_name,thing_groups\na,g\nb,g\nc,g;h\n"
    found = read(content, limit=2)
    assert (2, ["a", "b"], {"g": 2}) == (len(found), [row["thingName"] for row in found], found.thing_groups)
    assert read("thing_name,thing_groups\na,g\nb,g\n").digest == found.digest
    assert 3 == len(read(content, limit=9))
    for bad in ("no/slash,\n", "a,other\n"):
        with pytest.raises(BadInput):
            read(content + bad, limit=1)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters(read: Callable[..., fleet.Fleet], delimiter: str) -> None:
    """As spreadsheets of many countries write them; groups in quotes then."""
    content = f'thing_name{delimiter}thing_groups\nx{delimiter}"a;b"\n'
    assert [["a", "b"]] == [row["thingGroups"] for row in read(content, delimiter=delimiter)]


def test_a_file_as_excel_writes_it(read: Callable[..., fleet.Fleet]) -> None:
    """A mark in front, a line that names the delimiter, CRLF, delimiters without end: the same rows; lines count."""
    content = "\ufeffsep=;\r\nthing_name;attr:site\r\nx;oslo;;;\r\n;;;;\r\ny;\r\n"
    found, plain = read(content), read("thing_name,attr:site\nx,oslo\ny,\n")
    assert (plain.digest, [3, 5]) == (found.digest, [row["line"] for row in found])
    with pytest.raises(BadInput) as caught:
        read(f"{content}z z;\r\n")
    assert ":6: " in caught.value.lines[0].message


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ('"thing_name";"attr:site"\n', "add --delimiter ';'"),
        ('"thing_name"\t"attr:site"\n', "add --delimiter 'TAB'"),
        ("Thing Name,x\n", "--map 'Thing Name=thing_name'"),
        ("serial;site\n", "--delimiter ';' --map serial=thing_name"),
    ],
)
def test_a_header_that_needs_an_option(read: Callable[..., fleet.Fleet], content: str, hint: str) -> None:
    """It is told as it can be typed."""
    with pytest.raises(Usage) as caught:
        read(content)
    assert hint == caught.value.hint


def test_columns_are_renamed(read: Callable[..., fleet.Fleet]) -> None:
    """The file's own names, mapped to ours; a name that it does not have is told."""
    assert ["x"] == [row["thingName"] for row in read("serial\nx\n", renamed={"serial": "thing_name"})]
    with pytest.raises(Usage, match="does not have: serial"):
        read("thing_name\nx\n", renamed={"serial": "thing_name"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_PLAIN.encode("utf-16"), "is UTF-16"),
        (_PLAIN.encode("utf-32"), "is UTF-32"),
        (_PLAIN.encode("utf-16-le"), "NUL characters"),
        (b"thing_name\nx\nk\xf8be\n", "byte 0xf8 on line 3"),
        (b"thing_name\n" + b"".join(b"x%d\n" % n for n in range(9000)) + b"\xff\n", "byte 0xff on line 9002"),
        (b"\xff\nthing_name\n", "byte 0xff on line 1"),
        (b"PK\x03\x04\x14\0", "is a workbook or an archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "is a workbook or an archive"),
        (b"thing_name\n", "a header and no rows"),
        (b"thing_name\n\n , \n", "a header and no rows"),
        (b'thing_name\nx\n"y\n', "1 bad line"),
        (b'thing_name\n"x"y\n', "1 bad line"),
        (b"thing_name\n" + b"x" * 131073 + b"\n", "1 bad line"),
    ],
)
def test_a_file_that_is_no_such_csv(read: Callable[..., fleet.Fleet], content: bytes, reason: str) -> None:
    """Another encoding, an unclosed quote, a cell without end: no guess, no traceback."""
    with pytest.raises(Usage, match=reason):
        read(content)


_PARTS = ("thing_name", ",", "\n", '"', "x", ";", "1e999", '"""\\ud800"""', "\ufeff", "[", "\r", "\x00", "shadow:a")
_ALMOST = st.lists(st.sampled_from(_PARTS), max_size=12).map(lambda parts: f"thing_name,shadow:b\n{''.join(parts)}")


@given(st.binary(max_size=60) | (st.text(st.characters(codec="utf-8"), max_size=60) | _ALMOST).map(str.encode))
def test_any_bytes_are_rows_or_a_usage_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """There is no third way."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        found = fleet.read(str(path), _READING)
    except Usage:
        return
    assert len(found) == len(list(found))


_NAME = st.from_regex(r"[a-zA-Z0-9:_-]{1,20}", fullmatch=True)
_VALUE = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)


@given(st.dictionaries(_NAME, st.tuples(st.lists(_NAME, max_size=3, unique=True), _VALUE), min_size=1), st.randoms())
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, things: dict[str, tuple[list[str], str]], shuffled: random.Random
) -> None:
    """Whatever the names, quotes, commas and scripts, and in whatever order: the same things with the same values."""
    rows = [[name, ";".join(groups), json.dumps(value)] for name, (groups, value) in things.items()]
    shuffled.shuffle(rows)
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([["thing_name", "thing_groups", "shadow:v"], *rows])
    path = tmp_path_factory.getbasetemp() / "round.csv"
    path.write_bytes(stream.getvalue().encode())
    found = {
        row["thingName"]: (row["thingGroups"], json.loads(row["shadow"])["state"]["desired"]["v"])
        for row in fleet.read(str(path), _READING)
    }
    assert {name: (sorted(groups), value) for name, (groups, value) in things.items()} == found


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """A named pipe has only one beginning; its rows are there again and again afterwards."""
    pipe = tmp_path / "fleet.fifo"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(_PLAIN,))
    writer.start()
    found = fleet.read(str(pipe), _READING)
    writer.join()
    assert ["x", "y"] == [row["thingName"] for row in found] == [row["thingName"] for row in found]


def test_standard_input_stays_usable(iotctl: Callable[..., Ran]) -> None:
    """The rows come from it; the question afterwards is answered with words, not with a crash."""
    ran = iotctl("onboard", "check", "-", stdin=_PLAIN)
    assert (0, "standard input is good: 2 things\n") == (ran.code, ran.stderr)
    assert 2 == iotctl("onboard", "check", "-", stdin="thing_name\n../x\n").code


def test_rows_do_not_change_with_their_file(tmp_path: Path) -> None:
    """What was judged is what is done."""
    path = tmp_path / "fleet.csv"
    path.write_text(_PLAIN)
    found = fleet.read(str(path), _READING)
    path.write_text("thing_name\nevil\n")
    assert ["x", "y"] == [row["thingName"] for row in found]


def test_a_csr_is_read_from_beside_the_file(read: Callable[..., fleet.Fleet], tmp_path: Path) -> None:
    """Its text becomes part of the row; one that is missing, binary or damaged is told."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM)
    for name, content in {"good": pem, "binary": b"\xff", "damaged": b"x"}.items():
        (tmp_path / f"{name}.csr").write_bytes(content)
    assert [pem.decode()] == [row["csr"] for row in read("thing_name,csr\na,good.csr\n")]
    shared = read("thing_name,csr\na,good.csr\nb,good.csr\n").warnings
    assert ["lines 2 and 3 have the same CSR: two things would share one key"] == shared
    with pytest.raises(BadInput) as caught:
        read("thing_name,csr\na,none.csr\nb,binary.csr\nc,damaged.csr\nd,\n")
    assert [
        (2, "the CSR none.csr cannot be read"),
        (3, "the CSR binary.csr cannot be read"),
        (4, "the CSR damaged.csr: this is not a PEM certificate signing request that can be read"),
    ] == _lines(caught.value)


def _peak(script: str, *argv: str) -> int:
    """The peak memory of a Python program, in KiB, beyond that of one that imports the same and reads nothing."""
    tail = "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    command = [sys.executable, "-c", script + tail, *argv]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("rows", [50_000, pytest.param(1_000_000, marks=pytest.mark.campaign)])
def test_a_large_file_takes_little_memory(tmp_path: Path, rows: int) -> None:
    """The rows are on disk, not in memory: what a file takes does not grow with its length."""
    path = tmp_path / "large.csv"
    with path.open("w") as stream:
        stream.write("thing_name,thing_type,thing_groups,attr:site,shadow:on\n")
        stream.writelines(f"line-{n % 7}-press-{n:07d},press,oslo,hall-{n % 9},true\n" for n in range(rows))
    load = (
        "import sys; from iotctl import pki; from iotctl.onboard import fleet, observe, row\n"
        "reading = row.Reading('thing', observe.policy_name, pki.check_csr)\n"
    )
    run = "found = fleet.read(sys.argv[1], reading)\nassert len(found) == int(sys.argv[2]) == sum(1 for _ in found)"
    grown = _peak(load + run, str(path), str(rows)) - _peak(load)
    assert grown < 24 * 1024, f"{grown} KiB for {rows} rows"
