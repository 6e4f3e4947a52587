"""The built-in problems: enough of them, right, fair to a reader, and split by family."""

import ast
import copy
import itertools
import json
import random
import re
import sys

import pytest

from problems import basics
from problems.basics.family import N_TESTS

TIERS = {
    tier: {split: basics.problems(split, tier=tier) for split in ("train", "heldout")}
    for tier in basics.TIERS
}
# A run may train on both tiers and be evaluated on both, so what is told apart is all of a split.
SPLITS = {split: [p for tier in TIERS.values() for p in tier[split]] for split in TIERS["basics"]}
ALL = SPLITS["train"] + SPLITS["heldout"]


def function(problem: dict):
    """The reference solution, ready to be called."""
    namespace: dict = {}
    exec(problem["solution"], namespace)  # noqa: S102 - our own code
    return namespace[problem["tests"]["fn_name"]]


def cases(problem: dict) -> list[tuple]:
    return list(zip(problem["tests"]["inputs"], problem["tests"]["outputs"], strict=True))


def examples(problem: dict) -> list[tuple]:
    """(arguments, value) of each example line of the prompt."""
    name = problem["tests"]["fn_name"]
    lines = re.findall(rf"^Example: {name}\((.*)\) returns (.*)$", problem["prompt"], re.MULTILINE)
    return [(list(ast.literal_eval(f"({args},)")), ast.literal_eval(v)) for args, v in lines]


def task(problem: dict) -> str:
    return problem["prompt"].split("\n\nExample")[0]


