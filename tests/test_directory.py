"""Nothing destroys a run without a word: the run directory, its checkpoints, its signals."""

import dataclasses
import json
import os
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from test_failures import FAILURE, RIGHT, STATS, group
from test_ranks import ranks
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from bench.kills import processes
from config import Config, UserError
from problems.problem import Problem
from run import RunDir, set_up_ranks
from sandbox import Sandbox
from startup import directory
from startup.model import load_policy

LAPS = dict.fromkeys(("sample", "judge", "train"), 1.0)


@pytest.fixture(autouse=True)
def own_signals():
    """A RunDir takes SIGINT and SIGTERM; pytest needs its own."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def cfg(tmp_path):
    return Config(name="x", out_dir=str(tmp_path), dtype="float32", steps=9)


def problems(answer=2):
    tests = {"inputs": [[1]], "outputs": [{answer, "b", "c"}], "fn_name": "f"}
    asked = {"inputs": [[1]], "reference": "def f(x): ...", "fn_name": "f"}
    return [Problem("a", "Add.", tests), Problem("b", "Ask.", asked)]


def log(run, step, waiting=None, **stats):
    part = group(RIGHT)
    part.task = SimpleNamespace(task_id="a")
    run.log_step(step, [part], waiting or {}, STATS | stats, LAPS)


# --------------------------------------------------------------------------- opening
def test_a_second_run_of_one_name_is_refused_while_the_first_one_lives(one_process, cfg):
    first = RunDir(cfg)
    log(first, 1)
    for other in (cfg, dataclasses.replace(cfg, resume=True)):
        with pytest.raises(UserError, match=rf"in use by process {os.getpid()} on .*--name"):
            RunDir(other)
    assert (cfg.run_dir / "metrics.jsonl").exists()  # not set aside
    first.lock.close()  # as when its process ends
    RunDir(cfg)
    assert (cfg.run_dir.with_name("x.1") / "metrics.jsonl").exists()


def test_a_disk_that_is_full_at_a_row_ends_the_run_with_one_sentence(one_process, cfg):
    run = RunDir(cfg)
    log(run, 1)
    whole = (run.path / "metrics.jsonl").read_text()
    (run.path / "samples.jsonl").unlink()
    (run.path / "samples.jsonl").symlink_to("/dev/full")
    with pytest.raises(UserError, match="cannot write .*samples.jsonl .No space left on device"):
        log(run, 2)
    (run.path / "samples.jsonl").unlink()
    directory.keep_rows(run.path / "metrics.jsonl", last_step=1)  # as a resume does
    assert (run.path / "metrics.jsonl").read_text() == whole


def test_the_console_says_when_answers_are_cut_and_when_we_cannot_judge(one_process, cfg, capsys):
    run, part = RunDir(cfg), group(RIGHT, FAILURE)
    part.task = SimpleNamespace(task_id="a")
    for sample in part.samples:
        sample.response.finished = False
    run.log_step(1, [part], {}, STATS, LAPS)
    said = capsys.readouterr().out
    assert "| 100% cut at max_tokens | 1 judge errors |" in said
    log(run, 2)
    assert "cut at" not in (said := capsys.readouterr().out) and "judge errors" not in said


def test_five_steps_without_a_finite_gradient_end_the_run(one_process, cfg):
    run = RunDir(cfg)
    for step, norm in enumerate([None, 1.0, *[None] * 4], start=1):
        log(run, step, grad_norm=norm, skipped=float(norm is None), kl=float("nan"))
    with pytest.raises(UserError, match="step 7: the gradient was not finite for 5 steps in a row"):
        log(run, 7, grad_norm=None, skipped=1.0)
    text = (run.path / "metrics.jsonl").read_text()
    assert "NaN" not in text  # which is no JSON
    assert [json.loads(line)["skipped"] for line in text.splitlines()] == [1, 0, 1, 1, 1, 1, 1]


def test_a_run_that_is_stopped_before_its_first_step_has_nothing_to_resume(
    one_process, cfg, capsys
):
    run = RunDir(cfg)
    for step, more in ((0, ""), (1, "; go on with: python train.py ... --resume")):
        run.finish(step)
        assert capsys.readouterr().out.splitlines()[-1] == f"stopped after step {step}{more}"


def test_more_processes_than_gpus_are_told_so(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for key, value in (("RANK", "2"), ("LOCAL_RANK", "2")):
        monkeypatch.setenv(key, value)
    with pytest.raises(UserError, match="has 2 GPU.* --nproc_per_node= no more"):
        set_up_ranks()


def test_a_sampler_that_runs_another_model_ends_the_run(one_process, cfg):
    """As vLLM does on a CPU with new weights of a mixture of experts."""
    run = RunDir(cfg)
    log(run, 1, mismatch=0.05, max_mismatch=2.0)  # bf16
    with pytest.raises(UserError, match="step 2: the sampler's .* 0.60 nats a token off"):
        log(run, 2, mismatch=0.6)


def test_a_run_whose_questions_are_all_too_long_says_so(one_process, cfg, capsys):
    run = RunDir(cfg)
    for step in (1, 2):
        log(run, step, {"align": {"buffer": 0, "too_long": 3}})
    run.finish(9)
    said = capsys.readouterr().out
    assert said.count("align   -- (0%, buffer 0, 3 too long)") == 2
    assert "no question was asked: all 6 were longer than max_prompt_tokens=1024" in said
    row = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[0])
    assert row["align/too_long"] == 3


def test_sigterm_is_the_first_ctrl_c_however_often_it_comes(one_process, cfg, capfd):
    run = RunDir(cfg)
    assert not run.asked_to_stop()
    for _ in range(3):  # Slurm tells every process, and torchrun tells its own again
        os.kill(os.getpid(), signal.SIGTERM)
    assert run.asked_to_stop()
    assert capfd.readouterr().out.count("finishing this step, then saving") == 1
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    run.lock.close()
    run = RunDir(cfg)
    os.kill(os.getpid(), signal.SIGINT)
    assert run.asked_to_stop()
    with pytest.raises(KeyboardInterrupt):  # torchrun makes a SIGTERM of the second Ctrl-C
        os.kill(os.getpid(), signal.SIGTERM)


def test_slurm_tells_the_sandbox_too_and_it_goes_on():
    """Each process of a job has a SIGTERM; else the last step would be judged wrong."""
    with closing(Sandbox(mode="weak")) as sandbox, ThreadPoolExecutor(1) as thread:
        running = thread.submit(sandbox.run, "import time; time.sleep(0.3); print(1)", [""])
        while not running.done():
            for pid in processes(sandbox._zygote.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            time.sleep(0.02)
        assert running.result()[0].stdout == "1\n"


# --------------------------------------------------------------------------- checkpoints
def make_checkpoint(ckpt: Path, step: int, sums: bool = True) -> Path:
    path = ckpt / f"step_{step}"
    (path / "shards").mkdir(parents=True)
    (path / "hf").mkdir()
    files = {"shards/__0_0.distcp": f"{step} weights", "shards/.metadata": "m", "state.json": "{}"}
    for name, text in files.items():
        (path / name).write_text(text)
    if sums:
        found = {name: directory.checksum(path / name) for name in files}
        (path / "sums.json").write_text(json.dumps(found))
    directory.point_latest(path)
    return path


def flipped(path):
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


@pytest.mark.parametrize("file", ["shards/__0_0.distcp", "shards/.metadata", "state.json"])
@pytest.mark.parametrize("harm", [flipped, Path.unlink, lambda path: os.truncate(path, 1)])
def test_a_damaged_checkpoint_falls_back_to_the_newest_whole_one(tmp_path, capsys, file, harm):
    whole = [make_checkpoint(tmp_path, step) for step in (2, 4, 6)]
    assert directory.newest_whole(tmp_path) == whole[2] and not capsys.readouterr().out
    (whole[2] / file).write_text("{} and more")
    harm(whole[2] / file)
    assert directory.newest_whole(tmp_path) == whole[1]
    said = capsys.readouterr().out
    assert said.startswith(f"{whole[2]} is damaged: ") and file in said and said.count("\n") == 1
    for path in whole:
        shutil.rmtree(path)
    with pytest.raises(UserError, match="nothing to resume in .*: it has no checkpoint"):
        directory.newest_whole(tmp_path)


def test_an_old_checkpoint_that_cannot_be_deleted_ends_no_run(tmp_path, monkeypatch):
    """NFS keeps a folder of which somebody reads a file."""

    def refuse(path, ignore_errors=False):
        if not ignore_errors:
            raise OSError(39, "Directory not empty", str(path))

    for step in (1, 2, 3):
        scratch = tmp_path / f".writing_{step}"
        scratch.mkdir()
        (scratch / "state.json").write_text("{}")
        if step == 3:
            monkeypatch.setattr("shutil.rmtree", refuse)
        directory.publish(scratch, tmp_path / f"step_{step}")
    assert (tmp_path / "latest").readlink() == Path("step_3") and (tmp_path / "step_1").exists()


def test_a_latest_that_names_no_step_is_one_sentence(tmp_path):
    (tmp_path / "latest").symlink_to("best")
    with pytest.raises(UserError, match="latest points to best, which is no step_N"):
        directory.newest_whole(tmp_path)


def test_a_config_that_is_no_object_is_one_sentence(one_process, cfg):
    cfg.run_dir.mkdir()
    (cfg.run_dir / "config.json").write_text("[1]")
    with pytest.raises(UserError, match="nothing to resume in"):
        RunDir(dataclasses.replace(cfg, resume=True))


def test_a_stale_higher_step_is_not_taken_for_the_latest(tmp_path, capsys):
    """Somebody went back to step 4 by pointing `latest` there."""
    (tmp_path / "ckpt").mkdir()
    steps = {step: make_checkpoint(tmp_path / "ckpt", step) for step in (4, 6, 8)}
    (tmp_path / "ckpt" / ".writing_9").mkdir()
    rows = "".join(f'{{"step": {step}}}\n' for step in range(1, 9))
    (tmp_path / "metrics.jsonl").write_text(rows + '{"step": 4, "half a li')
    directory.point_latest(steps[4])
    assert directory.newest_whole(tmp_path / "ckpt") == steps[4]
    directory.go_on_from(steps[4])
    scratch = make_checkpoint(tmp_path / "ckpt", 50).rename(tmp_path / "ckpt" / ".writing_5")
    directory.publish(scratch, tmp_path / "ckpt" / "step_5")
    names = {path.name for path in (tmp_path / "ckpt").iterdir()}
    assert names == {"step_4", "step_5", "latest", "left_step_6", "left_step_8"}
    assert (tmp_path / "ckpt" / "latest").resolve().name == "step_5"
    assert (tmp_path / "metrics.jsonl").read_text() == "".join(rows.splitlines(True)[:4])
    assert "step_8 as left_step_8" in capsys.readouterr().out


def test_a_checkpoint_that_is_older_than_checksums_is_believed(tmp_path):
    path = make_checkpoint(tmp_path, 2, sums=False)
    assert directory.newest_whole(tmp_path) == path
    (path / "state.json").unlink()
    with pytest.raises(UserError, match="all 1 checkpoints are damaged"):
        directory.newest_whole(tmp_path)


def test_data_that_changed_is_noticed_and_what_a_reference_gave_does_not_count():
    known = directory.fingerprint(problems())
    again = problems()
    again[1].tests["outputs"] = [0.5]
    assert directory.fingerprint(again) == known
    assert directory.fingerprint(problems()[::-1]) != known
    assert directory.fingerprint(problems(answer=3)) != known
    again[0] = dataclasses.replace(again[0], prompt="Subtract.")
    assert directory.fingerprint(again) != known


# --------------------------------------------------------------------------- the whole of it
@pytest.fixture(scope="module")
def saved(one_process, tmp_path_factory):
    """A run of a model with a generation config that transformers reads and will not write."""
    folder = tmp_path_factory.mktemp("saved")
    given = tiny.make_directory(folder / "model")
    settings = {"temperature": 0.9, "top_p": 0.6, "eos_token_id": [0, 3]}
    (given / "generation_config.json").write_text(json.dumps(settings))
    (given / "preprocessor_config.json").write_text("{}")
    (given / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    config = json.loads((given / "config.json").read_text())
    config |= {"rope_theta": 5e5, "torch_dtype": "float32"}
    (given / "config.json").write_text(json.dumps(config))
    cfg = Config(name="x", out_dir=str(folder), dtype="bfloat16", steps=9)
    policy = load_policy(cfg, str(given), torch.device("cpu"))
    optimizer = torch.optim.AdamW(policy.parameters())
    run = RunDir(cfg)
    run.check_same_problems(problems())
    for step in (2, 4):
        with torch.no_grad():
            policy.model.lm_head.weight.fill_(step)
        run.save({"step": step}, policy, AutoTokenizer.from_pretrained(given), optimizer)
    run.lock.close()
    return run, policy, optimizer


def test_the_export_says_what_its_tensors_are_and_comes_with_its_settings(saved):
    run, _, _ = saved
    model = AutoModelForCausalLM.from_pretrained(run.path / "hf")
    assert {w.dtype for w in model.parameters()} == {torch.bfloat16} == {model.dtype}
    assert json.loads((run.path / "hf/config.json").read_text())["dtype"] == "bfloat16"
    assert (model.lm_head.weight == 4).all()
    settings = GenerationConfig.from_pretrained(run.path / "hf")
    assert (settings.temperature, settings.eos_token_id) == (0.9, [0, 3])
    assert AutoTokenizer.from_pretrained(run.path / "hf").chat_template == tiny.CHAT


def test_the_export_comes_with_the_files_of_its_model_as_they_were(saved):
    """Those that transformers 5 writes itself, transformers 4 does not understand."""
    run, policy, _ = saved
    given, made = Path(policy.model.name_or_path), run.path / "hf"
    theirs, ours = (json.loads((path / "config.json").read_text()) for path in (given, made))
    assert (theirs["rope_theta"], theirs["torch_dtype"]) == (5e5, "float32")  # of transformers 4
    assert ours == theirs | {"dtype": "bfloat16", "torch_dtype": "bfloat16"}
    for name in ("tokenizer_config.json", "generation_config.json", "preprocessor_config.json"):
        assert (made / name).read_bytes() == (given / name).read_bytes()
    assert not (made / "model.safetensors.index.json").exists()


def test_a_part_of_a_model_is_exported_with_a_config_of_its_own(saved, tmp_path):
    """A text model out of one with eyes: the config of the whole would ask for these, too."""
    run, policy, _ = saved
    whole = tmp_path / "whole"
    shutil.copytree(policy.model.name_or_path, whole)
    tensors = load_file(whole / "model.safetensors") | {"eyes.weight": torch.zeros(1)}
    save_file(tensors, whole / "model.safetensors")
    (whole / "config.json").write_text('{"model_type": "with_eyes"}')
    tokenizer, weights = AutoTokenizer.from_pretrained(run.path / "hf"), policy.model.state_dict()
    with patch.object(policy.model, "name_or_path", str(whole)):
        directory.export(policy.model, tokenizer, weights, tmp_path / "part", "bfloat16")
    assert json.loads((tmp_path / "part/config.json").read_text())["model_type"] == "llama"
    assert (tmp_path / "part/preprocessor_config.json").exists()


def test_a_resume_computes_in_the_type_that_the_run_began_with(cfg, monkeypatch):
    monkeypatch.setattr(Config, "compute_dtype", "bfloat16")
    run = RunDir(dataclasses.replace(cfg, dtype="auto"))
    run.lock.close()
    again = dataclasses.replace(cfg, dtype="auto", resume=True)
    directory.check_config(again)
    monkeypatch.setattr(Config, "compute_dtype", "float32")
    with pytest.raises(UserError, match="compute_dtype: 'bfloat16' -> 'float32'"):
        directory.check_config(again)


def test_a_resume_reads_the_whole_checkpoint_and_refuses_other_problems(saved, capsys):
    run, policy, optimizer = saved
    run = RunDir(dataclasses.replace(run.cfg, resume=True))
    flipped(next((run.ckpt / "step_4/shards").glob("*.distcp")))
    run.check_same_problems(problems(answer=3))
    with pytest.raises(
        UserError, match="--resume with other problems .* a file of problems=basics has"
    ):
        run.restore(policy, optimizer)
    run.check_same_problems(problems())
    assert run.restore(policy, optimizer)["step"] == 2
    assert (tiny.full(policy.model.lm_head.weight) == 2).all()
    assert (run.path / "hf").resolve().parent.name == "step_2"
    assert (
        "step_4 is damaged: shards/__0_0.distcp is not what was written" in capsys.readouterr().out
    )
    run.lock.close()


TWO = """
import json, os, test_directory, test_grpo, tiny, torch
from pathlib import Path
from bench.kills import processes
from startup import directory
from config import Config, UserError
from run import RunDir
from train import update
set_up_ranks(60)
rank, out, said = dist.get_rank(), Path(sys.argv[0]).parent, []

