"""Which problems of a benchmark share text with the problems that a model is trained on?

    python tools/overlap.py basics-hard,mbpp humaneval,mbpp,cruxeval-o

The first are values of --problems=, their training splits; the second are tasks of eval.py. A
problem's text is what is asked and its reference program. Texts overlap where they share WORDS
words in a row, without regard to case and punctuation (the measure of Brown et al., arXiv
2005.14165, appendix C). Left out: near copies in other words.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import Config, UserError  # noqa: E402
from problems.benchmarks import Item  # noqa: E402
from problems.load import load_problems  # noqa: E402
from problems.problem import Problem  # noqa: E402
from tools import command  # noqa: E402

WORDS = 13


def runs(text: str) -> set[tuple[str, ...]]:
    """All WORDS words in a row of a text; the whole of a shorter one is none."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[k : k + WORDS]) for k in range(len(words) - WORDS + 1)}


def problem_text(problem: Problem) -> str:
    return f"{problem.prompt}\n{problem.solution}"


def item_text(item: Item) -> str:
    """Of a task's item: its problem, or all that it shows where it asks for a value."""
    known = isinstance(item.asked, Problem)
    return problem_text(item.asked) if known else item.messages[-1]["content"]


def overlaps(trained: list[str], held: dict[str, str]) -> dict[str, str]:
    """Key of each text of `held` that overlaps with one of `trained` -> words that they share."""
    known = set().union(*map(runs, trained))
    shared = {key: sorted(runs(text) & known) for key, text in held.items()}
    return {key: " ".join(found[0]) for key, found in shared.items() if found}


def main(arguments: list[str]) -> None:
    if len(arguments) != 2:
        raise UserError(f"give problems and tasks, each with commas, not {len(arguments)} words")
    from eval import make_tasks
    from sandbox import Pool
    from startup.start import worked_examples

    sources, tasks = arguments
    cfg = Config(eval_tasks=tuple(tasks.split(",")))
    with Pool(1, **cfg.limits) as pool:
        trained = [problem_text(p) for p in load_problems(sources, "train", cfg, pool)]
        made = make_tasks(cfg, pool, pool.submit(worked_examples, cfg).result())
    for task, items in made.items():
        found = overlaps(trained, {item.task_id: item_text(item) for item in items})
        print(f"{task}: {len(found)} of {len(items)} share {WORDS} words with a training problem")
        for key, words in found.items():
            print(f"  {key}: {words}")


if __name__ == "__main__":
    command.run(main, __doc__)