def skeleton(problem: dict) -> str:
    """The program with its names, constants and comparison signs left out."""
    tree = ast.parse(problem["solution"])
    renamed: dict = {}
    builtins = {"abs", "chr", "enumerate", "int", "len", "max", "min", "ord", "range", "reversed"}
    builtins |= {"set", "sorted", "str", "sum", "zip"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in builtins:
            node.id = renamed.setdefault(node.id, f"v{len(renamed)}")
        elif isinstance(node, ast.arg):
            node.arg = renamed.setdefault(node.arg, f"v{len(renamed)}")
        elif isinstance(node, ast.FunctionDef):
            node.name = "f"
        elif isinstance(node, ast.Constant):
            node.value = 0
        elif isinstance(node, ast.Compare):
            node.ops = [ast.Eq() for _ in node.ops]
    return ast.dump(tree)


def test_there_are_enough_problems_and_families():
    counts = {
        (tier, split): (len(rows), len({p["family"] for p in rows}))
        for tier, splits in TIERS.items()
        for split, rows in splits.items()
    }
    # docs/data.md says these, and results/ hang on those of the first tier.
    assert counts["basics", "train"] == (503, 109) and counts["basics", "heldout"] == (160, 37)
    assert counts["basics-hard", "train"] == (127, 42)
    assert counts["basics-hard", "heldout"] == (49, 17)


def test_both_splits_have_a_like_mix_of_difficulties():
    for rows in TIERS["basics"].values():
        shares = {
            d: sum(p["difficulty"] == d for p in rows) / len(rows)
            for d in ("easy", "medium", "hard")
        }
        assert sum(shares.values()) == pytest.approx(1)
        assert 0.8 < shares["easy"] < 0.95 and 0.01 < shares["hard"] < 0.06, shares


def test_the_same_seed_gives_the_same_problems():
    for tier, splits in TIERS.items():
        assert basics.problems("train", 0, tier) == splits["train"]


def test_another_seed_changes_the_inputs_but_not_the_tasks():
    for split, rows in SPLITS.items():
        others = [p for tier in TIERS for p in basics.problems(split, 1, tier)]
        assert [(task(p), p["solution"]) for p in rows] == [
            (task(p), p["solution"]) for p in others
        ]
        same = [p["family"] for p, q in zip(rows, others, strict=True) if p["tests"] == q["tests"]]
        assert len(same) < len(rows) / 50, same  # a question about one small number has few inputs


def test_no_heldout_family_is_trained_on():
    train, heldout = ({p["family"] for p in rows} for rows in SPLITS.values())
    assert not train & heldout


def test_no_heldout_program_is_a_training_program_with_other_names_and_constants():
    trained = {skeleton(p): p["task_id"] for p in SPLITS["train"]}
    alike = {(p["family"], trained.get(skeleton(p))) for p in SPLITS["heldout"]}
    assert {pair for pair in alike if pair[1]} == set()


def valued(solve, args: list) -> object:
    """The value as JSON, so that True is not 1; None where the program does not take such input.

    A reference gets other families' inputs here, so its loops have to end for any whole number.
    """
    try:
        return json.dumps(solve(*copy.deepcopy(args)))
    except Exception:
        return None


def test_no_heldout_task_is_a_training_task_in_other_words():
    """Two programs that agree on all inputs drawn for either do one task, however written."""
    draws, solutions = {}, {}
    for split, rows in SPLITS.items():
        known = {f.name: f for tier in TIERS for f in basics.families(split, tier)}
        for number, problem in enumerate(rows):
            rng, solve = random.Random(number), function(problem)
            family = known[problem["family"]]
            setting = family.settings[int(problem["task_id"].split("/")[-1])]
            constants, kinds = list(setting.values()), family.kinds.values()
            args = [[kind.draw(rng, constants) for kind in kinds] for _ in range(60)]
            draws[problem["task_id"]] = [(a, valued(solve, a)) for a in args]
            solutions[problem["task_id"]] = solve

    def follows(one: str, other: str) -> bool:
        """Does `other` do the same as `one` on all inputs drawn for `one`?"""
        pairs = ((value, valued(solutions[other], args)) for args, value in draws[one])
        return all(value == same for value, same in pairs)

    ids = [[p["task_id"] for p in rows] for rows in SPLITS.values()]
    twins = [(t, h) for t, h in itertools.product(*ids) if follows(t, h) and follows(h, t)]
    assert twins == []


def test_no_two_problems_share_a_task_or_an_id():
    assert len({task(p) for p in ALL}) == len({p["task_id"] for p in ALL}) == len(ALL)


def test_every_reference_passes_its_own_tests():
    for problem in ALL:
        solve = function(problem)
        for args, value in cases(problem):
            assert solve(*copy.deepcopy(args)) == value, problem["task_id"]


def test_every_example_in_a_prompt_is_right_and_one_of_the_last_tests():
    for problem in ALL:
        shown = examples(problem)
        assert len(shown) in (1, 2) and problem["prompt"].count("Example:") == len(shown)
        for args, value in shown:
            assert function(problem)(*copy.deepcopy(args)) == value, problem["task_id"]
        assert cases(problem)[-len(shown) :] == shown, problem["task_id"]
        assert len(cases(problem)) >= N_TESTS, problem["task_id"]


def test_the_tests_reach_every_line_of_the_reference():
    """Else a program may leave out a clause of the task and pass."""
    for problem in ALL:
        code, reached = compile(problem["solution"], "reference", "exec"), set()

        def look(frame, event, arg, reached=reached):
            if frame.f_code.co_filename == "reference":
                reached.add(frame.f_lineno)
            return look

        namespace = {}
        exec(code, namespace)
        before = sys.gettrace()
        sys.settrace(look)
        try:
            for args, _ in cases(problem):
                namespace[problem["tests"]["fn_name"]](*copy.deepcopy(args))
        finally:
            sys.settrace(before)
        statements = [
            n for n in ast.walk(ast.parse(problem["solution"])) if isinstance(n, ast.stmt)
        ]
        lines = {node.lineno for node in statements[1:]}
        assert lines <= reached, (problem["task_id"], lines - reached)


def test_the_frame_names_the_function_gives_the_type_and_does_not_pass():
    for problem in ALL:
        frame = problem["starter"]
        solve = function(problem | {"solution": frame})
        reference = ast.parse(problem["solution"]).body[0]
        assert ast.unparse(ast.parse(frame).body[0].args) == ast.unparse(reference.args)
        got = [(solve(*copy.deepcopy(args)), value) for args, value in cases(problem)]
        assert any(type(start) is type(value) for start, value in got), problem["task_id"]
        assert any(start != value for start, value in got), problem["task_id"]


def test_the_first_three_tests_are_ordered_by_size():
    """Alignment asks about the first one; the edge cases come after these."""
    for problem in ALL:
        sizes = [len(repr(case)) for case in cases(problem)[:3]]
        assert sizes == sorted(sizes), problem["task_id"]


def test_every_problem_has_five_different_tests():
    for problem in ALL:
        assert len({json.dumps(args) for args in problem["tests"]["inputs"]}) >= 5


def test_no_constant_passes():
    for problem in ALL:
        assert len({json.dumps(v) for v in problem["tests"]["outputs"]}) >= 2, problem["task_id"]


def test_returning_the_first_argument_does_not_pass():
    for problem in ALL:
        assert any(args[0] != value for args, value in cases(problem)), problem["task_id"]


def test_problems_survive_a_problems_file():
    for problem in ALL:
        assert json.loads(json.dumps(problem)) == problem


def test_every_argument_is_in_the_prompt_and_no_constant_is_left_open():
    for problem in ALL:
        parameters = ast.parse(problem["solution"]).body[0].args.args
        assert all(f"`{a.arg}`" in problem["prompt"] for a in parameters), problem["task_id"]
        assert not re.search(r"\{[a-z]+(!r)?\}", problem["prompt"])


def test_every_reference_has_local_variables_to_trace():
    for problem in ALL:
        code = function(problem).__code__
        assert 2 <= code.co_nlocals - code.co_argcount <= 5, problem["task_id"]


def test_values_stay_small():
    for problem in ALL:
        assert all(len(repr(value)) <= 80 for case in cases(problem) for value in case)