def refused(work, *args):
    try:
        work(*args)
    except UserError as error:
        said.append(str(error))

refused(RunDir, Config(name="x", out_dir=str(out / f"machine{rank}")))
cfg = Config(name="x", out_dir=str(out), dtype="float32", lr=0.01, steps=9)
run = RunDir(cfg)
refused(RunDir, cfg)
refused(run.check_same_problems, test_directory.problems(answer=rank))
run.check_same_problems(test_directory.problems())
policy, groups = tiny.make_policy(cfg), test_grpo.make_groups()
optimizer = torch.optim.AdamW(policy.parameters())
moved, tokenizer = [], tiny.make_tokenizer()
for step, advantage in enumerate((1.0, float("nan"), 1.0), start=1):
    before = torch.cat([tiny.full(p).clone() for p in policy.parameters()])
    groups[0].samples[0].advantage = advantage  # a sample of one rank
    stats = update(cfg, step, groups, policy, None, optimizer)
    after = torch.cat([tiny.full(p) for p in policy.parameters()])
    moved.append((stats["skipped"], not torch.equal(before, after)))
    run.save({"step": step}, policy, tokenizer, optimizer)
assert moved == [(0, True), (1, False), (0, True)], moved
if rank == 0:
    os.truncate(next((run.ckpt / "step_3/shards").glob("__1_*")), 9)
