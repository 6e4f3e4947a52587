"""Config files are data; every mistake gets one sentence that says what, where and what to do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from config import FIELDS, Config, UserError, load_config, print_help
from problems.problem import fill
from startup.start import check_world

ROOT = Path(__file__).parent.parent


def write(tmp_path, text):
    path = tmp_path / "c.py"
    path.write_text(text)
    return str(path)


def refusal(argv):
    with pytest.raises(UserError) as caught:
        load_config(argv)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_command_line_beats_file_beats_default(tmp_path):
    cfg = load_config([write(tmp_path, "lr = 3e-5\nsteps = 7\n"), "--steps=9"])
    assert (cfg.lr, cfg.steps, cfg.seed) == (3e-5, 9, 0)


def test_unknown_key_names_file_line_and_nearest(tmp_path):
    text = refusal([write(tmp_path, "lr = 1e-5\nstep = 3\n")])
    assert "c.py:2" in text and "did you mean steps?" in text


def test_unknown_argument_names_nearest():
    assert "did you mean align_ratio?" in refusal(["--align_ration=0.3"])


def test_wrong_type_names_line_and_type(tmp_path):
    text = refusal([write(tmp_path, "\nsteps = 'ten'\n")])
    assert "c.py:2" in text and "must be int" in text


def test_bool_is_no_int():
    assert "must be int" in refusal(["--steps=True"])


def test_key_set_twice_is_refused(tmp_path):
    assert "c.py:2: lr is set twice" in refusal([write(tmp_path, "lr = 1e-5\nlr = 1e-6\n")])


def test_config_file_is_never_executed(tmp_path):
    target = tmp_path / "made"
    text = refusal([write(tmp_path, f"name = open({str(target)!r}, 'w').name\n")])
    assert "not a literal" in text and not target.exists()


@pytest.mark.parametrize(
    "line", ["import os", "if 1:\n  lr = 1.0", "lr: float = 1.0", "lr += 1", "lr = kl_coef = 1.0"]
)
def test_anything_but_assignments_is_refused(tmp_path, line):
    assert "c.py:1" in refusal([write(tmp_path, line)])


def test_missing_file_and_broken_syntax_say_so(tmp_path):
    assert "cannot read config file" in refusal([str(tmp_path / "none.py")])
    for text in ("lr = (1\n", "\0"):
        assert "c.py:1" in refusal([write(tmp_path, text)])


def test_lists_of_names_are_split_at_commas_and_texts_are_not(tmp_path):
    cfg = load_config(["--eval_tasks=basics,mbpp:200", "--stop=, and", "--clip=0.2,0.28"])
    assert cfg.eval_tasks == ("basics", "mbpp:200") and cfg.stop == (", and",)
    assert cfg.clip == (0.2, 0.28)
    cfg = load_config(["--chat_kwargs=enable_thinking=False,effort=low"])
    assert cfg.chat_kwargs == ("enable_thinking=False", "effort=low")
    cfg = load_config([write(tmp_path, "eval_tasks = ['a,b']\nstop = ['x', 'y']\n")])
    assert cfg.eval_tasks == ("a,b",) and cfg.stop == ("x", "y")


def test_nothing_behind_the_sign_is_an_empty_list():
    assert load_config(["--stop=", "--chat_kwargs="]).stop == ()


def test_a_blank_in_place_of_the_sign_is_told():
    for argv in (["--lr", "3e-5"], ["--steps"]):
        assert f"write {argv[0]}=VALUE" in refusal(argv)
    assert load_config(["--resume"]).resume


def test_a_ratio_that_is_clipped_on_one_side_may_say_anything_of_the_other():
    for clip in ("0,4", "0.2,4", "1,4"):
        assert len(load_config(["--algo=cispo", f"--clip={clip}"]).clip) == 2


def test_int_is_welcome_as_float_and_a_number_as_name():
    assert load_config(["--lr=1"]).lr == 1.0
    for name in ("7", "1.10", "1e3", "0x10", "None"):
        assert load_config([f"--name={name}"]).name == name
    assert load_config(["--name='a b'"]).name == "a b"


@pytest.mark.parametrize(
    "argument",
    [
        "--align_ratio=1.5",
        "--steps=0",
        "--temperature=0",
        "--engine=sglang",
        "--name=a/b",
        "--clip=0.2",
        "--clip=0.8,1.2",
        "--clip=-0.1,0.2",
        "--align_ratio=0.05",
        "--grad_clip=0",
        "--grad_clip=-1",
        "--tis_cap=-1",
        "--kl_coef=-0.1",
        "--format_bonus=5",
        "--warmup_steps=-1",
        "--timeout_s=0",
        "--chat_kwargs=enable_thinking",
        "--chat_kwargs=[1]",
        "--eval_tasks=[1]",
        "--eval_tasks=",
        "--sandbox_packages=(1,2)",
        "--stop=1,2",
        "--stop=['a','']",
        "--memory_mb=-5",
        "--gpu_memory=7",
        "--kv_cache_gb=0",
    ],
)
def test_impossible_values_are_refused_before_a_model_loads(argument):
    assert argument[2:].partition("=")[0] in refusal([argument])


def test_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(UserError, match="multiple of 3"):
        check_world(Config(prompts_per_step=8, optimizer_steps=2), world_size=3)


def test_a_sampler_stays_on_its_node_and_nodes_are_alike(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    check_world(Config(rollout_tp=2, states="node"), world_size=4)
    with pytest.raises(UserError, match="rollout_tp=4 .* nodes of 2 processes"):
        check_world(Config(rollout_tp=4), world_size=4)
    with pytest.raises(UserError, match="states=node"):
        check_world(Config(states="node"), world_size=3)


def test_braces_of_programs_and_of_json_survive_the_templates():
    template = 'Answer {"x": 1} for {names}:\n{program}'
    filled = fill(template, program="d = {names}", names="`d`", action="")
    assert filled == 'Answer {"x": 1} for `d`:\nd = {names}'


def test_help_shows_every_field_with_its_comment(capsys):
    with pytest.raises(SystemExit) as ended:
        print_help({"out": "a file"})
    assert not ended.value.code
    shown = capsys.readouterr().out
    for name in Config.__dataclass_fields__:
        line = next(line for line in shown.splitlines() if line.startswith(f"  --{name}="))
        assert len(line.split(maxsplit=1)[1].split()) >= 2, f"{name} has no comment"


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_help_comes_without_torch_and_stays_quiet_when_the_reader_leaves(script):
    code = f"import sys, runpy; sys.argv = [{script!r}, '--help']\n"
    code += f"try: runpy.run_path({str(ROOT / script)!r}, run_name='__main__')\n"
    code += "finally: assert 'torch' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "--lr=" in done.stdout, done.stderr
    assert ("--samples " in done.stdout) == (script == "eval.py")
    command = f"{sys.executable} {ROOT / script} --help | head -1"
    piped = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert piped.stdout.startswith(f"usage: python {script}") and not piped.stderr


MOST = {"fields": 50, "files": 9, "lines": 3000, "lines of a file": 450}  # at the top
HOUSE_RULE = "this repository stays small; a fork that grows raises MOST above"


def test_there_are_at_most_fifty_fields_and_each_is_set_somewhere():
    """In a config, in a command of the documentation, or in a test: else nobody needs it."""
    paths = [*ROOT.glob("configs/*.py"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/test_*.py")]
    text = "\n".join(path.read_text() for path in [*paths, ROOT / "README.md"])
    assert len(FIELDS) <= MOST["fields"], HOUSE_RULE
    unset = [
        name for name in FIELDS if not re.search(rf"--{name}\b|\b{name}\s*=[^=]|\"{name}\":", text)
    ]
    assert not unset


def test_what_stays_small_is_checked():
    lines = {path.name: len(path.read_text().splitlines()) for path in ROOT.glob("*.py")}
    assert len(lines) <= MOST["files"], f"{HOUSE_RULE}: {sorted(lines)}"
    assert sum(lines.values()) <= MOST["lines"], f"{HOUSE_RULE}: {lines}"
    assert max(lines.values()) <= MOST["lines of a file"], f"{HOUSE_RULE}: {lines}"


@pytest.mark.parametrize("name", ["demo", "coder", "small", "paper"])
def test_shipped_configs_load(name):
    assert load_config([str(ROOT / f"configs/{name}.py")]).steps > 0


@pytest.mark.parametrize(
    ("dtype", "flags", "found"),
    [
        ("auto", "flags : sse2 avx2 avx512f avx512_bf16", "bfloat16"),
        ("auto", "Features : fp asimd bf16", "bfloat16"),
        ("auto", "flags : sse2 avx2", "float32"),
        ("bfloat16", "flags : sse2 avx2", "bfloat16"),
        ("float32", "flags : sse2 avx512_bf16", "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_cpu_has_it(tmp_path, monkeypatch, dtype, flags, found):
    cpu = tmp_path / "cpuinfo"
    cpu.write_text(f"processor : 0\n{flags}\n")
    monkeypatch.setattr("config.CPUINFO", cpu)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert Config(dtype=dtype).compute_dtype == found


@pytest.mark.parametrize(
    "command",
    ["busy.py", "eligible.py --limit=x", "agreement.py none.jsonl", "tracefuzz.py foo"],
)
def test_a_mistyped_measurement_fails_without_a_traceback(command):
    name, *flags = command.split()
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / name, *flags], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr and "Traceback" not in done.stderr
