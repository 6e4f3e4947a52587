"""Runs with the sampler that starts in no time: seeds, algorithms, processes, configs."""

import json
import signal
import subprocess
import sys
import tempfile
import time

import pytest
import tiny
from forked import Python, start_ranks
from test_train import ROOT, rows, start, two_processes, two_processes_command

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]


@pytest.fixture(scope="module")
def plain(tiny_model, tiny_problems, tmp_path_factory):
    """Four steps in one go of the sampler that starts in no time: the run directory."""
    out = tmp_path_factory.mktemp("plain")
    start(tiny_model, tiny_problems, out, "--name=whole", "--steps=4", engine="hf").finish()
    return out / "whole"


def test_two_seeds_give_other_samples_and_another_order(plain, tiny_model, tiny_problems, tmp_path):
    more = ("--name=s", "--steps=1", "--seed=1")
    start(tiny_model, tiny_problems, tmp_path, *more, engine="hf").finish()
    first = [s for s in rows(plain / "samples.jsonl") if s["step"] == 1]
    other = rows(tmp_path / "s" / "samples.jsonl")
    for key in ("response", "prompt"):
        assert [s[key] for s in first] != [s[key] for s in other], key


STALE = """
import sys; sys.path.insert(0, {root!r}); sys.argv[0] = "train.py"
import rollout, train
first = rollout.HfEngine.sync
def forgetful(engine, weights):
    rollout.HfEngine.sync = lambda engine, weights: list(weights)
    first(engine, weights)
if {stale}: rollout.HfEngine.sync = forgetful
train.main()
"""


@pytest.mark.parametrize("stale", [False, True])
def test_a_stale_sampler_moves_the_logged_kl(tiny_model, tiny_problems, tmp_path, stale):
    """Every sync but the first is lost: mismatch/kl, at rounding before, shows it."""
    script = tmp_path / "stale.py"
    script.write_text(STALE.format(root=str(ROOT), stale=stale))
    process = start(
        tiny_model, tiny_problems, tmp_path, "--name=k", "--steps=3", engine="hf", script=script
    )
    process.finish()
    first, *later = (m["mismatch/kl"] for m in rows(tmp_path / "k" / "metrics.jsonl"))
    assert abs(first) < 1e-6
    assert (min(later) > 1e-4) if stale else (max(map(abs, later)) < 1e-6), later


@pytest.mark.parametrize(
    "more",
    [
        ("--algo=reinforce++", "--grad_clip=0.5", "--reward=fraction", "--memory_mb=400"),
        ("--algo=gspo", "--optimizer_steps=2"),
        ("--algo=cispo", "--kl_coef=0.01", "--states=cpu"),
    ],
    ids=lambda more: more[0],
)
def test_other_algorithms_train(tiny_model, tiny_problems, tmp_path, more):
    start(tiny_model, tiny_problems, tmp_path, "--name=a", "--steps=2", *more, engine="hf").finish()
    metrics = rows(tmp_path / "a" / "metrics.jsonl")
    assert [m["step"] for m in metrics] == [1, 2]
    norms = [m["grad_norm"] for m in metrics]  # of the last optimizer step, which may be flat
    assert all(0 <= norm < 1e4 for norm in norms) and any(norms)


def test_two_processes_take_the_steps_of_one(plain, tiny_model, tiny_problems, tmp_path):
    """The same prompts, texts and questions, and the same gradients up to rounding."""
    more = ("--eval_every=2", "--eval_tasks=basics:1", "--engine=hf")
    two_processes(tiny_model, tiny_problems, tmp_path, *more)
    same_steps(plain, tmp_path / "two", steps=2)
    evaluations = rows(tmp_path / "two" / "eval.jsonl")  # one rank had nothing to do
    assert [(e["step"], e["n_samples"]) for e in evaluations] == [(0, 1), (2, 1)]


def test_two_processes_go_on_where_one_ended(plain, tiny_model, tiny_problems, tmp_path):
    """Two steps by one process and two by two are four by one."""
    fixed = (tiny_model, tiny_problems, tmp_path)
    start(*fixed, "--name=two", "--steps=2", engine="hf").finish()
    two_processes(*fixed, "--resume", "--engine=hf", steps=4)
    same_steps(plain, tmp_path / "two", steps=4)