assert run.restore(policy, optimizer)["step"] == 2
assert torch.equal(before, torch.cat([tiny.full(p) for p in policy.parameters()]))
for step in range(3, 8):
    refused(lambda: test_directory.log(run, step, grad_norm=None, skipped=1.0))
if rank == 0:
    (run.path / "metrics.jsonl").unlink()
    (run.path / "metrics.jsonl").symlink_to("/dev/full")
refused(lambda: test_directory.log(run, 8))
os.write(1, (json.dumps(said) + chr(10)).encode())  # one write, or lines of ranks may mix
leave_ranks()
"""


def test_two_processes_refuse_skip_and_fall_back_as_one(tmp_path):
    output = ranks(tmp_path, TWO, count=2)
    said = [json.loads(line) for line in output.splitlines() if line.startswith("[")]
    assert len(said) == 2
    parts = [
        "not the same directory for all ranks: rank 1 on",
        "in use by process",
        "problems=basics differs between ranks",
        "step 7: the gradient was not finite for 5 steps in a row",
        "cannot write",
    ]
    for refusals in said:  # each rank gives the reason, not that another one is gone
        assert [part in text for part, text in zip(parts, refusals, strict=True)] == [True] * 5


# --------------------------------------------------------------------------- wandb
@pytest.mark.parametrize(
    ("key", "variable", "mode"),
    [
        (False, None, "offline"),
        (True, None, None),
        (False, "online", None),
        (True, "offline", None),
    ],
)
def test_wandb_is_offline_only_where_nobody_says_and_a_resume_is_the_same_run(
    one_process, cfg, monkeypatch, capsys, key, variable, mode
):
    started, axes, sent = [], [], []

    def send(row):
        sent.append(row)
        raise ConnectionResetError("its process is gone")

    def init(**keys):
        started.append(keys)
        axis = lambda *names, **how: axes.append((names, how))  # noqa: E731
        return SimpleNamespace(define_metric=axis, log=send)

    fake = SimpleNamespace(init=init, login=lambda **_: key, Error=OSError)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if variable:
        monkeypatch.setenv("WANDB_MODE", variable)
    cfg = dataclasses.replace(cfg, wandb=True)
    RunDir(cfg).lock.close()
    run = RunDir(dataclasses.replace(cfg, resume=True))
    log(run, 1)  # goes on
    run.log_evaluation([{"task": "basics", "pass@1": 0.5}], 1)
    run.lock.close()
    assert sent[0]["step"] == 1 and sent[1] == {"step": 1, "eval/basics": 0.5}
    assert "wandb lost a row (its process is gone)" in capsys.readouterr().out
    assert [s.get("mode") for s in started] == [mode, mode]
    first, second = ((s["id"], s["resume"]) for s in started)
    assert first == second and first[0] and first[1] == "allow"
    assert axes[0] == (("*",), {"step_metric": "step"})  # wandb's own count cannot go back


def test_a_missing_wandb_is_one_sentence(one_process, cfg, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="--wandb needs the package wandb"):
        RunDir(dataclasses.replace(cfg, wandb=True))
