"""The report: one self-contained page, right numbers, hostile text kept as text, clear refusals.

`python tests/test_report.py DIR [STEPS]` writes a made-up run into DIR and its report, to look at.
"""

import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from config import Config, UserError  # noqa: E402
from run import RunDir  # noqa: E402
from tools import report, walkthrough  # noqa: E402

FENCE = "```"
PROBLEMS = [  # name, task in words, body of a right program, body of a wrong one, failing test
    (
        "count_vowels",
        "returns how many vowels are in the string s",
        'return sum(c in "aeiou" for c in s)  # each vowel counts',
        'count = 0\n    for c in s:\n        if c == "a" or "e":\n'
        "            count += 1\n    return count",
        ("s", "('banana',)", "3", "6", {"count_vowels.s": "'banana'", "count_vowels.count": "6"}),
    ),
    (
        "sum_above",
        "returns the sum of the numbers in nums greater than 5",
        "return sum(n for n in nums if n > 5)",
        "total = 0\n    for n in nums:\n        if n >= 5:\n"
        "            total += n\n    return total",
        ("nums", "([5, 7, 2, 9],)", "16", "21", {"sum_above.total": "21", "sum_above.n": "9"}),
    ),
    (
        "second_largest",
        "returns the second largest different number in nums",
        "return sorted(set(nums))[-2]",
        'best = """none yet"""\n    ordered = sorted(nums)\n'
        "    best = ordered[-2]\n    return best",
        (
            "nums",
            "([3, 8, 8, 1],)",
            "3",
            "8",
            {"second_largest.ordered": "[1, 3, 8, 8]", "second_largest.best": "8"},
        ),
    ),
]


def fake_sample(rng: random.Random, step: int, prompt: int, k: int, skill: float) -> dict:
    """A code sample whose chance to pass is `skill`."""
    name, what, right, wrong, (arg, call, expected, got, _) = PROBLEMS[prompt % len(PROBLEMS)]
    lucky, fate = rng.random() < skill, rng.random()
    body = right if lucky else wrong
    status = "passed" if lucky else "failed" if fate < 0.7 else "error" if fate < 0.9 else "no_code"
    program = f"def {name}({arg}):\n    {body}"
    if status == "error":
        program = f"def {name}({arg}):\n    return {arg}.total(0)"
    test = {"input": call, "expected": expected, "got": got}
    return {
        "step": step,
        "id": f"{step}/{prompt}/{k}",
        "objective": "code",
        "task_id": f"basics/{name}/{prompt}",
        "prompt": f"Write a Python function `{name}({arg})` that {what}.\n\n"
        f"For example, `{name}{call.replace(',)', ')')}` returns `{expected}`.",
        "response": "I would count them, one by one."
        if status == "no_code"
        else f"Here it is:\n\n{FENCE}python\n{program}\n{FENCE}\nIt works for every input.",
        "reward": float(lucky),
        "status": status,
        "program": None if status == "no_code" else program,
        "test": test | ({"got": ""} if status == "error" else {}) if status[0] in "fe" else None,
        "error": f"AttributeError: '{arg}' has no attribute 'total'" if status == "error" else "",
    }


def fake_align(
    rng: random.Random, step: int, prompt: int, k: int, source: dict, skill: float
) -> dict:
    """An alignment sample about the failed program of `source`."""
    _, _, _, _, (_, call, _, got, target) = PROBLEMS[
        int(source["id"].split("/")[1]) % len(PROBLEMS)
    ]
    target = {**target, "output": got}
    answered = {name: value if rng.random() < skill else "0" for name, value in target.items()}
    if rng.random() < 0.3:
        answered.popitem()
    if rng.random() < 0.2 * (1 - skill):
        answered = {}
    correct = [name for name in answered if answered[name] == target[name]]
    share = len(correct) / len(target)
    status = "right" if share == 1 else "partial" if share else "wrong" if answered else "unparsed"
    shown = source["program"].split("(")[0][4:] + call.replace(",)", ")")
    return {
        "step": step,
        "id": f"{step}/{prompt}/{k}",
        "objective": "align",
        "task_id": source["task_id"],
        "prompt": f"What is the value of each variable when this program has run?\n\n"
        f"{source['program']}\n\nCall: {shown}\n\nAnswer one a line: name = value.",
        "response": "\n".join(f"{n} = {v}" for n, v in answered.items())
        or "The function is called.",
        "reward": round(0.1 * bool(answered) + 0.9 * share, 3),
        "status": status,
        "program": source["program"],
        "source": source["id"],
        "call": shown,
        "target": target,
        "predicted": answered,
        "correct": correct,
    }