def test_one_process_goes_on_where_sigterm_ended_two(plain, tiny_model, tiny_problems, tmp_path):
    """As Slurm ends a job: although one rank alone is told, both finish their step, save, and say
    how to go on; all steps together are four by one."""
    fixed, run = (tiny_model, tiny_problems, tmp_path), tmp_path / "two"
    command = two_processes_command(*fixed, "--engine=hf", "--save_every=9", steps=4)
    ranks = start_ranks(2, command, tmp_path / "log")
    wait_for(run / "metrics.jsonl", ranks[0])
    ranks[1].send_signal(signal.SIGTERM)
    output = "".join(rank.finish() for rank in ranks)
    steps = len(rows(run / "metrics.jsonl"))
    saved = json.loads((run / "ckpt" / "latest" / "state.json").read_text())
    assert saved["step"] == steps, output[-3000:]
    if steps < 4:  # else it had ended before it was told, on a machine busy with other work
        assert f"stopped after step {steps}; go on with" in output
    start(*fixed, "--name=two", "--steps=4", "--resume", engine="hf").finish()
    same_steps(plain, run, steps=4)


def wait_for(path, process):
    """Until `path` is there, which `process` writes."""
    while not path.exists():
        assert process.poll() is None, f"it ended without {path}"
        time.sleep(0.01)


def same_steps(whole, other, steps):
    """Both runs asked, sampled and judged the same, and took the same steps up to rounding."""
    alone, together = (rows(run / "samples.jsonl") for run in (whole, other))
    for key in ("id", "prompt", "response", "reward", "status"):
        assert [s[key] for s in together] == [s[key] for s in alone if s["step"] <= steps], key
    metrics = rows(whole / "metrics.jsonl")[:steps], rows(other / "metrics.jsonl")
    for a, b in zip(*metrics, strict=True):
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-3)
        assert b["align/share"] == a["align/share"]


def large_config(name, plain, tiny_problems, tmp_path):
    """The command that trains by this config, with another model, which a run has exported, other
    problems, and smaller groups."""
    command = [str(ROOT / "train.py"), str(ROOT / "configs" / f"{name}.py"), "--eval_every=0"]
    command += [f"--model={plain / 'hf'}", f"--problems={tiny_problems}", f"--out_dir={tmp_path}"]
    return [*command, "--prompts_per_step=8", "--samples_per_prompt=4", "--max_tokens=64"]


def test_torchrun_trains_the_small_config_until_sigterm(plain, tiny_problems, tmp_path):
    """The README's line with vLLM: a whole step, and an end as Kubernetes ends a job."""
    run = tmp_path / "small"
    command = large_config("small", plain, tiny_problems, tmp_path)
    with tempfile.TemporaryDirectory() as short:  # vLLM's sockets have paths of 107 characters
        process = subprocess.Popen(
            [*TORCHRUN, "--nproc_per_node=1", *command, "--steps=500", "--save_every=500"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=tiny.environment(TMPDIR=short),
        )  # fmt: skip
        wait_for(run / "metrics.jsonl", process)
        process.terminate()
        output, _ = process.communicate(timeout=300)
    metrics = rows(run / "metrics.jsonl")
    assert metrics[0]["grad_norm"] > 0 and 0 < metrics[0]["reward/code"] < 1
    assert f"stopped after step {len(metrics)}; go on with" in output
    assert (run / "ckpt" / "latest").resolve().name == f"step_{len(metrics)}"


def test_the_paper_config_starts(plain, tiny_problems, tmp_path):
    command = large_config("paper", plain, tiny_problems, tmp_path)
    Python([*command, "--engine=hf", "--steps=1"], tmp_path / "log").finish()
    (metrics,) = rows(tmp_path / "paper" / "metrics.jsonl")
    assert metrics["grad_norm"] > 0 and 0 < metrics["reward/code"] < 1


def test_dapo_replaces_flat_groups_on_two_processes(tiny_model, tiny_problems, tmp_path):
    dapo = ("--algo=dapo", "--samples_per_prompt=2", "--engine=hf")
    samples = two_processes(tiny_model, tiny_problems, tmp_path, *dapo)
    assert len({s["id"] for s in samples}) == len(samples)
    for step in (1, 2):
        rewards: dict[str, list] = {}
        for s in samples:
            if s["step"] == step:
                rewards.setdefault(s["id"].split("/")[1], []).append(s["reward"])
        assert all(len(pair) == 2 for pair in rewards.values())
        flat = [int(i) for i, (a, b) in rewards.items() if a == b]
        first, second = ([i for i in flat if low <= i < low + 4] for low in (0, 4))
        assert len(rewards) >= 4 + len(first)  # one more problem for each that was flat
        assert first, "the test needs a flat group"
