"""Do the model's hidden states know what a program does? A linear probe for every layer.

The model reads a program; the state at the program's last token is all a probe gets. Three targets:

    passes   does the program pass its problem's tests? It reads the problem's text first.
    value    the bucket of an integer variable's final value; it reads call and variable first.
    type     the type of that variable's final value

Programs are references of the built-in problems, rewritten without changing what they do, and
mutants of them; what passes is what the sandbox says, and as many fail as pass. Probes learn on
the training families and are tested on held-out ones: no problem, no family is in both. The control
learns from shuffled labels and has to be at chance. Accuracy is balanced (the mean recall of the
classes), so chance is 1 / classes whatever their sizes.

    python tools/probe.py [CONFIG] --model=DIR [--out=FILE.json] [--limit=N] [--key=value ...]
    python tools/probe_plot.py probe.svg base=base.json coderl+=out/demo/eval/probe.json

--limit takes so many problems of each split. Left out: probes with hidden layers, which could
compute what the model has not, and states inside the program.
"""

import ast
import dataclasses
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tools import command  # noqa: E402

if __name__ == "__main__":
    command.answer_help(__doc__)  # before torch is imported, which takes seconds

import torch  # noqa: E402

from config import Config, UserError, load_config  # noqa: E402
from jail.values import decode  # noqa: E402
from problems import basics  # noqa: E402
from problems.problem import OUTPUT, Problem, Question  # noqa: E402
from reward import judge, make_question  # noqa: E402
from sandbox import Pool, Sandbox  # noqa: E402

STRENGTHS = (10.0, 100.0, 1_000.0, 10_000.0)  # of the ridge penalty
FOLDS = 5  # of the training families, on which penalty and layer are chosen
SHUFFLES = 5
BUCKETS = ((-1, "negative"), (0, "0"), (3, "1-3"), (9, "4-9"), (float("inf"), "10 or more"))
SMALLEST_CLASS = 10  # test examples of a class; rarer classes are left out


@dataclass
class Example:
    family: str
    text: str  # what is read before the program
    program: str
    label: str


# --------------------------------------------------------------------------- programs
def edits(tree: ast.AST, harmful: bool) -> Iterator[Callable[[], None]]:
    """Ways to change `tree` in place. Harmless ones should keep what it does; the judge decides."""
    mirror = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE}
    mirror |= {ast.Eq: ast.Eq, ast.NotEq: ast.NotEq}
    wrong = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq}
    wrong |= {ast.NotEq: ast.Eq, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add}
    wrong |= {ast.And: ast.Or, ast.Or: ast.And, ast.Mod: ast.FloorDiv}
    builtins = {"min": "max", "max": "min", "any": "all", "all": "any"}
    methods = {"upper": "lower", "lower": "upper", "append": "remove"}

    def setter(node: ast.AST, field: str, value: object) -> Callable[[], None]:
        return lambda: setattr(node, field, value)

    if not harmful:
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and is_stored(n)}
        names |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
        for old, new in zip(sorted(names), ("data", "value", "item", "part", "left"), strict=False):
            yield lambda old=old, new=new: rename(tree, old, new)
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in mirror:
            op = type(node.ops[0])
            if harmful:
                yield setter(node, "ops", [wrong[op]()])
            else:
                left, right = node.left, node.comparators[0]
                swapped = {"left": right, "comparators": [left], "ops": [mirror[op]()]}
                yield lambda node=node, swapped=swapped: vars(node).update(swapped)
        if harmful:
            if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in wrong:
                yield setter(node, "op", wrong[type(node.op)]())
            if isinstance(node, ast.Constant) and type(node.value) is int:
                yield setter(node, "value", node.value + 1)
                yield setter(node, "value", node.value - 1)
            if isinstance(node, ast.Constant) and type(node.value) is bool:
                yield setter(node, "value", not node.value)
            if isinstance(node, ast.Name) and node.id in builtins:
                yield setter(node, "id", builtins[node.id])
            if isinstance(node, ast.Attribute) and node.attr in methods:
                yield setter(node, "attr", methods[node.attr])
            continue
        for body in (getattr(node, field, None) for field in ("body", "orelse")):
            for place, line in enumerate(body if isinstance(body, list) else []):
                if new := rewritten(line):
                    yield lambda body=body, place=place, new=new: body.__setitem__(
                        slice(place, place + 1), new
                    )


