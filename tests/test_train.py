"""The whole loop on a tiny model: learning data flows, a killed run resumes to the same bits."""

import dataclasses
import json
import signal
import time
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from forked import Python, finish_ranks
from transformers import AutoModelForCausalLM, AutoTokenizer

from config import Config, UserError
from run import RunDir

ROOT = Path(__file__).parent.parent
FAST = [
    "--dtype=float32",
    "--prompts_per_step=4",
    "--samples_per_prompt=4",
    "--max_prompt_tokens=400",
    "--max_tokens=48",
    "--kv_cache_gb=0.1",
    "--lr=1e-3",
    "--align_ratio=0.5",
    "--eval_every=0",
    "--save_every=2",
]


def start(model, problems, out, *more, engine="vllm", script=ROOT / "train.py", file_limit=0):
    arguments = [f"--model={model}", f"--problems={problems}", f"--out_dir={out}", *FAST, *more]
    log = out / f"log.{len(list(out.glob('log.*')))}"
    return Python([script, f"--engine={engine}", *arguments], log, file_limit)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_clock(rows):
    return [{k: v for k, v in row.items() if "time/" not in k and "mem" not in k} for row in rows]


@pytest.fixture(scope="module")
def undisturbed(tiny_model, tiny_problems, tmp_path_factory):
    """Four steps in one go: the run directory, and what was printed."""
    out = tmp_path_factory.mktemp("runs")
    output = start(tiny_model, tiny_problems, out, "--name=whole", "--steps=4").finish()
    return out / "whole", output


STOPPED_WHILE_EVALUATING = """
import os, signal, sys; sys.path.insert(0, {root!r}); sys.argv[0] = "train.py"
import train
told = []
def evaluate(*_):
    told.append(os.kill(os.getpid(), signal.SIGTERM) if told else 0)
    return []
train.evaluate = evaluate
train.main()
"""


STOPPED_WHILE_STARTING = """
import os, signal, sys; sys.path.insert(0, {root!r}); sys.argv[0] = "train.py"
import train
made = train.make_engine
def make_engine(*arguments):
    os.kill(os.getpid(), signal.SIGTERM)
    return made(*arguments)
train.make_engine = make_engine
train.main()
"""


def test_a_signal_while_the_run_starts_ends_it_before_a_step(tiny_model, tiny_problems, tmp_path):
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED_WHILE_STARTING.format(root=str(ROOT)))
    made = start(tiny_model, tiny_problems, tmp_path, "--name=s", engine="hf", script=script)
    assert made.finish().splitlines()[-1] == "stopped after step 0"
    assert not (tmp_path / "s/metrics.jsonl").exists()


def test_a_signal_during_an_evaluation_ends_the_run_behind_it(tiny_model, tiny_problems, tmp_path):
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED_WHILE_EVALUATING.format(root=str(ROOT)))
    more = ("--name=e", "--steps=5", "--eval_every=3", "--save_every=9")
    made = start(tiny_model, tiny_problems, tmp_path, *more, engine="hf", script=script)
    assert "stopped after step 3" in made.finish()
    assert len(rows(tmp_path / "e/metrics.jsonl")) == 3 and (tmp_path / "e/ckpt/step_3").exists()


def test_run_directory_holds_what_the_readme_says(undisturbed):
    run, output = undisturbed
    assert {"config.json", "metrics.jsonl", "samples.jsonl", "report.html", "ckpt"} <= {
        path.name for path in run.iterdir()
    }
    assert (run / "ckpt" / "latest").resolve().name == "step_4"
    metrics = rows(run / "metrics.jsonl")
    assert [m["step"] for m in metrics] == [1, 2, 3, 4]
    assert output.count("\nstep ") == 4


def test_failed_programs_become_questions_in_the_same_batch(undisturbed):
    run, _ = undisturbed
    samples = rows(run / "samples.jsonl")
    by_id = {s["id"]: s for s in samples}
    align = [s for s in samples if s["objective"] == "align"]
    assert align and all(s["step"] > 1 for s in align)
    for sample in align:
        source = by_id[sample["source"]]
        assert source["status"] != "passed" and source["program"] == sample["program"]
        assert set(sample["correct"]) <= set(sample["predicted"]) <= set(sample["target"])
    shares = [m["align/share"] for m in rows(run / "metrics.jsonl")]
    assert shares[0] == 0 and 0 < max(shares) <= 0.5