def fake_step(rng: random.Random, step: int, steps: int, aligns: bool) -> dict:
    """The metrics of a step of a run that learns."""
    skill, noise = 1 - math.exp(-2 * step / steps), lambda s: rng.gauss(0, s)
    align = aligns and step > 2
    time = {"sample": 7 + noise(0.7), "judge": 0.3, "train": 7.5 + noise(0.5), "sync": 0.2}
    code = min(max(0.22 + 0.45 * skill + noise(0.06), 0), 1)
    return {
        "step": step,
        "reward/code": code,
        "reward/align": min(max(0.08 + 0.4 * skill + noise(0.05), 0), 1) if align else None,
        "pass_rate": code,
        "align/share": 0.4 if align else 0.0,
        "align/buffer": min(step * 9, 300) if aligns else 0,
        "flat_groups": min(max(0.3 - 0.1 * skill + noise(0.08), 0), 1),
        "truncated": max(0.06 - 0.05 * skill + noise(0.01), 0),
        "entropy/code": 0.45 - 0.2 * skill + noise(0.01),
        "entropy/align": 0.8 - 0.3 * skill + noise(0.02) if align else None,
        "kl": 0.004 * step / steps + abs(noise(0.0005)),
        "clip_frac": abs(noise(0.004)),
        "mismatch/mean": 0.012 + noise(0.001),
        "mismatch/max": 0.6 + abs(noise(0.3)),
        "grad_norm": 0.9 + abs(noise(0.3)),
        "lr": 1e-5 * min(1, step / 4),
        "tokens": 5200 + int(noise(400)),
        **{f"time/{phase}": seconds for phase, seconds in time.items()},
        "time/step": sum(time.values()) + 0.4,
        "peak_mem_gb": 3.1,
    }


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def fake_run(run: Path, steps: int = 40, aligns: bool = True, evals: bool = True) -> Path:
    """Write a run that learns: 12 code and, once there are failures, 6 alignment samples a step."""
    rng = random.Random(0)
    run.mkdir(parents=True, exist_ok=True)
    config = {"name": "demo", "model": "models/smollm2-135m", "algo": "grpo", "seed": 0}
    config |= {"align_ratio": 0.4 * aligns, "steps": steps, "prompts_per_step": 8, "lr": 1e-5}
    (run / "config.json").write_text(json.dumps(config | {"samples_per_prompt": 8}))
    write_lines(
        run / "metrics.jsonl", [fake_step(rng, s, steps, aligns) for s in range(1, steps + 1)]
    )
    samples: list[dict] = []
    failed: list[dict] = []
    for step in range(1, steps + 1):
        skill = 0.2 + 0.5 * step / steps
        if aligns and step > 2:
            sources = rng.sample(failed, min(2, len(failed)))
            asked = [(p, k, s) for p, s in enumerate(sources, 4) for k in range(3)]
            samples += [fake_align(rng, step, p, k, s, skill) for p, k, s in asked]
        code = [fake_sample(rng, step, p, k, skill) for p in range(3) for k in range(4)]
        failed = [s for s in code if s["status"] == "failed"] or failed
        samples += code
    write_lines(run / "samples.jsonl", samples)
    rows, ends = (
        [],
        {"basics": (0.24, 0.43), "basics-trace": (0.05, 0.19), "basics-output": (0.18, 0.2)},
    )
    for step in sorted({0, steps // 4, steps // 2, 3 * steps // 4, steps} if evals else ()):
        for task, (low, high) in (ends | {"humaneval": (0.061, 0.055)}).items():
            row = {"step": step, "task": task, "pass@1": low + (high - low) * step / steps}
            score = {"score": 0.22 + 0.19 * step / steps} if task == "basics-trace" else {}
            rows.append(row | score | {"n_problems": 48, "n_samples": 192})
    write_lines(run / "eval.jsonl", rows)
    return run


HOSTILE = "</script><script>alert(1)</script><!-- <script \u2028 {{DATA}} {{TITLE}} &lt; \ud800"


def page_data(page: str) -> dict:
    """The JSON that the page's own script reads, found the way a browser finds it."""
    start = page.index('<script type="application/json" id="data">') + 42
    return json.loads(page[start : page.index("</script>", start)])


def embedded(run: Path) -> dict:
    return page_data(report.write_report(run).read_text())


def test_report_is_one_file_that_loads_nothing(tmp_path):
    page = report.write_report(fake_run(tmp_path / "run")).read_text()
    outside = re.findall(r"""<link|<img|<iframe|@import|\bsrc=|url\(|https?://[^"]+""", page)
    assert outside == ["http://www.w3.org/2000/svg"]  # a name, not an address
    assert "default-src 'none'" in page and "{{" not in page


def test_page_never_turns_text_into_markup():
    template = (ROOT / "tools/report.html").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", template)


def test_hostile_text_stays_text(tmp_path):
    run = fake_run(tmp_path / "run", steps=4)
    clean = report.write_report(run).read_text().lower()
    rows = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for row in rows:
        row |= dict.fromkeys(("prompt", "response", "program", "error", "task_id"), HOSTILE)
        row |= {"predicted": {HOSTILE: HOSTILE, "__proto__": HOSTILE}}
    write_lines(run / "samples.jsonl", rows)
    (run / "config.json").write_text(json.dumps({"name": HOSTILE, HOSTILE: HOSTILE}))
    page = report.write_report(run).read_text()
    for token in ("<script", "</script", "<!--"):
        assert page.lower().count(token) == clean.count(token)
    assert "\u2028" not in page.split('id="data">')[1]
    assert page_data(page)["samples"]["rows"][0]["response"] == HOSTILE


def test_summary_says_what_changed(tmp_path):
    said = embedded(fake_run(tmp_path / "run"))["summary"].replace("\u00a0", " ")
    assert said.startswith("In 40 steps (10 min ")
    assert "pass@1 on unseen problem families went from 24 % to 43 %" in said
    assert "variables of unseen programs predicted right went from 22 % to 41 %" in said
    assert "pass@1 on HumanEval went from 6.1 % to 5.5 %" in said


def test_summary_without_evaluations_uses_rewards(tmp_path):
    said = embedded(fake_run(tmp_path / "run", evals=False))["summary"]
    assert re.search(r"the mean reward of a program went from 0\.2\d to 0\.6\d\.$", said)


def test_score_of_a_code_task_is_not_its_headline(tmp_path):
    row = {"step": 0, "task": "basics", "pass@1": 0.2, "score": 0.4}
    write_lines(fake_run(tmp_path / "run") / "eval.jsonl", [row])
    assert [r["values"] for r in embedded(tmp_path / "run")["results"]] == [[0.2]]


def test_run_that_just_started_says_so(tmp_path):
    (tmp_path / "config.json").write_text('{"name": "new", "steps": 40}')
    data = embedded(tmp_path)
    assert data["summary"] == "No step is finished yet."
    assert data["metrics"] == {} and data["samples"]["rows"] == []


def test_nan_does_not_break_the_page(tmp_path):
    run = fake_run(tmp_path / "run", steps=3)
    write_lines(run / "metrics.jsonl", [{"step": 1, "grad_norm": math.nan, "kl": -math.inf}])
    page = report.write_report(run).read_text()
    assert "NaN" not in page.split('id="data">')[1].split("</script>")[0]
    assert page_data(page)["metrics"] == {"step": [1], "grad_norm": [None], "kl": [None]}


def test_missing_keys_become_gaps(tmp_path):
    run = fake_run(tmp_path / "run", steps=3)
    write_lines(run / "metrics.jsonl", [{"step": 1, "kl": 0.5}, {"step": 2, "tokens": 7}])
    assert embedded(run)["metrics"] == {"step": [1, 2], "kl": [0.5, None], "tokens": [None, 7]}


def test_many_samples_are_spread_over_the_run_and_counted(tmp_path):
    run = fake_run(tmp_path / "run", steps=200)
    total = len((run / "samples.jsonl").read_text().splitlines())
    data = embedded(run)["samples"]
    assert total > report.MAX_SAMPLES and data["total"] == total
    assert 0.8 * report.MAX_SAMPLES < len(data["rows"]) <= report.MAX_SAMPLES
    assert {row["step"] for row in data["rows"]} == set(range(1, 201))


def test_source_of_an_alignment_sample_comes_along(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MAX_SAMPLES", 60)
    rows = embedded(fake_run(tmp_path / "run"))["samples"]["rows"]
    sources = {row["source"] for row in rows if row["objective"] == "align"}
    assert sources and sources <= {row["id"] for row in rows}


@pytest.mark.parametrize("letter", ["x", "<"])
def test_long_samples_keep_the_page_small(tmp_path, letter):
    run = fake_run(tmp_path / "run", steps=30)
    rows = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    write_lines(run / "samples.jsonl", [row | {"response": letter * 50_000} for row in rows])
    assert 4_000_000 < report.write_report(run).stat().st_size <= report.MAX_PAGE
    assert "40,000 more characters" in embedded(run)["samples"]["rows"][0]["response"]


def test_memory_does_not_grow_with_the_file_of_samples(tmp_path):
    """A file of twelve times as many samples takes less than a third of its growth."""
    measure = "import runpy, sys; sys.argv = sys.argv[1:]; "
    measure += "runpy.run_path(sys.argv[0], run_name='__main__'); "
    measure += "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    sizes, peaks = [], []  # MiB
    for steps in (20, 240):
        run = fake_run(tmp_path / f"{steps}", steps=2)
        rows = [fake_sample(random.Random(0), 1, p, k, 0.5) for p in range(10) for k in range(10)]
        with (run / "samples.jsonl").open("w") as out:
            for step in range(1, steps + 1):
                for row in rows:
                    _, _, place = row["id"].partition("/")
                    row |= {"step": step, "id": f"{step}/{place}", "error": "x" * 2_000}
                    out.write(json.dumps(row) + "\n")
        sizes.append((run / "samples.jsonl").stat().st_size / 2**20)
        command = [sys.executable, "-c", measure, str(ROOT / "tools/report.py"), str(run)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]) / 2**10)
    assert sizes[1] - sizes[0] > 50 and peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 3, peaks


def test_half_written_last_line_is_ignored(tmp_path):
    run = fake_run(tmp_path / "run", steps=3)
    with (run / "metrics.jsonl").open("ab") as out:
        out.write('{"step": 4, "note": "caf\u00e9'.encode()[:-1])  # cut inside a character
    assert embedded(run)["metrics"]["step"] == [1, 2, 3]


@pytest.mark.parametrize("broken", ['{"step": 2, "kl"', "[1]", '{"kl": 1}', '{"step": null}'])
def test_broken_line_is_named_in_one_sentence(tmp_path, broken):
    run = fake_run(tmp_path / "run", steps=3)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join([lines[0], broken, lines[2]]) + "\n")
    failed = call(run)
    assert failed.returncode == 1 and f"{run / 'metrics.jsonl'}, line 2" in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_missing_directory_is_one_sentence(tmp_path):
    failed = call(tmp_path / "nowhere")
    assert failed.returncode == 1 and "nowhere is not a run's directory" in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_a_measure_names_the_harder_tier(tmp_path):
    rows = [{"step": 0, "task": f"basics{t}", "pass@1": 0.5} for t in ("", "-hard", "-hard-output")]
    (tmp_path / "eval.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    plain, hard, output = (entry["label"] for entry in report.measures(tmp_path))
    assert hard == f"{plain} of basics-hard" and output == "outputs predicted right of basics-hard"


def test_command_tells_the_first_and_the_last_evaluation_and_the_path(tmp_path):
    run = fake_run(tmp_path / "run", steps=40)
    head, *lines, last = call(run).stdout.splitlines()
    assert head.split() == ["evaluation", "before", "after"] and len(lines) == 4
    assert lines[0].split() == ["basics,", "pass@1", "24.0%", "43.0%", "+19.0%"]
    assert lines[1].split() == ["basics-trace,", "score", "22.0%", "41.0%", "+19.0%"]
    assert last == f"report: {run / 'report.html'}" and (run / "report.html").exists()
    once = (run / "eval.jsonl").read_text().splitlines()[:4]
    (run / "eval.jsonl").write_text("\n".join(once) + "\n")
    assert call(run).stdout.splitlines() == [last]


BENCHMARK = {
    "task": "humaneval",
    "model": "out/demo/hf",
    "settings": {"n": 1, "temperature": 0.0, "max_tokens": 512, "seed": 0},
    "pass@1": 0.31,
    "interval": [0.24, 0.38],
    "n": 1,
    "n_problems": 164,
    "n_samples": 164,
    "seconds": 123.4,
    "by_difficulty": {"easy": {"pass@1": 0.5, "n": 1, "n_problems": 40}},
    "statuses": {"passed": 51, "failed": 113},
    "results": [{"task_id": "a", "passed": True, "completion": "secret " * 100}] * 10_000,
}
TARGET = {"classes": ["a", "b"], "chance": 0.5, "accuracy": [0.5, 0.9], "shuffled": [0.5, 0.4]}
PROBE = {"task": "probe", "layers": [0, 1], "targets": {"passes": TARGET | {"best": 0.9}}}


def evaluated(run: Path, **files: object) -> Path:
    (run / "eval").mkdir()
    for name, rows in files.items():
        (run / "eval" / f"{name}.json").write_text(json.dumps(rows))
    return run


def test_benchmarks_and_probes_are_in_the_page_without_their_samples(tmp_path):
    run = evaluated(fake_run(tmp_path / "run", steps=2), b=[BENCHMARK, PROBE], a=BENCHMARK)
    rows = embedded(run)["evaluations"]
    assert [(row["task"], row["file"]) for row in rows] == [
        ("humaneval", "a"), ("humaneval", "b"), ("probe", "b"),
    ]  # fmt: skip
    known = {key: value for key, value in BENCHMARK.items() if key != "results"}
    assert rows[1] == known | {"file": "b"} and rows[2] == PROBE | {"file": "b"}
    assert "secret" not in (run / "report.html").read_text()


def test_hostile_names_of_evaluations_stay_text(tmp_path):
    clean = report.write_report(fake_run(tmp_path / "clean", steps=2)).read_text().lower()
    row = BENCHMARK | {"task": HOSTILE, "model": HOSTILE, "statuses": {HOSTILE: 1}}
    probe = PROBE | {"model": HOSTILE, "targets": {HOSTILE: TARGET, "__proto__": TARGET}}
    page = report.write_report(evaluated(fake_run(tmp_path / "run", steps=2), a=[row, probe]))
    for token in ("<script", "</script", "<!--"):
        assert page.read_text().lower().count(token) == clean.count(token)


@pytest.mark.parametrize("broken", ["{", "3", '[{"pass@1": 1}]', "[" * 10_000, '{"task": "x"}'])
def test_a_broken_evaluation_is_named_in_one_sentence(tmp_path, broken):
    run = evaluated(fake_run(tmp_path / "run", steps=2))
    (run / "eval" / "x.json").write_text(broken)
    failed = call(run)
    assert failed.returncode == 1 and f"{run / 'eval' / 'x.json'} is not" in failed.stderr
    assert failed.stderr.count("\n") == 1


def call(run: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools" / "report.py"), str(run)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_report_that_fails_does_not_fail_the_run(tmp_path, capsys):
    run = evaluated(fake_run(tmp_path / "run", steps=2), x="no evaluation")
    ended = SimpleNamespace(rank=0, path=run, cfg=Config(steps=2), say=print, too_long=0)
    RunDir.finish(ended, 2)
    said = capsys.readouterr().out
    assert said.startswith("no report: error: ") and "x.json is not an object" in said
    (run / "eval/x.json").unlink()
    RunDir.finish(ended, 2)
    said = capsys.readouterr().out
    assert said.startswith("evaluation ") and said.endswith(f"report: {run / 'report.html'}\n")


if __name__ == "__main__":
    print(report.write_report(fake_run(Path(sys.argv[1]), int((sys.argv[2:] or ["40"])[0]))))


def test_the_walkthrough_is_made_of_a_runs_files(tmp_path):
    failed = "def f(x):\n    y = x * 3\n    return y"
    code = {"objective": "code", "task_id": "t", "prompt": "Write f.", "error": "", "response": ""}
    asked = {"objective": "align", "task_id": "t", "prompt": "Which y?", "program": failed}
    asked |= {"source": "1/0/1", "call": "f(2)", "target": {"y": "6"}}
    test = {"input": "f(2)", "expected": "4", "got": "6"}
    rows = [
        code | {"step": 1, "id": "1/0/0", "reward": 1, "status": "passed", "program": "a | b"},
        code | {"step": 1, "id": "1/0/1", "reward": 0, "status": "failed", "program": failed},
        asked | {"step": 2, "id": "2/3/0", "reward": 1, "status": "right", "response": "y = 6"},
        asked | {"step": 2, "id": "2/3/1", "reward": 0, "status": "wrong", "response": "y = 7"},
    ]
    rows[1]["test"] = test
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "tokens": 100}) + "\n")
    made = walkthrough.parts(tmp_path)
    page = (ROOT / "docs/walkthrough.md").read_text()
    assert all(f"<!-- {mark}: tools/walkthrough.py -->" in page for mark in made)
    assert "| 0 | passed | 1 | +0.71 | `a \\| b` |" in made["programs"]
    assert "y         f      2     6" in made["trace"] and "got: 6" in made["failed"]
    assert "| 0 | right | 1 | +0.71 | `y = 6` |" in made["answers"]
    assert "100 tokens: −A / tokens = -7.07e-03" in made["loss"]
    (tmp_path / "samples.jsonl").write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(UserError, match="no question of this run"):
        walkthrough.parts(tmp_path)
