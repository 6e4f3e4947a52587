"""Whatever a model writes or a program sends: no exception escapes, and no answer takes long.

The same inputs each time; FUZZ=5000 in the environment looks at so many new ones a test.
"""

import json
import math
import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jail.forgery import forgeable
from jail.protocol import RUN_STATUSES, messages, parse_run
from jail.remarks import complexity
from jail.values import decode, encode
from problems.answers import (
    parse_answer,
    read_literal,
    same_answer,
    same_stdout,
    same_value,
)
from problems.assertions import read_assertion
from problems.problem import Question, show
from problems.programs import complete, extract_program, with_prefix
from reward import score_answer
from sandbox import OUTPUT_BYTES

SECONDS = 4.0  # of CPU, for any input up to
CHARS = 1_000_000
some = settings(
    max_examples=int(os.environ.get("FUZZ", 60)), derandomize="FUZZ" not in os.environ,
    database=None, deadline=None, suppress_health_check=list(HealthCheck),
)  # fmt: skip

# pieces that parsers stumble over, alone or many times
WORDS = """``` ```python def class f(x output y = : { } [ ] ( ) , " ' \\ # * - > ` 0 1 9e9 0x 1e999
    nan inf -inf True true None null lambda: f"{x} - ~ + not ** . ... ; @ := "x": [[ {"a": 1} x= y:
    output= 1_000 1j b' ''' __import__ \0 \u2028 é 😀 \ud800"""
LINES = [" ", "\t", "\r", "\n", "\n\n", "```\n", "\n```", "def "]
pieces = st.sampled_from([*WORDS.split(), *LINES])


@st.composite
def texts(draw) -> str:
    """Short or up to a megabyte: a random text, and pieces, each written once or very often."""
    text = ""
    for _ in range(draw(st.integers(1, 5))):
        part = draw(st.one_of(st.text(max_size=20), st.lists(pieces, max_size=6).map("".join)))
        text += part * draw(st.sampled_from([1, 1, 2, 50, 3_000, 100_000, CHARS]))
        text = text[:CHARS]
    return text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple)
    | st.dictionaries(st.text() | st.integers() | st.booleans(), inner)
    | st.sets(st.integers() | st.text()) | st.frozensets(st.tuples(st.integers(), st.booleans())),
    max_leaves=30,
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["tuple", "set", "dict", "int", "float", "bytes", "object", "complex"]),
            inner,
            max_size=2,
        )
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


class Clock:
    """`with Clock(text):` fails if what is done inside takes long."""

    def __init__(self, text: object) -> None:
        self.text = text

    def __enter__(self) -> None:
        self.start = time.process_time()

    def __exit__(self, *_: object) -> None:
        seconds = time.process_time() - self.start
        assert seconds < SECONDS, f"{seconds:.2f} s for {str(self.text)[:60]!r}..."


@some
@given(texts())
def test_a_program_is_extracted_from_any_text(text):
    for name in ("f", "Solution().f", None):
        with Clock(text):
            program = extract_program(text, name)
        lines = [] if program is None else program.split("\n")
        assert all(line.strip() in text for line in lines)  # a block may be dedented


@some
@given(texts(), texts())
def test_any_program_is_put_after_any_prefix(prefix, program):
    with Clock(program):
        with_prefix(prefix[:1_000], complete(prefix[:1_000], program, "f"), "f")


@some
@given(texts())
def test_an_assertion_is_read_from_any_text(text):
    with Clock(text):
        read_assertion(text)


@some
@given(texts())
def test_an_answer_is_read_from_any_text(text):
    question = Question("", [1], "f", {"x": 1, "output": {"tuple": [1.5]}})
    printed = Question("", "", None, {"x": 1, "output": "1 2"})
    with Clock(text):
        found = parse_answer(text, ["x", "output"])
        scores = [score_answer(text, q, 0.1) for q in (question, printed)]
    assert found.keys() <= {"x", "output"}
    assert all(0 <= s.reward <= 1 for s in scores)


@some
@given(texts())
def test_a_literal_is_read_or_refused(text):
    with Clock(text):
        try:
            value = read_literal(text)
        except ValueError:
            return
        show(value)


@some
@given(texts())
def test_any_program_can_be_looked_at(text):
    text = text[:4_000]  # reward.make_question refuses longer ones first
    with Clock(text):
        forgeable(text)
        assert complexity(text) >= 0


