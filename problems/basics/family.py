"""How a family of problems is written down, and how problems are made from it.

A family is one decorated Python function, and that function is the reference solution:

    @easy(k=[0, 2, 5, 8])
    def sum_above(nums: INTS, *, k):
        '''returns the sum of the numbers in the list `nums` that are greater than {k}'''
        total = 0
        ...

The docstring is the task. Each argument's annotation is a `Kind`, which draws values for it. The
keyword-only names are the family's constants: the decorator lists their values (zipped when there
are several), each setting gives one problem, and the value replaces the name in the program.
`edges=` adds arguments, computed from the constants, that must be among the hidden tests.

Left out: any check that the text says what the program does. Read it.
"""

import ast
import copy
import inspect
import json
import random
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

N_TESTS, N_EDGES, N_DRAWS = 6, 3, 60
DULL = (0, -1, "", [], {})  # values that tell little as an example

VOCABULARY = (  # noqa: SIM905
    "ant apple banana bee book cat dog egg fig fish go hat hill kite lamp level moon noon "
    "ox pepper rain sea sun tree up window zebra"
).split()
NAMES = ["ann", "bob", "cid", "dan", "eve"]


@dataclass(frozen=True)
class Kind:
    """A kind of argument: how to draw an ordinary value, and the edge cases to test in any case.

    `draw(rng, constants)` is told the constants of the problem, so that values at and around them
    come up often: that is what tells `>` from `>=`.
    """

    draw: Callable[[random.Random, list], object]
    edges: list


def _number(rng: random.Random, constants: list, low: int = -9, high: int = 20) -> int:
    near = [c + d for c in constants if type(c) is int for d in (-1, 0, 0, 1, c)]
    near = [value for value in near if low <= value <= high]
    return rng.choice(near) if near and rng.random() < 0.4 else rng.randint(low, high)


def _word(rng: random.Random, constants: list) -> str:
    word = rng.choice(VOCABULARY)
    letters = "".join(c for c in constants if type(c) is str and c.isalpha() and c.islower())
    if letters and rng.random() < 0.6:
        at = rng.randint(0, len(word))
        word = word[:at] + rng.choice(letters) + word[at:]
    return word


def _plain_word(rng: random.Random, constants: list) -> str:
    known = [c for c in constants if c in VOCABULARY]
    letters = [c for c in constants if type(c) is str and len(c) == 1 and c.isalpha()]
    return rng.choice(known) if known and rng.random() < 0.3 else _word(rng, letters)


def whole(low: int, high: int, *edges: int) -> Kind:
    """An integer from `low` to `high`."""
    return Kind(lambda rng, constants: _number(rng, constants, low, high), list(edges))


def many(draw: Callable, least: int, most: int, *edges: list) -> Kind:
    """A list of `least` to `most` values from `draw`; now and then one of them comes twice."""

    def draw_list(rng: random.Random, constants: list) -> list:
        values = [draw(rng, constants) for _ in range(rng.randint(least, most))]
        if len(values) > 2 and rng.random() < 0.3:
            values[-1] = copy.copy(values[0])
        return values

    return Kind(draw_list, list(edges))


def _rows(rng: random.Random, constants: list) -> list:
    return [_number(rng, constants, -5, 12) for _ in range(rng.randint(2, 3))]


def _table(rng: random.Random, constants: list) -> dict:
    return {name: _number(rng, constants) for name in rng.sample(NAMES, rng.randint(2, 4))}


def _pair(rng: random.Random, constants: list) -> list:
    return [rng.choice(NAMES[:3]), _number(rng, constants, 0, 12)]


NUM = whole(-12, 20, 0, -7)
SMALL = whole(-5, 6, 0, -3)
COUNT = whole(1, 7, 0)
SIDE = whole(1, 3)
NATURAL = whole(1, 60, 0)
INTS = many(_number, 3, 6, [], [-4, -4])
SOME_INTS = many(_number, 3, 6, [-6], [3, 3, 3])  # never empty
SMALL_INTS = many(partial(_number, low=-3, high=5), 3, 5, [], [0, 2, 2])
POSITIVE_INTS = many(partial(_number, low=1, high=9), 3, 6, [], [4, 4])
TEXT = Kind(_word, ["", "a"])
SOME_TEXT = Kind(_word, ["a", "zz"])
FOUR_TEXT = Kind(lambda rng, constants: _word(rng, constants) + rng.choice(["st", "er"]), ["aaab"])
WORDS = many(_plain_word, 2, 4, [], ["sun", "cat", "sun"])
SENTENCE = Kind(lambda rng, constants: " ".join(WORDS.draw(rng, constants)), ["", "a"])
TABLE = Kind(_table, [{}, {"eve": 0, "ann": -3}])
NAME = Kind(lambda rng, constants: rng.choice(NAMES), [])
ROWS = many(_rows, 2, 3, [], [[], [0, -2]])
FULL_ROWS = many(_rows, 2, 3, [], [[0, -2], [7, 7]])  # each row has at least two numbers
PAIRS = many(_pair, 3, 5, [], [["bob", 4], ["ann", 0], ["bob", 4]])


def _grid(rng: random.Random, constants: list) -> list:
    width, height = rng.randint(2, 4), rng.randint(2, 3)
    return [[_number(rng, constants, -3, 9) for _ in range(width)] for _ in range(height)]


def text_of(characters: str, least: int, most: int, *edges: str) -> Kind:
    """A string of `least` to `most` of the characters, each as likely as it is frequent in them."""

    def draw_text(rng: random.Random, constants: list) -> str:
        return "".join(rng.choice(characters) for _ in range(rng.randint(least, most)))

    return Kind(draw_text, list(edges))