def test_rewards_and_gradients_are_not_flat(undisturbed):
    metrics = rows(undisturbed[0] / "metrics.jsonl")
    assert any(0 < m["reward/code"] < 1 for m in metrics)
    assert all(m["grad_norm"] > 0 for m in metrics)
    assert all(m["mismatch/max"] < 1e-3 for m in metrics), "the sampler is stale"


def test_no_problem_comes_twice_in_an_epoch_and_no_question_twice(undisturbed):
    samples = rows(undisturbed[0] / "samples.jsonl")
    first = [s for s in samples if s["id"].endswith("/0")]
    code = [s["prompt"] for s in first if s["objective"] == "code"]
    asked = [s["prompt"] for s in first if s["objective"] == "align"]
    for epoch in range(0, len(code), 4):
        assert len(set(code[epoch : epoch + 4])) == len(code[epoch : epoch + 4])
    assert asked and len(asked) == len(set(asked))


def test_kill_and_resume_give_the_same_bits(undisturbed, tiny_model, tiny_problems, tmp_path):
    whole, _ = undisturbed
    process = start(tiny_model, tiny_problems, tmp_path, "--name=cut", "--steps=4")
    cut = tmp_path / "cut"
    while not (cut / "ckpt" / "latest").exists():
        assert process.poll() is None, process.output()[-3000:]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.finish(-signal.SIGKILL)
    with (cut / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "half a li')
    output = start(
        tiny_model, tiny_problems, tmp_path, "--name=cut", "--steps=4", "--resume"
    ).finish()
    assert "resuming after step 2" in output
    for file in ("hf/model.safetensors", "state.json"):
        ours, theirs = (d / "ckpt" / "latest" / file for d in (whole, cut))
        assert ours.read_bytes() == theirs.read_bytes(), f"{file} differs"
    for file in ("metrics.jsonl", "samples.jsonl"):
        assert without_clock(rows(whole / file)) == without_clock(rows(cut / file))


def test_ctrl_c_saves_and_says_how_to_go_on(tiny_model, tiny_problems, tmp_path):
    more = ("--name=c", "--steps=500", "--save_every=500")
    process = start(tiny_model, tiny_problems, tmp_path, *more, engine="hf")
    metrics = tmp_path / "c" / "metrics.jsonl"
    while not metrics.exists():
        assert process.poll() is None, process.output()[-3000:]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output = process.finish()
    saved = json.loads((tmp_path / "c" / "ckpt" / "latest" / "state.json").read_text())
    assert saved["step"] == rows(metrics)[-1]["step"]
    assert "--resume" in output.splitlines()[-1]


def test_full_disk_is_one_sentence_and_no_half_checkpoint(tiny_model, tiny_problems, tmp_path):
    more = ("--name=f", "--steps=1", "--sandbox=weak")
    fixed = (tiny_model, tiny_problems, tmp_path)
    # A write beyond the limit fails as it does on a full disk.
    output = start(*fixed, *more, engine="hf", file_limit=100_000).finish(code=1)
    assert output.splitlines()[-1].startswith("error: cannot write the checkpoint of step 1")
    assert list((tmp_path / "f" / "ckpt").iterdir()) == []


def test_a_run_that_is_older_than_a_key_has_its_default(one_process, tmp_path):
    cfg = Config(out_dir=str(tmp_path), resume=True)
    cfg.run_dir.mkdir()
    old = dataclasses.asdict(cfg)
    del old["align_output"]
    (cfg.run_dir / "config.json").write_text(json.dumps(old | {"a_key_of_then": 1}))
    with pytest.raises(UserError, match="align_output: True -> False"):
        RunDir(dataclasses.replace(cfg, align_output=False))
    RunDir(cfg)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # RunDir has its own
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert json.loads((cfg.run_dir / "config.json").read_text())["align_output"] is True


def test_resume_refuses_another_config_and_names_the_keys(undisturbed, tiny_model, tiny_problems):
    run, _ = undisturbed
    more = ("--name=whole", "--steps=5", "--resume", "--clip=0.1,0.2")
    output = start(tiny_model, tiny_problems, run.parent, *more).finish(code=1)
    assert "clip: [] -> [0.1, 0.2]" in output.splitlines()[-1]


def test_old_run_is_never_overwritten(undisturbed, tiny_model, tiny_problems):
    run, _ = undisturbed
    before = (run / "metrics.jsonl").read_bytes()
    output = start(tiny_model, tiny_problems, run.parent, "--name=whole").finish(code=1)
    assert "holds a run already" in output.splitlines()[-1]
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_wrong_task_is_refused_before_a_model_loads(tiny_model, tiny_problems, tmp_path):
    more = ("--name=n", "--eval_every=1", "--eval_tasks=basic")
    output = start(tiny_model, tiny_problems, tmp_path, *more).finish(code=1)
    assert "unknown task 'basic'" in output.splitlines()[-1]
    assert "starting the sampler" not in output


def test_run_without_a_checkpoint_is_set_aside(tiny_model, tiny_problems, tmp_path):
    (tmp_path / "n").mkdir()  # as a run leaves it that was killed in its first step
    (tmp_path / "n" / "eval.jsonl").write_text('{"step": 0}\n')
    start(tiny_model, tiny_problems, tmp_path, "--name=n", "--steps=1", engine="hf").finish()
    assert (tmp_path / "n.1" / "eval.jsonl").read_text() == '{"step": 0}\n'
    assert (tmp_path / "n" / "ckpt" / "latest").exists()


def two_processes_command(model, problems, out, *more, steps=2):
    arguments = [f"--model={model}", f"--problems={problems}", f"--out_dir={out}", *FAST]
    return [str(ROOT / "train.py"), *arguments, "--name=two", f"--steps={steps}", *more]


def two_processes(model, problems, out, *more, steps=2):
    """Some steps of two ranks; their samples."""
    command = two_processes_command(model, problems, out, *more, steps=steps)
    finish_ranks(2, command, out / "two.log")
    return rows(out / "two" / "samples.jsonl")


def test_two_ranks_may_share_one_sampler(undisturbed, tiny_model, tiny_problems, tmp_path):
    """Tensor parallel sampling: each rank holds half of every matrix, both the same answers."""
    for path in Path("/dev/shm").glob("*cpushm*"):  # a killed vLLM leaves these, and then fails
        path.unlink(missing_ok=True)
    evaluated = ("--eval_every=2", "--eval_tasks=basics:3")
    two_processes(tiny_model, tiny_problems, tmp_path, "--rollout_tp=2", *evaluated)
    evaluations = rows(tmp_path / "two" / "eval.jsonl")
    assert [(e["step"], e["n_samples"]) for e in evaluations] == [(0, 3), (2, 3)]
    alone = [s for s in rows(undisturbed[0] / "samples.jsonl") if s["step"] <= 2]
    together = rows(tmp_path / "two" / "samples.jsonl")
    assert [s["id"] for s in together] == [s["id"] for s in alone]
    metrics = rows(tmp_path / "two" / "metrics.jsonl")
    assert all(m["mismatch/max"] < 1e-3 and m["grad_norm"] > 0 for m in metrics)


def test_the_export_is_the_trained_model_for_everybody_else(undisturbed, tiny_model):
    """out/<run>/hf loads in transformers, and holds the weights of the last checkpoint."""
    export = undisturbed[0] / "hf"
    model = AutoModelForCausalLM.from_pretrained(export)
    tokens = AutoTokenizer.from_pretrained(export).apply_chat_template(
        [{"role": "user", "content": "Write f(x): x plus 1."}], return_dict=False
    )
    assert len(tokens) > 5
    weights = {f"policy.model.{n}": torch.empty_like(w) for n, w in model.named_parameters()}
    dcp.load(weights, checkpoint_id=undisturbed[0] / "ckpt" / "latest" / "shards")
    start = dict(AutoModelForCausalLM.from_pretrained(tiny_model).named_parameters())
    for name, weight in model.named_parameters():
        assert torch.equal(weight, weights[f"policy.model.{name}"]), name
    assert any(not torch.equal(w, start[name]) for name, w in model.named_parameters())