def is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def rename(tree: ast.AST, old: str, new: str) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == old:
            node.id = new
        if isinstance(node, ast.arg) and node.arg == old:
            node.arg = new


def rewritten(line: ast.stmt) -> list[ast.stmt] | None:
    """`x += 1` as `x = x + 1`, and `return ...` in two lines."""
    if isinstance(line, ast.AugAssign) and isinstance(line.target, ast.Name):
        value = ast.BinOp(ast.Name(line.target.id, ast.Load()), line.op, line.value)
        return [ast.Assign([line.target], value)]
    if isinstance(line, ast.Return) and line.value and not isinstance(line.value, ast.Name):
        assign = ast.Assign([ast.Name("answer", ast.Store())], line.value)
        return [assign, ast.Return(ast.Name("answer", ast.Load()))]
    return None


def edited(program: str, rng: random.Random, harmless: int, harmful: int) -> str:
    """The program after so many random edits of each kind, in ast.unparse's format."""
    tree = ast.parse(program)
    for kind in [False] * harmless + [True] * harmful:
        ways = list(edits(tree, kind))
        if ways:
            rng.choice(ways)()
            ast.fix_missing_locations(tree)
    return ast.unparse(tree)


def judged_programs(sandbox: Sandbox, problem: Problem, each: int, seed: int) -> list[Example]:
    """Up to `each` programs that pass and as many that fail; labels are the sandbox's."""
    rng = random.Random(f"probe/{seed}/{problem.task_id}")
    wanted = [(rng.randrange(3), k > 2 * each) for k in range(6 * each)]
    programs = dict.fromkeys(edited(problem.solution, rng, *counts) for counts in wanted)
    found: dict[str, list[str]] = {"passes": [], "fails": []}
    for program in programs:
        passed = judge(sandbox, problem, program).status == "passed"
        found["passes" if passed else "fails"].append(program)
    count = min(each, *map(len, found.values()))
    return [
        Example(problem.family, problem.prompt, program, label)
        for label, these in found.items()
        for program in these[:count]
    ]


def asked_values(
    sandbox: Sandbox, problem: Problem, cfg: Config, seed: int
) -> list[tuple[Example, object]]:
    """The last variable (else the output) of a reference on three inputs, and its final value."""
    one = dataclasses.replace(cfg, max_variables=1, align_output=True)
    rng = random.Random(f"probe/{seed}/{problem.task_id}")
    found = []
    for given in problem.tests["inputs"][:3]:
        program = edited(problem.solution, rng, rng.randrange(3), 0)
        fn_name = problem.tests["fn_name"]
        question = make_question(sandbox, program, given, fn_name, one, max_complexity=10**6)
        if isinstance(question, Question):
            name = next((n for n in question.target if n != OUTPUT), OUTPUT)
            what = "does it return" if name == OUTPUT else f"is `{name}` at its end"
            text = f"The call is `{question.call}`. What {what}?"
            example = Example(problem.family, text, program, "")
            found.append((example, decode(question.target[name])))
    return found


def bucket(value: int) -> str:
    return next(name for most, name in BUCKETS if value <= most)