@some
@given(texts(), texts())
def test_outputs_of_all_kinds_are_compared(expected, got):
    expected, got = expected[:OUTPUT_BYTES], got[:OUTPUT_BYTES]
    with Clock(expected):
        same_stdout(expected, got)
        assert same_stdout(expected, expected)


@some
@given(values)
def test_a_value_survives_the_codec_and_equals_itself(value):
    copy = decode(json.loads(json.dumps(encode(value))))
    assert repr(copy) == repr(value) or isinstance(value, dict | set | frozenset | list | tuple)
    assert same_value(value, copy) and same_value(copy, value)


@some
@given(values, values)
def test_any_two_values_are_compared(expected, got):
    if same_answer(expected, got) and type(expected) not in (list, tuple, set, frozenset):
        assert isinstance(expected, type(got)) or {type(expected), type(got)} == {int, float}
    assert same_value(got, [expected]) in (True, False)


@some
@given(json_values)
def test_data_that_encode_never_makes_is_decoded_or_refused(data):
    with Clock(data):
        try:
            decode(data)
        except ValueError:
            return


@pytest.mark.parametrize("nested", ["[", '{"tuple": [', '{"dict": [[1, ', '{"set": ['])
def test_deeply_nested_data_is_refused(nested):
    for report in (nested * 50_000, f'{{"status": "ok", "value": {nested * 50_000}'):
        with Clock(nested):
            assert parse_run(report.encode(), RUN_STATUSES).status == "error"


@some
@given(st.binary() | texts().map(lambda text: text.encode("utf-8", "surrogatepass")) | json_values)
def test_any_report_is_a_run(report):
    if not isinstance(report, bytes):
        report = json.dumps({"status": "ok", "stdout": "", "value": report, "error": ""}).encode()
    with Clock(report):
        assert parse_run(report, RUN_STATUSES).status in RUN_STATUSES


@some
@given(st.lists(st.binary(max_size=50)), st.binary(max_size=50))
def test_messages_come_apart_as_they_were_put_together(parts, rest):
    buffer = bytearray(b"".join(len(p).to_bytes(4, "big") + p for p in parts))
    assert list(messages(buffer)) == parts and not buffer
    list(messages(bytearray(rest)))


@pytest.mark.parametrize(
    "text",
    [
        "```" + " " * CHARS,
        "```python\n" + "\n" * CHARS,
        "```\n" * 200_000,
        "```\n" + "\n   " * 200_000,
        "x = " + "," * 3_900 + "x",
        "*" * CHARS,
        "x" * 3_999,
        "x = " + "[" * 250 + "]" * 250,
        "x = " + "9" * 2_000,
        "{" * 4_000,
        "```python\n" * 100_000,
        '```python\n"""\n```\n' * 50_000,
        "````\n```\n" * 100_000,
        "```\n" + "x```\n" * 200_000,
        "~~~\nx~~~\n" * 100_000,
        "```python x```\n" * 70_000,
        "x=1\n" * 250_000,
        "f(1)\n" * 200_000,
        "It adds two.\n" * 80_000,
        "a=" * 500_000,
        "<think>" * 150_000,
        "`</think>`" * 90_000,
        "</s> " * 200_000,
        "x=[\n" * 1_000,
        "x = 'a" * 600,
        "x: a" * 1_000,
        "x, " * 1_300,
    ],
)
def test_what_once_was_slow_is_fast(text):
    with Clock(text):
        extract_program(text)
    with Clock(text):
        extract_program(text, "f")
        parse_answer(text, ["x"])


def test_infinity_and_huge_integers_are_close_to_nothing():
    for expected in (math.inf, -math.inf, math.nan, 0.5):
        assert same_value(expected, expected)
        for got in (10**400, -(10**400), 5.0, math.inf, math.nan):
            assert same_value(expected, got) == (repr(expected) == repr(got))
    assert not same_stdout("1e999", "5.0") and same_stdout("1e999", "1e999")


@pytest.mark.parametrize(
    ("expected", "got", "equal"),
    [
        ({1}, {True}, False),
        ({1: "a"}, {True: "a"}, False),
        ({(1, 2)}, {(True, 2)}, False),
        ({1, 2}, frozenset({2, 1}), True),
        ({1: (2,)}, {1: [2]}, True),
        ({1: 2}, {1: 2, 3: 4}, False),
    ],
)
def test_members_of_sets_and_dicts_keep_their_types(expected, got, equal):
    assert same_answer(expected, got) is equal