# Of the harder tier: longer, so that two or three conditions all come up in one value.
LONG_INTS = many(partial(_number, low=-5, high=12), 5, 8, [])
SOME_LONG_INTS = many(partial(_number, low=-5, high=12), 5, 8, [3])
LONG_POSITIVES = many(partial(_number, low=1, high=9), 5, 8, [])
REPEATS = many(partial(_number, low=0, high=3), 6, 9, [])
BITS = many(lambda rng, constants: rng.randint(0, 1), 6, 9, [], [1, 1])
LONG_WORDS = many(_plain_word, 4, 6, [])
SHORT_TABLE = Kind(lambda rng, constants: dict([*_table(rng, constants).items()][:3]), [{}])
GRID = Kind(_grid, [[[4]]])  # rows of one length


class _FillIn(ast.NodeTransformer):
    """Put the values of the constants where their names stand."""

    def __init__(self, constants: dict):
        self.constants = constants

    def visit_Name(self, node: ast.Name) -> ast.expr:
        known = node.id in self.constants
        return ast.Constant(self.constants[node.id]) if known else node


@dataclass(frozen=True)
class Family:
    """One task with its settings; `problem` makes the problem of one of them."""

    name: str
    difficulty: str
    text: str
    kinds: dict[str, Kind]
    tree: ast.FunctionDef  # the reference without decorator, docstring and annotations
    settings: list[dict]
    edges: Callable

    def problem(self, split: str, index: int, seed: int) -> dict:
        """The problem of setting `index`, in the project's problem format."""
        constants, task_id = self.settings[index], f"basics/{split}/{self.name}/{index}"
        program = ast.unparse(_FillIn(constants).visit(copy.deepcopy(self.tree))) + "\n"
        namespace: dict = {}
        exec(program, namespace)  # noqa: S102 - our own code, from the files beside this one
        shown, tests = self._cases(
            namespace[self.name], constants, random.Random(f"{seed} {task_id}")
        )
        prompt = (
            f"Write a Python function `{self.name}({', '.join(self.kinds)})` that "
            f"{self.text.format(**constants)}.\n"
        )
        for args, value in shown:
            prompt += f"\nExample: {self.name}({', '.join(map(repr, args))}) returns {value!r}"
        # What contradicts an example is wrong. They come last: alignment asks about the first.
        inputs, outputs = map(list, zip(*tests, *shown, strict=True))
        return {
            "task_id": task_id,
            "prompt": prompt,
            "starter": self.starter(shown[0][1]),
            "tests": {"inputs": inputs, "outputs": outputs, "fn_name": self.name},
            "solution": program,
            "difficulty": self.difficulty,
            "family": self.name,
        }

    @property
    def head(self) -> str:
        return f"def {self.name}({', '.join(self.kinds)}):"

    def starter(self, value: object) -> str:
        """A frame with a variable for the answer; left to itself, the model writes one-liners."""
        return f"{self.head}\n    result = {type(value)()!r}\n    ...\n    return result"

    def _cases(self, reference: Callable, constants: dict, rng: random.Random) -> tuple[list, list]:
        """Shown examples and further tests, each a list of (arguments, value); they share none."""

        def draw() -> list:
            return [kind.draw(rng, list(constants.values())) for kind in self.kinds.values()]

        def run(arguments: list) -> list:
            distinct = {json.dumps(args): args for args in arguments}.values()
            return [(args, reference(*copy.deepcopy(args))) for args in distinct]

        edges = self.edges(**constants)
        for position, kind in enumerate(self.kinds.values()):
            for edge in kind.edges:
                edges.append(draw())
                edges[-1][position] = edge
        edges = run(edges[:N_EDGES])
        drawn = [case for case in run([draw() for _ in range(N_DRAWS)]) if case not in edges]
        # First one case of each value, then the second of each, and so on, so that six tests of a
        # yes-or-no question hold both answers; among those, first what the identity gets wrong.
        seen: Counter = Counter()
        ranks = []
        for number, (args, value) in enumerate(drawn):
            ranks.append((seen[json.dumps(value)], value == args[0], number))
            seen[json.dumps(value)] += 1
        drawn = [drawn[number] for *_, number in sorted(ranks)]
        # An easy task shows one example, a question shows both of its answers.
        telling = [case for case in drawn if type(case[1]) is bool or case[1] not in DULL]
        two = self.difficulty != "easy" and len(drawn) > N_TESTS or type(telling[0][1]) is bool
        shown = telling[: 2 if two else 1]
        # Ordinary cases first, the shortest of them foremost: alignment asks about the first test.
        ordinary = [case for case in drawn if case not in shown][: N_TESTS - len(edges)]
        return shown, sorted(ordinary, key=lambda case: len(repr(case))) + edges


def family(
    difficulty: str, edges: Callable = lambda **constants: [], **constants: list
) -> Callable[[Callable], Family]:
    """Decorator: turn a reference function into a `Family` (see the top of this file).

    `edges` maps the constants of a problem to arguments that its hidden tests must hold.
    """
    rows = zip(*constants.values(), strict=True)
    settings = [dict(zip(constants, row, strict=True)) for row in rows]

    def declare(function: Callable) -> Family:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        kinds = {arg.arg: function.__annotations__[arg.arg] for arg in tree.args.args}
        assert [arg.arg for arg in tree.args.kwonlyargs] == list(constants), function.__name__
        for arg in tree.args.args:
            arg.annotation = None
        tree.args.kwonlyargs, tree.args.kw_defaults, tree.decorator_list = [], [], []
        del tree.body[0]  # the docstring
        task = " ".join(function.__doc__.split())
        return Family(function.__name__, difficulty, task, kinds, tree, settings, edges)

    return declare


easy, medium, hard = (partial(family, level) for level in ("easy", "medium", "hard"))