def make_examples(cfg: Config, pool: Pool, split: str, limit: int) -> dict[str, list[Example]]:
    """target -> examples of a split of the built-in problems; limit: of so many, 0 is all."""
    rows = basics.problems(split)
    if limit:  # of every family some
        rows = rows[:: max(1, len(rows) // limit)][:limit]
    problems = [Problem(**row) for row in rows]
    each = 1 if split == "train" else 2
    judged = [pool.submit(judged_programs, p, each, cfg.seed) for p in problems]
    traced = [pool.submit(asked_values, p, cfg, cfg.seed) for p in problems]
    examples = {"passes": [e for future in judged for e in future.result()]}
    values = [pair for future in traced for pair in future.result()]
    examples["value"] = [
        dataclasses.replace(e, label=bucket(v)) for e, v in values if type(v) is int
    ]
    examples["type"] = [dataclasses.replace(e, label=type(v).__name__) for e, v in values]
    return examples


# --------------------------------------------------------------------------- hidden states
def program_ids(tokenizer, example: Example) -> list[int]:
    """Token ids of the chat up to the last token of the program, which comes last in its turn."""
    content = f"{example.text}\n\n```python\n{example.program}"
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": content}]
        whole = tokenizer.apply_chat_template(turn, tokenize=False)
        content = whole[: whole.rindex(example.program) + len(example.program)]
        return tokenizer.encode(content, add_special_tokens=False)
    return tokenizer.encode(content)


@torch.no_grad()
def last_states(model, sequences: list[list[int]], batch_tokens: int = 4096) -> torch.Tensor:
    """(sequences, layers + 1, width) fp32: the state at each one's last token, embeddings first.

    Sequences of like length go together, padded on the right, where causal attention never looks.
    """
    states: list[torch.Tensor | None] = [None] * len(sequences)
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    while order:
        batch = [order.pop()]  # the longest that is left, and what fits beside it
        width = len(sequences[batch[0]])
        while order and width * (len(batch) + 1) <= batch_tokens:
            batch.append(order.pop())
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        for row, i in enumerate(batch):
            ids[row, : len(sequences[i])] = torch.tensor(sequences[i])
        out = model(input_ids=ids.to(model.device), output_hidden_states=True, use_cache=False)
        for row, i in enumerate(batch):
            last = len(sequences[i]) - 1
            states[i] = torch.stack([layer[row, last].float().cpu() for layer in out.hidden_states])
    return torch.stack(states)


# --------------------------------------------------------------------------- the probe
def ridge(x: torch.Tensor, y: torch.Tensor, classes: int, strengths: tuple) -> list[torch.Tensor]:
    """Least squares to one-hot labels, classes weighted equally: (width + 1, classes) a strength.

    x: (examples, width), standardised; y: (examples,) class numbers. The bias is not shrunk.
    """
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1).double()
    weight = (len(y) / classes / torch.bincount(y, minlength=classes).clamp(min=1))[y].double()
    gram = x.T @ (x * weight[:, None])
    target = x.T @ (torch.nn.functional.one_hot(y, classes).double() * weight[:, None])
    penalty = torch.ones(len(gram)).double()
    penalty[-1] = 0
    return [torch.linalg.solve(gram + torch.diag(penalty * s), target) for s in strengths]


def guess(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (x.double() @ weights[:-1] + weights[-1]).argmax(dim=1)


def balanced(y: torch.Tensor, guessed: torch.Tensor, classes: int) -> float:
    """Mean over the classes that occur in y of the share of them that is guessed right."""
    right = (y == guessed).float()
    recalls = [right[y == c].mean() for c in range(classes) if (y == c).any()]
    return float(torch.stack(recalls).mean())


def fit(
    train: torch.Tensor, labels: torch.Tensor, train_families: list[str], test: torch.Tensor,
    truth: torch.Tensor, test_families: list[str], classes: int, seed: int,
) -> dict:  # fmt: skip
    """Probe every layer. train, test: (examples, layers, width); labels, truth: class numbers.

    The penalty of a layer, and the layer that is called the best, are chosen by cross-validation
    over the training families, never on the test's.
    """
    names = sorted(set(train_families))
    random.Random(f"probe/{seed}").shuffle(names)
    folds = min(FOLDS, len(names))
    fold = torch.tensor([names.index(family) % folds for family in train_families])
    noise = torch.Generator().manual_seed(seed)
    shuffles = [torch.randperm(len(labels), generator=noise) for _ in range(SHUFFLES)]
    accuracy, shuffled, validated, guesses = [], [], [], []
    for layer in range(train.shape[1]):
        mean, std = train[:, layer].mean(dim=0), train[:, layer].std(dim=0) + 1e-6
        x, x_test = (train[:, layer] - mean) / std, (test[:, layer] - mean) / std
        scores = [0.0] * len(STRENGTHS)
        for out in (fold == k for k in range(folds)):
            tried = ridge(x[~out], labels[~out], classes, STRENGTHS)
            for k, weights in enumerate(tried):
                scores[k] += balanced(labels[out], guess(x[out], weights), classes) / folds
        best = scores.index(max(scores))
        (weights,) = ridge(x, labels, classes, STRENGTHS[best : best + 1])
        guesses.append(guess(x_test, weights))
        validated.append(scores[best])
        accuracy.append(balanced(truth, guesses[-1], classes))
        lucky = []
        for shuffle in shuffles:
            (weights,) = ridge(x, labels[shuffle], classes, STRENGTHS[best : best + 1])
            lucky.append(balanced(truth, guess(x_test, weights), classes))
        shuffled.append(sum(lucky) / len(lucky))
    best_layer = validated.index(max(validated))
    return {
        "accuracy": accuracy,
        "shuffled": shuffled,
        "best_layer": best_layer,
        "best": accuracy[best_layer],
        "interval": spread(truth, guesses[best_layer], test_families, classes, seed),
    }


def spread(
    truth: torch.Tensor, guessed: torch.Tensor, families: list[str], classes: int, seed: int
) -> list[float]:
    """95 % bootstrap interval over families, whose examples stay together."""
    rng, places = random.Random(f"spread/{seed}"), {}
    for place, family in enumerate(families):
        places.setdefault(family, []).append(place)
    groups = list(places.values())
    draws = []
    for _ in range(1_000):
        rows = torch.tensor([p for group in rng.choices(groups, k=len(groups)) for p in group])
        draws.append(balanced(truth[rows], guessed[rows], classes))
    draws.sort()
    return [draws[25], draws[974]]


def probe(cfg: Config, directory: str, pool: Pool, limit: int = 0) -> dict:
    """A result row: accuracy by layer (0 is the embeddings) of each target. Raises UserError."""
    from transformers import AutoModel

    from startup.model import load_tokenizer

    start = time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = load_tokenizer(directory)
    dtype = getattr(torch, cfg.compute_dtype)
    model = AutoModel.from_pretrained(directory, dtype=dtype).to(device).eval()
    sets = [make_examples(cfg, pool, split, limit) for split in ("train", "heldout")]
    cache: dict[tuple, torch.Tensor] = {}  # value and type read the same texts
    targets = {}
    for target in ("passes", "value", "type"):
        train, test = (examples[target] for examples in sets)
        counts = [e.label for e in test]
        least = 1 if limit else SMALLEST_CLASS
        classes = sorted({e.label for e in train} & set(counts))
        classes = [c for c in classes if counts.count(c) >= least]
        if len(classes) < 2 or len({e.family for e in train}) < 2:
            raise UserError(f"probe: too few examples of {target}; give a higher --limit")
        features, labels = [], []
        train, test = ([e for e in part if e.label in classes] for part in (train, test))
        for part in (train, test):
            keys = [tuple(program_ids(tokenizer, e)) for e in part]
            new = [key for key in dict.fromkeys(keys) if key not in cache]
            if new:
                cache |= zip(new, last_states(model, list(map(list, new))), strict=True)
            features.append(torch.stack([cache[key] for key in keys]))
            labels.append(torch.tensor([classes.index(e.label) for e in part]))
        train_families, test_families = ([e.family for e in part] for part in (train, test))
        found = fit(
            features[0], labels[0], train_families, features[1], labels[1], test_families,
            len(classes), cfg.seed,
        )  # fmt: skip
        sizes = {"n_train": len(train), "n_test": len(test)}
        targets[target] = {"classes": classes, "chance": 1 / len(classes)} | found | sizes
        (low, high), control = found["interval"], found["shuffled"][found["best_layer"]]
        print(
            f"probe {target:<7} layer {found['best_layer']:>2} {found['best']:6.1%} "
            f"({low:.1%} to {high:.1%}), shuffled labels {control:.1%}, "
            f"chance {1 / len(classes):.1%}, {len(test)} examples",
            flush=True,
        )
    row = {"task": "probe", "layers": list(range(len(targets["type"]["accuracy"])))}
    sizes = {key: sum(t[key] for t in targets.values()) for key in ("n_train", "n_test")}
    return row | sizes | {"targets": targets, "seconds": time.perf_counter() - start}


def main(arguments: list[str]) -> None:
    from startup.directory import write_whole
    from startup.files import model_directory

    pairs = [arg.partition("=")[::2] for arg in arguments]
    flags = {flag: text for flag, text in pairs if flag in ("--out", "--limit")}
    rest = [arg for arg in arguments if arg.partition("=")[0] not in (*flags, "--tasks")]
    if not flags.get("--limit", "0").isdigit():
        raise UserError(f"--limit must be a number, not {flags['--limit']!r}")
    cfg, limit = load_config(rest), int(flags.get("--limit", 0))
    name = re.sub(r"[^\w.+-]+", "-", cfg.model).strip("-.")
    out = Path(flags.get("--out") or f"out/eval/{name}_probe.json")
    directory = model_directory(cfg.model)
    with Pool(cfg.sandbox_workers, **cfg.limits) as pool:
        row = probe(cfg, directory, pool, limit)
    row |= {"model": cfg.model, "settings": {"seed": cfg.seed, "limit": limit}}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, json.dumps(row, indent=1))
    print(f"written: {out}")


if __name__ == "__main__":
    command.run(main, __doc__)
