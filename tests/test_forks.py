"""The recipes of docs/forks/ apply to the code as it is, and each trains with what it adds."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import tiny
from forked import Python

ROOT = Path(__file__).parent.parent
# Its programs define f, and not what is asked for: they raise a NameError.
ASKS_FOR_G = {"inputs": [[1], [5]], "outputs": [1, 5], "fn_name": "g"}
USED = {
    "algorithm": ["--algo=median"],
    "reward": ["--reward=runs"],
    "objective": ["--error_ratio=0.5", "--align_ratio=0"],
}


def patched(tmp_path: Path, name: str) -> tuple[Path, list[str]]:
    """A copy of the code with the patch applied, and the lines that the patch adds."""
    folders = ("startup", "jail", "problems", "problems/basics", "tools")
    for pattern in ("*.py", *(f"{folder}/*" for folder in folders)):
        for path in filter(Path.is_file, ROOT.glob(pattern)):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    patch = ROOT / "docs" / "forks" / f"{name}.patch"
    subprocess.run(["git", "apply", str(patch)], cwd=tmp_path, check=True)
    lines = patch.read_text().splitlines()
    return tmp_path, [line for line in lines if line[:1] == "+" and line[:3] != "+++"]


@pytest.mark.parametrize("name", USED)
def test_a_fork_recipe_applies_and_trains(name, tiny_model, tiny_problems, tmp_path):
    code, added = patched(tmp_path / "code", name)
    assert len(added) <= 30
    problems = tiny_problems
    if name == "objective":
        problems = tmp_path / "g.jsonl"
        rows = [row | {"tests": ASKS_FOR_G} for row in tiny.PROBLEMS]
        problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [code / "train.py", f"--model={tiny_model}", *USED[name]]
    command += [f"--problems={problems}", f"--out_dir={tmp_path}", "--engine=hf", "--steps=2"]
    command += ["--dtype=float32", "--prompts_per_step=4", "--samples_per_prompt=4"]
    command += ["--max_prompt_tokens=400", "--max_tokens=48", "--align_examples=()"]
    Python(command, tmp_path / "log").finish()
    metrics = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    samples = [json.loads(x) for x in (tmp_path / "run/samples.jsonl").read_text().splitlines()]
    assert len(metrics) == 2
    if name == "algorithm":
        assert any(m["grad_norm"] > 0 for m in metrics)
    if name == "reward":
        assert {s["reward"] for s in samples if s["status"] == "failed"} == {0.1}
    if name == "objective":
        asked = [s for s in samples if s["objective"] == "error"]
        assert asked and all(s["target"] == {"error": "'NameError'"} for s in asked)
        assert metrics[1]["error/share"] == 0.5 and metrics[1]["reward/error"] is not None
